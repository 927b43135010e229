//! Products of matrices and vectors, and what belongs to diagonals.

use super::done;
use super::macros::product;
use super::quantized::Pick;
use crate::array::{maybe, refs};
use crate::bridge::ops::matrix::ffi;
use crate::error::Lift;
use crate::stream::current;
use crate::{Array, Error, Result};

product! {
    /// Matrix product over the last two axes, the others broadcast: (..., n, k) and
    /// (..., k, m) give (..., n, m). A vector counts as a row on the left, as a column on
    /// the right, and its axis of length 1 is dropped from the result.
    ///
    /// # Errors
    /// [`Error::Shape`] for shapes that do not fit; [`Error::Dtype`] unless the common type
    /// is floating-point or complex.
    matmul;
    /// Outer product of the flattened arrays, (n, m).
    outer;
    /// Inner product over the last axis of both; of scalars their product.
    inner;
    /// Kronecker product.
    ///
    /// # Errors
    /// [`Error::Argument`] for empty arrays.
    kron;
}

impl Array {
    /// `sum(conj(self) * other)` along `axis`.
    #[track_caller]
    pub fn vecdot(&self, other: &Array, axis: i32) -> Result<Array> {
        done(ffi::vecdot(self.raw(), other.raw(), axis, current()))
    }

    /// Sum of products over axes of both: `2` for the last two of `self` with the first two
    /// of `other`, or the axes of both as `([0], [1])`.
    #[track_caller]
    pub fn tensordot(&self, other: &Array, axes: impl IntoContraction) -> Result<Array> {
        let (a, b) = axes.contraction();
        done(ffi::tensordot(self.raw(), other.raw(), &a, &b, current()))
    }

    /// `beta * self + alpha * a @ b`, where `self` broadcasts to the product's shape.
    #[track_caller]
    pub fn addmm(&self, a: &Array, b: &Array, alpha: f32, beta: f32) -> Result<Array> {
        done(ffi::addmm(
            self.raw(),
            a.raw(),
            b.raw(),
            alpha,
            beta,
            current(),
        ))
    }

    /// Matrix product in square blocks (32 or 64), leaving out, or scaling, those that a mask
    /// says; a mask holds one value for each block of the output, of `self` and of `other`.
    /// On the CPU float32 only.
    #[track_caller]
    pub fn block_masked_mm(
        &self,
        other: &Array,
        block: i32,
        out: Option<&Array>,
        lhs: Option<&Array>,
        rhs: Option<&Array>,
    ) -> Result<Array> {
        done(ffi::block_masked_mm(
            self.raw(),
            other.raw(),
            block,
            maybe(out),
            maybe(lhs),
            maybe(rhs),
            current(),
        ))
    }

    /// Products of matrices picked from two stacks: one for each pair of indices into the
    /// flattened leading axes. On the CPU float32 only.
    ///
    /// # Errors
    /// Indices out of range as in [the module's notes](crate::ops).
    #[track_caller]
    pub fn gather_mm(&self, other: &Array, pick: Pick<'_>) -> Result<Array> {
        done(ffi::gather_mm(
            self.raw(),
            other.raw(),
            maybe(pick.lhs),
            maybe(pick.rhs),
            pick.sorted,
            current(),
        ))
    }

    /// For each pair (start, stop) of `segments` (..., 2): the product of columns start..stop
    /// of `self` and the same rows of `other`. Stops beyond the last are cut there. On the
    /// CPU float32 only.
    #[track_caller]
    pub fn segmented_mm(&self, other: &Array, segments: &Array) -> Result<Array> {
        done(ffi::segmented_mm(
            self.raw(),
            other.raw(),
            segments.raw(),
            current(),
        ))
    }

    /// The `offset`th diagonal of two axes, as a new last axis.
    #[track_caller]
    pub fn diagonal(&self, offset: i32, axis1: i32, axis2: i32) -> Result<Array> {
        done(ffi::diagonal(
            self.raw(),
            offset.max(-i32::MAX),
            axis1,
            axis2,
            current(),
        ))
    }

    /// The `k`th diagonal of a matrix; from a vector the matrix with that diagonal.
    ///
    /// # Errors
    /// [`Error::Shape`] for other dimensions, or a matrix too large.
    #[track_caller]
    pub fn diag(&self, k: i32) -> Result<Array> {
        let k = k.max(-i32::MAX);
        if self.ndim() == 1 && self.size() as u64 + u64::from(k.unsigned_abs()) > i32::MAX as u64 {
            return Err(Error::shape(format!(
                "[diag] the matrix with diagonal {k} of {} elements is too large",
                self.size()
            )));
        }
        done(ffi::diag(self.raw(), k, current()))
    }

    /// Sum of the `offset`th diagonal of two axes.
    #[track_caller]
    pub fn trace(&self, offset: i32, axis1: i32, axis2: i32) -> Result<Array> {
        done(ffi::trace(
            self.raw(),
            offset.max(-i32::MAX),
            axis1,
            axis2,
            current(),
        ))
    }

    /// Matrices with zeros above their `k`th diagonal.
    #[track_caller]
    pub fn tril(&self, k: i32) -> Result<Array> {
        done(ffi::tril(self.raw(), self.near(k), current()))
    }

    /// Matrices with zeros below their `k`th diagonal.
    #[track_caller]
    pub fn triu(&self, k: i32) -> Result<Array> {
        done(ffi::triu(self.raw(), self.near(k), current()))
    }

    /// A diagonal number that does not overflow: all beyond the corners are the same.
    fn near(&self, k: i32) -> i32 {
        const FAR: i32 = i32::MAX / 2;
        k.clamp(-FAR, FAR)
    }

    /// The last axis multiplied by a Hadamard matrix and `scale`, 1 over the root of the
    /// length by default. The length is a power of two, times 12, 20 or 28 if need be. Rows of just
    /// 12, 20 or 28 are the CPU's on any device.
    ///
    /// # Errors
    /// [`Error::Shape`] for another length or an empty array.
    #[track_caller]
    pub fn hadamard_transform(&self, scale: Option<f32>) -> Result<Array> {
        let n = self.shape().last().copied().unwrap_or(1);
        let odd = if n > 0 { n >> n.trailing_zeros() } else { 0 };
        let fits = odd == 1 || (matches!(odd, 3 | 5 | 7) && n % 4 == 0);
        if !fits {
            return Err(Error::shape(format!(
                "[hadamard_transform] expected a last axis of 2^k, 12, 20 or 28 times 2^k, got {n}"
            )));
        }
        done(ffi::hadamard_transform(
            self.raw(),
            scale.is_some(),
            scale.unwrap_or(1.0),
            current(),
        ))
    }
}

/// Sum of products by Einstein's convention: `einsum("ij,jk->ik", [&a, &b])`.
///
/// ```
/// use zmlx::{Array, ops};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// assert_eq!(ops::einsum("ii->i", [&x])?.to_vec::<f32>()?, [1.0, 4.0]);
/// assert_eq!(ops::einsum("ij->", [&x])?.item::<f32>()?, 10.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] or [`Error::Shape`] when subscripts and operands do not fit.
#[track_caller]
pub fn einsum<A: AsRef<Array>>(subscripts: &str, operands: impl AsRef<[A]>) -> Result<Array> {
    let operands = operands.as_ref();
    check_subscripts(subscripts, operands)?;
    done(ffi::einsum(subscripts, &refs(operands), current()))
}

/// The order of contractions [`einsum`] would choose, with its cost, for people to read.
#[track_caller]
pub fn einsum_path<A: AsRef<Array>>(subscripts: &str, operands: impl AsRef<[A]>) -> Result<String> {
    let operands = operands.as_ref();
    check_subscripts(subscripts, operands)?;
    ffi::einsum_path(subscripts, &refs(operands)).lift()
}

/// MLX takes letters for the axes of an ellipsis from those that are left of 52.
#[track_caller]
fn check_subscripts<A: AsRef<Array>>(subscripts: &str, operands: &[A]) -> Result<()> {
    let known = |c: char| c.is_ascii_alphabetic() || ",->. ".contains(c);
    if let Some(c) = subscripts.chars().find(|&c| !known(c)) {
        return Err(Error::argument(
            "subscripts",
            "letters, commas, `...` and `->`",
            format_args!("{c:?}"),
        ));
    }
    let used: std::collections::BTreeSet<char> = subscripts.chars().collect();
    let deepest = operands.iter().map(|a| a.as_ref().ndim()).max();
    if used.len() + deepest.unwrap_or(0) > 52 {
        return Err(Error::argument(
            "subscripts",
            "52 letters and axes at most",
            format_args!("{subscripts:?}"),
        ));
    }
    Ok(())
}

/// The axes of a [`tensordot`](Array::tensordot): how many, or which of both.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which axes to contract",
    note = "how many axes (i32), or a pair of lists, one for each array: `1`, `([0, 1], [1, 0])`"
)]
pub trait IntoContraction {
    /// Axes of the left and of the right array.
    fn contraction(self) -> (Vec<i32>, Vec<i32>);
}

impl IntoContraction for i32 {
    fn contraction(self) -> (Vec<i32>, Vec<i32>) {
        // Lists of different lengths, which MLX refuses.
        if !(0..=64).contains(&self) {
            return (vec![0], Vec::new());
        }
        ((-self..0).collect(), (0..self).collect())
    }
}

impl<const N: usize> IntoContraction for ([i32; N], [i32; N]) {
    fn contraction(self) -> (Vec<i32>, Vec<i32>) {
        (self.0.to_vec(), self.1.to_vec())
    }
}

impl IntoContraction for (&[i32], &[i32]) {
    fn contraction(self) -> (Vec<i32>, Vec<i32>) {
        (self.0.to_vec(), self.1.to_vec())
    }
}
