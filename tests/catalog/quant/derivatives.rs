//! Derivatives of quantized codes by their scales, and maps.

use zmlx::kernels::quant::*;
use zmlx::prelude::*;
use zmlx::{Result, grad, jvp, vjp, vmap};

use super::formats::*;
use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

/// The gradient of a scale is the sum of the codes' values times the cotangents; with silu its second derivative, too.
#[test]
fn derivatives_of_scales() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for f in &FUNCTIONS {
            for dtype in DTYPES {
                // No codes of NaN, infinity and numbers whose sums float16 does not hold.
                let codes: Vec<u8> = bytes(&mut rng, 700).iter().map(|c| c % 96).collect();
                let x = Array::from_slice(&codes, (7, 100))?;
                let scale = Array::full(1, 0.03125, dtype)?;
                let call = |s: &Array| (f.call)(&x, s, F32);
                let values = f.decoded(&codes);
                let g = rng.normals(values.len());
                let cotangent = Array::from_slice(&g, f.shape(&[7, 100]))?;
                let slope = |v: f64| if f.silu { silu_slope(v / 32.0) * v } else { v };
                let slopes: Vec<f64> = values.iter().map(|&v| slope(v)).collect();
                let most = slopes.iter().fold(1e-6f64, |m, v| m.max(v.abs()));
                let want: f64 = slopes.iter().zip(&g).map(|(v, g)| v * f64::from(*g)).sum();
                let loss = |s: &Array| (call(s)? * &cotangent)?.sum(..);
                let got = grad(loss)(&scale)?;
                assert_eq!((got.dtype(), got.shape()), (dtype, &[1i32] as &[i32]));
                let got = numbers(&got)?[0];
                // Some 700 terms, of which the errors add up like chance, and the dtype's rounding.
                let limit = 1e-5 * 27.0 * most + roundings(dtype) * want.abs();
                assert!((got - want).abs() < limit, "{}: {got}, {want}", f.name);

                let tangent = Array::ones(1, dtype)?;
                let forward = |p: &[Array]| Ok(vec![call(&p[0])?]);
                let got = jvp(forward, [&scale], [&tangent])?.1;
                for (g, w) in numbers(&got[0])?.iter().zip(&slopes) {
                    assert!((g - w).abs() < 1e-5 * most, "{}: {g}, {w}", f.name);
                }

                let second = grad(|s| grad(loss)(s)?.sum(..))(&scale)?;
                let second = numbers(&second)?[0];
                let h = 1e-4;
                let bend = |v: f64| {
                    (silu_slope((1.0 / 32.0 + h) * v) - silu_slope((1.0 / 32.0 - h) * v))
                        / (2.0 * h)
                        * v
                };
                let want: f64 = match f.silu {
                    false => 0.0,
                    true => values
                        .iter()
                        .zip(&g)
                        .map(|(&v, g)| bend(v) * f64::from(*g))
                        .sum(),
                };
                let limit = 1e-4 * most * most * 27.0 + roundings(dtype) * want.abs();
                assert!(
                    (second - want).abs() < limit,
                    "{}: {second}, {want}",
                    f.name
                );
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn derivatives_of_blocks() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (bits, n, size) in [
            (8u8, 301usize, 16usize),
            (4, 301, 16),
            (4, 50, 7),
            (8, 256, 128),
        ] {
            let codes = bytes(&mut rng, n);
            let function = &FUNCTIONS[if bits == 8 { 0 } else { 2 }];
            let values = function.decoded(&codes);
            let count = values.len().div_ceil(size);
            let x = Array::from_slice(&codes, n)?;
            let scales = Array::from_slice(&rng.normals(count), count)?;
            let f = |p: &[Array]| {
                let call = dequantize_blockwise(&x, &p[0])
                    .bits(bits)
                    .block_size(size as i32);
                Ok(vec![call.call()?])
            };
            let g = rng.normals(values.len());
            let cotangent = Array::from_slice(&g, values.len())?;
            let got = numbers(&vjp(f, [&scales], [&cotangent])?.1[0])?;
            for (b, got) in got.iter().enumerate() {
                let of_block = b * size..((b + 1) * size).min(values.len());
                let want: f64 = of_block.map(|i| values[i] * f64::from(g[i])).sum();
                assert!((got - want).abs() < 1e-2, "block {b}: {got}, {want}");
            }
            let tangents = rng.normals(count);
            let tangent = Array::from_slice(&tangents, count)?;
            let want: Vec<f64> = values
                .iter()
                .enumerate()
                .map(|(i, v)| v * f64::from(tangents[i / size]))
                .collect();
            same(&jvp(f, [&scales], [&tangent])?.1[0], &want, 2e-6, "tangent");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn mapped_codes_and_scales() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let codes = bytes(&mut rng, 3 * 40);
        let x = Array::from_slice(&codes, (3, 2, 20))?;
        let scales = rng.normals(3);
        let s = Array::from_slice(&scales, 3)?;
        for f in &FUNCTIONS {
            let call = |p: &[Array]| Ok(vec![(f.call)(&p[0], &p[1], F32)?]);
            let both = vmap(call)
                .in_axes([Some(0), Some(0)])
                .call(&[x.clone(), s.clone()])?;
            let mut want = Vec::new();
            for (part, scale) in codes.chunks(40).zip(&scales) {
                want.extend(f.exactly(part, f64::from(*scale)));
            }
            same(&both[0], &want, f.tolerance(F32), f.name);
            let turned = x.moveaxis(0, 2)?;
            let one = Array::from(scales[0]);
            let y = vmap(call).in_axes([Some(2), None]).call(&[turned, one])?;
            same(
                &y[0],
                &f.exactly(&codes, f64::from(scales[0])),
                f.tolerance(F32),
                f.name,
            );
        }
        let scales = rng.normals(3 * 4);
        let s = Array::from_slice(&scales, (3, 4))?;
        for bits in [8u8, 4] {
            let call = |p: &[Array]| {
                let size = if bits == 8 { 10 } else { 20 };
                Ok(vec![
                    dequantize_blockwise(&p[0], &p[1])
                        .bits(bits)
                        .block_size(size)
                        .call()?,
                ])
            };
            let y = vmap(call)
                .in_axes([Some(0), Some(0)])
                .call(&[x.clone(), s.clone()])?;
            let values = FUNCTIONS[if bits == 8 { 0 } else { 2 }].decoded(&codes);
            let size = values.len() / 12;
            let want: Vec<f64> = values
                .iter()
                .enumerate()
                .map(|(i, v)| v * f64::from(scales[i / size]))
                .collect();
            same(&y[0], &want, 2e-6, "blocks");
        }
        Ok(())
    })
    .unwrap();
}
