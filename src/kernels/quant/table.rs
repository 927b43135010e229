//! The rows of the catalog's table, and the same by MLX's operations.

use super::blocks::Blocks;
use super::{
    dequantize_blockwise, dequantize_fp8, dequantize_int4, dequantize_int8, dequantize_nf4,
    dequantize_silu_int8, fused_swiglu_quant,
};
use crate::kernels::catalog::{self, Entry, Kind, few_roundings, input};
use crate::{Array, Result};

/// Codes in float32 times a scale, by MLX's operations; results have the dtype of the scale.
fn scaled(codes: &Array, scale: &Array) -> Result<Array> {
    codes.astype(scale.dtype())?.multiply(scale)
}

/// The same with a scale for each 128 elements.
fn in_blocks(codes: &Array, scales: &Array) -> Result<Array> {
    let blocks = Blocks::new(128, codes.size())?;
    let y = scaled(&blocks.rows(codes)?, &scales.expand_dims(-1)?)?;
    blocks.shaped(y, codes)
}

/// The halves of bytes.
fn halves(x: &Array) -> Result<Array> {
    let low = x.bitwise_and(Array::scalar(15u8)?)?;
    let high = x.right_shift(Array::scalar(4u8)?)?;
    let mut shape = x.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last *= 2;
    }
    crate::ops::stack(&[low, high], -1)?.reshape(shape)
}

/// The table of `kernels/quant.metal`.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

const ONE_SCALE: &[catalog::Input] = &[input("x", Kind::Codes), input("scale", Kind::Scale)];

pub(in crate::kernels) static TABLE: &[Entry] = &[
    Entry {
        name: "quant::dequantize_int8",
        formula: "x scale",
        file: "",
        inputs: ONE_SCALE,
        call: |p| {
            Ok(vec![
                dequantize_int8(&p[0], &p[1]).dtype(p[1].dtype()).call()?,
            ])
        },
        composite: |p| Ok(vec![scaled(&p[0], &p[1])?]),
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::dequantize_silu_int8",
        formula: "silu(x scale)",
        file: "",
        inputs: ONE_SCALE,
        call: |p| {
            Ok(vec![
                dequantize_silu_int8(&p[0], &p[1])
                    .dtype(p[1].dtype())
                    .call()?,
            ])
        },
        composite: |p| {
            let v = scaled(&p[0], &p[1])?;
            Ok(vec![(&v * v.sigmoid()?)?])
        },
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::dequantize_int4",
        formula: "[x mod 16, x div 16] scale",
        file: "quant.metal",
        inputs: ONE_SCALE,
        call: |p| {
            Ok(vec![
                dequantize_int4(&p[0], &p[1]).dtype(p[1].dtype()).call()?,
            ])
        },
        composite: |p| Ok(vec![scaled(&halves(&p[0])?, &p[1])?]),
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + 2 * size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::dequantize_blockwise",
        formula: "x scales[i div 128]",
        file: "",
        inputs: &[input("x", Kind::Codes), input("scales", Kind::Scales)],
        call: |p| {
            Ok(vec![
                dequantize_blockwise(&p[0], &p[1])
                    .dtype(p[1].dtype())
                    .call()?,
            ])
        },
        composite: |p| Ok(vec![in_blocks(&p[0], &p[1])?]),
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::fused_swiglu_quant",
        formula: "silu(a) b, a = x1 scales1[i div 128], b = x2 scales2[i div 128]",
        file: "",
        inputs: &[
            input("x1", Kind::Codes),
            input("scales1", Kind::Scales),
            input("x2", Kind::Codes),
            input("scales2", Kind::Scales),
        ],
        call: |p| {
            let call = fused_swiglu_quant(&p[0], &p[1], &p[2], &p[3]);
            Ok(vec![call.dtype(p[1].dtype()).call()?])
        },
        composite: |p| {
            let (a, b) = (in_blocks(&p[0], &p[1])?, in_blocks(&p[2], &p[3])?);
            Ok(vec![((&a * a.sigmoid()?)? * b)?])
        },
        mlx: None,
        bytes: |rows, width, size| rows * width * (2 + size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::dequantize_fp8",
        formula: "e4m3(x) scale",
        file: "quant.metal",
        inputs: ONE_SCALE,
        call: |p| {
            Ok(vec![
                dequantize_fp8(&p[0], &p[1]).dtype(p[1].dtype()).call()?,
            ])
        },
        composite: |p| Ok(vec![p[0].from_fp8(p[1].dtype())?.multiply(&p[1])?]),
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::dequantize_nf4",
        formula: "[nf4(x mod 16), nf4(x div 16)] scale",
        file: "quant.metal",
        inputs: ONE_SCALE,
        call: |p| {
            Ok(vec![
                dequantize_nf4(&p[0], &p[1]).dtype(p[1].dtype()).call()?,
            ])
        },
        composite: |p| {
            let table = Array::from_slice(&NF4, 16)?.astype(p[1].dtype())?;
            Ok(vec![table.take(&halves(&p[0])?, 0)?.multiply(&p[1])?])
        },
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + 2 * size),
        roundings: few_roundings,
    },
];
