//! Products against sums in float64 over the matrix's own elements.

use zmlx::kernels::quant::{QuantizedWeight, gather_quantized_matmul, quantized_matmul};
use zmlx::ops::Quantization;
use zmlx::prelude::*;

use crate::common::{Rng, factors_are_rounded, on_worker};
use crate::made;

/// x (rows, k) by the transpose of w (n, k), and for each sum the sum of its terms' sizes.
pub fn product(x: &[f64], w: &[f64], k: usize) -> (Vec<f64>, Vec<f64>) {
    let pairs = x
        .chunks_exact(k)
        .flat_map(|x| w.chunks_exact(k).map(move |w| (x, w)));
    pairs
        .map(|(x, w)| {
            let terms = || x.iter().zip(w).map(|(x, w)| x * w);
            (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>())
        })
        .unzip()
}

/// Sums of k products: each addition rounds, and so does the result. Where offsets are added apart, terms are as large as
/// scale times code, which the elements' sizes bound within a factor of 32.
#[track_caller]
pub fn check(got: &Array, want: &(Vec<f64>, Vec<f64>), what: &str) {
    let unit = match got.dtype() {
        Dtype::Float32 if factors_are_rounded() => 2e-3,
        Dtype::Float32 => 0.0,
        Dtype::Float16 => 1e-3,
        _ => 8e-3,
    };
    let got = got.astype(Dtype::Float32).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(got.len(), want.0.len(), "{what}");
    for (i, g) in got.iter().enumerate() {
        let (w, size) = (want.0[i], want.1[i]);
        let bound = unit * size.max(w.abs()) + 32.0 * 6e-8 * 8.0 * size;
        let error = (f64::from(*g) - w).abs();
        assert!(
            error <= bound,
            "{what} [{i}]: {g}, not {w} ({error:e} > {bound:e})"
        );
    }
}

pub fn values(a: &Array) -> Vec<f64> {
    let a = a.astype(Dtype::Float32).unwrap();
    a.to_vec::<f32>()
        .unwrap()
        .into_iter()
        .map(f64::from)
        .collect()
}

/// Each format, with rows that fill no block of rows, few columns and more than one thread takes, and chunks beyond one pass.
#[test]
fn all_formats() {
    on_worker(|| {
        let mut rng = Rng::new();
        let mut all: Vec<(String, QuantizedWeight)> = Vec::new();
        for (kind, _) in made::GGUF {
            all.push((kind.name().into(), made::gguf(&mut rng, kind, 37, 1280)));
        }
        for q in made::mlx() {
            let w = made::affine(&mut rng, q, &[37, 384], Dtype::Float16);
            all.push((format!("{q:?}"), w));
        }
        for (name, w) in &all {
            let k = w.shape()[1] as usize;
            let x = Array::from_slice(&rng.normals(3 * k), (3, k)).unwrap();
            let want = product(&values(&x), &made::elements(w), k);
            check(&quantized_matmul(&x, w).call().unwrap(), &want, name);
        }
    });
}

#[test]
fn rows_and_dtypes() {
    on_worker(|| {
        let mut rng = Rng::new();
        let q = Quantization::affine(64, 4);
        // Rows of whole chunks of 128 and of 256, and other ones.
        for (n, k) in [(1, 64), (33, 128), (70, 1152), (45, 1280)] {
            let w = made::affine(&mut rng, q, &[n, k], Dtype::Bfloat16);
            let elements = made::elements(&w);
            // Each number of rows at a time, and each dtype, but not each of both.
            let dtypes = [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16];
            for (i, rows) in [1, 2, 3, 4, 5, 8, 9, 17, 40, 70, 100, 130]
                .into_iter()
                .enumerate()
            {
                let x =
                    Array::from_slice(&rng.normals(rows * k as usize), (rows, k as usize)).unwrap();
                for (j, dtype) in dtypes.into_iter().enumerate() {
                    if rows != 1 && rows != 17 && j != i % 3 {
                        continue;
                    }
                    let x = x.astype(dtype).unwrap();
                    let want = product(&values(&x), &elements, k as usize);
                    let y = quantized_matmul(&x, &w).call().unwrap();
                    assert_eq!((y.shape(), y.dtype()), (&[rows as i32, n][..], dtype));
                    check(&y, &want, &format!("{rows} x {k} x {n} {dtype}"));
                }
            }
        }
    });
}

/// Parts of x, codes and scales that begin at odd places, for few rows and for more.
#[test]
fn factors_that_begin_anywhere() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (q, n, k) = (Quantization::affine(32, 4), 21, 256);
        let w = Array::from_slice(&rng.normals((n * k) as usize), (n, k)).unwrap();
        let w = w.astype(Dtype::Float16).unwrap().quantize(q).unwrap();
        let later = |a: &Array| {
            let flat = a.reshape(-1).unwrap();
            let longer = zmlx::ops::concatenate([&flat.index(..1).unwrap(), &flat], 0).unwrap();
            longer.eval().unwrap();
            longer.index(1..).unwrap().reshape(a.shape()).unwrap()
        };
        let (mut codes, mut scales) = (w.clone(), w.clone());
        codes.weight = later(&w.weight);
        scales.scales = later(&w.scales);
        scales.biases = w.biases.as_ref().map(later);
        let [w, codes, scales] = [w, codes, scales].map(|w| QuantizedWeight::new(&w).unwrap());
        let elements = made::elements(&w);
        for rows in [1, 7, 12, 30, 66] {
            let x = Array::from_slice(&rng.normals(rows * k as usize), (rows, k as usize)).unwrap();
            let x = x.astype(Dtype::Float16).unwrap();
            let want = product(&values(&x), &elements, k as usize);
            let y = quantized_matmul(&later(&x), &w).call().unwrap();
            check(&y, &want, &format!("{rows} rows, x"));
            for (w, what) in [(&codes, "codes"), (&scales, "scales")] {
                let y = quantized_matmul(&x, w).call().unwrap();
                check(&y, &want, &format!("{rows} rows, {what}"));
            }
        }
    });
}

/// Rows that lie apart, broadcast rows, axes in front, a matrix that is a part of another one.
#[test]
fn views() {
    on_worker(|| {
        let mut rng = Rng::new();
        let k = 256;
        let w = made::gguf(&mut rng, zmlx::io::GgufType::Q4_K, 5, k);
        let elements = made::elements(&w);
        let x = Array::from_slice(&rng.normals(k * 6), (k, 2, 3)).unwrap();
        let x = x.transpose([1, 2, 0]).unwrap();
        let y = quantized_matmul(&x, &w).call().unwrap();
        assert_eq!(y.shape(), [2, 3, 5]);
        check(&y, &product(&values(&x), &elements, k), "turned");
        let one = Array::from_slice(&rng.normals(k), k).unwrap();
        let y = quantized_matmul(&one, &w).call().unwrap();
        assert_eq!(y.shape(), [5]);
        check(&y, &product(&values(&one), &elements, k), "one axis");
        let same = one.broadcast_to((4, k)).unwrap();
        let y = quantized_matmul(&same, &w).call().unwrap();
        check(&y, &product(&values(&same), &elements, k), "broadcast");
        // Blocks that begin at an odd byte, and every second row.
        let kind = zmlx::io::GgufType::Q8_0;
        let bytes = made::blocks(&mut rng, kind, 6, 64).to_vec::<u8>().unwrap();
        let odd = Array::from_slice(&[&[0u8][..], &bytes].concat(), bytes.len() + 1).unwrap();
        let odd = odd.index(1..).unwrap().reshape((6, 68)).unwrap();
        for blocks in [odd.clone(), odd.index(step(.., 2)).unwrap()] {
            let w = QuantizedWeight::gguf(kind, &blocks).unwrap();
            let x = Array::from_slice(&rng.normals(64), (1, 64)).unwrap();
            let y = quantized_matmul(&x, &w).call().unwrap();
            check(&y, &product(&values(&x), &made::elements(&w), 64), "odd");
        }
    });
}

/// Rows by the matrices that are picked for them.
#[test]
fn experts() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (e, n, k) = (4, 35, 128);
        let q = Quantization::affine(32, 4);
        let w = made::affine(&mut rng, q, &[e, n, k], Dtype::Float32);
        let elements = made::elements(&w);
        let size = (n * k) as usize;
        for (rows, slots) in [(1, 3), (5, 2), (21, 1), (12, 0)] {
            let x = Array::from_slice(&rng.normals(rows * k as usize), (rows, k as usize)).unwrap();
            // One in six is no expert's number. Without an axis of slots they are grouped.
            let count = rows * slots.max(1);
            let mut picked: Vec<i32> = (0..count).map(|_| rng.below(6) as i32 - 1).collect();
            if slots == 0 {
                picked.sort_unstable();
            }
            let shape = if slots == 0 {
                vec![rows as i32]
            } else {
                vec![rows as i32, slots as i32]
            };
            let experts = Array::from_slice(&picked, shape.clone()).unwrap();
            let y = gather_quantized_matmul(&x, &w, &experts).call().unwrap();
            assert_eq!(y.shape(), [&shape[..], &[n]].concat());
            let all = values(&x);
            let mut want = (Vec::new(), Vec::new());
            for (slot, &expert) in picked.iter().enumerate() {
                let row = slot / slots.max(1) * k as usize;
                let (sums, sizes) = match usize::try_from(expert) {
                    Ok(at) if at < e as usize => product(
                        &all[row..row + k as usize],
                        &elements[at * size..][..size],
                        k as usize,
                    ),
                    _ => (vec![0.0; n as usize], vec![0.0; n as usize]),
                };
                want.0.extend(sums);
                want.1.extend(sizes);
            }
            check(&y, &want, &format!("{rows} rows of {slots}"));
        }
    });
}

#[test]
fn nothing_to_do() {
    on_worker(|| {
        let mut rng = Rng::new();
        let w = made::affine(
            &mut rng,
            Quantization::affine(32, 4),
            &[4, 64],
            Dtype::Float32,
        );
        let x = Array::zeros((0, 64), Dtype::Float16).unwrap();
        let y = quantized_matmul(&x, &w).call().unwrap();
        assert_eq!((y.shape(), y.dtype()), (&[0, 4][..], Dtype::Float16));
        let blocks = Array::zeros((0, 34), Dtype::Uint8).unwrap();
        let none = QuantizedWeight::gguf(zmlx::io::GgufType::Q8_0, &blocks).unwrap();
        assert_eq!(none.dequantize(Dtype::Float32).unwrap().shape(), [0, 32]);
        let x = Array::ones((2, 32), Dtype::Float32).unwrap();
        assert_eq!(quantized_matmul(&x, &none).call().unwrap().shape(), [2, 0]);
    });
}
