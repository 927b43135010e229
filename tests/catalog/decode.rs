//! Attention over caches against loops in float64: lengths, masks, options, views, caches of codes.

use zmlx::kernels::attention::{
    Cache, QuantizedCache, decode_attention, paged_attention, quantize_cache,
};
use zmlx::prelude::*;
use zmlx::{Result, vjp};

use crate::common::{Rng, factors_are_rounded, on_worker};
use crate::heads::{
    self, Options, Sizes, apart, draw, each_size, refused_for_argument, refused_for_dtype,
    refused_for_shape, with_options,
};
use crate::tolerance::numbers;

mod reference;
use reference::{want, want_of};

fn call<'a>(
    q: &'a Array,
    k: impl Into<Cache<'a>>,
    v: impl Into<Cache<'a>>,
    o: &Options<'a>,
) -> Result<Array> {
    let mut call = with_options!(decode_attention(q, k, v), o);
    if let Some(lens) = o.lens {
        call = call.lens(lens);
    }
    call.call()
}

/// Some roundings of float32 along the sums, and one of the dtype.
#[track_caller]
fn close(what: &str, got: &Array, want: &[f64]) {
    heads::close(what, got, want, if got.dtype() == F32 { 16.0 } else { 1.0 });
}

/// Sizes at the edges of groups, parts of the cache and units; several parts; one query and many, shared heads and none.
#[test]
fn decode_attention_of_sizes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let all: [(Sizes, &[Dtype]); 9] = [
            ([1, 9, 1, 3, 1030, 64], &[F32, F16, BF16]),
            ([2, 8, 1, 2, 700, 128], &[F32, BF16]),
            ([3, 2, 1, 2, 17, 20], &[F32]),
            ([1, 1, 1, 1, 2000, 1], &[F32]),
            ([2, 3, 3, 1, 40, 300], &[F32]),
            ([1, 4, 16, 2, 600, 64], &[BF16]),
            ([1, 2, 1, 1, 1, 3], &[F32]),
            ([2, 5, 2, 5, 33, 80], &[F16]),
            ([0, 2, 1, 1, 4, 8], &[F32]),
        ];
        each_size(&mut rng, &all, |what, _, p, o| {
            let y = call(&p[0], &p[1], &p[2], o)?;
            assert_eq!((y.shape(), y.dtype()), (p[0].shape(), p[0].dtype()));
            close(what, &y, &want(p, o));
            Ok(())
        })?;
        let [q, k, v] = draw(&mut rng, [2, 2, 1, 1, 0, 8], F32)?;
        let y = call(&q, &k, &v, &Options::default())?;
        assert_eq!(numbers(&y)?, [0.0; 32]);
        Ok(())
    })
    .unwrap();
}

#[test]
pub(crate) fn decode_attention_with_options() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let sizes = [4, 6, 3, 2, 900, 64];
        let sinks = Array::from_slice(&rng.normals(6), 6)?;
        let lens = Array::from_slice(&[0i64, 2, 900, 333], 4)?;
        let plain = Options::default();
        let lens = plain.lens(&lens);
        let all = [
            ("lens", lens),
            ("scale", plain.scale(-0.7)),
            ("window", lens.window(7)),
            ("causal window", lens.window(300).causal()),
            ("cap", lens.softcap(0.8)),
            ("sinks", lens.sinks(&sinks)),
            (
                "all",
                lens.sinks(&sinks)
                    .softcap(2.0)
                    .window(500)
                    .causal()
                    .scale(0.3),
            ),
        ];
        for dtype in [F32, BF16] {
            let p = draw(&mut rng, sizes, dtype)?;
            for (what, o) in all {
                close(what, &call(&p[0], &p[1], &p[2], &o)?, &want(&p, &o));
            }
        }
        Ok(())
    })
    .unwrap();
}

/// What stands beyond a length does not count, whatever it is.
#[test]
pub(crate) fn decode_attention_reads_no_further_than_the_length() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let sizes = [2, 3, 1, 3, 600, 64];
        let lens = Array::from_slice(&[5i64, 590], 2)?;
        let o = Options::default().lens(&lens);
        let token = Array::arange(600)?.reshape((1, 1, 600, 1))?;
        let beyond = token.greater_equal(&lens.reshape((2, 1, 1, 1))?)?;
        for dtype in [F32, F16] {
            let p = draw(&mut rng, sizes, dtype)?;
            let nan = Array::full((), f32::NAN, dtype)?;
            let [k, v] = [1, 2].map(|i| zmlx::ops::where_(&beyond, &nan, &p[i]).unwrap());
            close("poisoned", &call(&p[0], &k, &v, &o)?, &want(&p, &o));
        }
        Ok(())
    })
    .unwrap();
}

/// Slices and transposed axes, steps between elements, one head for all.
#[test]
pub(crate) fn decode_attention_of_views() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let sizes = [2, 4, 2, 2, 130, 64];
        let p = draw(&mut rng, sizes, F16)?;
        let o = Options::default().causal();
        let want = want(&p, &o);
        // As (B, L, KV, D), in a longer array.
        let longer = |a: &Array| -> Result<Array> {
            let rest = Array::full((2, 70, a.shape()[1], 64), f32::NAN, F16)?;
            let long = zmlx::ops::concatenate([&a.transpose([0, 2, 1, 3])?, &rest], 1)?;
            zmlx::eval([&long])?;
            long.index((.., ..a.shape()[2]))?.transpose([0, 2, 1, 3])
        };
        let [q, k, v] = [longer(&p[0])?, longer(&p[1])?, longer(&p[2])?];
        close("longer", &call(&q, &k, &v, &o)?, &want);
        let [q, k, v] = [apart(&p[0])?, apart(&p[1])?, apart(&p[2])?];
        close("apart", &call(&q, &k, &v, &o)?, &want);
        let one = p[1].index((..1, ..1))?;
        let many = one.broadcast_to(p[1].shape())?;
        let same = call(&p[0], &many, &many, &o)?;
        let copy = many.add(0.0)?;
        close(
            "broadcast",
            &same,
            &numbers(&call(&p[0], &copy, &copy, &o)?)?,
        );
        Ok(())
    })
    .unwrap();
}

/// Caches of codes give what their floats give.
#[test]
pub(crate) fn decode_attention_over_codes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let cases = [
            (8, 32, [2, 3, 1, 1, 700, 64], F32),
            (8, 64, [1, 8, 2, 2, 65, 128], BF16),
            (4, 32, [2, 9, 1, 3, 600, 64], F16),
            (4, 64, [1, 2, 1, 2, 300, 192], F32),
            (4, 32, [1, 4, 5, 2, 31, 96], BF16),
            (8, 32, [1, 6, 3, 2, 90, 128], F16),
            (8, 128, [2, 4, 1, 2, 700, 128], BF16),
            (4, 64, [2, 9, 2, 3, 130, 64], F16),
            (4, 128, [1, 20, 1, 1, 200, 128], BF16),
        ];
        for (bits, group, sizes, dtype) in cases {
            let [q, k, v] = draw(&mut rng, sizes, dtype)?;
            let [keys, values] = [
                quantize_cache(&k, bits, group)?,
                quantize_cache(&v, bits, group)?,
            ];
            let o = Options::default().causal();
            let floats = [q.clone(), keys.dequantize(F32)?, values.dequantize(F32)?];
            let want = want(&floats, &o);
            let what = format!("{bits} {group} {sizes:?}");
            close(&what, &call(&q, &keys, &values, &o)?, &want);
            // The codes are near the floats: half a step of a scale of at most the largest over 127 or 8.
            let step = if bits == 8 { 127.0 } else { 8.0 };
            let off = keys
                .dequantize(F32)?
                .subtract(&k.astype(F32)?)?
                .abs()?
                .max(..)?;
            let most = k.astype(F32)?.abs()?.max(..)?.item::<f32>()?;
            let off = off.item::<f32>()?;
            assert!(off > 0.0 && off <= 1.02 * most / step, "{what}: {off}");
            // As views of longer caches.
            let long = |c: &QuantizedCache| -> Result<QuantizedCache> {
                let part = |a: &Array| -> Result<Array> {
                    let twice = zmlx::ops::concatenate([a, a], 2)?
                        .transpose([0, 2, 1, 3])?
                        .add(Array::scalar(0)?.astype(a.dtype())?)?;
                    twice.index((.., ..a.shape()[2]))?.transpose([0, 2, 1, 3])
                };
                Ok(QuantizedCache {
                    codes: part(&c.codes)?,
                    scales: part(&c.scales)?,
                })
            };
            close(&what, &call(&q, &long(&keys)?, &long(&values)?, &o)?, &want);
        }
        let zeros = quantize_cache(&Array::zeros((2, 32), F32)?, 4, 32)?;
        assert_eq!(numbers(&zeros.dequantize(F32)?)?, [0.0; 64]);
        Ok(())
    })
    .unwrap();
}

/// Blocks of codes, several queries and options, as the same tokens side by side give.
#[test]
pub(crate) fn paged_attention_is_decode_attention_in_blocks() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        // (B, blocks of a sequence, slots).
        let (batch, columns, slots) = (2i32, 45, 16);
        let sizes = [2, 6, 3, 2, 45 * 16, 64];
        let [q, k, v] = draw(&mut rng, sizes, F32)?;
        let sinks = Array::from_slice(&rng.normals(6), 6)?;
        let mut order: Vec<i64> = (0..i64::from(batch * columns)).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, rng.below(i + 1));
        }
        let table = Array::from_slice(&order, (batch, columns))?;
        let mut places = vec![0i64; order.len()];
        for (i, &block) in order.iter().enumerate() {
            places[block as usize] = i as i64;
        }
        let places = Array::from_slice(&places, places.len())?;
        // (B, KV, L, ..) to (blocks, slots, KV, ..).
        let paged = |a: &Array| -> Result<Array> {
            let last = a.shape()[3];
            let rows = a
                .transpose([0, 2, 1, 3])?
                .reshape((batch * columns, slots, 2, last))?;
            rows.take(&places, 0)
        };
        let length = Array::from_slice(&[700i64, 33], 2)?;
        let o = Options::default()
            .lens(&length)
            .causal()
            .window(400)
            .softcap(3.0)
            .sinks(&sinks);
        let options = |c: zmlx::kernels::attention::PagedAttention<'_>| {
            c.causal().window(400).softcap(3.0).sinks(&sinks).call()
        };
        let want = want(&[q.clone(), k.clone(), v.clone()], &o);
        let (pk, pv) = (paged(&k)?, paged(&v)?);
        close(
            "floats",
            &options(paged_attention(&q, &pk, &pv, &table, &length))?,
            &want,
        );
        for (bits, group, dtype) in [(8, 32, F32), (4, 32, F32), (8, 64, BF16), (4, 64, F16)] {
            let q = q.astype(dtype)?;
            let [a, b] = [
                quantize_cache(&k, bits, group)?,
                quantize_cache(&v, bits, group)?,
            ];
            let blocks = |c: &QuantizedCache| -> Result<QuantizedCache> {
                Ok(QuantizedCache {
                    codes: paged(&c.codes)?,
                    scales: paged(&c.scales)?,
                })
            };
            let want = numbers(&call(&q, &a, &b, &o)?)?;
            let got = options(paged_attention(
                &q,
                &blocks(&a)?,
                &blocks(&b)?,
                &table,
                &length,
            ))?;
            close("codes", &got, &want);
        }
        Ok(())
    })
    .unwrap();
}

/// Along a direction the output changes as the gradient says, by a difference of the reference in float64, which is off by the square of
/// the step.
#[test]
fn decode_attention_has_gradients() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let sizes = [2, 4, 2, 2, 9, 8];
        let p = draw(&mut rng, sizes, F32)?;
        let lens = Array::from_slice(&[9i64, 4], 2)?;
        let o = Options::default().lens(&lens).causal().softcap(2.0);
        let g = heads::normal(&mut rng, p[0].shape(), F32)?;
        let f = |p: &[Array]| Ok(vec![call(&p[0], &p[1], &p[2], &o)?]);
        let (_, d) = vjp(f, &p, [&g])?;
        let weights = numbers(&g)?;
        let values = p.each_ref().map(|a| numbers(a).unwrap());
        for i in 0..3 {
            let t: Vec<f64> = rng
                .normals(p[i].size())
                .into_iter()
                .map(f64::from)
                .collect();
            let moved = |by: f64| -> f64 {
                let mut values = values.clone();
                for (v, t) in values[i].iter_mut().zip(&t) {
                    *v += by * t;
                }
                let y = want_of(&values, sizes, &o);
                y.iter().zip(&weights).map(|(y, g)| y * g).sum()
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let terms: Vec<f64> = numbers(&d[i])?.iter().zip(&t).map(|(d, t)| d * t).collect();
            let got: f64 = terms.iter().sum();
            let size: f64 = terms.iter().map(|v| v.abs()).sum();
            // Gradients come from products of MLX's, which may round both factors to 11 bits.
            let unit = if factors_are_rounded() {
                1.0 / 1024.0
            } else {
                4e-6
            };
            assert!(
                (got - slope).abs() <= unit * size,
                "{i}: {got}, expected {slope}, of terms of {size}"
            );
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn decode_attention_refuses() {
    on_worker(|| -> Result<()> {
        let q = Array::ones((2, 4, 1, 32), F32)?;
        let k = Array::ones((2, 2, 5, 32), F32)?;
        let codes = quantize_cache(&k, 8, 32)?;
        let three = Array::ones((2, 3, 5, 32), F32)?;
        refused_for_shape(decode_attention(&q, &three, &three).call(), "`k`");
        refused_for_shape(decode_attention(&k.index(0)?, &k, &k).call(), "`q`");
        refused_for_shape(
            decode_attention(&q, &k, &k.index((.., .., ..4))?).call(),
            "`v`",
        );
        let lens = Array::ones(3, Dtype::Int32)?;
        refused_for_shape(decode_attention(&q, &k, &k).lens(&lens).call(), "`lens`");
        refused_for_shape(
            decode_attention(&q, &k, &k)
                .sinks(&Array::ones(3, F32)?)
                .call(),
            "`sinks`",
        );
        let broken = QuantizedCache {
            scales: codes.scales.index((.., .., ..4))?,
            ..codes.clone()
        };
        refused_for_shape(decode_attention(&q, &broken, &broken).call(), "scales");
        refused_for_dtype(decode_attention(&q, &codes, &k).call());
        refused_for_dtype(decode_attention(&q, &k, &k.astype(F16)?).call());
        refused_for_dtype(decode_attention(&q, &k.astype(Dtype::Int8)?, &k).call());
        for dtype in [F32, Dtype::Bool] {
            let lens = Array::ones(2, dtype)?;
            refused_for_dtype(decode_attention(&q, &k, &k).lens(&lens).call());
        }
        let call = decode_attention(&q, &k, &k);
        refused_for_argument(call.scale(f32::INFINITY).call());
        refused_for_argument(call.window(0).call());
        refused_for_argument(call.softcap(0.0).call());
        refused_for_argument(call.softcap(f32::NAN).call());
        for (bits, group) in [(5, 32), (8, 16)] {
            refused_for_argument(quantize_cache(&k, bits, group));
        }
        refused_for_shape(quantize_cache(&k, 8, 64), "`x`");
        Ok(())
    })
    .unwrap();
}
