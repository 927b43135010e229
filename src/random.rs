//! Random numbers.
//!
//! MLX's generator is a function of a key: the same key gives the same numbers. The
//! functions here take their keys from a sequence of the calling thread, so no two threads
//! draw the same numbers. [`seed`] makes a thread's sequence reproducible, and then it is
//! the one of `mlx.core.random.seed` in Python. A thread that was not seeded
//! starts from the process's seed and the number of the thread: the seed is
//! `ZMLX_SEED` if that is set, else one from the operating system.
//!
//! [`with_key`] takes the key from you; [`of_type`] chooses the dtype.
//!
//! ```
//! use zmlx::{Dtype, random};
//! # fn main() -> zmlx::Result<()> {
//! random::seed(7);
//! let x = random::normal((8, 16))?;
//! let h = random::of_type(Dtype::Float16).uniform((3,))?;
//! let (a, b) = random::split(&random::key(1)?)?;
//! let y = random::with_key(&a).normal((4,))?;
//! assert_ne!(y.to_vec::<f32>()?, random::with_key(&b).normal((4,))?.to_vec::<f32>()?);
//! assert_eq!((x.shape(), h.dtype()), (&[8, 16][..], Dtype::Float16));
//! # Ok(())
//! # }
//! ```
//!
//! Inside a compiled function the thread's sequence advances while the function is traced,
//! once; give it a key as an argument to draw anew at each call.

mod bounds;
mod checks;
mod sequence;

use self::checks::{FINITE, FROM_0, checked, choices, single, without};
use crate::array::maybe;
use crate::bridge::random::ffi;
use crate::error::Here;
use crate::ops::{done, done_list};
use crate::stream::current;
use crate::{Array, Dtype, Error, IntoShape, Operand, Result};

pub(crate) use self::sequence::next_number;
pub use self::sequence::seed;

/// A key from a number.
///
/// ```
/// use zmlx::random;
/// assert_eq!(random::key(7)?.to_vec::<u32>()?, [0, 7]);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[track_caller]
pub fn key(seed: u64) -> Result<Array> {
    Array::from_slice(&[(seed >> 32) as u32, seed as u32], 2)
}

/// Two independent keys from one.
///
/// ```
/// use zmlx::random;
/// let key = random::key(7)?;
/// let (a, b) = random::split(&key)?;
/// assert_ne!(a.to_vec::<u32>()?, b.to_vec::<u32>()?);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[track_caller]
pub fn split(key: &Array) -> Result<(Array, Array)> {
    let pair = done_list(ffi::split_pair(key.raw(), current()))?;
    let [a, b] = <[Array; 2]>::try_from(pair)
        .map_err(|_| Error::other("MLX split a key into another number than two"))?;
    Ok((a, b))
}

/// `n` independent keys from one, as the rows of an array of shape `(n, 2)`.
///
/// ```
/// use zmlx::random;
/// let keys = random::split_into(&random::key(7)?, 3)?;
/// assert_eq!(keys.shape(), [3, 2]);
/// let first = random::with_key(&keys.index(0)?).uniform(4)?;
/// let second = random::with_key(&keys.index(1)?).uniform(4)?;
/// assert_ne!(first.to_vec::<f32>()?, second.to_vec::<f32>()?);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[track_caller]
pub fn split_into(key: &Array, n: usize) -> Result<Array> {
    let shape = checked((n, 2))?;
    done(ffi::split(key.raw(), shape[0], current()))
}

/// Draws with this key instead of the thread's sequence.
///
/// A key is an array of two uint32, from [`key`] or [`split`].
///
/// ```
/// use zmlx::random;
/// let key = random::key(7)?;
/// let x = random::with_key(&key).normal(3)?.to_vec::<f32>()?;
/// assert_eq!(random::with_key(&key).normal(3)?.to_vec::<f32>()?, x); // the same key again
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn with_key(key: &Array) -> Sampler<'_> {
    Sampler {
        key: Some(key),
        ..Sampler::default()
    }
}

/// Draws numbers of this dtype instead of float32 (int32 for [`Sampler::randint`]).
///
/// ```
/// use zmlx::{Dtype, random};
/// assert_eq!(random::of_type(Dtype::Float16).normal(3)?.dtype(), Dtype::Float16);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn of_type(dtype: Dtype) -> Sampler<'static> {
    Sampler {
        dtype: Some(dtype),
        ..Sampler::default()
    }
}

macro_rules! free {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*);)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// As the method of that name of [`Sampler`].
        #[track_caller]
        pub fn $name($($arg: $ty),*) -> Result<Array> {
            Sampler::default().$name($($arg),*)
        }
    )*};
}

free! {
    /// Uniform float32 in `[0, 1)`.
    ///
    /// ```
    /// use zmlx::random;
    /// let x = random::uniform((100, 10))?;
    /// assert!(x.min(..)?.item::<f32>()? >= 0.0 && x.max(..)?.item::<f32>()? < 1.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    uniform(shape: impl IntoShape);
    /// Standard normal float32.
    ///
    /// ```
    /// use zmlx::random;
    /// random::seed(1);
    /// let x = random::normal(10_000)?;
    /// assert!(x.mean(..)?.item::<f32>()?.abs() < 0.05);
    /// assert!((x.std(.., 0)?.item::<f32>()? - 1.0).abs() < 0.05);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    normal(shape: impl IntoShape);
    /// Uniform int32 in `[low, high)`.
    ///
    /// ```
    /// use zmlx::random;
    /// let dice = random::randint(1, 7, 100)?;
    /// assert!(dice.min(..)?.item::<i32>()? >= 1 && dice.max(..)?.item::<i32>()? <= 6);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    randint(low: impl Operand, high: impl Operand, shape: impl IntoShape);
    /// `true` with probability `p`.
    ///
    /// ```
    /// use zmlx::random;
    /// assert!(random::bernoulli(1.0, 10)?.all(..)?.item::<bool>()?);
    /// assert!(!random::bernoulli(0.0, 10)?.any(..)?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    bernoulli(p: impl Operand, shape: impl IntoShape);
    /// Standard Gumbel float32.
    ///
    /// ```
    /// use zmlx::random;
    /// random::seed(1);
    /// let mean = random::gumbel(10_000)?.mean(..)?.item::<f32>()?;
    /// assert!((mean - 0.5772).abs() < 0.05); // Euler's constant
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    gumbel(shape: impl IntoShape);
    /// Indices along `axis`, each with the probability `softmax(logits)` gives it.
    ///
    /// ```
    /// use zmlx::{Array, random};
    /// let logits = Array::from_iter([f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY])?;
    /// assert_eq!(random::categorical(&logits, -1)?.item::<u32>()?, 1);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    categorical(logits: &Array, axis: i32);
    /// The elements of `x` along `axis` in random order.
    ///
    /// ```
    /// use zmlx::{Array, random};
    /// let x = Array::from_iter([3, 1, 2])?;
    /// let y = random::permutation(&x, 0)?;
    /// assert_eq!(y.sort(0)?.to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    permutation(x: &Array, axis: i32);
}

/// Where the numbers come from and what type they get: see [`with_key`], [`of_type`].
///
/// Parameters may be numbers or arrays that broadcast to the shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sampler<'k> {
    key: Option<&'k Array>,
    dtype: Option<Dtype>,
}

impl<'k> Sampler<'k> {
    /// The same with this key.
    ///
    /// ```
    /// use zmlx::{Dtype, random};
    /// let key = random::key(7)?;
    /// let x = random::of_type(Dtype::Float16).with_key(&key).normal(3)?;
    /// assert_eq!(x.dtype(), Dtype::Float16);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn with_key<'n>(self, key: &'n Array) -> Sampler<'n> {
        Sampler {
            key: Some(key),
            dtype: self.dtype,
        }
    }

    /// The same with this dtype.
    ///
    /// ```
    /// use zmlx::{Dtype, random};
    /// let key = random::key(7)?;
    /// let x = random::with_key(&key).of_type(Dtype::Uint8).randint(0, 256, 3)?;
    /// assert_eq!(x.dtype(), Dtype::Uint8);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn of_type(self, dtype: Dtype) -> Self {
        Sampler {
            dtype: Some(dtype),
            ..self
        }
    }

    #[track_caller]
    fn draw(self, body: impl FnOnce(&Array) -> Result<Array>) -> Result<Array> {
        match self.key {
            Some(key) => body(key),
            None => body(&sequence::next()?),
        }
        .here()
    }

    fn float(self) -> Dtype {
        self.dtype.unwrap_or(Dtype::Float32)
    }

    /// Random bits: uint32, uint16 or uint8 by a width of 4, 2 or 1 bytes.
    ///
    /// ```
    /// use zmlx::{Dtype, random};
    /// let x = random::with_key(&random::key(7)?).bits(2, 5)?;
    /// assert_eq!((x.shape(), x.dtype()), (&[5][..], Dtype::Uint16));
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for another width or a key that is none.
    #[track_caller]
    pub fn bits(self, width: i32, shape: impl IntoShape) -> Result<Array> {
        let shape = checked(shape)?;
        self.draw(|key| done(ffi::bits(&shape, width, key.raw(), current())))
    }

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
        let like = Array::empty(&[0], dtype)?;
        let (low, high) = (low.operand(&like)?, high.operand(&like)?);
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
        let like = Array::empty(&[0], self.float())?;
        let (loc, scale) = (loc.operand(&like)?, scale.operand(&like)?);
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

    /// Uniform integers in `[low, high)`; an integer dtype or bool.
    ///
    /// Bounds are numbers or arrays; with a fraction they stand for the next integer above. Where MLX's numbers, float32 rounded down, do not reach
    /// every integer between them, or the bounds are not known at the call and their dtype has more than 16 bits,
    /// the numbers are drawn from 64 random bits.
    ///
    /// ```
    /// use zmlx::{Dtype, random};
    /// let x = random::of_type(Dtype::Int64).randint(1i64 << 40, (1i64 << 40) + 2, 10)?;
    /// assert_eq!(x.right_shift(40)?.min(..)?.item::<i64>()?, 1);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for bounds that are known at the call and have no integer between them, are not
    /// finite, or lie beyond the dtype.
    #[track_caller]
    pub fn randint(
        self,
        low: impl Operand,
        high: impl Operand,
        shape: impl IntoShape,
    ) -> Result<Array> {
        let (shape, dtype) = (checked(shape)?, self.dtype.unwrap_or(Dtype::Int32));
        if !dtype.is_integral() {
            return Err(Error::dtype(format!(
                "`dtype`: expected integers or bool, got {dtype}"
            )));
        }
        // Bounds have a type that holds them: the upper one may be the dtype's largest number and one more.
        let wide = if dtype == Dtype::Uint64 {
            dtype
        } else {
            Dtype::Int64
        };
        let like = Array::empty(&[0], wide)?;
        let (low, high) = (low.operand(&like)?, high.operand(&like)?);
        bounds::real(&[("low", &low), ("high", &high)], dtype)?;
        bounds::each("low", &low, FINITE, f64::is_finite)?;
        bounds::each("high", &high, FINITE, f64::is_finite)?;
        let (low, high) = (bounds::next_whole(&low)?, bounds::next_whole(&high)?);
        if bounds::single(&low, &high, dtype)? {
            return self.draw(|key| {
                let (low, high) = (low.raw(), high.raw());
                done(ffi::randint(low, high, &shape, dtype, key.raw(), current()))
            });
        }
        let half = |key: &Array| done(ffi::bits(&shape, 4, key.raw(), current()));
        self.draw(|key| {
            let (first, second) = split(key)?;
            bounds::between(&low, &high, dtype, &half(&first)?, &half(&second)?)
        })
    }

    /// `true` with probability `p`, a float or an array of floats. The dtype is bool.
    ///
    /// ```
    /// use zmlx::{Array, random};
    /// let key = random::key(7)?;
    /// let p = Array::from_iter([0.0f32, 1.0])?;
    /// let x = random::with_key(&key).bernoulli(&p, 2)?;
    /// assert_eq!(x.to_vec::<bool>()?, [false, true]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a probability that is known at the call and does not lie between 0 and 1;
    /// [`Error::Dtype`] for an array of another type.
    #[track_caller]
    pub fn bernoulli(self, p: impl Operand, shape: impl IntoShape) -> Result<Array> {
        let shape = checked(shape)?;
        let like = Array::empty(&[0], Dtype::Float32)?;
        let p = p.operand(&like)?;
        if !p.dtype().is_floating() {
            return Err(Error::dtype(format!(
                "`p`: expected floating-point numbers, got {}",
                p.dtype()
            )));
        }
        bounds::each("p", &p, "numbers from 0 to 1", |v| (0.0..=1.0).contains(&v))?;
        self.draw(|key| done(ffi::bernoulli(p.raw(), &shape, key.raw(), current())))
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
        let like = Array::empty(&[0], dtype)?;
        let (lower, upper) = (lower.operand(&like)?, upper.operand(&like)?);
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

    /// Indices along `axis`, each with the probability `softmax(logits)` gives it; uint32.
    ///
    /// The result has the shape of `logits` without `axis`.
    ///
    /// ```
    /// use zmlx::{Array, random};
    /// let key = random::key(7)?;
    /// let logits = Array::from_slice(&[0.0f32, 1000.0, 1000.0, 0.0], (2, 2))?;
    /// let x = random::with_key(&key).categorical(&logits, -1)?;
    /// assert_eq!(x.to_vec::<u32>()?, [1, 0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Argument`] when there is no such axis, or nothing along it.
    #[track_caller]
    pub fn categorical(self, logits: &Array, axis: i32) -> Result<Array> {
        if let Some(rows) = choices(logits, axis)? {
            return Array::zeros(rows, Dtype::Uint32);
        }
        self.draw(|key| done(ffi::categorical(logits.raw(), axis, key.raw(), current())))
    }

    /// As [`categorical`](Self::categorical), with a result of this shape, to which
    /// the shape of `logits` without `axis` must broadcast.
    ///
    /// ```
    /// use zmlx::{Array, random};
    /// let key = random::key(7)?;
    /// let logits = Array::from_iter([0.0f32, 0.0])?;
    /// let x = random::with_key(&key).categorical_shaped(&logits, -1, 1000)?;
    /// assert_eq!(x.shape(), [1000]);
    /// assert_eq!(x.max(..)?.item::<u32>()?, 1);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn categorical_shaped(
        self,
        logits: &Array,
        axis: i32,
        shape: impl IntoShape,
    ) -> Result<Array> {
        let shape = checked(shape)?;
        if choices(logits, axis)?.is_some() {
            // No rows: they fill no other shape.
            let rows = Array::zeros(without(logits, axis)?, Dtype::Uint32)?;
            return rows.broadcast_to(shape);
        }
        self.draw(|key| {
            let (logits, s) = (logits.raw(), current());
            done(ffi::categorical_shaped(logits, axis, &shape, key.raw(), s))
        })
    }

    /// The elements of `x` along `axis` in random order.
    ///
    /// ```
    /// use zmlx::{Array, random};
    /// let key = random::key(7)?;
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// let y = random::with_key(&key).permutation(&x, 0)?;
    /// assert_eq!(y.sum(0)?.to_vec::<i32>()?, [4, 6]); // whole rows move
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when there is no such axis.
    #[track_caller]
    pub fn permutation(self, x: &Array, axis: i32) -> Result<Array> {
        x.dim(axis)?;
        let axis = axis.rem_euclid(x.ndim() as i32);
        self.draw(|key| done(ffi::permutation(x.raw(), axis, key.raw(), current())))
    }

    /// The numbers `0..n` in random order; uint32.
    ///
    /// ```
    /// use zmlx::random;
    /// let key = random::key(7)?;
    /// let x = random::with_key(&key).permutation_of(5)?;
    /// assert_eq!(x.sort(0)?.to_vec::<u32>()?, [0, 1, 2, 3, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn permutation_of(self, n: usize) -> Result<Array> {
        let shape = checked((n,))?;
        self.draw(|key| done(ffi::permutation_of(shape[0], key.raw(), current())))
    }
}
