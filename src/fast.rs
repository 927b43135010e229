//! MLX's fused operations for language models (`mlx/fast.h`).
//!
//! On a GPU each is one kernel or a few; elsewhere MLX composes it of other operations.
//! Optional arrays are written `&w` or `None`. What has many options is a builder
//! that ends in `call`.
//!
//! ```
//! use zmlx::{fast, random};
//! # fn main() -> zmlx::Result<()> {
//! let x = random::normal((1, 4, 6, 8))?; // batch, heads, tokens, head dimension
//! let q = fast::rope(&x, 8).call()?;
//! let y = fast::scaled_dot_product_attention(&q, &q, &x, 8f32.powf(-0.5)).causal().call()?;
//! let n = fast::rms_norm(&y, None, 1e-5)?;
//! assert_eq!(n.shape(), x.shape());
//! # Ok(())
//! # }
//! ```

mod attention;
mod delta;
mod rope;

use crate::array::maybe;
use crate::bridge::fast::ffi;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Error, Result};

pub use self::attention::{Attention, scaled_dot_product_attention};
pub use self::delta::{GatedDelta, gated_delta_update};
pub use self::rope::{Rope, rope};

/// Root mean square normalization over the last dimension:
/// `x / sqrt(mean(x^2) + eps) * weight`, computed in float32.
///
/// `x` has any shape `(.., n)`, `weight` the shape `(n,)`; `None` stands for ones. The
/// result has the shape of `x` and the dtype both promote to.
///
/// ```
/// use zmlx::{Array, fast};
/// let x = Array::from_iter([3.0f32, 4.0])?;
/// let y = fast::rms_norm(&x, None, 0.0)?;
/// // Divided by the root of 12.5.
/// let want = Array::from_iter([0.848528f32, 1.131371])?;
/// assert!(y.allclose(&want, (1e-4, 0.0))?.item::<bool>()?);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for other shapes, [`Error::Dtype`] or [`Error::Argument`] when
/// the dtype is not a float one.
#[track_caller]
pub fn rms_norm<'a>(x: &Array, weight: impl Into<Option<&'a Array>>, eps: f32) -> Result<Array> {
    done(ffi::rms_norm(x.raw(), maybe(weight.into()), eps, current()))
}

/// Layer normalization over the last dimension:
/// `(x - mean(x)) / sqrt(var(x) + eps) * weight + bias`, computed in float32.
///
/// `x` has any shape `(.., n)`, `weight` and `bias` the shape `(n,)`; `None` stands for ones and
/// zeros. The result has the shape of `x` and the dtype all promote to.
///
/// ```
/// use zmlx::{Array, fast};
/// let x = Array::from_iter([1.0f32, 3.0])?;
/// let weight = Array::from_iter([1.0f32, 10.0])?;
/// let y = fast::layer_norm(&x, &weight, None, 0.0)?;
/// let want = Array::from_iter([-1.0f32, 10.0])?;
/// assert!(y.allclose(&want, (1e-4, 0.0))?.item::<bool>()?);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for other shapes, [`Error::Dtype`] or [`Error::Argument`] when
/// the dtype is not a float one.
#[track_caller]
pub fn layer_norm<'a, 'b>(
    x: &Array,
    weight: impl Into<Option<&'a Array>>,
    bias: impl Into<Option<&'b Array>>,
    eps: f32,
) -> Result<Array> {
    let (weight, bias) = (maybe(weight.into()), maybe(bias.into()));
    done(ffi::layer_norm(x.raw(), weight, bias, eps, current()))
}

/// Cross entropy of class indices: `logsumexp(logits) - logits[target]` over the last dimension.
///
/// `logits` has the shape `(.., classes)`, `targets` the shape before the last dimension and
/// an integer dtype. The result has the shape of `targets`. A negative index counts from
/// the last class; one out of range stands for the nearest class.
///
/// ```
/// use zmlx::{Array, Dtype, fast};
/// let logits = Array::zeros((2, 4), Dtype::Float32)?;
/// let targets = Array::from_iter([0, 3])?;
/// let loss = fast::cross_entropy(&logits, &targets)?;
/// // All four classes are as likely.
/// assert!((loss.index(0)?.item::<f32>()? - 4f32.ln()).abs() < 1e-5);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for other shapes or no classes, [`Error::Dtype`] or [`Error::Argument`]
/// for other dtypes. The targets have no gradient.
#[track_caller]
pub fn cross_entropy(logits: &Array, targets: &Array) -> Result<Array> {
    if logits.shape().last() == Some(&0) {
        return Err(Error::shape(format!(
            "`logits`: expected at least one class, got shape {:?}",
            logits.shape()
        )));
    }
    if logits.size() == 0 && logits.dtype().is_floating() && targets.dtype().is_integral() {
        // MLX has no logarithm of the sum of no rows.
        let rows = logits.shape().split_last().map_or(&[][..], |(_, r)| r);
        if targets.shape() == rows {
            return Array::zeros(rows, logits.dtype());
        }
    }
    done(ffi::cross_entropy(logits.raw(), targets.raw(), current()))
}

/// Starts the description of a custom kernel: [`MetalKernel::new`](crate::MetalKernel::new)
/// under MLX's name.
///
/// ```
/// use zmlx::{Array, fast};
/// let twice = fast::metal_kernel("twice", ["x"], ["out"])
///     .source("uint i = thread_position_in_grid.x; out[i] = 2 * x[i];")
///     .build()?;
/// let [y] = twice.launch(&[&Array::from_iter([1.0f32, 2.0])?]).run()?;
/// assert_eq!(y.to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn metal_kernel<I, O>(name: &str, inputs: I, outputs: O) -> crate::metal::KernelBuilder
where
    I: IntoIterator<Item: Into<String>>,
    O: IntoIterator<Item: Into<String>>,
{
    crate::MetalKernel::new(name, inputs, outputs)
}
