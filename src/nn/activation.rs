//! Activations as values, for layers that take one. The functions themselves are in
//! [`kernels::activations`](crate::kernels::activations), and under this module's name.

use crate::kernels::activations;
use crate::{Array, Result};

macro_rules! activations {
    (|$x:ident| $($(#[$doc:meta])* $name:ident => $call:expr;)*) => {
        /// A function of each element: a layer without parameters.
        ///
        /// ```
        /// use zmlx::{Array, nn::Activation};
        /// # fn main() -> zmlx::Result<()> {
        /// assert_eq!(Activation::Relu.forward(&Array::from(-2.0f32))?.item::<f32>()?, 0.0);
        /// # Ok(())
        /// # }
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Activation {
            $($(#[$doc])* $name,)*
        }

        impl Activation {
            /// All of them.
            pub const ALL: &[Activation] = &[$(Activation::$name),*];

            /// Applies the function: any shape, float32, float16 or bfloat16.
            ///
            /// # Errors
            /// [`Error::Dtype`](crate::Error::Dtype) for another dtype.
            #[track_caller]
            pub fn forward(self, $x: &Array) -> Result<Array> {
                match self {
                    $(Activation::$name => $call,)*
                }
            }
        }
    };
}

activations! { |x|
    /// The positive part.
    Relu => activations::relu(x);
    /// The square of the positive part.
    Relu2 => activations::relu2(x);
    /// A slope of 0.01 below 0.
    LeakyRelu => activations::leaky_relu(x).call();
    /// GELU by the error function.
    Gelu => activations::gelu(x);
    /// GELU by the hyperbolic tangent.
    GeluTanh => activations::gelu_tanh(x);
    /// GELU by the logistic function.
    QuickGelu => activations::quick_gelu(x);
    /// `x / (1 + exp(-x))`.
    Silu => activations::silu(x);
    /// The logistic function.
    Sigmoid => activations::sigmoid(x);
    /// The hyperbolic tangent.
    Tanh => activations::tanh(x);
    /// `log(1 + exp(x))`.
    Softplus => activations::softplus(x);
    /// ELU with a limit of -1.
    Elu => activations::elu(x).call();
    /// SELU.
    Selu => activations::selu(x);
    /// Mish.
    Mish => activations::mish(x);
    /// SiLU by lines.
    HardSwish => activations::hardswish(x);
    /// `x / (1 + |x|)`.
    Softsign => activations::softsign(x);
}

super::module::no_parameters!(Activation);
