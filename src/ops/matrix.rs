//! Products of matrices and vectors, and what belongs to diagonals.

use super::done;
use super::macros::product;
use super::quantized::Pick;
use crate::array::maybe;
use crate::bridge::ops::matrix::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

impl Array {
    /// Matrix product over the last two axes, the others broadcast: (..., n, k) and
    /// (..., k, m) give (..., n, m). A vector counts as a row on the left, as a column on
    /// the right, and its axis of length 1 is dropped from the result.
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
    /// # Errors
    /// [`Error::Argument`] for empty arrays.
    kron;
}

impl Array {
    /// `sum(conj(self) * other)` along `axis`.
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
    /// Without masks the plain product. On the CPU float32 only.
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

    /// [`trace`](Array::trace) of elements converted to this dtype, in which they are summed. (Small integers are
    /// summed as int32 or uint32, as in [`sum`](Array::sum).)
    ///
    /// ```
    /// use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::full((3, 3), 40_000, F16)?;
    /// assert_eq!(x.trace_as(0, 0, 1, F32)?.item::<f32>()?, 120_000.0); // beyond float16
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`trace`](Array::trace).
    #[track_caller]
    pub fn trace_as(&self, offset: i32, axis1: i32, axis2: i32, dtype: Dtype) -> Result<Array> {
        let diagonal = self.diagonal(offset, axis1, axis2)?;
        diagonal.astype(dtype)?.sum(-1)
    }

    /// Matrices with zeros above their `k`th diagonal.
    #[track_caller]
    pub fn tril(&self, k: i32) -> Result<Array> {
        self.matrices("tril")?;
        done(ffi::tril(self.raw(), self.near(k), current()))
    }

    /// Matrices with zeros below their `k`th diagonal.
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
