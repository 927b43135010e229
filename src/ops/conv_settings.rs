//! The settings of a convolution.

use super::IntoInts;

/// Settings of a convolution. Each takes one number for all spatial dimensions or one for
/// each: `Conv::new().stride(2).padding([1, 2])`.
///
/// ```
/// use zmlx::ops::Conv;
/// # use zmlx::{Array, Dtype};
/// let x = Array::ones((1, 8, 1), Dtype::Float32)?;
/// let w = Array::ones((1, 3, 1), Dtype::Float32)?;
/// let length = |conv: Conv| Ok::<_, zmlx::Error>(x.conv_general(&w, conv)?.shape()[1]);
/// assert_eq!(length(Conv::new())?, 6);
/// assert_eq!(length(Conv::new().stride(2).padding(1))?, 4);
/// assert_eq!(length(Conv::new().dilation(2))?, 4); // the filter reaches over 5 elements
/// assert_eq!(length(Conv::new().padding_lo_hi(2, 0).flip(true))?, 8);
/// assert_eq!(length(Conv::new().input_dilation(2))?, 13); // 15 elements, every second one 0
/// let longer = x.conv_transpose1d(&w, Conv::new().stride(2).output_padding(1))?;
/// assert_eq!(longer.shape(), [1, 18, 1]);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    pub(super) stride: Vec<i32>,
    pub(super) low: Vec<i32>,
    pub(super) high: Vec<i32>,
    pub(super) dilation: Vec<i32>,
    pub(super) input_dilation: Vec<i32>,
    pub(super) output_padding: Vec<i32>,
    pub(super) groups: i32,
    pub(super) flip: bool,
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

    /// Steps between elements of the input, from 1. For [`Array::conv_general`](crate::Array::conv_general) only.
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
    ///
    /// ```
    /// use zmlx::{Array, ops};
    /// // Each of the two channels has a filter of its own.
    /// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (1, 2, 2))?;
    /// let w = Array::from_slice(&[10.0f32, 100.0], (2, 1, 1))?;
    /// let y = x.conv1d(&w, ops::Conv::new().groups(2))?;
    /// assert_eq!(y.to_vec::<f32>()?, [10.0, 200.0, 30.0, 400.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn groups(mut self, groups: i32) -> Self {
        self.groups = groups;
        self
    }

    /// Whether the filter is mirrored, as in mathematics. For [`Array::conv_general`](crate::Array::conv_general) only.
    pub fn flip(mut self, flip: bool) -> Self {
        self.flip = flip;
        self
    }
}
