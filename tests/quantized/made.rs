//! Matrices of each format, made of random bits with scales of a sane size.

use half::f16;
use zmlx::Array;
use zmlx::io::GgufType::{self, *};
use zmlx::kernels::quant::QuantizedWeight;
use zmlx::ops::{QuantMode, Quantization};
use zmlx::prelude::*;

use crate::common::Rng;

/// The packed types, and where in a block its float16 numbers are.
pub const GGUF: [(GgufType, &[usize]); 10] = [
    (Q4_0, &[0]),
    (Q4_1, &[0, 2]),
    (Q5_0, &[0]),
    (Q5_1, &[0, 2]),
    (Q8_0, &[0]),
    (Q2_K, &[80, 82]),
    (Q3_K, &[108]),
    (Q4_K, &[0, 2]),
    (Q5_K, &[0, 2]),
    (Q6_K, &[208]),
];

/// The layouts of MLX: all bits, all groups at least once, and the modes of floats.
pub fn mlx() -> Vec<Quantization> {
    let affine = [
        (32, 2),
        (64, 3),
        (64, 4),
        (128, 5),
        (32, 6),
        (128, 8),
        (32, 4),
        (128, 4),
    ];
    let mut all: Vec<_> = affine.map(|(g, b)| Quantization::affine(g, b)).into();
    all.extend([QuantMode::Mxfp4, QuantMode::Mxfp8, QuantMode::Nvfp4].map(Quantization::of));
    all
}

/// Random blocks.
pub fn blocks(rng: &mut Rng, kind: GgufType, rows: usize, k: usize) -> Array {
    let places = GGUF.iter().find(|(t, _)| *t == kind).unwrap().1;
    let bytes = kind.block_bytes();
    let count = rows * k / kind.block_elements();
    let mut all: Vec<u8> = (0..count * bytes).map(|_| rng.next() as u8).collect();
    for block in all.chunks_exact_mut(bytes) {
        for &at in places {
            let number = f16::from_f32(rng.normal() * 0.02);
            block[at..at + 2].copy_from_slice(&number.to_le_bytes());
        }
    }
    Array::from_slice(&all, (rows, count / rows * bytes)).unwrap()
}

pub fn gguf(rng: &mut Rng, kind: GgufType, rows: usize, k: usize) -> QuantizedWeight {
    QuantizedWeight::gguf(kind, &blocks(rng, kind, rows, k)).unwrap()
}

pub fn affine(rng: &mut Rng, q: Quantization, shape: &[i32], dtype: Dtype) -> QuantizedWeight {
    let n = shape.iter().map(|&n| n as usize).product();
    let w = Array::from_slice(&rng.normals(n), shape.to_vec()).unwrap();
    let w = w.astype(dtype).unwrap().quantize(q).unwrap();
    QuantizedWeight::new(&w).unwrap()
}

/// Its elements.
pub fn elements(w: &QuantizedWeight) -> Vec<f64> {
    let all = w.dequantize(Dtype::Float32).unwrap();
    all.to_vec::<f32>()
        .unwrap()
        .into_iter()
        .map(f64::from)
        .collect()
}
