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
mod choices;
mod floats;
mod sequence;

use self::checks::checked;
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
}
