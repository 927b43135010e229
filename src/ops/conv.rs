//! Convolutions (cross-correlations, as in neural networks).

use super::conv_settings::Conv;
use super::done;
use crate::bridge::ops::conv::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

impl Conv {
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
    ///
    /// ```
    /// use zmlx::{Array, Dtype, ops};
    /// let x = Array::ones((1, 5, 5, 3), Dtype::Float32)?;
    /// let w = Array::ones((8, 3, 3, 3), Dtype::Float32)?;
    /// let y = x.conv2d(&w, ops::Conv::new())?;
    /// assert_eq!(y.shape(), [1, 3, 3, 8]);
    /// assert_eq!(y.max(..)?.item::<f32>()?, 27.0); // 3 * 3 * 3 products of ones
    /// assert_eq!(x.conv2d(&w, ops::Conv::new().padding(1).stride(2))?.shape(), [1, 3, 3, 8]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    conv2d convolve 2;
    /// Convolution of (batch, depth, height, width, channels) with a weight
    /// (outputs, depth, height, width, channels). One group only.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, ops};
    /// let x = Array::ones((1, 4, 4, 4, 1), Dtype::Float32)?;
    /// let w = Array::ones((2, 2, 2, 2, 1), Dtype::Float32)?;
    /// let y = x.conv3d(&w, ops::Conv::new())?;
    /// assert_eq!(y.shape(), [1, 3, 3, 3, 2]);
    /// assert_eq!(y.min(..)?.item::<f32>()?, 8.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    conv3d convolve 3;
    /// Transposed convolution (the gradient of one) in one dimension; shapes as in
    /// [`conv1d`](Array::conv1d).
    ///
    /// ```
    /// use zmlx::{Array, ops};
    /// let x = Array::from_slice(&[1.0f32, 2.0], (1, 2, 1))?;
    /// let w = Array::from_slice(&[1.0f32, 10.0], (1, 2, 1))?;
    /// let y = x.conv_transpose1d(&w, ops::Conv::new().stride(2))?;
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 10.0, 2.0, 20.0]);
    /// let longer = ops::Conv::new().stride(2).output_padding(1);
    /// assert_eq!(x.conv_transpose1d(&w, longer)?.shape(), [1, 5, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    conv_transpose1d convolve_back 1;
    /// Transposed convolution in two dimensions; shapes as in [`conv2d`](Array::conv2d).
    ///
    /// ```
    /// use zmlx::{Array, Dtype, ops};
    /// let x = Array::ones((1, 2, 2, 1), Dtype::Float32)?;
    /// let w = Array::ones((1, 2, 2, 1), Dtype::Float32)?;
    /// let y = x.conv_transpose2d(&w, ops::Conv::new())?;
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    conv_transpose2d convolve_back 2;
    /// Transposed convolution in three dimensions; shapes as in [`conv3d`](Array::conv3d).
    ///
    /// ```
    /// use zmlx::{Array, Dtype, ops};
    /// let x = Array::ones((1, 2, 2, 2, 1), Dtype::Float32)?;
    /// let w = Array::ones((1, 2, 2, 2, 1), Dtype::Float32)?;
    /// let y = x.conv_transpose3d(&w, ops::Conv::new())?;
    /// assert_eq!(y.shape(), [1, 3, 3, 3, 1]);
    /// assert_eq!(y.max(..)?.item::<f32>()?, 8.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    conv_transpose3d convolve_back 3;
}

impl Array {
    /// Convolution in 1 to 3 spatial dimensions with every setting there is.
    ///
    /// ```
    /// use zmlx::{Array, ops};
    /// let x = Array::from_slice(&[1.0f32, 2.0, 3.0], (1, 3, 1))?;
    /// let w = Array::from_slice(&[1.0f32, 10.0], (1, 2, 1))?;
    /// // The second element of the filter meets the element behind the one that the first meets.
    /// assert_eq!(x.conv_general(&w, ops::Conv::new())?.to_vec::<f32>()?, [21.0, 32.0]);
    /// let flipped = ops::Conv::new().flip(true).padding_lo_hi(1, 0);
    /// assert_eq!(x.conv_general(&w, flipped)?.to_vec::<f32>()?, [1.0, 12.0, 23.0]);
    /// let spread = ops::Conv::new().input_dilation(2).dilation(2);
    /// assert_eq!(x.conv_general(&w, spread)?.to_vec::<f32>()?, [21.0, 0.0, 32.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
        self.convolve_spread(weight, c, n)
    }

    /// The gradient of a convolution: one with the stride between the elements of the input, of the
    /// mirrored filter, padded by what the filter reaches beyond.
    #[track_caller]
    fn convolve_back(&self, weight: &Array, conv: &Conv, n: usize) -> Result<Array> {
        let mut c = conv.spread(self, weight, n)?;
        if c.low != c.high {
            return Err(Error::argument(
                "padding",
                "the same at both ends",
                format_args!("{:?} and {:?}", c.low, c.high),
            ));
        }
        for i in 0..n {
            let reach = i64::from(c.dilation[i]) * (i64::from(weight.shape()[i + 1]) - 1);
            let low = reach - i64::from(c.low[i]);
            c.low[i] = whole("padding", low)?;
            c.high[i] = whole("padding", low + i64::from(c.output_padding[i]))?;
        }
        c.input_dilation = std::mem::replace(&mut c.stride, vec![1; n]);
        c.flip = true;
        self.convolve_spread(weight, c, n)
    }

    #[track_caller]
    fn convolve_spread(&self, weight: &Array, mut c: Conv, n: usize) -> Result<Array> {
        let lengths = c.lengths(self, weight, n)?;
        let Some(x) = c.cut(self, n)? else {
            // The padding cuts every element of the input.
            let mut shape = vec![self.shape()[0]];
            shape.extend(lengths);
            shape.push(weight.shape()[0]);
            let none = |a: &Array| Array::zeros((), a.dtype());
            return none(self)?.add(none(weight)?)?.broadcast_to(shape);
        };
        if x.dtype() == Dtype::Float64 || weight.dtype() == Dtype::Float64 {
            return super::conv64::convolve(&x, weight, &c, n);
        }
        done(ffi::conv_general(
            x.raw(),
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
}

#[track_caller]
fn whole(argument: &str, value: i64) -> Result<i32> {
    match i32::try_from(value) {
        Ok(value) => Ok(value),
        Err(_) => Err(Error::argument(
            argument,
            "numbers whose sums stay within 32 bits",
            value,
        )),
    }
}

impl Conv {
    /// Lengths of the result along the spatial dimensions. What MLX computes with on the way must
    /// stay within 32 bits.
    #[track_caller]
    fn lengths(&self, x: &Array, w: &Array, n: usize) -> Result<Vec<i32>> {
        if !x.dtype().is_floating() || !w.dtype().is_floating() {
            return Err(Error::dtype(format!(
                "[conv] expected floating-point arrays, got {} and {}",
                x.dtype(),
                w.dtype()
            )));
        }
        let (channels, outputs) = (x.shape()[n + 1], w.shape()[0]);
        let each = i64::from(w.shape()[n + 1]) * i64::from(self.groups);
        if each != i64::from(channels) || outputs % self.groups != 0 {
            return Err(Error::shape(format!(
                "[conv] expected {each} channels, and outputs in {} groups, got {:?} and {:?}",
                self.groups,
                x.shape(),
                w.shape()
            )));
        }
        if self.groups > 1 && n == 3 {
            return Err(Error::argument(
                "groups",
                "1 in three dimensions",
                self.groups,
            ));
        }
        let mut lengths = Vec::with_capacity(n);
        for i in 0..n {
            let reach = i64::from(self.dilation[i]) * (i64::from(w.shape()[i + 1]) - 1) + 1;
            let dilated = self.dilated(x, i);
            let (low, high) = (i64::from(self.low[i]), i64::from(self.high[i]));
            whole("dilation", reach)?;
            whole("input_dilation", dilated)?;
            whole("padding", dilated + low.max(0) + high.max(0))?;
            let left = dilated + low + high - reach;
            if left < 0 {
                return Err(Error::shape(format!(
                    "[conv] expected an input that is, padded, no smaller than the filter, got {} \
                         and {reach} along spatial dimension {i} of {:?} and {:?}",
                    dilated + low + high,
                    x.shape(),
                    w.shape()
                )));
            }
            lengths.push((left / i64::from(self.stride[i]) + 1) as i32);
        }
        Ok(lengths)
    }

    /// Length of spatial dimension `i` with the zeros between its elements.
    fn dilated(&self, x: &Array, i: usize) -> i64 {
        (i64::from(x.shape()[i + 1]) - 1) * i64::from(self.input_dilation[i]) + 1
    }

    /// The input without what negative padding cuts. Zeros between the elements that are left over
    /// become padding, so that none is negative then. `None` when no element is left.
    #[track_caller]
    fn cut(&mut self, x: &Array, n: usize) -> Result<Option<Array>> {
        let (mut start, mut stop) = (vec![0; n + 2], x.shape().to_vec());
        for i in 0..n {
            let step = i64::from(self.input_dilation[i]);
            let length = i64::from(x.shape()[i + 1]);
            let take = |pad: &mut i32| -> i64 {
                let cut = (-i64::from(*pad)).max(0);
                let gone = (cut + step - 1) / step;
                if gone < length && cut > 0 {
                    *pad = (gone * step - cut) as i32;
                }
                gone
            };
            let (first, last) = (take(&mut self.low[i]), take(&mut self.high[i]));
            if first + last >= length {
                return Ok(None);
            }
            start[i + 1] = first as i32;
            stop[i + 1] -= last as i32;
        }
        if start.iter().all(|&s| s == 0) && stop == x.shape() {
            return Ok(Some(x.clone()));
        }
        x.slice(start, stop, vec![1; n + 2]).map(Some)
    }

    /// Settings of spatial dimension `i` for [`convolve`](super::conv64::convolve).
    pub(super) fn along(&self, i: usize) -> Along {
        Along {
            stride: self.stride[i],
            low: self.low[i],
            high: self.high[i],
            dilation: self.dilation[i],
            input_dilation: self.input_dilation[i],
        }
    }

    pub(super) fn group_count(&self) -> i32 {
        self.groups
    }

    pub(super) fn flips(&self) -> bool {
        self.flip
    }
}

/// A convolution along one dimension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Along {
    pub stride: i32,
    pub low: i32,
    pub high: i32,
    pub dilation: i32,
    pub input_dilation: i32,
}
