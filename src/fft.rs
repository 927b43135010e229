//! Fourier transforms: `mlx/fft.h`.
//!
//! The transforms compute in complex64 and float32, whatever the input's dtype; a float64 input loses digits. By default the forward
//! transform is not scaled, and the inverse is divided by the number of elements: see [`FftNorm`].
//!
//! | | one axis | two axes | several |
//! |---|---|---|---|
//! | complex to complex | [`fft()`] | [`fft2`] | [`fftn`] |
//! | its inverse | [`ifft`] | [`ifft2`] | [`ifftn`] |
//! | real to half of the spectrum | [`rfft`] | [`rfft2`] | [`rfftn`] |
//! | its inverse | [`irfft`] | [`irfft2`] | [`irfftn`] |
//!
//! ```
//! use zmlx::{Array, fft};
//!
//! # fn main() -> zmlx::Result<()> {
//! let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], 4)?;
//! let spectrum = fft::rfft(&x).call()?;
//! assert_eq!(spectrum.shape(), [3]);
//! let again = fft::irfft(&spectrum).call()?;
//! assert!(again.subtract(&x)?.abs()?.max(..)?.item::<f32>()? < 1e-6);
//! # Ok(())
//! # }
//! ```

mod shift;
mod stft;

pub use self::shift::{fftfreq, fftshift, ifftshift, rfftfreq};
pub use self::stft::{FramePad, Istft, Stft, istft, stft};

use crate::bridge::fft::ffi;
use crate::dtype::Dtype;
use crate::ops::{axes, done};
use crate::stream::current;
use crate::{Array, Axes, Error, IntoAxes, IntoShape, Result};

/// Which direction is scaled, n being the number of elements that are transformed together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FftNorm {
    /// The inverse by `1 / n`.
    #[default]
    Backward,
    /// Both by `1 / sqrt(n)`.
    Ortho,
    /// The forward transform by `1 / n`.
    Forward,
}

impl FftNorm {
    fn code(self) -> u8 {
        match self {
            FftNorm::Backward => 0,
            FftNorm::Ortho => 1,
            FftNorm::Forward => 2,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Complex,
    ComplexInverse,
    Real,
    RealInverse,
}

/// A transform and its options.
#[derive(Debug)]
#[must_use = "nothing is computed before `call`"]
pub struct Fft<'a> {
    a: &'a Array,
    kind: Kind,
    sizes: Option<Result<Vec<i32>>>,
    axes: Axes,
    norm: FftNorm,
}

macro_rules! transforms {
    ($($(#[$doc:meta])* $name:ident: $kind:ident, $axes:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name(a: &Array) -> Fft<'_> {
            Fft {
                a,
                kind: Kind::$kind,
                sizes: None,
                axes: $axes.into_axes(),
                norm: FftNorm::default(),
            }
        }
    )*};
}

transforms! {
    /// The discrete Fourier transform along one axis, the last by default: `y[k] = sum_j a[j] exp(-2 pi i j k / n)`. The result is
    /// complex64.
    ///
    /// ```
    /// use zmlx::{Array, fft};
    /// let x = Array::from_iter([1.0f32, 0.0, 0.0, 0.0])?;
    /// // A pulse has all frequencies.
    /// let y = fft::fft(&x).call()?;
    /// assert_eq!(y.real()?.to_vec::<f32>()?, [1.0; 4]);
    /// assert_eq!(fft::fft(&x).n(8).axis(0).norm(fft::FftNorm::Ortho).call()?.shape(), [8]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    fft: Complex, -1;
    /// The inverse of [`fft()`].
    ///
    /// ```
    /// use zmlx::{Array, fft};
    /// let x = Array::from_iter([4.0f32, 0.0, 0.0, 0.0])?;
    /// assert_eq!(fft::ifft(&x).call()?.real()?.to_vec::<f32>()?, [1.0; 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ifft: ComplexInverse, -1;
    /// [`fft()`] along two axes, the last two by default.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fft};
    /// let x = Array::ones((2, 2), Dtype::Float32)?;
    /// assert_eq!(fft::fft2(&x).call()?.real()?.to_vec::<f32>()?, [4.0, 0.0, 0.0, 0.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    fft2: Complex, [-2, -1];
    /// The inverse of [`fft2`].
    ///
    /// ```
    /// use zmlx::{Array, fft};
    /// let x = Array::from_slice(&[4.0f32, 0.0, 0.0, 0.0], (2, 2))?;
    /// assert_eq!(fft::ifft2(&x).call()?.real()?.to_vec::<f32>()?, [1.0; 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ifft2: ComplexInverse, [-2, -1];
    /// [`fft()`] along several axes, all by default.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fft};
    /// let x = Array::ones((2, 2, 2), Dtype::Float32)?;
    /// assert_eq!(fft::fftn(&x).call()?.real()?.index((0, 0, 0))?.item::<f32>()?, 8.0);
    /// // Two of the axes, padded with zeros.
    /// assert_eq!(fft::fftn(&x).axes([0, 2]).sizes((4, 4)).call()?.shape(), [4, 2, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    fftn: Complex, ..;
    /// The inverse of [`fftn`].
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fft};
    /// let x = Array::ones((2, 2, 2), Dtype::Float32)?;
    /// let again = fft::ifftn(&fft::fftn(&x).call()?).call()?;
    /// assert!(again.real()?.allclose(&x, (1e-5, 0.0))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ifftn: ComplexInverse, ..;
    /// [`fft()`] of a real array: the first n / 2 + 1 elements, of which the others are the conjugates.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fft};
    /// let x = Array::ones(8, Dtype::Float32)?;
    /// let y = fft::rfft(&x).call()?;
    /// assert_eq!(y.real()?.to_vec::<f32>()?, [8.0, 0.0, 0.0, 0.0, 0.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    rfft: Real, -1;
    /// The inverse of [`rfft`], float32: n elements from n / 2 + 1. Without [`n`](Fft::n) the result has an even number, 2 (m - 1) of m.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fft};
    /// let x = Array::ones(5, Dtype::Float32)?;
    /// let y = fft::irfft(&fft::rfft(&x).call()?).n(5).call()?; // an odd number is said
    /// assert!(y.allclose(&x, (1e-5, 0.0))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    irfft: RealInverse, -1;
    /// [`fft2`] of a real array; the last of the axes has half of the spectrum, as with [`rfft`].
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fft};
    /// let x = Array::ones((4, 4), Dtype::Float32)?;
    /// let y = fft::rfft2(&x).call()?;
    /// assert_eq!(y.shape(), [4, 3]);
    /// assert_eq!(y.real()?.index((0, 0))?.item::<f32>()?, 16.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    rfft2: Real, [-2, -1];
    /// The inverse of [`rfft2`].
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fft};
    /// let x = Array::ones((4, 4), Dtype::Float32)?;
    /// let y = fft::irfft2(&fft::rfft2(&x).call()?).call()?;
    /// assert!(y.allclose(&x, (1e-5, 0.0))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    irfft2: RealInverse, [-2, -1];
    /// [`fftn`] of a real array; the last of the axes has half of the spectrum, as with [`rfft`].
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fft};
    /// let x = Array::ones((2, 4, 4), Dtype::Float32)?;
    /// let y = fft::rfftn(&x).call()?;
    /// assert_eq!(y.shape(), [2, 4, 3]);
    /// assert_eq!(y.real()?.index((0, 0, 0))?.item::<f32>()?, 32.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    rfftn: Real, ..;
    /// The inverse of [`rfftn`].
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fft};
    /// let x = Array::ones((2, 4, 4), Dtype::Float32)?;
    /// let y = fft::irfftn(&fft::rfftn(&x).call()?).call()?;
    /// assert!(y.allclose(&x, (1e-5, 0.0))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    irfftn: RealInverse, ..;
}

impl Fft<'_> {
    /// The length along the axis: the array is cut there or filled with zeros. Of an inverse of a real transform it is the
    /// result's length.
    pub fn n(self, n: i32) -> Self {
        self.sizes([n])
    }

    /// [`n`](Fft::n) for each axis; with all axes, for as many of the last.
    #[track_caller]
    pub fn sizes(mut self, sizes: impl IntoShape) -> Self {
        self.sizes = Some(sizes.into_shape());
        self
    }

    /// The axis.
    pub fn axis(self, axis: i32) -> Self {
        self.axes(axis)
    }

    /// The axes, `..` for all; the last one named is the halved one of real transforms.
    pub fn axes(mut self, axes: impl IntoAxes) -> Self {
        self.axes = axes.into_axes();
        self
    }

    /// How results are scaled.
    pub fn norm(mut self, norm: FftNorm) -> Self {
        self.norm = norm;
        self
    }

    /// The transform, complex64, or float32 for inverses of real transforms.
    ///
    /// # Errors
    /// [`Error::Shape`] for axes that are not there, twice there or as many as there are sizes not, for a size below 1, and for an axis without elements;
    /// [`Error::Dtype`] for a real transform of complex64.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let a = self.a;
        if self.kind == Kind::Real && a.dtype() == Dtype::Complex64 {
            return Err(Error::dtype(
                "`a`: expected a real array for a transform of real numbers, got complex64".into(),
            ));
        }
        let given = self.sizes.transpose()?;
        let axes = match (self.axes.list(), &given) {
            (None, Some(sizes)) => (-(sizes.len() as i32)..0).collect(),
            _ => self.axes.resolve(a.ndim()),
        };
        let axes = axes::distinct("axes", &axes, a.ndim())?;
        let sizes = match given {
            Some(sizes) => sizes,
            None => {
                let mut sizes: Vec<i32> = axes.iter().map(|&i| a.shape()[i as usize]).collect();
                if let (Kind::RealInverse, Some(last)) = (self.kind, sizes.last_mut()) {
                    *last = last.saturating_sub(1).saturating_mul(2);
                }
                sizes
            }
        };
        if sizes.len() != axes.len() || axes.is_empty() {
            return Err(Error::shape(format!(
                "`sizes`: expected a size for each of the axes {axes:?}, and one axis at least, got {sizes:?} for shape {:?}",
                a.shape()
            )));
        }
        if sizes.iter().any(|&n| n < 1) {
            return Err(Error::shape(format!(
                "`sizes`: expected at least 1 along each of the axes {axes:?}, got {sizes:?} for shape {:?}",
                a.shape()
            )));
        }
        let shape = self.kind.shape(a.shape(), &axes, &sizes);
        if shape.contains(&0) {
            return Array::zeros(shape, self.kind.dtype());
        }
        let transform = match self.kind {
            Kind::Complex => ffi::fftn,
            Kind::ComplexInverse => ffi::ifftn,
            Kind::Real => ffi::rfftn,
            Kind::RealInverse => ffi::irfftn,
        };
        done(transform(
            a.raw(),
            &sizes,
            &axes,
            self.norm.code(),
            current(),
        ))
    }
}

impl Kind {
    fn dtype(self) -> Dtype {
        match self {
            Kind::RealInverse => Dtype::Float32,
            _ => Dtype::Complex64,
        }
    }

    /// The result's shape.
    fn shape(self, of: &[i32], axes: &[i32], sizes: &[i32]) -> Vec<i32> {
        let mut shape = of.to_vec();
        for (&axis, &n) in axes.iter().zip(sizes) {
            shape[axis as usize] = n;
        }
        if let (Kind::Real, Some(&axis)) = (self, axes.last()) {
            shape[axis as usize] = shape[axis as usize] / 2 + 1;
        }
        shape
    }
}
