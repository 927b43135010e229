//! Sizes that no axis holds, numbers beyond their dtype, and queries that see no key.

use zmlx::kernels::attention::{
    decode_attention, flash_attention, paged_attention, quantize_cache,
    scaled_dot_product_attention,
};
use zmlx::kernels::matrix::{linear, matmul};
use zmlx::kernels::{bits, image, optimizers, reductions, rope};
use zmlx::prelude::*;
use zmlx::{Result, vjp};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

#[track_caller]
fn told(result: Result<Array>, words: &[&str]) {
    let text = result.expect_err("an error").to_string();
    assert!(words.iter().all(|w| text.contains(w)), "{words:?}: {text}");
    assert!(text.contains("tests/catalog/beyond.rs"), "{text}");
}

/// Products of sizes are beyond 32 bits, with and without elements.
#[test]
fn sizes_that_no_axis_holds() {
    on_worker(|| -> Result<()> {
        const BIG: i32 = 1 << 16;
        // 4 GiB of pixels, which all are one number in memory.
        let x = Array::full((1, 1, 1, 1), 7u8, Dtype::Uint8)?.broadcast_to((1, BIG, BIG, 1))?;
        assert_eq!(image::resize_bilinear(&x, (2, 2))?.shape(), [1, 2, 2, 1]);
        let none = Array::zeros((0, 46_341, 46_341, 1), F32)?;
        assert_eq!(image::resize_bilinear(&none, (2, 2))?.shape(), [0, 2, 2, 1]);

        let none = Array::zeros(0, Dtype::Uint8)?;
        for shape in [vec![i32::MAX; 3], vec![BIG; 4], vec![-1, 4]] {
            let y = bits::unpack_bits(&none).original_shape(shape).call();
            told(y, &["`original_shape`"]);
        }

        // Big sizes first are refused by `zeros`; a view has them in any order.
        let behind = |shape: &[i32], order: &[i32]| Array::zeros(shape, F32)?.transpose(order);
        let x = behind(&[0, BIG, BIG, 3], &[1, 2, 0, 3])?;
        let w = Array::zeros((4, 3), F32)?;
        assert_eq!(linear(&x, &w).call()?.shape(), [BIG, BIG, 0, 4]);
        let a = behind(&[0, BIG, BIG, 1], &[1, 2, 3, 0])?;
        told(matmul(&a, &Array::zeros((0, 3), F32)?), &["`a`", "2^31"]);
        let a = behind(&[0, BIG, BIG, 1, 2], &[1, 2, 0, 3, 4])?;
        assert_eq!(
            matmul(&a, &Array::zeros((2, 3), F32)?)?.shape(),
            [BIG, BIG, 0, 1, 3]
        );
        let x = behind(&[0, BIG, BIG, 2, 4], &[1, 2, 0, 3, 4])?;
        let table = Array::zeros((2, 2), F32)?;
        assert_eq!(rope::rope(&x, &table, &table).call()?.shape(), x.shape());
        assert_eq!(
            reductions::sum_lastdim(&x).call()?.shape(),
            [BIG, BIG, 0, 2]
        );
        Ok(())
    })
    .unwrap();
}

/// Unsigned numbers beyond int64 are large, not negative.
#[test]
fn unsigned_numbers_of_64_bits() {
    on_worker(|| -> Result<()> {
        let q = random::normal((1, 2, 1, 32))?;
        let k = random::normal((1, 2, 5, 32))?;
        let lens = Array::from_slice(&[u64::MAX], 1)?;
        let all = numbers(&decode_attention(&q, &k, &k).call()?)?;
        assert_eq!(
            numbers(&decode_attention(&q, &k, &k).lens(&lens).call()?)?,
            all
        );

        let blocks = random::normal((2, 4, 2, 32))?;
        let table = Array::from_slice(&[0, 1], (1, 2))?;
        let y = paged_attention(&q.squeeze(2)?, &blocks, &blocks, &table, &lens).call()?;
        assert!(numbers(&y)?.iter().all(|v| v.is_nan()));

        let x = random::normal((1, 3, 8))?;
        let (cos, sin) = (random::normal((10, 4))?, random::normal((10, 4))?);
        let y = rope::rope(&x, &cos, &sin).offset(&lens).call()?;
        assert!(numbers(&y)?.iter().all(|v| v.is_nan()));
        Ok(())
    })
    .unwrap();
}

/// A dequantized cache is code times scale in the dtype that is asked for, whatever the scales have.
#[test]
fn codes_times_scales_in_float32() {
    on_worker(|| -> Result<()> {
        for (dtype, bits) in [(F16, 8), (BF16, 8), (F16, 4), (BF16, 4)] {
            let x = random::normal((3, 64))?.astype(dtype)?;
            let cache = quantize_cache(&x, bits, 32)?;
            let codes: Vec<f64> = match bits {
                8 => numbers(&cache.codes)?,
                _ => {
                    let pairs = cache.codes.to_vec::<u8>()?;
                    let each = pairs.iter().flat_map(|c| [c & 15, c >> 4]);
                    each.map(|c| f64::from(c) - 8.0).collect()
                }
            };
            let scales = numbers(&cache.scales)?;
            let got = numbers(&cache.dequantize(F32)?)?;
            for (i, (got, code)) in got.iter().zip(codes).enumerate() {
                // The product of 8 and at most 11 bits is exact.
                assert_eq!(*got, code * scales[i / 32], "{dtype} {bits} {i}");
            }
        }
        let large = Array::full((1, 32), 65504.0f32, F16)?;
        let back = numbers(&quantize_cache(&large, 8, 32)?.dequantize(F32)?)?;
        assert!(
            back.iter().all(|v| (v / 65504.0 - 1.0).abs() < 1e-3),
            "{back:?}"
        );
        for bits in [4, 8] {
            let none = quantize_cache(&Array::zeros((2, 0), F32)?, bits, 32)?;
            assert_eq!(none.dequantize(F16)?.shape(), [2, 0]);
        }
        let codes = Array::zeros((1, 1), Dtype::Uint8)?.broadcast_to((1, 1 << 30))?;
        let scales = Array::zeros((1, 1), F32)?;
        let cache = zmlx::kernels::attention::QuantizedCache { codes, scales };
        told(cache.dequantize(F32), &["`codes`", "2^31"]);
        Ok(())
    })
    .unwrap();
}

/// Float64 numbers that are infinite in the float32 of the kernel.
#[test]
fn numbers_that_float32_does_not_hold() {
    on_worker(|| -> Result<()> {
        let x = random::normal(8)?;
        let step = |lr: f64| optimizers::adamw_step(&x, &x, &x, &x, lr, 1);
        let refused = |r: Result<[Array; 3]>, name: &str| {
            let text = match r {
                Ok(_) => panic!("`{name}` is taken"),
                Err(e) => e.to_string(),
            };
            assert!(text.contains(name) && text.contains("finite"), "{text}");
        };
        refused(step(1e300).call(), "`lr`");
        refused(step(1e-3).wd(1e300).call(), "`wd`");
        refused(step(1e-3).eps(1e300).call(), "`eps`");
        Ok(())
    })
    .unwrap();
}

/// Whatever computes it, a query that sees no key gives 0, and errors are those of flash attention.
#[test]
fn attention_is_the_same_whoever_computes_it() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        for width in [12, 16, 300] {
            for (n, l) in [(20, 7), (3, 9), (2, 0)] {
                let draw = |n: i32, seed: u64| {
                    random::with_key(&random::key(seed)?).normal((1, 2, n, width))
                };
                let q = draw(n, rng.next())?;
                let (k, v) = (draw(l, rng.next())?, draw(l, rng.next())?);
                let seen = random::bernoulli(0.5, (1, 2, n, l))?;
                let some = Array::arange(n)?.remainder(2)?.equal(0)?.reshape((n, 1))?;
                let seen = seen.logical_and(&some)?;
                let added = zmlx::ops::where_(&seen, 0.25, f32::NEG_INFINITY)?;
                for (what, mask, causal) in [
                    ("none", None, false),
                    ("causal", None, true),
                    ("seen", Some(&seen), false),
                    ("seen, causal", Some(&seen), true),
                    ("added", Some(&added), false),
                    ("added, causal", Some(&added), true),
                ] {
                    let call = |p: &[Array]| {
                        let mut call = scaled_dot_product_attention(&p[0], &p[1], &p[2]);
                        if let Some(mask) = mask {
                            call = call.mask(mask);
                        }
                        Ok(vec![if causal { call.causal() } else { call }.call()?])
                    };
                    let (y, d) = vjp(call, [&q, &k, &v], [&q.ones_like()?])?;
                    let (q, k, v) = (numbers(&q)?, numbers(&k)?, numbers(&v)?);
                    let (y, seen) = (numbers(&y[0])?, numbers(&seen)?);
                    let [n, l, width] = [n, l, width].map(|i| i as usize);
                    for row in 0..2 * n {
                        let (head, i) = (row / n, row % n);
                        let there = |j: usize| {
                            let masked = mask.is_some() && seen[(head * n + i) * l + j] == 0.0;
                            !masked && (!causal || j + n <= i + l)
                        };
                        let at = |a: &[f64], j: usize, c: usize| a[(head * l + j) * width + c];
                        let score = |j: usize| {
                            let dot: f64 =
                                (0..width).map(|c| q[row * width + c] * at(&k, j, c)).sum();
                            (dot / (width as f64).sqrt()).exp()
                        };
                        let sum: f64 = (0..l).filter(|&j| there(j)).map(score).sum();
                        for c in 0..width {
                            let parts = (0..l)
                                .filter(|&j| there(j))
                                .map(|j| score(j) * at(&v, j, c));
                            let want = if sum == 0.0 {
                                0.0
                            } else {
                                parts.sum::<f64>() / sum
                            };
                            let got = y[row * width + c];
                            assert!(
                                (got - want).abs() < 2e-5,
                                "{what} {n} {l} {width}, {row} {c}: {got}, {want}"
                            );
                        }
                    }
                    for d in &d {
                        assert!(
                            numbers(d)?.iter().all(|v| v.is_finite()),
                            "{what} {n} {l} {width}"
                        );
                    }
                }
            }
        }
        let q = random::normal((1, 2, 3, 16))?;
        let k = q.astype(F16)?;
        told(
            scaled_dot_product_attention(&q, &k, &k).call(),
            &["`k`", "float32", "float16"],
        );
        told(
            flash_attention(&q, &k, &k).call(),
            &["`k`", "float32", "float16"],
        );
        told(
            reductions::sum_lastdim(&Array::from(1)).call(),
            &["`x`", "scalar"],
        );
        Ok(())
    })
    .unwrap();
}
