//! Products of matrices and vectors.

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
