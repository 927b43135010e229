//! Real numbers: uniform, normal and further distributions.

use super::checks::{FINITE, FROM_0, checked, single};
use super::{Sampler, bounds};
use crate::array::maybe;
use crate::bridge::random::ffi;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Dtype, Error, IntoShape, Operand, Result};

impl Sampler<'_> {
    /// Uniform in `[0, 1)`; float16, bfloat16 or float32.
    ///
    /// ```
    /// use zmlx::{Dtype, random};
    /// let x = random::of_type(Dtype::Bfloat16).uniform(3)?;
    /// assert_eq!(x.dtype(), Dtype::Bfloat16);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn uniform(self, shape: impl IntoShape) -> Result<Array> {
        self.uniform_between(0.0, 1.0, shape)
    }

    /// Uniform in `[low, high)`; float16, bfloat16 or float32.
    ///
    /// ```
    /// use zmlx::random;
    /// let key = random::key(7)?;
    /// let x = random::with_key(&key).uniform_between(-2.0, -1.0, 100)?;
    /// assert!(x.min(..)?.item::<f32>()? >= -2.0 && x.max(..)?.item::<f32>()? < -1.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when the bounds do not broadcast to the shape, [`Error::Dtype`] for
    /// another dtype, [`Error::Argument`] for bounds that are known at the call and not finite, or
    /// in the other order.
    #[track_caller]
    pub fn uniform_between(
        self,
        low: impl Operand,
        high: impl Operand,
        shape: impl IntoShape,
    ) -> Result<Array> {
        let (shape, dtype) = (checked(shape)?, self.float());
        single("uniform", dtype)?;
        let (low, high) = (low.operand(dtype)?, high.operand(dtype)?);
        bounds::real(&[("low", &low), ("high", &high)], dtype)?;
        bounds::each("low", &low, FINITE, f64::is_finite)?;
        bounds::each("high", &high, FINITE, f64::is_finite)?;
        bounds::in_order(("low", &low), ("high", &high), true)?;
        if !bounds::apart(&low, &high, dtype) {
            // Their difference is no number of the dtype, so what lies between is mixed.
            let wide = if current().gpu {
                Dtype::Float32
            } else {
                Dtype::Float64
            };
            let part = self.of_type(Dtype::Float32).uniform(shape)?.astype(wide)?;
            let rest = part.negative()?.add(1.0)?;
            let (low, high) = (low.astype(wide)?, high.astype(wide)?);
            return low
                .multiply(&rest)?
                .add(&high.multiply(&part)?)?
                .astype(dtype);
        }
        self.draw(|key| {
            let (low, high) = (low.raw(), high.raw());
            done(ffi::uniform(low, high, &shape, dtype, key.raw(), current()))
        })
    }

    /// Standard normal; a float dtype or complex64.
    ///
    /// ```
    /// use zmlx::{Dtype, random};
    /// let z = random::of_type(Dtype::Complex64).normal(3)?;
    /// assert_eq!(z.dtype(), Dtype::Complex64);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn normal(self, shape: impl IntoShape) -> Result<Array> {
        self.gaussian(None, None, checked(shape)?)
    }

    /// Normal with mean `loc` and standard deviation `scale`.
    ///
    /// ```
    /// use zmlx::random;
    /// let key = random::key(7)?;
    /// let x = random::with_key(&key).normal_with(5.0, 0.0, 3)?;
    /// assert_eq!(x.to_vec::<f32>()?, [5.0; 3]); // no deviation
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a scale that is known at the call and negative or NaN; [`Error::Dtype`]
    /// for integers, and for complex parameters of real numbers.
    #[track_caller]
    pub fn normal_with(
        self,
        loc: impl Operand,
        scale: impl Operand,
        shape: impl IntoShape,
    ) -> Result<Array> {
        let (loc, scale) = (loc.operand(self.float())?, scale.operand(self.float())?);
        bounds::real(&[("loc", &loc), ("scale", &scale)], self.float())?;
        if self.float() != Dtype::Complex64 {
            bounds::each("scale", &scale, FROM_0, |v| v >= 0.0)?;
        }
        self.gaussian(Some(&loc), Some(&scale), checked(shape)?)
    }

    #[track_caller]
    fn gaussian(
        self,
        loc: Option<&Array>,
        scale: Option<&Array>,
        shape: Vec<i32>,
    ) -> Result<Array> {
        let dtype = self.float();
        if dtype.is_integral() {
            return Err(Error::dtype(format!(
                "[normal] `dtype`: expected floating-point numbers or complex64, got {dtype}"
            )));
        }
        self.draw(|key| {
            let (loc, scale) = (maybe(loc), maybe(scale));
            done(ffi::normal(&shape, dtype, loc, scale, key.raw(), current()))
        })
    }

    /// Vectors of length `n` with the mean and covariance given, shapes `(.., n)` and `(.., n, n)`.
    ///
    /// The result has the shape `shape` broadcast with the leading dimensions, then `n`. Float32
    /// only. MLX takes the root of the covariance by a decomposition that needs a CPU stream.
    ///
    /// ```
    /// use zmlx::{Array, Device, Dtype, random, with_device};
    /// let key = random::key(7)?;
    /// let mean = Array::from_iter([1.0f32, 2.0])?;
    /// let cov = Array::identity(2, Dtype::Float32)?;
    /// let draw = || random::with_key(&key).multivariate_normal(&mean, &cov, 1000);
    /// let x = with_device(Device::CPU, draw)?;
    /// assert_eq!(x.shape(), [1000, 2]);
    /// assert!(x.mean(0)?.allclose(&mean, (0.0, 0.2))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn multivariate_normal(
        self,
        mean: &Array,
        cov: &Array,
        shape: impl IntoShape,
    ) -> Result<Array> {
        let (shape, dtype) = (checked(shape)?, self.float());
        self.draw(|key| {
            let (mean, cov) = (mean.raw(), cov.raw());
            let s = current();
            done(ffi::multivariate_normal(
                mean,
                cov,
                &shape,
                dtype,
                key.raw(),
                s,
            ))
        })
    }

    /// Standard normal, given that it lies between `lower` and `upper`. Computed in float32: of
    /// intervals that begin beyond 4 on either side, it gives only the ends.
    ///
    /// ```
    /// use zmlx::random;
    /// let key = random::key(7)?;
    /// let x = random::with_key(&key).truncated_normal(-1.0, 1.0, 100)?;
    /// assert!(x.abs()?.max(..)?.item::<f32>()? <= 1.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for bounds that are known at the call and NaN, or in the other order.
    #[track_caller]
    pub fn truncated_normal(
        self,
        lower: impl Operand,
        upper: impl Operand,
        shape: impl IntoShape,
    ) -> Result<Array> {
        let (shape, dtype) = (checked(shape)?, self.float());
        single("truncated_normal", dtype)?;
        let (lower, upper) = (lower.operand(dtype)?, upper.operand(dtype)?);
        bounds::real(&[("lower", &lower), ("upper", &upper)], dtype)?;
        bounds::in_order(("lower", &lower), ("upper", &upper), true)?;
        self.draw(|key| {
            let (lower, upper, s) = (lower.raw(), upper.raw(), current());
            done(ffi::truncated_normal(
                lower,
                upper,
                &shape,
                dtype,
                key.raw(),
                s,
            ))
        })
    }

    /// Standard Gumbel.
    ///
    /// ```
    /// use zmlx::{Dtype, random};
    /// assert_eq!(random::of_type(Dtype::Float16).gumbel(3)?.dtype(), Dtype::Float16);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn gumbel(self, shape: impl IntoShape) -> Result<Array> {
        let (shape, dtype) = (checked(shape)?, self.float());
        single("gumbel", dtype)?;
        self.draw(|key| done(ffi::gumbel(&shape, dtype, key.raw(), current())))
    }

    /// Laplace with mean `loc` and scale `scale`; mean absolute deviation is `scale`.
    ///
    /// ```
    /// use zmlx::random;
    /// let key = random::key(7)?;
    /// let x = random::with_key(&key).laplace(5.0, 1.0, 10_000)?;
    /// assert!((x.mean(..)?.item::<f32>()? - 5.0).abs() < 0.1);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a scale that is negative or NaN; [`Error::Dtype`] for other dtypes than
    /// those of floats.
    #[track_caller]
    pub fn laplace(self, loc: f32, scale: f32, shape: impl IntoShape) -> Result<Array> {
        let (shape, dtype) = (checked(shape)?, self.float());
        if scale.is_nan() || scale < 0.0 {
            return Err(Error::argument("scale", FROM_0, scale));
        }
        if !dtype.is_floating() || dtype == Dtype::Complex64 {
            return Err(Error::dtype(format!(
                "[laplace] `dtype`: expected a type of floats, got {dtype}"
            )));
        }
        self.draw(|key| {
            let s = current();
            done(ffi::laplace(&shape, dtype, loc, scale, key.raw(), s))
        })
    }
}
