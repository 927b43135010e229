//! Attention over caches against loops in float64: lengths, masks, options, views, caches of codes.

use zmlx::kernels::attention::{
    Cache, QuantizedCache, decode_attention, paged_attention, quantize_cache,
};
use zmlx::prelude::*;
use zmlx::{Result, vjp};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

/// B, H, N, KV, L, D.
type Sizes = [usize; 6];

#[derive(Clone, Copy, Default)]
struct Options<'a> {
    lens: Option<&'a [i64]>,
    scale: Option<f32>,
    causal: bool,
    window: Option<i32>,
    softcap: Option<f32>,
    sinks: Option<&'a Array>,
}

/// Queries, keys and values.
fn draw(rng: &mut Rng, [b, h, n, kv, l, d]: Sizes, dtype: Dtype) -> Result<[Array; 3]> {
    let mut normal = |shape: [usize; 4]| {
        let values = rng.normals(shape.iter().product());
        Array::from_slice(&values, shape.map(|n| n as i32))?.astype(dtype)
    };
    Ok([
        normal([b, h, n, d])?,
        normal([b, kv, l, d])?,
        normal([b, kv, l, d])?,
    ])
}

fn call<'a>(
    q: &'a Array,
    k: impl Into<Cache<'a>>,
    v: impl Into<Cache<'a>>,
    o: &Options<'a>,
) -> Result<Array> {
    let lens = match o.lens {
        Some(lens) => Some(Array::from_slice(lens, lens.len())?),
        None => None,
    };
    let mut call = decode_attention(q, k, v);
    if let Some(lens) = &lens {
        call = call.lens(lens);
    }
    if let Some(scale) = o.scale {
        call = call.scale(scale);
    }
    if o.causal {
        call = call.causal();
    }
    if let Some(tokens) = o.window {
        call = call.window(tokens);
    }
    if let Some(cap) = o.softcap {
        call = call.softcap(cap);
    }
    if let Some(sinks) = o.sinks {
        call = call.sinks(sinks);
    }
    call.call()
}

/// The output, row by row, token by token.
fn want(p: &[Array; 3], sizes: Sizes, o: &Options<'_>) -> Vec<f64> {
    let [b, h, n, kv, l, d] = sizes;
    let [q, k, v] = [0, 1, 2].map(|i| numbers(&p[i]).unwrap());
    let scale = o.scale.map_or(1.0 / (d as f64).sqrt(), f64::from);
    let sinks = o.sinks.map(|s| numbers(s).unwrap());
    let mut y = vec![0.0; q.len()];
    for (row, y) in y.chunks_mut(d).enumerate() {
        let (i, head, batch) = (row % n, row / n % h, row / n / h);
        let len = o
            .lens
            .map_or(l as i64, |lens| lens[batch].clamp(0, l as i64));
        let place = len - n as i64 + i as i64;
        let at = |t: usize| ((batch * kv + head / (h / kv)) * l + t) * d;
        let mut scores = Vec::new();
        for t in 0..l {
            let token = t as i64;
            let seen = token < len
                && (!o.causal || token <= place)
                && o.window.is_none_or(|w| token > place - i64::from(w));
            if seen {
                let dot: f64 = (0..d).map(|e| q[row * d + e] * k[at(t) + e]).sum();
                let score = dot * scale;
                let cap = o.softcap.map(f64::from);
                scores.push((t, cap.map_or(score, |c| c * (score / c).tanh())));
            }
        }
        let sink = sinks.as_ref().map(|s| s[head]);
        let most = scores
            .iter()
            .map(|s| s.1)
            .chain(sink)
            .fold(f64::NEG_INFINITY, f64::max);
        let all: f64 = scores
            .iter()
            .map(|s| s.1)
            .chain(sink)
            .map(|s| (s - most).exp())
            .sum();
        for (t, score) in scores {
            for (e, y) in y.iter_mut().enumerate() {
                *y += (score - most).exp() / all * v[at(t) + e];
            }
        }
    }
    assert_eq!(y.len(), b * h * n * d);
    y
}

/// Outputs are means of values of about 1: a few roundings of their dtype, and of float32 along the sums.
#[track_caller]
fn close(what: &str, got: &Array, want: &[f64]) {
    let unit = match got.dtype() {
        F32 => 2e-6,
        F16 => 1.0 / 1024.0,
        _ => 1.0 / 128.0,
    };
    let got = numbers(got).unwrap();
    assert_eq!(got.len(), want.len(), "{what}");
    let most = want.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= unit * most,
            "{what}: element {i} is {g}, expected {w}"
        );
    }
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
        for (sizes, dtypes) in all {
            for &dtype in dtypes {
                let p = draw(&mut rng, sizes, dtype)?;
                for causal in [false, true] {
                    let o = Options {
                        causal,
                        ..Options::default()
                    };
                    let y = call(&p[0], &p[1], &p[2], &o)?;
                    assert_eq!((y.shape(), y.dtype()), (p[0].shape(), dtype));
                    close(
                        &format!("{sizes:?} {dtype} {causal}"),
                        &y,
                        &want(&p, sizes, &o),
                    );
                }
            }
        }
        let [q, k, v] = draw(&mut rng, [2, 2, 1, 1, 0, 8], F32)?;
        let y = call(&q, &k, &v, &Options::default())?;
        assert_eq!(numbers(&y)?, [0.0; 32]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn decode_attention_with_options() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let sizes = [4, 6, 3, 2, 900, 64];
        let p = draw(&mut rng, sizes, F32)?;
        let sinks = Array::from_slice(&rng.normals(6), 6)?;
        let lens: &[i64] = &[0, 2, 900, 333];
        let plain = Options::default();
        let lens = Options {
            lens: Some(lens),
            ..plain
        };
        let all = [
            ("lens", lens),
            (
                "scale",
                Options {
                    scale: Some(-0.7),
                    ..plain
                },
            ),
            (
                "window",
                Options {
                    window: Some(7),
                    ..lens
                },
            ),
            (
                "causal window",
                Options {
                    window: Some(300),
                    causal: true,
                    ..lens
                },
            ),
            (
                "cap",
                Options {
                    softcap: Some(0.8),
                    ..lens
                },
            ),
            (
                "sinks",
                Options {
                    sinks: Some(&sinks),
                    ..lens
                },
            ),
            (
                "all",
                Options {
                    sinks: Some(&sinks),
                    softcap: Some(2.0),
                    window: Some(500),
                    causal: true,
                    scale: Some(0.3),
                    ..lens
                },
            ),
        ];
        for (what, o) in all {
            close(what, &call(&p[0], &p[1], &p[2], &o)?, &want(&p, sizes, &o));
        }
        Ok(())
    })
    .unwrap();
}

/// What stands beyond a length does not count, whatever it is.
#[test]
fn decode_attention_reads_no_further_than_the_length() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let sizes = [2, 3, 1, 3, 600, 64];
        let p = draw(&mut rng, sizes, F32)?;
        let o = Options {
            lens: Some(&[5, 590]),
            ..Options::default()
        };
        let token = Array::arange(600)?.reshape((1, 1, 600, 1))?;
        let lens = Array::from_slice(&[5, 590], (2, 1, 1, 1))?;
        let beyond = token.greater_equal(&lens)?;
        let [k, v] = [1, 2].map(|i| zmlx::ops::where_(&beyond, f32::NAN, &p[i]).unwrap());
        close("poisoned", &call(&p[0], &k, &v, &o)?, &want(&p, sizes, &o));
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
        let o = Options {
            causal: true,
            ..Options::default()
        };
        let want = want(&p, sizes, &o);
        // As (B, L, KV, D), in a longer array.
        let longer = |a: &Array| -> Result<Array> {
            let rest = Array::full((2, 70, a.shape()[1], 64), f32::NAN, F16)?;
            let long = zmlx::ops::concatenate([&a.transpose([0, 2, 1, 3])?, &rest], 1)?;
            zmlx::eval([&long])?;
            long.index((.., ..a.shape()[2]))?.transpose([0, 2, 1, 3])
        };
        let [q, k, v] = [longer(&p[0])?, longer(&p[1])?, longer(&p[2])?];
        close("longer", &call(&q, &k, &v, &o)?, &want);
        let apart = |a: &Array| -> Result<Array> {
            let other = a.full_like(f32::NAN)?;
            let both = zmlx::ops::stack([a, &other], -1)?;
            zmlx::eval([&both])?;
            both.index((.., .., .., .., 0))
        };
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
fn decode_attention_over_codes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let cases = [
            (8, 32, [2, 3, 1, 1, 700, 64], F32),
            (8, 64, [1, 8, 2, 2, 65, 128], BF16),
            (4, 32, [2, 9, 1, 3, 600, 64], F16),
            (4, 64, [1, 2, 1, 2, 300, 192], F32),
            (4, 32, [1, 4, 5, 2, 31, 96], BF16),
        ];
        for (bits, group, sizes, dtype) in cases {
            let [q, k, v] = draw(&mut rng, sizes, dtype)?;
            let [keys, values] = [
                quantize_cache(&k, bits, group)?,
                quantize_cache(&v, bits, group)?,
            ];
            let o = Options {
                causal: true,
                ..Options::default()
            };
            let floats = [q.clone(), keys.dequantize(F32)?, values.dequantize(F32)?];
            let want = want(&floats, sizes, &o);
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
fn paged_attention_is_decode_attention_in_blocks() {
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
        let lens: [i64; 2] = [700, 33];
        let length = Array::from_slice(&lens, 2)?;
        let o = Options {
            lens: Some(&lens),
            causal: true,
            window: Some(400),
            softcap: Some(3.0),
            sinks: Some(&sinks),
            ..Options::default()
        };
        let options = |c: zmlx::kernels::attention::PagedAttention<'_>| {
            c.causal().window(400).softcap(3.0).sinks(&sinks).call()
        };
        let want = want(&[q.clone(), k.clone(), v.clone()], sizes, &o);
        let (pk, pv) = (paged(&k)?, paged(&v)?);
        close(
            "floats",
            &options(paged_attention(&q, &pk, &pv, &table, &length))?,
            &want,
        );
        for bits in [8, 4] {
            let [a, b] = [quantize_cache(&k, bits, 32)?, quantize_cache(&v, bits, 32)?];
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

/// Along a direction the output changes as the gradient says, by a difference in float64 of the reference.
#[test]
fn decode_attention_has_gradients() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let sizes = [2, 4, 2, 2, 9, 8];
        let p = draw(&mut rng, sizes, F32)?;
        let o = Options {
            lens: Some(&[9, 4]),
            causal: true,
            softcap: Some(2.0),
            ..Options::default()
        };
        let g = Array::from_slice(&rng.normals(p[0].size()), p[0].shape())?;
        let f = |p: &[Array]| Ok(vec![call(&p[0], &p[1], &p[2], &o)?]);
        let (_, d) = vjp(f, &p, [&g])?;
        let weights = numbers(&g)?;
        for i in 0..3 {
            let t = Array::from_slice(&rng.normals(p[i].size()), p[i].shape())?;
            let moved = |by: f32| -> Result<f64> {
                let mut p = p.clone();
                p[i] = p[i].add(&t.multiply(by)?)?;
                Ok(want(&p, sizes, &o)
                    .iter()
                    .zip(&weights)
                    .map(|(y, g)| y * g)
                    .sum())
            };
            let slope = (moved(1e-2)? - moved(-1e-2)?) / 2e-2;
            let got: f64 = numbers(&d[i])?
                .iter()
                .zip(numbers(&t)?)
                .map(|(d, t)| d * t)
                .sum();
            assert!(
                (got - slope).abs() <= 2e-3 * (1.0 + slope.abs()),
                "{i}: {got}, expected {slope}"
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
        let shape = |y: Result<Array>, name: &str| {
            let text = match &y {
                Err(e @ Error::Shape { .. }) => e.to_string(),
                other => panic!("{name}: {other:?}"),
            };
            assert!(text.contains(name), "{text}");
        };
        let three = Array::ones((2, 3, 5, 32), F32)?;
        shape(decode_attention(&q, &three, &three).call(), "`k`");
        shape(decode_attention(&k.index(0)?, &k, &k).call(), "`q`");
        shape(
            decode_attention(&q, &k, &k.index((.., .., ..4))?).call(),
            "`v`",
        );
        let lens = Array::ones(3, Dtype::Int32)?;
        shape(decode_attention(&q, &k, &k).lens(&lens).call(), "`lens`");
        shape(
            decode_attention(&q, &k, &k)
                .sinks(&Array::ones(3, F32)?)
                .call(),
            "`sinks`",
        );
        let broken = QuantizedCache {
            scales: codes.scales.index((.., .., ..4))?,
            ..codes.clone()
        };
        shape(decode_attention(&q, &broken, &broken).call(), "scales");
        let dtype = |y: Result<Array>| assert!(matches!(y, Err(Error::Dtype { .. })), "{y:?}");
        dtype(decode_attention(&q, &codes, &k).call());
        dtype(decode_attention(&q, &k, &k.astype(F16)?).call());
        dtype(decode_attention(&q, &k.astype(Dtype::Int8)?, &k).call());
        dtype(
            decode_attention(&q, &k, &k)
                .lens(&Array::ones(2, F32)?)
                .call(),
        );
        let argument =
            |y: Result<Array>| assert!(matches!(y, Err(Error::Argument { .. })), "{y:?}");
        let call = decode_attention(&q, &k, &k);
        argument(call.scale(f32::INFINITY).call());
        argument(call.window(0).call());
        argument(call.softcap(0.0).call());
        argument(call.softcap(f32::NAN).call());
        for (bits, group) in [(5, 32), (8, 16)] {
            let y = quantize_cache(&k, bits, group);
            assert!(matches!(y, Err(Error::Argument { .. })), "{y:?}");
        }
        let y = quantize_cache(&k, 8, 64);
        assert!(matches!(y, Err(Error::Shape { .. })), "{y:?}");
        Ok(())
    })
    .unwrap();
}
