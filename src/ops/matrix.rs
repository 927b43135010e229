//! Products of matrices and vectors, and what belongs to diagonals.

use super::done;
use super::macros::product;
use super::quantized::Pick;
use crate::array::{maybe, refs};
use crate::bridge::ops::matrix::ffi;
use crate::error::Lift;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

impl Array {
    /// Matrix product over the last two axes, the others broadcast: (..., n, k) and
    /// (..., k, m) give (..., n, m). A vector counts as a row on the left, as a column on
    /// the right, and its axis of length 1 is dropped from the result.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
    /// let v = Array::from_iter([1.0f32, 10.0])?;
    /// assert_eq!(x.matmul(&x)?.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
    /// assert_eq!(x.matmul(&v)?.to_vec::<f32>()?, [21.0, 43.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for shapes that do not fit; [`Error::Dtype`] unless the common type
    /// is floating-point or complex.
    #[track_caller]
    pub fn matmul(&self, other: &Array) -> Result<Array> {
        if self.ndim() == 0 || other.ndim() == 0 {
            return Err(Error::shape(format!(
                "[matmul] expected arrays with one dimension at least, got shapes {:?} and {:?}",
                self.shape(),
                other.shape()
            )));
        }
        done(ffi::matmul(self.raw(), other.raw(), current()))
    }

    /// Outer product of the flattened arrays, (n, m).
    ///
    /// ```
    /// # use zmlx::Array;
    /// let (x, y) = (Array::from_iter([1, 2])?, Array::from_iter([10, 20, 30])?);
    /// assert_eq!(x.outer(&y)?.to_vec::<i32>()?, [10, 20, 30, 20, 40, 60]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for arrays of more than 2147483647 elements.
    #[track_caller]
    pub fn outer(&self, other: &Array) -> Result<Array> {
        for a in [self, other] {
            if a.size() > i32::MAX as usize {
                return Err(Error::shape(format!(
                    "[outer] expected 2147483647 elements at most, got shape {:?}",
                    a.shape()
                )));
            }
        }
        done(ffi::outer(self.raw(), other.raw(), current()))
    }

    /// Inner product over the last axis of both; of a scalar and an array their product.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let (x, y) = (Array::from_iter([1.0f32, 2.0])?, Array::from_iter([10.0f32, 20.0])?);
    /// assert_eq!(x.inner(&y)?.item::<f32>()?, 50.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless the last axes have the same length.
    #[track_caller]
    pub fn inner(&self, other: &Array) -> Result<Array> {
        if self.ndim() == 0 || other.ndim() == 0 {
            return self.multiply(other);
        }
        self.tensordot(other, ([-1], [-1]))
    }
}

product! {
    /// Kronecker product.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let (x, y) = (Array::from_iter([1, 10])?, Array::from_iter([1, 2])?);
    /// assert_eq!(x.kron(&y)?.to_vec::<i32>()?, [1, 2, 10, 20]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for empty arrays.
    kron;
}

impl Array {
    /// `sum(conj(self) * other)` along `axis`.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
    /// assert_eq!(x.vecdot(&x, -1)?.to_vec::<f32>()?, [5.0, 25.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn vecdot(&self, other: &Array, axis: i32) -> Result<Array> {
        if self.dim(axis)? != other.dim(axis)? {
            return Err(Error::shape(format!(
                "[vecdot] expected the same length of axis {axis}, got shapes {:?} and {:?}",
                self.shape(),
                other.shape()
            )));
        }
        done(ffi::vecdot(self.raw(), other.raw(), axis, current()))
    }

    /// Sum of products over axes of both: `2` for the last two of `self` with the first two
    /// of `other`, or the axes of both as `([0], [1])`.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::arange(6)?.reshape((2, 3))?.astype(Dtype::Float32)?;
    /// // Over both axes: the sum of all products.
    /// assert_eq!(x.tensordot(&x, 2)?.item::<f32>()?, 55.0);
    /// assert_eq!(x.tensordot(&x, ([0], [0]))?.shape(), [3, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for axes that are not there, or twice; [`Error::Shape`] unless their lengths are the same in
    /// both, or for more than 2147483647 elements; [`Error::Dtype`] unless the common type is floating-point or complex.
    #[track_caller]
    pub fn tensordot(&self, other: &Array, axes: impl IntoContraction) -> Result<Array> {
        let (a, b) = axes.contraction();
        check_contraction(self, other, &a, &b)?;
        done(ffi::tensordot(self.raw(), other.raw(), &a, &b, current()))
    }

    /// `beta * self + alpha * a @ b`, where `self` broadcasts to the product's shape.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let c = Array::from_iter([1.0f32, 2.0])?;
    /// let a = Array::identity(2, Dtype::Float32)?;
    /// let y = c.addmm(&a, &a, 10.0, 1.0)?;
    /// assert_eq!(y.to_vec::<f32>()?, [11.0, 2.0, 1.0, 12.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
    /// Without masks the plain product. On the CPU float32 only.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::ones((64, 32), Dtype::Float32)?;
    /// let y = Array::ones((32, 64), Dtype::Float32)?;
    /// // Of four blocks of the result two are wanted.
    /// let wanted = Array::from_slice(&[true, false, false, true], (2, 2))?;
    /// let z = x.block_masked_mm(&y, 32, Some(&wanted), None, None)?;
    /// assert_eq!(z.index((0, 0))?.item::<f32>()?, 32.0);
    /// assert_eq!(z.index((0, 63))?.item::<f32>()?, 0.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for another size of blocks; [`Error::Shape`] for shapes that do not fit; [`Error::Dtype`]
    /// unless the common type is floating-point, and float32 on the CPU.
    #[track_caller]
    pub fn block_masked_mm(
        &self,
        other: &Array,
        block: i32,
        out: Option<&Array>,
        lhs: Option<&Array>,
        rhs: Option<&Array>,
    ) -> Result<Array> {
        if !matches!(block, 32 | 64) {
            return Err(Error::argument("block", "32 or 64", block));
        }
        check_cpu_float32("block_masked_mm", self, other)?;
        if self.dtype() == Dtype::Complex64 || other.dtype() == Dtype::Complex64 {
            return Err(Error::dtype(format!(
                "[block_masked_mm] expected real floating-point types, got {} and {}",
                self.dtype(),
                other.dtype()
            )));
        }
        if self.size() == 0 || other.size() == 0 {
            return self.matmul(other);
        }
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
    /// ```
    /// use zmlx::{Array, ops};
    /// let x = Array::from_slice(&[1.0f32, 2.0], (2, 1, 1))?;
    /// let w = Array::from_slice(&[10.0f32, 20.0, 30.0], (3, 1, 1))?;
    /// let experts = Array::from_iter([2u32, 0])?;
    /// let pick = ops::Pick { rhs: Some(&experts), ..Default::default() };
    /// assert_eq!(x.gather_mm(&w, pick)?.to_vec::<f32>()?, [30.0, 20.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] for another type on the CPU. Indices out of range as in [the module's notes](crate::ops).
    #[track_caller]
    pub fn gather_mm(&self, other: &Array, pick: Pick<'_>) -> Result<Array> {
        if pick.lhs.is_some() || pick.rhs.is_some() {
            check_cpu_float32("gather_mm", self, other)?;
        }
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
    /// of `self` and the same rows of `other`. Positions outside are cut to those inside; a stop that is not
    /// behind its start gives zeros.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1.0f32, 2.0, 3.0], (1, 3))?;
    /// let y = Array::from_slice(&[10.0f32, 100.0, 1000.0], (3, 1))?;
    /// let segments = Array::from_slice(&[0u32, 2, 2, 3], (2, 2))?;
    /// assert_eq!(x.segmented_mm(&y, &segments)?.to_vec::<f32>()?, [210.0, 3000.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless both are matrices with the same inner length, and `segments` has pairs;
    /// [`Error::Dtype`] unless those are integers.
    #[track_caller]
    pub fn segmented_mm(&self, other: &Array, segments: &Array) -> Result<Array> {
        match (self.shape(), other.shape()) {
            (&[m, k], &[l, n]) if k == l => {
                let each = i64::from(m) * i64::from(n);
                let pairs = segments.size() as i64 / 2;
                if each.saturating_mul(pairs) > i64::from(i32::MAX) {
                    return Err(Error::shape(format!(
                        "[segmented_mm] expected 2147483647 elements of the result at most, got {pairs} times {m} \
                         times {n}"
                    )));
                }
            }
            (a, b) => {
                return Err(Error::shape(format!(
                    "[segmented_mm] expected matrices (n, k) and (k, m), got {a:?} and {b:?}"
                )));
            }
        }
        done(ffi::segmented_mm(
            self.raw(),
            other.raw(),
            segments.raw(),
            current(),
        ))
    }

    /// The `offset`th diagonal of two axes, as a new last axis.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(6)?.reshape((2, 3))?;
    /// assert_eq!(x.diagonal(0, 0, 1)?.to_vec::<i32>()?, [0, 4]);
    /// assert_eq!(x.diagonal(1, 0, 1)?.to_vec::<i32>()?, [1, 5]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn diagonal(&self, offset: i32, axis1: i32, axis2: i32) -> Result<Array> {
        self.matrices("diagonal")?;
        super::axes::distinct("axis1, axis2", &[axis1, axis2], self.ndim())?;
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
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2])?.diag(0)?;
    /// assert_eq!(x.to_vec::<i32>()?, [1, 0, 0, 2]);
    /// assert_eq!(x.diag(0)?.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(4)?.reshape((2, 2))?;
    /// assert_eq!(x.trace(0, 0, 1)?.item::<i32>()?, 3);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn trace(&self, offset: i32, axis1: i32, axis2: i32) -> Result<Array> {
        self.matrices("trace")?;
        super::axes::distinct("axis1, axis2", &[axis1, axis2], self.ndim())?;
        done(ffi::trace(
            self.raw(),
            offset.max(-i32::MAX),
            axis1,
            axis2,
            current(),
        ))
    }

    /// Matrices with zeros above their `k`th diagonal.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// assert_eq!(x.tril(0)?.to_vec::<i32>()?, [1, 0, 3, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn tril(&self, k: i32) -> Result<Array> {
        self.matrices("tril")?;
        done(ffi::tril(self.raw(), self.near(k), current()))
    }

    /// Matrices with zeros below their `k`th diagonal.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// assert_eq!(x.triu(0)?.to_vec::<i32>()?, [1, 2, 0, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn triu(&self, k: i32) -> Result<Array> {
        self.matrices("triu")?;
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
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1.0f32, 2.0])?;
    /// assert_eq!(x.hadamard_transform(Some(1.0))?.to_vec::<f32>()?, [3.0, -1.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for another length or an empty array; [`Error::Dtype`] for float64 and complex64.
    #[track_caller]
    pub fn hadamard_transform(&self, scale: Option<f32>) -> Result<Array> {
        if matches!(self.dtype(), Dtype::Float64 | Dtype::Complex64) {
            return Err(Error::dtype(format!(
                "[hadamard_transform] expected float32, float16, bfloat16 or integers, got {}",
                self.dtype()
            )));
        }
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

/// MLX asks none of this before it computes with the axes, and counts in 32 bits.
#[track_caller]
fn check_contraction(x: &Array, y: &Array, a: &[i32], b: &[i32]) -> Result<()> {
    if a.len() != b.len() {
        return Err(Error::argument(
            "axes",
            "as many axes of one array as of the other",
            format_args!("{a:?} and {b:?}"),
        ));
    }
    let mut sizes = Vec::new();
    for (array, axes) in [(x, a), (y, b)] {
        let n = array.ndim() as i32;
        let mut seen = std::collections::BTreeSet::new();
        for &axis in axes {
            let place = if axis < 0 {
                axis.saturating_add(n)
            } else {
                axis
            };
            if !(0..n).contains(&place) || !seen.insert(place) {
                return Err(Error::argument(
                    "axes",
                    format_args!("different axes of {n} dimensions"),
                    format_args!("{axes:?}"),
                ));
            }
        }
        let product =
            |of: &mut dyn Iterator<Item = i32>| of.map(i64::from).fold(1, i64::saturating_mul);
        let mut kept = (0..n)
            .filter(|i| !seen.contains(i))
            .map(|i| array.shape()[i as usize]);
        sizes.push(product(&mut kept));
        let mut gone = seen.iter().map(|&i| array.shape()[i as usize]);
        sizes.push(product(&mut gone));
    }
    for (&i, &j) in a.iter().zip(b) {
        if x.dim(i)? != y.dim(j)? {
            return Err(Error::shape(format!(
                "[tensordot] expected the same length of axis {i} and axis {j}, got shapes {:?} and {:?}",
                x.shape(),
                y.shape()
            )));
        }
    }
    if sizes.iter().any(|&n| n > i64::from(i32::MAX)) {
        return Err(Error::shape(format!(
            "[tensordot] expected 2147483647 elements at most on either side of the product, got shapes {:?} \
             and {:?}",
            x.shape(),
            y.shape()
        )));
    }
    Ok(())
}

/// An operation that the CPU has in float32 only says so here, not in the evaluation.
#[track_caller]
fn check_cpu_float32(name: &str, a: &Array, b: &Array) -> Result<()> {
    let common = match (a.dtype(), b.dtype()) {
        (Dtype::Float64 | Dtype::Complex64, _) | (_, Dtype::Float64 | Dtype::Complex64) => false,
        (Dtype::Float32, _) | (_, Dtype::Float32) => true,
        // Float16 and bfloat16 meet in float32.
        (x, y) => x.is_floating() && y.is_floating() && x != y,
    };
    if common || current().gpu {
        return Ok(());
    }
    Err(Error::dtype(format!(
        "[{name}] expected float32 on the CPU, got {} and {}",
        a.dtype(),
        b.dtype()
    )))
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
///
/// ```
/// use zmlx::{Array, Dtype, ops};
/// let x = Array::ones((8, 8), Dtype::Float32)?;
/// let text = ops::einsum_path("ij,jk,kl->il", [&x, &x, &x])?;
/// assert!(!text.is_empty());
/// # Ok::<(), zmlx::Error>(())
/// ```
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
    let text = subscripts.replace(' ', "");
    let (inputs, output) = text
        .split_once("->")
        .map_or((text.as_str(), None), |(i, o)| (i, Some(o)));
    if let Some(c) = output
        .unwrap_or("")
        .chars()
        .find(|&c| c != '.' && !inputs.contains(c))
    {
        return Err(Error::argument(
            "subscripts",
            "letters of the output that an input has",
            format_args!("{c:?} in {subscripts:?}"),
        ));
    }
    let count = inputs.split(',').count();
    if count != operands.len() {
        return Err(Error::argument(
            "operands",
            format_args!("{count} arrays for {subscripts:?}"),
            operands.len(),
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
