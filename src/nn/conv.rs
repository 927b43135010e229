//! Convolutions.

use super::init::Init;
use super::module::no_parameters;
use super::param::Param;
use crate::nn::Module;
use crate::ops::Conv;
use crate::{Array, Error, Result};

/// Settings of a convolution as a field of a module.
#[derive(Clone, Debug)]
struct Settings(Conv);

no_parameters!(Settings);

macro_rules! convolutions {
    ($($(#[$doc:meta])* $name:ident, $call:ident, $axes:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        pub struct $name {
            /// (outputs, window ..., inputs / groups).
            pub weight: Param,
            /// (outputs,).
            pub bias: Option<Param>,
            conv: Settings,
        }

        impl $name {
            /// A layer with a bias, stride 1 and no padding; weight and bias are uniform within `1 / sqrt(inputs window)`.
            ///
            /// # Errors
            /// [`Error::Argument`] for sizes below 1.
            #[track_caller]
            pub fn new(inputs: i32, outputs: i32, window: [i32; $axes], init: &mut Init) -> Result<Self> {
                Self::grouped(inputs, outputs, window, 1, init)
            }

            /// The same in groups of channels that do not see each other.
            ///
            /// ```
            /// use zmlx::nn;
            /// let layer = nn::Conv1d::grouped(4, 8, [3], 2, &mut nn::Init::seed(7))?;
            /// assert_eq!(layer.weight.shape(), [8, 3, 2]); // each output sees two of the four channels
            /// # Ok::<(), zmlx::Error>(())
            /// ```
            ///
            /// # Errors
            /// [`Error::Argument`] for sizes below 1 and groups that do not divide inputs and outputs.
            #[track_caller]
            pub fn grouped(
                inputs: i32,
                outputs: i32,
                window: [i32; $axes],
                groups: i32,
                init: &mut Init,
            ) -> Result<Self> {
                let shape = weight_shape(inputs, outputs, &window, groups)?;
                let terms: f64 = shape[1..].iter().map(|&n| f64::from(n)).product();
                let bound = terms.sqrt().recip();
                Ok($name {
                    weight: init.uniform(&shape, bound)?.into(),
                    bias: Some(init.uniform(&[outputs], bound)?.into()),
                    conv: Settings(Conv::new().groups(groups)),
                })
            }

            /// Other settings: `layer.with(|conv| conv.stride(2).padding(1))`.
            pub fn with(mut self, change: impl FnOnce(Conv) -> Conv) -> Self {
                self.conv = Settings(change(self.conv.0));
                self
            }

            /// Applies the layer: (batch, positions ..., inputs) becomes (batch, positions ..., outputs).
            ///
            /// # Errors
            /// As [`Array::conv1d`].
            #[track_caller]
            pub fn forward(&self, x: &Array) -> Result<Array> {
                let y = x.$call(&self.weight, self.conv.0.clone())?;
                match &self.bias {
                    Some(bias) => y.add(&**bias),
                    None => Ok(y),
                }
            }
        }
    )*};
}

convolutions! {
    /// A convolution along one axis, channels last.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// # fn main() -> zmlx::Result<()> {
    /// let layer = nn::Conv1d::new(3, 8, [5], &mut nn::Init::seed(7))?.with(|conv| conv.padding(2));
    /// assert_eq!(layer.forward(&Array::ones((1, 10, 3), Dtype::Float32)?)?.shape(), [1, 10, 8]);
    /// # Ok(())
    /// # }
    /// ```
    Conv1d, conv1d, 1;
    /// A convolution along two axes, channels last.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// # fn main() -> zmlx::Result<()> {
    /// let layer = nn::Conv2d::new(3, 8, [3, 3], &mut nn::Init::seed(7))?.with(|conv| conv.stride(2));
    /// assert_eq!(layer.forward(&Array::ones((1, 9, 9, 3), Dtype::Float32)?)?.shape(), [1, 4, 4, 8]);
    /// # Ok(())
    /// # }
    /// ```
    Conv2d, conv2d, 2;
}

#[track_caller]
fn weight_shape(inputs: i32, outputs: i32, window: &[i32], groups: i32) -> Result<Vec<i32>> {
    let sizes = [("inputs", inputs), ("outputs", outputs)];
    let windows = window.iter().map(|&n| ("window", n));
    for (name, size) in sizes.into_iter().chain(windows) {
        if size < 1 {
            return Err(Error::argument(name, "1 or more", size));
        }
    }
    if groups < 1 || inputs % groups != 0 || outputs % groups != 0 {
        let expected = format!("a divisor of {inputs} inputs and {outputs} outputs");
        return Err(Error::argument("groups", expected, groups));
    }
    Ok([&[outputs], window, &[inputs / groups]].concat())
}
