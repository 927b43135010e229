//! Activations, as operations of MLX.
//!
//! They need no compiler, run in every floating-point type (integers become float32), and MLX fuses them in
//! [`compile`](crate::compile). Each is several operations, computed in the array's type, so float16 and bfloat16 are rounded
//! at each of them. [`kernels::activations`](crate::kernels::activations) has the same as one kernel that
//! computes in float32. NaN stays NaN, and the infinities give the limits. Complex arrays are refused.

use super::where_;
use crate::{Array, Dtype, Error, IntoAxes, Result, keepdims};

/// The least finite number of float16, with which products with 0 are 0 in every type.
const LOW: f32 = -65504.0;

/// Rows have an example, `relu: [-2.0f32] => f32 [0.0]`, and what is computed of `x`.
macro_rules! activations {
    (|$x:ident| $($(#[$doc:meta])* $name:ident: $example:tt => $kind:ident $result:tt, $body:expr;)*) => {
        impl Array {$(
            $(#[$doc])*
            #[doc = $crate::ops::macros::example!($name $example => $kind $result)]
            #[track_caller]
            pub fn $name(&self) -> Result<Array> {
                let $x = self;
                $body
            }
        )*}
    };
}

activations! { |x|
    /// The positive part, `max(x, 0)`, in the array's type.
    relu: [-2.0f32, 3.0] => f32 [0.0, 3.0], x.real_numbers()?.maximum(0);
    /// The positive part up to 6, in the array's type.
    relu6: [-2.0f32, 3.0, 8.0] => f32 [0.0, 3.0, 6.0], x.real_numbers()?.clip(0..=6);
    /// SiLU or swish, `x / (1 + e^-x)`.
    silu: [1.0f32] => near [0.731059f32], x.damped(|x| x.sigmoid());
    /// GELU by the error function, `x (1 + erf(x / sqrt(2))) / 2`.
    gelu: [1.0f32] => near [0.841345f32], x.damped(|x| {
        x.multiply(std::f64::consts::FRAC_1_SQRT_2)?.erf()?.add(1.0)?.multiply(0.5)
    });
    /// GELU by the hyperbolic tangent, `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    gelu_tanh: [1.0f32] => near [0.841192f32], x.damped(|x| {
        let root = (2.0 / std::f64::consts::PI).sqrt();
        // Beyond, the tangent is 1 or -1, and in float16 the power of 3 overflows.
        let x = x.clip(-10.0..=10.0)?;
        let inner = x.square()?.multiply(0.044_715 * root)?.add(root)?.multiply(x)?;
        inner.tanh()?.add(1.0)?.multiply(0.5)
    });
    /// GELU by the logistic function, `x / (1 + e^(-1.702 x))`.
    quick_gelu: [1.0f32] => near [0.845796f32], x.damped(|x| x.multiply(1.702)?.sigmoid());
    /// `log(1 + e^x)`, a smooth form of the positive part, without overflow.
    softplus: [0.0f32, 100.0] => near [0.693147f32, 100.0], x.floating()?.logaddexp(0.0);
    /// `-log(1 + e^-x)`, the logarithm of the logistic function, without overflow.
    log_sigmoid: [0.0f32, -100.0] => near [-0.693147f32, -100.0], x.floating()?.negative()?.logaddexp(0.0)?.negative();
    /// Mish, `x tanh(log(1 + e^x))`.
    mish: [1.0f32] => near [0.865098f32], x.damped(|x| x.logaddexp(0.0)?.tanh());
    /// SELU, `1.0507 (x > 0 ? x : 1.67326 (e^x - 1))`.
    selu: [-1.0f32, 1.0] => near [-1.111331f32, 1.050701], x.elu(1.673_263_242_354_377_2)?.multiply(1.050_700_987_355_480_5);
    /// SiLU by lines, `x min(max(x + 3, 0), 6) / 6`.
    hard_swish: [-4.0f32, 1.5, 4.0] => near [0.0f32, 1.125, 4.0], x.damped(|x| x.hard_sigmoid());
    /// `min(max(x / 6 + 1 / 2, 0), 1)`, the logistic function by lines.
    hard_sigmoid: [-4.0f32, 0.0, 4.0] => f32 [0.0, 0.5, 1.0], x.floating()?.multiply(1.0 / 6.0)?.add(0.5)?.clip(0.0..=1.0);
    /// `x / (1 + |x|)`.
    softsign: [-1.0f32, 3.0] => f32 [-0.5, 0.75], {
        let x = x.floating()?;
        let most = x.dtype().float_info().map_or(f64::INFINITY, |i| i.max);
        let x = x.clip(-most..=most)?;
        x.divide(x.abs()?.add(1.0)?)
    };
}

impl Array {
    /// `x` above 0, `slope x` below.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::from_slice(&[-2.0f32, 3.0], 2)?;
    /// assert_eq!(x.leaky_relu(0.25)?.to_vec::<f32>()?, [-0.5, 3.0]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Result<Array> {
        let x = &self.floating()?;
        where_(&x.greater(0.0)?, x, x.multiply(slope)?)
    }

    /// ELU: `x` above 0, `alpha (e^x - 1)` below.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::from_slice(&[-1000.0f32, 3.0], 2)?;
    /// assert_eq!(x.elu(0.5)?.to_vec::<f32>()?, [-0.5, 3.0]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Result<Array> {
        let x = &self.floating()?;
        // The branch that is not taken must not overflow: its gradient would be NaN.
        let below = x.minimum(0.0)?.expm1()?.multiply(alpha)?;
        where_(&x.greater(0.0)?, x, below)
    }

    /// CELU: `x` above 0, `alpha (e^(x / alpha) - 1)` below, so that the slope at 0 is 1.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::from_slice(&[-1000.0f32, 3.0], 2)?;
    /// assert_eq!(x.celu(0.5)?.to_vec::<f32>()?, [-0.5, 3.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] unless `alpha` is above 0.
    #[track_caller]
    pub fn celu(&self, alpha: f64) -> Result<Array> {
        if alpha.is_nan() || alpha <= 0.0 {
            return Err(Error::argument("alpha", "a number above 0", alpha));
        }
        let x = self.floating()?;
        let below = x.minimum(0.0)?.divide(alpha)?.expm1()?.multiply(alpha)?;
        x.maximum(0.0)?.add(below)
    }

    /// The logarithm of [`softmax`](Array::softmax), `x - log(sum(e^x))` over `axes`, without overflow.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::from_slice(&[1000.0f32, 1000.0], 2)?;
    /// let y = x.log_softmax(-1)?.to_vec::<f32>()?;
    /// assert!((y[0] + 2f32.ln()).abs() < 1e-6);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn log_softmax(&self, axes: impl IntoAxes) -> Result<Array> {
        let (x, axes) = (self.floating()?, axes.into_axes());
        if x.size() == 0 {
            return x.subtract(x.logsumexp(keepdims(axes))?);
        }
        // The result does not depend on a shift, and near zero sums keep their digits.
        let x = x.subtract(x.max(keepdims(axes.clone()))?.stop_gradient()?)?;
        x.subtract(x.logsumexp(keepdims(axes))?)
    }

    /// A gated linear unit: the first half along `axis` times the logistic function of the second.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::from_slice(&[3.0f32, 0.0], 2)?;
    /// assert_eq!(x.glu(-1)?.to_vec::<f32>()?, [1.5]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is such an axis, of even length.
    #[track_caller]
    pub fn glu(&self, axis: i32) -> Result<Array> {
        let n = self.dim(axis)?;
        if n % 2 != 0 {
            return Err(Error::shape(format!(
                "[glu] expected an even length of axis {axis}, got shape {:?}",
                self.shape()
            )));
        }
        let [value, gate] = super::exactly(self.split(2, axis)?)?;
        value.multiply(gate.sigmoid()?)
    }

    /// This array, integers as float32.
    #[track_caller]
    fn floating(&self) -> Result<Array> {
        match self.dtype() {
            d if d.is_integral() => self.astype(Dtype::Float32),
            _ => self.real_numbers(),
        }
    }

    #[track_caller]
    fn real_numbers(&self) -> Result<Array> {
        match self.dtype() {
            Dtype::Complex64 => Err(Error::dtype(
                "[activation] expected real numbers, got complex64".into(),
            )),
            _ => Ok(self.clone()),
        }
    }

    /// `x` times a factor that is 0 far below 0: also at minus infinity.
    #[track_caller]
    fn damped(&self, factor: impl FnOnce(&Array) -> Result<Array>) -> Result<Array> {
        use crate::error::Here;
        let x = self.floating()?.maximum(LOW)?;
        factor(&x).here()?.multiply(&x)
    }
}
