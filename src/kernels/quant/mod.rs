//! Floats from quantized codes.
//!
//! Results are float32 unless `dtype` asks for float16 or bfloat16. They are linear in their scales, or smooth: scales
//! have derivatives of every order. Codes are integers and have none: asking for one is an
//! [`Error::Argument`](crate::Error::Argument).
//!
//! Codes of 4 bits lie two in a byte, the lower half first. Their arrays keep their shape, with a last axis of twice as
//! many elements.

mod blocks;
mod calls;
mod nibbles;
mod operations;
mod products;
mod table;

pub use calls::{Dequantize, DequantizeBlockwise, DequantizeFp8, Fp8, FusedSwigluQuant};
pub use products::{
    Activations, QuantFormat, QuantizedMatmul, QuantizedWeight, gather_quantized_matmul,
    quantized_matmul,
};
pub(super) use table::TABLE;

use crate::{Array, Dtype};
use calls::Codes;
use nibbles::Format;

/// `x scale`, where `x` are integers.
///
/// `x`: any shape, integers of any size; `scale`: one element, float32, float16 or bfloat16. Computed in float32.
///
/// ```
/// use zmlx::{Array, kernels::quant::dequantize_int8};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[-128i8, 0, 3], 3)?;
/// let y = dequantize_int8(&x, &Array::from(0.5)).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [-64.0, 0.0, 1.5]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_int8<'a>(x: &'a Array, scale: &'a Array) -> Dequantize<'a> {
    Dequantize::new(Codes::Int8, x, scale)
}

/// `silu(x scale)`, where `x` are integers; see [`dequantize_int8`].
///
/// ```
/// use zmlx::{Array, kernels::quant::dequantize_silu_int8};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[-128i8, 0, 100], 3)?;
/// let y = dequantize_silu_int8(&x, &Array::from(1.0)).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.0, 100.0]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_silu_int8<'a>(x: &'a Array, scale: &'a Array) -> Dequantize<'a> {
    Dequantize::new(Codes::SiluInt8, x, scale)
}

/// Codes of 4 bits, from 0 to 15, times the scale.
///
/// `x`: (..., D), uint8, two codes each; `scale`: one element, float32, float16 or bfloat16. The result is (..., 2 D), so that rows stay
/// rows; the original gives (2 n,) of n bytes in any shape, which are the same elements in the same order: `reshape(-1)` makes it that.
///
/// ```
/// use zmlx::{Array, kernels::quant::dequantize_int4};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0x21u8, 0xf0], 2)?;
/// let y = dequantize_int4(&x, &Array::from(0.5)).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [0.5, 1.0, 0.0, 7.5]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_int4<'a>(x: &'a Array, scale: &'a Array) -> Dequantize<'a> {
    Dequantize::new(Codes::Nibbles(Format::Int4), x, scale)
}

/// Codes of the 16 quantiles NF4 (T. Dettmers and others, "QLoRA", 2023), which lie from -1 to 1, times the scale; shapes as
/// in [`dequantize_int4`].
///
/// ```
/// use zmlx::{Array, kernels::quant::dequantize_nf4};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0x70u8, 0x0f], 2)?;
/// let y = dequantize_nf4(&x, &Array::from(2.0)).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [-2.0, 0.0, 2.0, -2.0]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_nf4<'a>(x: &'a Array, scale: &'a Array) -> Dequantize<'a> {
    Dequantize::new(Codes::Nibbles(Format::Nf4), x, scale)
}

/// Floats of 8 bits (P. Micikevicius and others, "FP8 Formats for Deep Learning", 2022), e4m3 unless
/// its option `variant` says otherwise, times the scale.
///
/// `x`: any shape, uint8; `scale`: one element, float32, float16 or bfloat16. Codes of NaN and infinity are what they are.
///
/// ```
/// use zmlx::{Array, kernels::quant::{dequantize_fp8, Fp8}};
/// # fn main() -> zmlx::Result<()> {
/// let (x, one) = (Array::from_slice(&[0x7eu8, 0x38, 0xb8], 3)?, Array::from(1.0));
/// assert_eq!(dequantize_fp8(&x, &one).call()?.to_vec::<f32>()?, [448.0, 1.0, -1.0]);
/// let y = dequantize_fp8(&x, &one).variant(Fp8::E5m2).call()?;
/// assert_eq!(y.to_vec::<f32>()?[1..], [0.5, -0.5]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_fp8<'a>(x: &'a Array, scale: &'a Array) -> DequantizeFp8<'a> {
    DequantizeFp8 {
        x,
        scale,
        variant: Fp8::E4m3,
        dtype: Dtype::Float32,
    }
}

/// Codes times the scale of their block: `scales[i / block_size]`, where i counts the results in row-major order.
///
/// `x`: with [`bits`](DequantizeBlockwise::bits) 8, any shape, int8 or uint8; with 4, (..., D), uint8, two codes from 0 to 15 each, and
/// the result is (..., 2 D). `scales`: one element for each block, float32, float16 or bfloat16; the last block may be shorter.
///
/// ```
/// use zmlx::{Array, kernels::quant::dequantize_blockwise};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1i8, 2, 3, -4, 5], 5)?;
/// let scales = Array::from_slice(&[1.0f32, 10.0, 100.0], 3)?;
/// let y = dequantize_blockwise(&x, &scales).block_size(2).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 30.0, -40.0, 500.0]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_blockwise<'a>(x: &'a Array, scales: &'a Array) -> DequantizeBlockwise<'a> {
    DequantizeBlockwise {
        x,
        scales,
        block_size: 128,
        bits: 8,
        dtype: Dtype::Float32,
    }
}

/// `silu(a) b` of quantized `a = x1 scales1` and `b = x2 scales2`, where each block has a scale, as in
/// [`dequantize_blockwise`]. (The original multiplies by `a` once more.)
///
/// `x1`, `x2`: one shape, any; int8 or uint8 each. `scales1`, `scales2`: one element for each block, float32, float16 or bfloat16.
///
/// ```
/// use zmlx::{Array, kernels::quant::fused_swiglu_quant};
/// # fn main() -> zmlx::Result<()> {
/// let (x1, x2) = (Array::from_slice(&[100i8], 1)?, Array::from_slice(&[3i8], 1)?);
/// let (s1, s2) = (Array::from_slice(&[0.5f32], 1)?, Array::from_slice(&[2.0f32], 1)?);
/// assert_eq!(fused_swiglu_quant(&x1, &s1, &x2, &s2).call()?.to_vec::<f32>()?, [300.0]);
/// # Ok(())
/// # }
/// ```
pub fn fused_swiglu_quant<'a>(
    x1: &'a Array,
    scales1: &'a Array,
    x2: &'a Array,
    scales2: &'a Array,
) -> FusedSwigluQuant<'a> {
    FusedSwigluQuant {
        codes: [x1, x2],
        scales: [scales1, scales2],
        block_size: 128,
        dtype: Dtype::Float32,
    }
}
