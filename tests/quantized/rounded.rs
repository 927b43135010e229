//! Rows of x rounded to 8 bits: against sums in float64 over exactly the numbers that x is rounded to.

use zmlx::io::GgufType;
use zmlx::kernels::quant::{
    Activations, QuantizedWeight, gather_quantized_matmul, quantized_matmul,
};
use zmlx::ops::Quantization;
use zmlx::prelude::*;
use zmlx::vjp;

use crate::common::{Rng, exactly, on_worker};
use crate::made;
use crate::products::{check, product, values};

/// The formats that are multiplied so.
const GGUF: [GgufType; 8] = [
    GgufType::Q4_0,
    GgufType::Q4_1,
    GgufType::Q5_0,
    GgufType::Q5_1,
    GgufType::Q8_0,
    GgufType::Q4_K,
    GgufType::Q5_K,
    GgufType::Q6_K,
];

/// What x is rounded to, by the definition: 32 neighbours have a scale, the largest in size over 127, and become whole numbers of it, of two
/// equally near ones the even one. All in float32, whose products are exact in float64.
fn rounded(x: &[f64]) -> Vec<f64> {
    let block = |block: &[f64]| {
        let block: Vec<f32> = block.iter().map(|&v| v as f32).collect();
        let largest = block.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let scale = largest / 127.0;
        let inverse = if largest > 1e-36 {
            127.0 / largest
        } else {
            0.0
        };
        let code = |v: &f32| f64::from((v * inverse).round_ties_even()) * f64::from(scale);
        block.iter().map(code).collect::<Vec<f64>>()
    };
    x.chunks_exact(32).flat_map(block).collect()
}

/// The product by whole numbers.
#[track_caller]
fn ours(x: &Array, w: &QuantizedWeight) -> Array {
    let call = quantized_matmul(x, w).activations(Activations::Int8);
    call.call().unwrap()
}

fn normals(rng: &mut Rng, rows: usize, k: usize) -> Array {
    Array::from_slice(&rng.normals(rows * k), (rows, k)).unwrap()
}

/// Each format with each number of rows at a time, with rows of the matrix that fill no block, and more chunks than a pass takes.
/// The sums of codes are whole numbers, so the results are as near to the rounded numbers' products as those of floats are to theirs: the
/// tolerance is that of products without rounding.
#[test]
fn all_formats() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            let mut all: Vec<(String, QuantizedWeight)> = Vec::new();
            for kind in GGUF {
                all.push((kind.name().into(), made::gguf(&mut rng, kind, 37, 1280)));
            }
            for (group, bits) in [(64, 4), (32, 4), (128, 8), (32, 8)] {
                let q = Quantization::affine(group, bits);
                let dtype = [Dtype::Float16, Dtype::Float32][usize::from(group == 32)];
                all.push((
                    format!("{q:?}"),
                    made::affine(&mut rng, q, &[70, 384], dtype),
                ));
            }
            for (name, w) in &all {
                let k = w.shape()[1] as usize;
                // Each number of rows at a time is another kernel: all of them for one format of each kind.
                let kind = ["Q4_1", "Q6_K", "Q8_0"].contains(&name.as_str());
                let rows: &[usize] = if kind { &[1, 2, 3, 8, 17] } else { &[1, 17] };
                for &rows in rows {
                    let x = normals(&mut rng, rows, k);
                    let want = product(&rounded(&values(&x)), &made::elements(w), k);
                    check(&ours(&x, w), &want, &format!("{name}, {rows} rows"));
                }
            }
        });
    });
}

/// Codes as large as they get, all of one sign, so that sums of 16 bits would overflow if they could.
#[test]
fn the_largest_sums() {
    on_worker(|| {
        exactly(|| {
            let k = 256;
            let x = Array::full((9, k), 3.0, Dtype::Float32).unwrap();
            for kind in GGUF {
                let bytes = kind.block_bytes();
                let mut block = vec![0xffu8; bytes];
                for &at in made::GGUF.iter().find(|(t, _)| *t == kind).unwrap().1 {
                    block[at..at + 2].copy_from_slice(&0x2c00u16.to_le_bytes());
                }
                if kind == GgufType::Q8_0 {
                    block[2..].fill(0x80);
                }
                let row = block.repeat(k / kind.block_elements());
                let blocks = Array::from_slice(&row.repeat(9), (9, row.len())).unwrap();
                let w = QuantizedWeight::gguf(kind, &blocks).unwrap();
                let want = product(&rounded(&values(&x)), &made::elements(&w), k);
                for rows in [1, 4, 9] {
                    let y = ours(&x.index(..rows).unwrap(), &w);
                    let count = rows as usize * 9;
                    let part = (want.0[..count].to_vec(), want.1[..count].to_vec());
                    check(&y, &part, &format!("{}, {rows} rows", kind.name()));
                }
            }
        });
    });
}

/// A row has the same bits in its result whatever other rows are there.
#[test]
fn rows_do_not_depend_on_each_other() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            let four = made::affine(
                &mut rng,
                Quantization::affine(64, 4),
                &[45, 1152],
                Dtype::Float16,
            );
            let six = made::gguf(&mut rng, GgufType::Q6_K, 45, 1280);
            let eight = made::gguf(&mut rng, GgufType::Q8_0, 45, 1280);
            for w in [four, six, eight] {
                let x = normals(&mut rng, 40, w.shape()[1] as usize);
                let bits = |a: &Array| {
                    let all = a.to_vec::<f32>().unwrap();
                    all.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                };
                let alone: Vec<u32> = (0..40)
                    .flat_map(|i| bits(&ours(&x.index(i..=i).unwrap(), &w)))
                    .collect();
                for rows in [2, 4, 7, 40] {
                    let y = ours(&x.index(..rows).unwrap(), &w);
                    let other = bits(&y).iter().zip(&alone).position(|(a, b)| a != b);
                    assert_eq!((other, y.size()), (None, rows as usize * 45), "{rows} rows");
                }
            }
        });
    });
}

#[test]
fn dtypes_and_views() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            let k = 128;
            let w = made::gguf(&mut rng, GgufType::Q4_1, 9, k);
            let elements = made::elements(&w);
            for rows in [1, 3, 9] {
                for dtype in [Dtype::Float16, Dtype::Bfloat16] {
                    let x = normals(&mut rng, rows, k).astype(dtype).unwrap();
                    let y = ours(&x, &w);
                    assert_eq!(y.dtype(), dtype);
                    let want = product(&rounded(&values(&x)), &elements, k);
                    check(&y, &want, &format!("{rows} {dtype}"));
                }
            }
            let x = normals(&mut rng, k, 6).transpose(..).unwrap();
            let want = product(&rounded(&values(&x)), &elements, k);
            check(&ours(&x, &w), &want, "turned");
            // Blocks that begin at an odd byte.
            let bytes = w.arrays()[0].to_vec::<u8>().unwrap();
            let odd = Array::from_slice(&[&[0u8][..], &bytes].concat(), bytes.len() + 1).unwrap();
            let odd = odd
                .index(1..)
                .unwrap()
                .reshape(w.arrays()[0].shape())
                .unwrap();
            let w = QuantizedWeight::gguf(GgufType::Q4_1, &odd).unwrap();
            check(&ours(&x, &w), &want, "odd");
        });
    });
}

/// Experts, and what follows: the same calls on x that is rounded before.
#[test]
fn what_follows() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            let (e, n, k) = (3, 11, 128);
            let gate = made::affine(
                &mut rng,
                Quantization::affine(32, 4),
                &[n, k],
                Dtype::Float32,
            );
            let up = made::affine(
                &mut rng,
                Quantization::affine(64, 8),
                &[n, k],
                Dtype::Float32,
            );
            let stack = made::affine(
                &mut rng,
                Quantization::affine(32, 4),
                &[e, n, k],
                Dtype::Float32,
            );
            for rows in [1usize, 5, 19] {
                let x = normals(&mut rng, rows, k as usize);
                let before: Vec<f32> = rounded(&values(&x)).iter().map(|&v| v as f32).collect();
                let before = Array::from_slice(&before, (rows, k as usize)).unwrap();
                let (bias, residual) = (normals(&mut rng, 1, 11), normals(&mut rng, rows, 11));
                let bias = bias.reshape(-1).unwrap();
                let picked: Vec<i32> = (0..rows).map(|_| rng.below(4) as i32 - 1).collect();
                let experts = Array::from_slice(&picked, rows).unwrap();
                let by = |x: &Array, activations| {
                    let one = quantized_matmul(x, &gate).bias(&bias).swiglu(&up);
                    let one = one
                        .residual(&residual)
                        .activations(activations)
                        .call()
                        .unwrap();
                    let two = gather_quantized_matmul(x, &stack, &experts);
                    [one, two.activations(activations).call().unwrap()]
                };
                let (got, want) = (by(&x, Activations::Int8), by(&before, Activations::Float));
                for (g, w) in got.iter().zip(&want) {
                    let most = w.abs().unwrap().max(..).unwrap().item::<f32>().unwrap();
                    let far = g.subtract(w).unwrap().abs().unwrap();
                    let far = far.max(..).unwrap().item::<f32>().unwrap();
                    // Two float32 sums of 128 products, one of them of rounded numbers, through a product.
                    assert!(far <= 4e-6 * most.max(1.0), "{rows} rows: {far} of {most}");
                }
            }
        });
    });
}

#[test]
fn numbers_that_are_not_finite_or_tiny() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            for kind in [GgufType::Q4_1, GgufType::Q8_0] {
                let w = made::gguf(&mut rng, kind, 5, 64);
                for rows in [1, 8] {
                    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                        let mut x = rng.normals(rows * 64);
                        x[40] = bad;
                        let y = ours(&Array::from_slice(&x, (rows, 64)).unwrap(), &w);
                        let y = y.to_vec::<f32>().unwrap();
                        assert!(y[..5].iter().all(|v| v.is_nan()), "{bad}: {y:?}");
                        assert!(y[5..].iter().all(|v| v.is_finite()), "{bad}: {y:?}");
                    }
                    for small in [0.0, -0.0, 1e-37, 1e-44] {
                        let x = Array::full((rows, 64), small, Dtype::Float32).unwrap();
                        let y = ours(&x, &w).to_vec::<f32>().unwrap();
                        assert!(y.iter().all(|v| *v == 0.0), "{small}: {y:?}");
                    }
                    let x = Array::full((rows, 64), 1e30, Dtype::Float32).unwrap();
                    let want = product(&rounded(&values(&x)), &made::elements(&w), 64);
                    check(&ours(&x, &w), &want, "large");
                }
            }
        });
    });
}

/// Formats that have no such product take x as it is, and derivatives know nothing of the rounding.
#[test]
fn where_nothing_is_rounded() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            let x = normals(&mut rng, 3, 256);
            for w in [
                made::gguf(&mut rng, GgufType::Q2_K, 5, 256),
                made::affine(
                    &mut rng,
                    Quantization::affine(64, 3),
                    &[5, 256],
                    Dtype::Float32,
                ),
            ] {
                let plain = quantized_matmul(&x, &w).call().unwrap();
                let (a, b) = (ours(&x, &w), plain);
                assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
            }
            let w = made::gguf(&mut rng, GgufType::Q4_1, 5, 256);
            let g = normals(&mut rng, 3, 5);
            let gradient = |activations| {
                let f = |p: &[Array]| {
                    let call = quantized_matmul(&p[0], &w).activations(activations);
                    Ok(vec![call.call()?])
                };
                let (_, all) = vjp(f, [&x], [&g]).unwrap();
                all[0].to_vec::<f32>().unwrap()
            };
            assert_eq!(gradient(Activations::Int8), gradient(Activations::Float));
        });
    });
}
