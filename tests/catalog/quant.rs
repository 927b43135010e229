//! Floats from quantized codes, against the definitions of their formats in float64.

use zmlx::kernels::catalog;
use zmlx::kernels::quant::*;
use zmlx::prelude::*;
use zmlx::{Result, vjp, with_device};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

mod derivatives;
mod formats;
mod refusals;

use formats::*;

#[test]
fn every_code_in_every_dtype() {
    on_worker(|| -> Result<()> {
        let codes: Vec<u8> = (0..=255).collect();
        let x = Array::from_slice(&codes, 256)?;
        for f in &FUNCTIONS {
            for dtype in DTYPES {
                for kind in DTYPES {
                    let scale = 0.375f32;
                    for shape in [&[] as &[i32], &[1], &[1, 1]] {
                        let scale = Array::full(shape, scale, kind)?;
                        let y = (f.call)(&x, &scale, dtype)?;
                        assert_eq!(y.dtype(), dtype);
                        let mut want = f.exactly(&codes, 0.375);
                        if dtype == F16 {
                            // What float16 does not hold.
                            let cut = |v: f64| {
                                if v.abs() > 65519.0 {
                                    v * f64::INFINITY
                                } else {
                                    v
                                }
                            };
                            want.iter_mut().for_each(|v| *v = cut(*v));
                        }
                        same(
                            &y,
                            &want,
                            f.tolerance(dtype),
                            &format!("{}, {dtype}", f.name),
                        );
                    }
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn shapes_of_codes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let shapes: [&[i32]; 8] = [
            &[],
            &[0],
            &[3, 0],
            &[1],
            &[7],
            &[2, 3, 5],
            &[4100],
            &[33, 129],
        ];
        for f in &FUNCTIONS {
            for shape in shapes {
                let n: i32 = shape.iter().product();
                let codes = bytes(&mut rng, n as usize);
                let x = Array::from_slice(&codes, shape)?;
                let scale = Array::from(-1.5f32);
                let y = (f.call)(&x, &scale, F32)?;
                assert_eq!(y.shape(), f.shape(shape), "{}", f.name);
                same(&y, &f.exactly(&codes, -1.5), f.tolerance(F32), f.name);
                if shape.len() == 2 {
                    // Every second row, and columns as rows.
                    let transposed = x.transpose((1, 0))?.contiguous()?.transpose((1, 0))?;
                    same(
                        &(f.call)(&transposed, &scale, F32)?,
                        &f.exactly(&codes, -1.5),
                        f.tolerance(F32),
                        f.name,
                    );
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Any integers are codes of 8 bits or more.
#[test]
fn integers_of_other_sizes() {
    on_worker(|| -> Result<()> {
        let codes = [-128i64, -3, 0, 5, 127];
        for dtype in [Dtype::Int8, Dtype::Int16, Dtype::Int32, Dtype::Int64] {
            let x = Array::from_slice(&codes, 5)?.astype(dtype)?;
            let want: Vec<f64> = codes.iter().map(|&c| c as f64 * 0.25).collect();
            let scale = Array::from(0.25f32);
            same(&dequantize_int8(&x, &scale).call()?, &want, 2e-6, "int8");
            let want: Vec<f64> = want.into_iter().map(silu).collect();
            same(
                &dequantize_silu_int8(&x, &scale).call()?,
                &want,
                2e-6,
                "silu",
            );
        }
        let x = Array::from_slice(&[4_000_000_000u32, 65_536], 2)?;
        let y = dequantize_int8(&x, &Array::from(0.5f32)).call()?;
        same(&y, &[2e9, 32_768.0], 2e-6, "uint32");
        Ok(())
    })
    .unwrap();
}

/// Values of blocks: every result has the scale of its number, in blocks of any size, with a shorter last one.
#[test]
fn blocks_of_any_size() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (shape, size) in [
            (&[4i32, 64] as &[i32], 128),
            (&[300], 128),
            (&[5, 7], 3),
            (&[5, 7], 1),
            (&[2, 3], 100),
            (&[0], 128),
            (&[16, 512], 64),
            (&[16, 513], 6),
            (&[3001], 10),
        ] {
            let n: usize = shape.iter().map(|&d| d as usize).product();
            let codes = bytes(&mut rng, n);
            let x = Array::from_slice(&codes, shape)?;
            for (bits, dtype) in [(8u8, F32), (8, BF16), (4, F32), (4, F16)] {
                let function = &FUNCTIONS[if bits == 8 { 0 } else { 2 }];
                let mut want = function.decoded(&codes);
                let count = want.len().div_ceil(size as usize);
                let scales = rng.normals(count);
                for (i, v) in want.iter_mut().enumerate() {
                    *v *= f64::from(scales[i / size as usize]);
                }
                let scales = Array::from_slice(&scales, count)?;
                let call = dequantize_blockwise(&x, &scales)
                    .block_size(size)
                    .bits(bits);
                let y = call.dtype(dtype).call()?;
                assert_eq!(y.shape(), function.shape(shape));
                same(
                    &y,
                    &want,
                    roundings(dtype),
                    &format!("{shape:?}, {size}, {bits} bits"),
                );
            }
            if n > 0 {
                let signed: Vec<i8> = codes.iter().map(|&c| c as i8).collect();
                let x = Array::from_slice(&signed, shape)?;
                let count = n.div_ceil(size as usize);
                let scales = Array::full(count as i32, 0.5f32, F16)?;
                let y = dequantize_blockwise(&x, &scales).block_size(size).call()?;
                let want: Vec<f64> = signed.iter().map(|&c| f64::from(c) / 2.0).collect();
                same(&y, &want, 2e-6, "signed");
            }
        }
        Ok(())
    })
    .unwrap();
}

/// `silu(a) b`, where the original multiplies by a once more: 10.57 instead of 5.28 for 2 and 3.
#[test]
fn swiglu_of_codes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let one = Array::from_slice(&[1.0f32], 1)?;
        let (two, three) = (Array::from_slice(&[2i8], 1)?, Array::from_slice(&[3i8], 1)?);
        let y = fused_swiglu_quant(&two, &one, &three, &one).call()?;
        same(&y, &[5.284_782_475_867_288], 1e-6, "2 and 3");

        for (shape, size) in [(&[2i32, 128] as &[i32], 128), (&[7, 11], 5), (&[0], 4)] {
            let n = shape.iter().product::<i32>() as usize;
            let codes: [Vec<i8>; 2] =
                std::array::from_fn(|_| bytes(&mut rng, n).iter().map(|&c| c as i8).collect());
            let count = n.div_ceil(size);
            let scales = [0, 1].map(|_| rng.normals(count).iter().map(|s| s / 64.0).collect());
            let [x1, x2] = [0, 1].map(|i: usize| Array::from_slice(&codes[i], shape).unwrap());
            let s: [Vec<f32>; 2] = scales;
            let [s1, s2] = [0, 1].map(|i: usize| Array::from_slice(&s[i], count).unwrap());
            let call = fused_swiglu_quant(&x1, &s1, &x2, &s2).block_size(size as i32);
            let of =
                |which: usize, i: usize| f64::from(codes[which][i]) * f64::from(s[which][i / size]);
            let want: Vec<f64> = (0..n).map(|i| silu(of(0, i)) * of(1, i)).collect();
            for dtype in DTYPES {
                let y = call.dtype(dtype).call()?;
                assert_eq!((y.shape(), y.dtype()), (shape, dtype));
                same(&y, &want, roundings(dtype), "swiglu");
            }

            // Gradients of both scales.
            let g = rng.normals(n);
            let cotangent = Array::from_slice(&g, shape)?;
            let f = |p: &[Array]| {
                let call = fused_swiglu_quant(&x1, &p[0], &x2, &p[1]);
                Ok(vec![call.block_size(size as i32).call()?])
            };
            let gradients = vjp(f, [&s1, &s2], [cotangent])?.1;
            let (mut want, mut most) = ([vec![0.0; count], vec![0.0; count]], 1.0f64);
            for i in 0..n {
                let (a, b, g) = (of(0, i), of(1, i), f64::from(g[i]));
                let terms = [
                    g * silu_slope(a) * f64::from(codes[0][i]) * b,
                    g * silu(a) * f64::from(codes[1][i]),
                ];
                for (sums, term) in want.iter_mut().zip(terms) {
                    sums[i / size] += term;
                    most = most.max(term.abs());
                }
            }
            for (gradient, want) in gradients.iter().zip(&want) {
                for (g, w) in numbers(gradient)?.iter().zip(want) {
                    // Sums of up to 128 terms, in float32.
                    assert!((g - w).abs() < 2e-5 * most, "got {g}, want {w}");
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Rows of the table whose functions have other inputs than rows, images among them, compute what their composites do.
#[test]
fn entries_without_rows() {
    on_worker(|| -> Result<()> {
        let mut count = 0;
        for entry in
            catalog().filter(|e| e.name.starts_with("quant::") || e.name.starts_with("image::"))
        {
            // No codes of NaN.
            let bits = |a: &Array| a.bitwise_and(Array::scalar(0x77u8)?);
            for width in [64, 100] {
                let inputs = entry.inputs(&[3, 8], width, F32, 7)?.into_iter().map(|a| {
                    if a.dtype() == Dtype::Uint8 {
                        bits(&a)
                    } else {
                        Ok(a)
                    }
                });
                let inputs = inputs.collect::<Result<Vec<_>>>()?;
                // A GPU rounds factors of convolutions.
                let want = with_device(Device::CPU, || (entry.composite)(&inputs))?;
                let got = (entry.call)(&inputs)?;
                assert_eq!(
                    (got.len(), got[0].shape()),
                    (1, want[0].shape()),
                    "{}",
                    entry.name
                );
                let want = numbers(&want[0])?;
                let most = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                for (g, w) in numbers(&got[0])?.iter().zip(&want) {
                    assert!((g - w).abs() <= 1e-5 * most, "{}: {g}, {w}", entry.name);
                }
                assert!((entry.bytes)(24, width as usize, 4) >= got[0].nbytes());
                count += 1;
            }
        }
        assert!(count >= 18, "{count}");
        Ok(())
    })
    .unwrap();
}
