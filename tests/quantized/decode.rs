//! What packed elements stand for: against the `gguf` package's values, MLX's own, and each other.

use std::fs;

use zmlx::io;
use zmlx::kernels::quant::QuantizedWeight;
use zmlx::ops::{QuantMode, Quantization};
use zmlx::prelude::*;

use crate::common::{Rng, exactly, on_worker};
use crate::made;

/// `tests/io/reference.gguf` has random blocks of each type and what the `gguf` package makes of them.
#[test]
fn blocks_of_gguf() {
    on_worker(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reference.gguf");
        fs::write(&path, include_bytes!("../io/reference.gguf")).unwrap();
        let file = io::load_gguf_raw(&path).unwrap();
        for (kind, _) in made::GGUF {
            let name = kind.name().to_lowercase();
            let w =
                QuantizedWeight::from_gguf(file.get(&format!("{name}.weight")).unwrap()).unwrap();
            assert_eq!(w.shape(), [3, 512]);
            let want = file
                .get(&format!("{name}.f32"))
                .unwrap()
                .data
                .to_vec::<f32>()
                .unwrap();
            let got = w
                .dequantize(Dtype::Float32)
                .unwrap()
                .to_vec::<f32>()
                .unwrap();
            for (i, (g, w)) in got.iter().zip(&want).enumerate() {
                // Products of scales are rounded at other places: a few units of the last place of the largest part.
                let most = w.abs().max(0.02 * 64.0);
                assert!((g - w).abs() <= 4e-7 * most, "{name}[{i}]: {g}, not {w}");
            }
        }
    });
}

#[test]
fn layouts_of_mlx() {
    on_worker(|| {
        let mut rng = Rng::new();
        for (i, q) in made::mlx().into_iter().enumerate() {
            let dtype = [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16][i % 3];
            let x = Array::from_slice(&rng.normals(5 * 256), (5, 256)).unwrap();
            // MLX's kernels for these on a GPU take seconds to compile.
            let (theirs, w) = exactly(|| {
                let w = x.astype(dtype).unwrap().quantize(q).unwrap();
                (
                    w.dequantize()
                        .unwrap()
                        .astype(Dtype::Float32)
                        .unwrap()
                        .to_vec::<f32>()
                        .unwrap(),
                    w,
                )
            });
            let got = QuantizedWeight::new(&w).unwrap();
            assert_eq!(got.shape(), [5, 256]);
            let got = got
                .dequantize(Dtype::Float32)
                .unwrap()
                .to_vec::<f32>()
                .unwrap();
            // MLX rounds to the dtype of the scales, or to bfloat16; scale times code is up to twice the largest element.
            let unit = match (q.mode, dtype) {
                (QuantMode::Affine, Dtype::Float32) => 1e-6,
                (QuantMode::Affine, Dtype::Float16) => 2e-3,
                _ => 1.6e-2,
            };
            let most = theirs.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            for (i, (g, w)) in got.iter().zip(&theirs).enumerate() {
                assert!((g - w).abs() <= unit * most, "{q:?}[{i}]: {g}, not {w}");
            }
        }
    });
}

/// Codes as bits of a stream, and scales as float64 numbers: affine layouts by their definition.
#[test]
fn affine_by_definition() {
    on_worker(|| {
        let mut rng = Rng::new();
        for bits in [2, 3, 4, 5, 6, 8usize] {
            let (rows, k, group) = (3, 96, 32);
            let words: Vec<u32> = (0..rows * k * bits / 32)
                .map(|_| rng.next() as u32)
                .collect();
            let (scales, biases) = (rng.normals(rows * k / group), rng.normals(rows * k / group));
            let part = |v: &[f32]| Array::from_slice(v, (rows, k / group)).unwrap();
            let w = zmlx::ops::Quantized {
                weight: Array::from_slice(&words, (rows, k * bits / 32)).unwrap(),
                scales: part(&scales),
                biases: Some(part(&biases)),
                global_scale: None,
                quantization: Quantization::affine(group as i32, bits as i32),
            };
            let got = made::elements(&QuantizedWeight::new(&w).unwrap());
            for (i, g) in got.iter().enumerate() {
                let code = (0..bits).fold(0u32, |code, b| {
                    let at = i * bits + b;
                    code | (words[at / 32] >> (at % 32) & 1) << b
                });
                let (s, b) = (f64::from(scales[i / group]), f64::from(biases[i / group]));
                let want = s * f64::from(code) + b;
                let most = s.abs() * f64::from(code) + b.abs();
                assert!(
                    (g - want).abs() <= 2e-7 * most,
                    "{bits} bits [{i}]: {g}, not {want}"
                );
            }
        }
    });
}

#[test]
fn a_scale_of_the_whole() {
    on_worker(|| {
        let mut rng = Rng::new();
        let x = Array::from_slice(&rng.normals(4 * 64), (4, 64)).unwrap();
        let whole = x.abs().unwrap().max(..).unwrap();
        let q = Quantization::of(QuantMode::Nvfp4);
        let (w, theirs) = exactly(|| {
            let w = x.quantize_scaled(q, Some(&whole)).unwrap();
            let theirs = w.dequantize().unwrap().astype(Dtype::Float32).unwrap();
            (w, theirs.to_vec::<f32>().unwrap())
        });
        let got = made::elements(&QuantizedWeight::new(&w).unwrap());
        let most = f64::from(whole.item::<f32>().unwrap());
        for (g, &w) in got.iter().zip(&theirs) {
            // MLX's numbers are bfloat16.
            assert!((g - f64::from(w)).abs() <= 4e-3 * most, "{g}, not {w}");
        }
    });
}

#[test]
fn dtypes_and_stacks() {
    on_worker(|| {
        let mut rng = Rng::new();
        let q = Quantization::affine(32, 4);
        let w = made::affine(&mut rng, q, &[2, 3, 64], Dtype::Float32);
        let want = made::elements(&w);
        for (dtype, unit) in [(Dtype::Float16, 1e-3), (Dtype::Bfloat16, 8e-3)] {
            let got = w.dequantize(dtype).unwrap();
            assert_eq!((got.shape(), got.dtype()), (&[2, 3, 64][..], dtype));
            let got = got.astype(Dtype::Float32).unwrap().to_vec::<f32>().unwrap();
            for (g, w) in got.iter().zip(&want) {
                // The smallest float16 numbers are 6e-8 apart.
                assert!(
                    (f64::from(*g) - w).abs() <= unit * w.abs() + 6e-8,
                    "{g}, not {w}"
                );
            }
        }
    });
}
