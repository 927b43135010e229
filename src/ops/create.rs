//! New arrays: constants and windows.

use super::macros::unary;
use super::{between, done};
use crate::array::fit::{check_update, values};
use crate::bridge::ops::create::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, IntoShape, Operand, Result};

impl Array {
    /// Zeros of the given shape.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::zeros((2, 3), Dtype::Float16)?;
    /// assert_eq!((x.shape(), x.dtype()), (&[2, 3][..], Dtype::Float16));
    /// assert!(!x.any(..)?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn zeros(shape: impl IntoShape, dtype: Dtype) -> Result<Array> {
        done(ffi::zeros(&shape.into_shape()?, dtype, current()))
    }

    /// Ones of the given shape.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// assert_eq!(Array::ones((2, 2), Dtype::Int32)?.to_vec::<i32>()?, [1; 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn ones(shape: impl IntoShape, dtype: Dtype) -> Result<Array> {
        done(ffi::ones(&shape.into_shape()?, dtype, current()))
    }

    /// An array filled with `value`, which may itself be an array that broadcasts to `shape`.
    ///
    /// ```
    /// use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// assert_eq!(Array::full((2, 2), 7, F32)?.to_vec::<f32>()?, [7.0; 4]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when `value` does not broadcast; [`Error::Argument`] for a number that an
    /// integer `dtype` does not reach; [`Error::Dtype`] for complex values and another `dtype`. A fraction is
    /// cut off.
    #[track_caller]
    pub fn full(shape: impl IntoShape, value: impl Into<Array>, dtype: Dtype) -> Result<Array> {
        let value = value.into();
        if value.dtype() == Dtype::Complex64 && dtype != Dtype::Complex64 {
            return Err(Error::dtype(format!(
                "`value`: expected real numbers for {dtype}, got complex64"
            )));
        }
        if dtype.is_integral() && value.dtype() != dtype {
            for n in values(&value).unwrap_or_default() {
                n.check("value", dtype, true)?;
            }
        }
        done(ffi::full(
            &shape.into_shape()?,
            value.raw(),
            dtype,
            current(),
        ))
    }

    /// An `n` by `m` matrix of zeros with ones on its `k`th diagonal (above the main one
    /// for positive `k`).
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::eye(2, 3, 1, Dtype::Int32)?;
    /// assert_eq!(x.to_vec::<i32>()?, [0, 1, 0, 0, 0, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn eye(n: i32, m: i32, k: i32, dtype: Dtype) -> Result<Array> {
        between("n", n, 0..=i32::MAX)?;
        between("m", m, 0..=i32::MAX)?;
        done(ffi::eye(n, m, k.clamp(-n, m), dtype, current()))
    }

    /// The `n` by `n` identity matrix.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::identity(2, Dtype::Float32)?;
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn identity(n: i32, dtype: Dtype) -> Result<Array> {
        Array::eye(n, n, 0, dtype)
    }

    /// An `n` by `m` matrix with ones on and below its `k`th diagonal, zeros above.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::tri(2, 3, 0, Dtype::Int32)?;
    /// assert_eq!(x.to_vec::<i32>()?, [1, 0, 0, 1, 1, 0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn tri(n: i32, m: i32, k: i32, dtype: Dtype) -> Result<Array> {
        between("n", n, 0..=i32::MAX)?;
        between("m", m, 0..=i32::MAX)?;
        done(ffi::tri(n, m, k.clamp(-n, m), dtype, current()))
    }

    /// `value` in the shape and type of this array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1.0f32, 2.0])?;
    /// assert_eq!(x.full_like(7)?.to_vec::<f32>()?, [7.0, 7.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn full_like(&self, value: impl Operand) -> Result<Array> {
        let value = value.operand(self.dtype())?;
        check_update("value", &value, self.dtype())?;
        done(ffi::full_like(self.raw(), value.raw(), current()))
    }

    /// `value` in the shape of this array and another type.
    ///
    /// ```
    /// use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::zeros((2, 3), F32)?;
    /// let y = x.full_like_as(7, I8)?;
    /// assert_eq!((y.shape(), y.to_vec::<i8>()?), (x.shape(), vec![7; 6]));
    /// assert_eq!(x.ones_like_as(BOOL)?.dtype(), BOOL);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a number that the integers of `dtype` do not reach; [`Error::Dtype`] for complex
    /// values and another `dtype`; [`Error::Shape`] when an array does not broadcast.
    #[track_caller]
    pub fn full_like_as(&self, value: impl Operand, dtype: Dtype) -> Result<Array> {
        let value = value.operand(dtype)?;
        check_update("value", &value, dtype)?;
        done(ffi::full(self.shape(), value.raw(), dtype, current()))
    }

    /// Zeros in the shape of this array and another type.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::from_iter([1.5f32, 2.5])?;
    /// assert_eq!(x.zeros_like_as(Dtype::Int8)?.to_vec::<i8>()?, [0, 0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn zeros_like_as(&self, dtype: Dtype) -> Result<Array> {
        Array::zeros(self.shape(), dtype)
    }

    /// Ones in the shape of this array and another type.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::from_iter([1.5f32, 2.5])?;
    /// assert_eq!(x.ones_like_as(Dtype::Int8)?.to_vec::<i8>()?, [1, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn ones_like_as(&self, dtype: Dtype) -> Result<Array> {
        Array::ones(self.shape(), dtype)
    }
}

unary! {
    /// Zeros in the shape and type of this array.
    zeros_like: [1, 2] => i32 [0, 0];
    /// Ones in the shape and type of this array.
    ones_like: [5.0f32, 2.0] => f32 [1.0, 1.0];
}

/// Window functions of `n` points (float32): empty for `n < 1`, one for `n = 1`.
macro_rules! windows {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[track_caller]
        pub fn $name(n: i32) -> Result<Array> {
            done(ffi::$name(n, current()))
        }
    )*};
}

windows! {
    /// Hann window, `0.5 - 0.5 cos(2 pi i / (n - 1))` for i from 0 to n - 1 (float32).
    ///
    /// ```
    /// use zmlx::ops;
    /// let w = ops::hanning(3)?.to_vec::<f32>()?;
    /// assert!(w[0] == 0.0 && (w[1] - 1.0).abs() < 1e-6);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    hanning;
    /// Hamming window, `0.54 - 0.46 cos(2 pi i / (n - 1))` (float32).
    ///
    /// ```
    /// use zmlx::ops;
    /// let w = ops::hamming(3)?.to_vec::<f32>()?;
    /// assert!((w[0] - 0.08).abs() < 1e-6 && (w[1] - 1.0).abs() < 1e-6);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    hamming;
    /// Bartlett (triangular) window, `1 - |2 i / (n - 1) - 1|` (float32).
    ///
    /// ```
    /// use zmlx::ops;
    /// let w = ops::bartlett(5)?.to_vec::<f32>()?;
    /// assert_eq!(w, [0.0, 0.5, 1.0, 0.5, 0.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    bartlett;
    /// Blackman window, `0.42 - 0.5 cos(2 pi i / (n - 1)) + 0.08 cos(4 pi i / (n - 1))` (float32).
    ///
    /// ```
    /// use zmlx::ops;
    /// let w = ops::blackman(3)?.to_vec::<f32>()?;
    /// assert!(w[0].abs() < 1e-6 && (w[1] - 1.0).abs() < 1e-6);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    blackman;
}
