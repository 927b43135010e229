//! The Fourier transform of short pieces of a signal.

use super::FftNorm;
use crate::array::maybe;
use crate::bridge::fft::ffi;
use crate::dtype::Dtype;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Error, Result};

/// What stands before and after the signal when frames are centred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FramePad {
    /// The signal backwards, without its first or last element.
    #[default]
    Reflect,
    /// Zeros.
    Constant,
    /// The first or last element.
    Edge,
}

/// The short-time Fourier transform along the last axis of `x`: transforms of windowed frames of `n_fft` elements, which begin every
/// [`hop`](Stft::hop) elements.
///
/// `x` is (..., T), the result (..., bins, frames), complex64, with n_fft / 2 + 1 bins for a real `x` and n_fft for a complex one.
///
/// ```
/// use zmlx::{Array, fft};
///
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::ones(64, zmlx::Dtype::Float32)?;
/// assert_eq!(fft::stft(&x, 16).hop(8).call()?.shape(), [9, 9]); // 9 bins of 9 frames
/// # Ok(())
/// # }
/// ```
pub fn stft(x: &Array, n_fft: i32) -> Stft<'_> {
    Stft {
        x,
        frames: Frames::new(n_fft),
        pad: FramePad::default(),
    }
}

/// The signal whose [`stft`] is `x`, (..., bins, frames): inverse transforms, windowed, added where they overlap and divided by the sum of the squared
/// windows. Options have to be those of [`stft`].
///
/// ```
/// use zmlx::{Array, fft, ops};
///
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::arange(64)?.astype(zmlx::Dtype::Float32)?.sin()?;
/// let spectrum = fft::stft(&x, 16).hop(4).call()?;
/// let again = fft::istft(&spectrum, 16).hop(4).length(64).call()?;
/// assert!(again.subtract(&x)?.abs()?.max(..)?.item::<f32>()? < 1e-5);
/// # Ok(())
/// # }
/// ```
pub fn istft(x: &Array, n_fft: i32) -> Istft<'_> {
    Istft {
        x,
        frames: Frames::new(n_fft),
        length: None,
    }
}

/// What both directions have to agree in.
#[derive(Clone, Debug)]
struct Frames<'a> {
    n_fft: i32,
    hop: Option<i32>,
    win: Option<i32>,
    window: Option<&'a Array>,
    center: bool,
    norm: FftNorm,
    onesided: Option<bool>,
}

impl Frames<'_> {
    fn new(n_fft: i32) -> Self {
        Frames {
            n_fft,
            hop: None,
            win: None,
            window: None,
            center: true,
            norm: FftNorm::default(),
            onesided: None,
        }
    }

    /// The checked hop and length of the window.
    #[track_caller]
    fn sizes(&self) -> Result<(i32, i32)> {
        if self.n_fft < 1 {
            return Err(Error::argument("n_fft", "1 at least", self.n_fft));
        }
        let hop = self.hop.unwrap_or((self.n_fft / 4).max(1));
        if hop < 1 {
            return Err(Error::argument("hop", "1 at least", hop));
        }
        let win = self.win.unwrap_or(self.n_fft);
        if !(1..=self.n_fft).contains(&win) {
            let expected = format_args!("from 1 to n_fft, {}", self.n_fft).to_string();
            return Err(Error::argument("win", expected, win));
        }
        if let Some(window) = self.window {
            if window.shape() != [win] {
                return Err(Error::shape(format!(
                    "`window`: expected shape ({win},), got {:?}",
                    window.shape()
                )));
            }
            if window.dtype() == Dtype::Complex64 {
                return Err(Error::dtype(
                    "`window`: expected real numbers, got complex64".into(),
                ));
            }
        }
        Ok((hop, win))
    }
}

macro_rules! shared_options {
    ($type:ident) => {
        impl<'a> $type<'a> {
            /// Elements from frame to frame (default n_fft / 4).
            pub fn hop(mut self, hop: i32) -> Self {
                self.frames.hop = Some(hop);
                self
            }

            /// The length of the window (default n_fft); a shorter one is centred in the frame.
            pub fn win(mut self, win: i32) -> Self {
                self.frames.win = Some(win);
                self
            }

            /// The window, shape (win,), instead of a Hann window.
            ///
            /// ```
            /// use zmlx::{Array, Dtype, fft, ops};
            /// let x = Array::ones(64, Dtype::Float32)?;
            /// let window = ops::hamming(8)?;
            /// let stft = fft::stft(&x, 16).win(8).window(&window).center(false).onesided(false);
            /// assert_eq!(stft.norm(fft::FftNorm::Ortho).call()?.shape(), [16, 13]);
            /// # Ok::<(), zmlx::Error>(())
            /// ```
            pub fn window(mut self, window: &'a Array) -> Self {
                self.frames.window = Some(window);
                self
            }

            /// Whether frames have their middle, and not their first element, at multiples of the hop (default true).
            pub fn center(mut self, center: bool) -> Self {
                self.frames.center = center;
                self
            }

            /// How results are scaled.
            pub fn norm(mut self, norm: FftNorm) -> Self {
                self.frames.norm = norm;
                self
            }

            /// Whether a spectrum has n_fft / 2 + 1 bins, those of real signals, and not n_fft.
            pub fn onesided(mut self, onesided: bool) -> Self {
                self.frames.onesided = Some(onesided);
                self
            }
        }
    };
}

/// Options of [`stft`].
#[derive(Clone, Debug)]
#[must_use = "nothing is computed before `call`"]
pub struct Stft<'a> {
    x: &'a Array,
    frames: Frames<'a>,
    pad: FramePad,
}

shared_options!(Stft);

impl Stft<'_> {
    /// What stands around the signal of centred frames.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fft};
    /// let x = Array::ones(64, Dtype::Float32)?;
    /// let zeros = fft::stft(&x, 16).hop(8).pad(fft::FramePad::Constant).call()?;
    /// // The first frame has zeros in its first half, the fifth has none.
    /// let loudness = zeros.abs()?.index(0)?;
    /// assert!(loudness.index(0)?.item::<f32>()? < loudness.index(4)?.item::<f32>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn pad(mut self, pad: FramePad) -> Self {
        self.pad = pad;
        self
    }

    /// The spectra, (..., bins, frames).
    ///
    /// # Errors
    /// [`Error::Shape`] for a signal without axes or shorter than a frame, or, with [`FramePad::Reflect`], than half of one and an element; or for a window of another length;
    /// [`Error::Argument`] for a size out of range; [`Error::Dtype`] for half of the spectrum of complex64.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let (hop, win) = self.frames.sizes()?;
        let n_fft = self.frames.n_fft;
        let Some(&length) = self.x.shape().last() else {
            return Err(Error::shape(
                "`x`: expected an axis, of time, got an array without dimensions".into(),
            ));
        };
        let half = if self.frames.center { n_fft / 2 } else { 0 };
        let least = match self.pad {
            FramePad::Reflect if self.frames.center => half + 1,
            FramePad::Edge if self.frames.center => 1,
            _ => 0,
        };
        let all = i64::from(length) + 2 * i64::from(half);
        if length < least || all < i64::from(n_fft) {
            return Err(Error::shape(format!(
                "`x`: expected {} elements at least along the last axis for frames of {n_fft}, got shape {:?}",
                least.max(n_fft - 2 * half),
                self.x.shape()
            )));
        }
        let complex = self.x.dtype() == Dtype::Complex64;
        let onesided = self.frames.onesided.unwrap_or(!complex);
        if onesided && complex {
            return Err(Error::dtype(
                "`x`: expected real numbers for half of a spectrum, got complex64".into(),
            ));
        }
        let pad = match self.pad {
            FramePad::Reflect => "reflect",
            FramePad::Constant => "constant",
            FramePad::Edge => "edge",
        };
        done(ffi::stft(
            self.x.raw(),
            n_fft,
            hop,
            win,
            maybe(self.frames.window),
            self.frames.center,
            pad,
            self.frames.norm.code(),
            onesided,
            current(),
        ))
    }
}

/// Options of [`istft`].
#[derive(Clone, Debug)]
#[must_use = "nothing is computed before `call`"]
pub struct Istft<'a> {
    x: &'a Array,
    frames: Frames<'a>,
    length: Option<i32>,
}

shared_options!(Istft);

impl Istft<'_> {
    /// The signal's length; without it, what the frames give.
    pub fn length(mut self, length: i32) -> Self {
        self.length = Some(length);
        self
    }

    /// The signal, (..., T).
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are two axes, a frame and the right number of bins, or for a window of another length; [`Error::Argument`] for a size out of range.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let (hop, win) = self.frames.sizes()?;
        let n_fft = self.frames.n_fft;
        let [.., bins, frames] = *self.x.shape() else {
            return Err(Error::shape(format!(
                "`x`: expected (..., bins, frames), got shape {:?}",
                self.x.shape()
            )));
        };
        let half = n_fft / 2 + 1;
        let onesided = self.frames.onesided.unwrap_or(bins == half);
        let wanted = if onesided { half } else { n_fft };
        if bins != wanted || frames < 1 {
            return Err(Error::shape(format!(
                "`x`: expected one frame at least of {wanted} bins, got shape {:?}",
                self.x.shape()
            )));
        }
        if let Some(length) = self.length.filter(|&n| n < 0) {
            return Err(Error::argument("length", "0 at least", length));
        }
        done(ffi::istft(
            self.x.raw(),
            n_fft,
            hop,
            win,
            maybe(self.frames.window),
            self.frames.center,
            self.frames.norm.code(),
            onesided,
            self.length.unwrap_or(-1),
            current(),
        ))
    }
}
