//! Integers, truth values and choices among what is there.

use super::checks::{FINITE, checked, choices, without};
use super::{Sampler, bounds, split};
use crate::bridge::random::ffi;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Dtype, Error, IntoShape, Operand, Result};

impl Sampler<'_> {
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
        let (low, high) = (low.operand(wide)?, high.operand(wide)?);
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
        let p = p.operand(Dtype::Float32)?;
        if !p.dtype().is_floating() {
            return Err(Error::dtype(format!(
                "`p`: expected floating-point numbers, got {}",
                p.dtype()
            )));
        }
        bounds::each("p", &p, "numbers from 0 to 1", |v| (0.0..=1.0).contains(&v))?;
        self.draw(|key| done(ffi::bernoulli(p.raw(), &shape, key.raw(), current())))
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
