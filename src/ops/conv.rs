//! Convolutions (cross-correlations, as in neural networks).

use super::{IntoInts, done};
use crate::bridge::ops::conv::ffi;
use crate::stream::current;
use crate::{Array, Error, Result};

/// Settings of a convolution. Each takes one number for all spatial dimensions or one for
/// each: `Conv::new().stride(2).padding([1, 2])`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    stride: Vec<i32>,
    low: Vec<i32>,
    high: Vec<i32>,
    dilation: Vec<i32>,
    input_dilation: Vec<i32>,
    output_padding: Vec<i32>,
    groups: i32,
    flip: bool,
}

impl Default for Conv {
    fn default() -> Self {
        Conv::new()
    }
}

impl Conv {
    /// Stride and dilations 1, no padding, one group.
    pub fn new() -> Self {
        Conv {
            stride: vec![1],
            low: vec![0],
            high: vec![0],
            dilation: vec![1],
            input_dilation: vec![1],
            output_padding: vec![0],
            groups: 1,
            flip: false,
        }
    }

    /// Steps between positions of the filter, from 1.
    pub fn stride(mut self, stride: impl IntoInts) -> Self {
        self.stride = stride.into_ints();
        self
    }

    /// Zeros added at both ends of each spatial dimension.
    pub fn padding(mut self, padding: impl IntoInts) -> Self {
        self.low = padding.into_ints();
        self.high.clone_from(&self.low);
        self
    }

    /// Zeros added before and after; a negative number cuts. Not for transposed convolutions.
    pub fn padding_lo_hi(mut self, low: impl IntoInts, high: impl IntoInts) -> Self {
        self.low = low.into_ints();
        self.high = high.into_ints();
        self
    }

    /// Steps between elements of the filter, from 1.
    pub fn dilation(mut self, dilation: impl IntoInts) -> Self {
        self.dilation = dilation.into_ints();
        self
    }

    /// Steps between elements of the input, from 1. For [`Array::conv_general`] only.
    pub fn input_dilation(mut self, dilation: impl IntoInts) -> Self {
        self.input_dilation = dilation.into_ints();
        self
    }

    /// Zeros added to one end of the output. For transposed convolutions only.
    pub fn output_padding(mut self, padding: impl IntoInts) -> Self {
        self.output_padding = padding.into_ints();
        self
    }

    /// Groups of channels convolved on their own.
    pub fn groups(mut self, groups: i32) -> Self {
        self.groups = groups;
        self
    }

    /// Whether the filter is mirrored, as in mathematics. For [`Array::conv_general`] only.
    pub fn flip(mut self, flip: bool) -> Self {
        self.flip = flip;
        self
    }

    /// One number for each of `n` dimensions, none below its least.
    #[track_caller]
    fn spread(&self, x: &Array, w: &Array, n: usize) -> Result<Conv> {
        if x.ndim() != n + 2 || w.ndim() != n + 2 {
            return Err(Error::shape(format!(
                "[conv] expected an input (batch, {n} spatial dimensions, channels) and a weight \
                 (outputs, {n} spatial dimensions, channels), got {:?} and {:?}",
                x.shape(),
                w.shape()
            )));
        }
        if w.size() == 0 || x.size() == 0 {
            return Err(Error::shape(format!(
                "[conv] expected arrays with elements, got {:?} and {:?}",
                x.shape(),
                w.shape()
            )));
        }
        super::between("groups", self.groups, 1..=x.shape()[n + 1])?;
        Ok(Conv {
            stride: spread("stride", &self.stride, n, 1)?,
            low: spread("padding", &self.low, n, i32::MIN / 4)?,
            high: spread("padding", &self.high, n, i32::MIN / 4)?,
            dilation: spread("dilation", &self.dilation, n, 1)?,
            input_dilation: spread("input_dilation", &self.input_dilation, n, 1)?,
            output_padding: spread("output_padding", &self.output_padding, n, 0)?,
            ..self.clone()
        })
    }
}

#[track_caller]
fn spread(argument: &str, values: &[i32], n: usize, least: i32) -> Result<Vec<i32>> {
    if (values.len() != 1 && values.len() != n) || values.iter().any(|&v| v < least) {
        return Err(Error::argument(
            argument,
            format_args!("one number or {n}, each from {least}"),
            format_args!("{values:?}"),
        ));
    }
    Ok((0..n).map(|i| values[i.min(values.len() - 1)]).collect())
}

macro_rules! convolutions {
    ($($(#[$doc:meta])* $name:ident $call:ident $n:literal;)*) => {
        impl Array {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`Error::Shape`] when input, weight and groups do not fit or nothing of the
            /// input would be left; [`Error::Argument`] for settings below their least;
            /// [`Error::Dtype`] unless floating-point.
            #[track_caller]
            pub fn $name(&self, weight: &Array, conv: Conv) -> Result<Array> {
                self.$call(weight, &conv, $n)
            }
        )*}
    };
}

convolutions! {
    /// Convolution of (batch, length, channels) with a weight (outputs, width, channels / groups).
    ///
    /// ```
    /// use zmlx::{Array, ops::Conv};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (1, 4, 1))?;
    /// let w = Array::from_slice(&[1.0f32, -1.0], (1, 2, 1))?;
    /// assert_eq!(x.conv1d(&w, Conv::new())?.to_vec::<f32>()?, [-1.0, -1.0, -1.0]);
    /// assert_eq!(x.conv1d(&w, Conv::new().stride(2))?.shape(), [1, 2, 1]);
    /// # Ok(())
    /// # }
    /// ```
    conv1d convolve 1;
    /// Convolution of (batch, height, width, channels) with a weight
    /// (outputs, height, width, channels / groups).
    conv2d convolve 2;
    /// Convolution of (batch, depth, height, width, channels) with a weight
    /// (outputs, depth, height, width, channels). One group only.
    conv3d convolve 3;
    /// Transposed convolution (the gradient of one) in one dimension; shapes as in
    /// [`conv1d`](Array::conv1d).
    conv_transpose1d convolve_back 1;
    /// Transposed convolution in two dimensions; shapes as in [`conv2d`](Array::conv2d).
    conv_transpose2d convolve_back 2;
    /// Transposed convolution in three dimensions; shapes as in [`conv3d`](Array::conv3d).
    conv_transpose3d convolve_back 3;
}

impl Array {
    /// Convolution in 1 to 3 spatial dimensions with every setting there is.
    ///
    /// # Errors
    /// As [`conv1d`](Array::conv1d).
    #[track_caller]
    pub fn conv_general(&self, weight: &Array, conv: Conv) -> Result<Array> {
        let n = self.ndim().saturating_sub(2);
        if !(1..=3).contains(&n) {
            return Err(Error::shape(format!(
                "[conv] expected 1 to 3 spatial dimensions, got shape {:?}",
                self.shape()
            )));
        }
        self.convolve(weight, &conv, n)
    }

    #[track_caller]
    fn convolve(&self, weight: &Array, conv: &Conv, n: usize) -> Result<Array> {
        let c = conv.spread(self, weight, n)?;
        done(ffi::conv_general(
            self.raw(),
            weight.raw(),
            &c.stride,
            &c.low,
            &c.high,
            &c.dilation,
            &c.input_dilation,
            c.groups,
            c.flip,
            current(),
        ))
    }

    #[track_caller]
    fn convolve_back(&self, weight: &Array, conv: &Conv, n: usize) -> Result<Array> {
        let c = conv.spread(self, weight, n)?;
        if c.low != c.high {
            return Err(Error::argument(
                "padding",
                "the same at both ends",
                format_args!("{:?} and {:?}", c.low, c.high),
            ));
        }
        done(ffi::conv_transpose(
            self.raw(),
            weight.raw(),
            &c.stride,
            &c.low,
            &c.dilation,
            &c.output_padding,
            c.groups,
            current(),
        ))
    }
}
