//! The order of frequencies.

use crate::bridge::fft::ffi;
use crate::ops::{axes, done};
use crate::stream::current;
use crate::{Array, Error, IntoAxes, Result};

/// The frequencies of the elements of [`fft()`](super::fft()), float32: `[0, 1, .., -2, -1] / (n d)`, d being the distance of
/// samples.
///
/// ```
/// # fn main() -> zmlx::Result<()> {
/// assert_eq!(zmlx::fft::fftfreq(4, 1.0)?.to_vec::<f32>()?, [0.0, 0.25, -0.5, -0.25]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] unless `n` is at least 1 and `d` is a number other than 0.
#[track_caller]
pub fn fftfreq(n: i32, d: f64) -> Result<Array> {
    samples(n, d)?;
    done(ffi::fftfreq(n, d, current()))
}

/// The frequencies of the elements of [`rfft`](super::rfft), float32: `[0, 1, .., n / 2] / (n d)`.
///
/// ```
/// # fn main() -> zmlx::Result<()> {
/// assert_eq!(zmlx::fft::rfftfreq(4, 0.5)?.to_vec::<f32>()?, [0.0, 0.5, 1.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`fftfreq`].
#[track_caller]
pub fn rfftfreq(n: i32, d: f64) -> Result<Array> {
    samples(n, d)?;
    done(ffi::rfftfreq(n, d, current()))
}

#[track_caller]
fn samples(n: i32, d: f64) -> Result<()> {
    if n < 1 {
        return Err(Error::argument("n", "1 at least", n));
    }
    if d == 0.0 || !d.is_finite() {
        return Err(Error::argument("d", "a finite number other than 0", d));
    }
    Ok(())
}

/// Brings frequency 0 from the first place to the middle, along each of the axes.
///
/// ```
/// use zmlx::{Array, fft};
///
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::arange(5)?;
/// assert_eq!(fft::fftshift(&x, ..)?.to_vec::<i32>()?, [3, 4, 0, 1, 2]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for an axis that is not there, or twice.
#[track_caller]
pub fn fftshift(a: &Array, axes: impl IntoAxes) -> Result<Array> {
    let axes = axes::distinct("axes", &axes.into_axes().resolve(a.ndim()), a.ndim())?;
    done(ffi::fftshift(a.raw(), &axes, current()))
}

/// The inverse of [`fftshift`].
///
/// ```
/// use zmlx::{Array, fft};
/// let x = Array::arange(5)?;
/// let shifted = fft::fftshift(&x, ..)?;
/// assert_eq!(fft::ifftshift(&shifted, ..)?.to_vec::<i32>()?, [0, 1, 2, 3, 4]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`fftshift`].
#[track_caller]
pub fn ifftshift(a: &Array, axes: impl IntoAxes) -> Result<Array> {
    let axes = axes::distinct("axes", &axes.into_axes().resolve(a.ndim()), a.ndim())?;
    done(ffi::ifftshift(a.raw(), &axes, current()))
}
