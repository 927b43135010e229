//! Attention and its caches.

use zmlx::nn::{self, Attention, AttentionConfig, Init, KvCache, ModuleExt};
use zmlx::ops::{Quantization, where_};
use zmlx::prelude::*;
use zmlx::{Device, Result, with_device};

use crate::common::{Rng, on_worker};
use crate::toolkit::{check, normal};

/// Softmax of sums of some dozen products in float32, after rotation.
const CLOSE: f64 = 2e-5;

/// Attention by its definition, in float64: turned pairs, repeated heads, a mask by positions.
fn reference(layer: &Attention, x: &Array, heads: i32, kv: i32, window: i32) -> Result<Array> {
    let &[batch, n, width] = x.shape() else {
        panic!("three axes");
    };
    let d = width / heads;
    let x = x.astype(F64)?;
    let product =
        |x: &Array, l: &nn::Linear| x.matmul(&l.weight.dense()?.astype(F64)?.transpose(..)?);
    let split = |y: Array, heads: i32| y.reshape((batch, n, heads, d))?.transpose([0, 2, 1, 3]);
    let turn = |y: Array| -> Result<Array> {
        let at = Array::arange(n)?.astype(F64)?.expand_dims(1)?;
        let pair = Array::arange(d / 2)?.astype(F64)?;
        let base = Array::scalar(10_000.0f64.ln())?;
        let speed = ((pair * Array::scalar(-2.0 / f64::from(d))?)? * base)?.exp()?;
        let angle = (at * speed)?;
        let parts = y.split(2, -1)?;
        let (a, b) = (&parts[0], &parts[1]);
        let (cos, sin) = (angle.cos()?, angle.sin()?);
        let first = ((a * &cos)? - (b * &sin)?)?;
        let second = ((a * &sin)? + (b * &cos)?)?;
        ops::concatenate([first, second], -1)
    };
    let q = turn(split(product(&x, &layer.q)?, heads)?)?;
    let repeat = |y: Array| {
        let y = y
            .expand_dims(2)?
            .broadcast_to((batch, kv, heads / kv, n, d))?;
        y.reshape((batch, heads, n, d))
    };
    let k = repeat(turn(split(product(&x, &layer.k)?, kv)?)?)?;
    let v = repeat(split(product(&x, &layer.v)?, kv)?)?;
    let scores = q.matmul(&k.swapaxes(-1, -2)?)?;
    let scores = (scores * Array::scalar(f64::from(d).sqrt().recip())?)?;
    let back = (Array::arange(n)?.expand_dims(1)? - Array::arange(n)?)?;
    let sees = back.greater_equal(0)?.logical_and(back.less(window)?)?;
    let least = Array::scalar(f64::NEG_INFINITY)?;
    let weights = where_(&sees, &scores, &least)?.softmax(-1)?;
    let y = weights.matmul(&v)?.transpose([0, 2, 1, 3])?;
    product(&y.reshape((batch, n, width))?, &layer.o)
}

fn layer(rng: &mut Rng, window: Option<i32>) -> Attention {
    let config = AttentionConfig::new(64, 4).kv_heads(2).window(window);
    Attention::new(config, &mut Init::seed(rng.next())).unwrap()
}

fn cut(x: &Array, from: i32, to: i32) -> Array {
    x.index((.., from..to)).unwrap()
}

#[test]
fn attention_is_its_definition_with_and_without_a_window() {
    on_worker(|| {
        with_device(Device::CPU, || {
            let mut rng = Rng::new();
            let x = normal(&mut rng, &[2, 9, 64]);
            for window in [None, Some(3), Some(1), Some(9), Some(20)] {
                let layer = layer(&mut rng, window);
                let want = reference(&layer, &x, 4, 2, window.unwrap_or(9)).unwrap();
                check(&layer.forward(&x, None).unwrap(), &want, CLOSE, "attention");
            }
        });
    });
}

/// However the positions are cut, what comes out is that of the whole.
#[test]
fn caches_change_nothing_but_what_they_forget() {
    on_worker(|| {
        with_device(Device::CPU, || {
            let mut rng = Rng::new();
            let x = normal(&mut rng, &[2, 23, 64]);
            // The ring keeps as many as the window has, or more.
            for (window, layer_has_it, kept) in [
                (23, false, 23),
                (5, false, 5),
                (5, true, 5),
                (5, true, 6),
                (3, true, 8),
                (1, true, 4),
            ] {
                let layer = layer(&mut rng, layer_has_it.then_some(window));
                let whole = reference(&layer, &x, 4, 2, window).unwrap();
                let mut caches = vec![KvCache::rotating(kept).unwrap()];
                if layer_has_it || window == 23 {
                    caches.push(KvCache::growing());
                    caches.push(KvCache::preallocated(23).unwrap());
                }
                for cache in &mut caches {
                    for cuts in [
                        vec![23],
                        vec![1; 23],
                        vec![4, 1, 1, 6, 1, 10],
                        vec![5, 1, 17],
                    ] {
                        cache.reset();
                        let mut at = 0;
                        for count in cuts {
                            let y = layer
                                .forward(&cut(&x, at, at + count), &mut *cache)
                                .unwrap();
                            check(&y, &cut(&whole, at, at + count), CLOSE, "a cut");
                            at += count;
                            assert_eq!(cache.offset(), at);
                        }
                    }
                    assert!(cache.len() == 23.min(window) || layer_has_it);
                }
            }
        });
    });
}

#[test]
fn room_grows_past_its_steps() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (k, v) = (
            normal(&mut rng, &[1, 1, 300, 2]),
            normal(&mut rng, &[1, 1, 300, 2]),
        );
        let mut cache = KvCache::growing();
        let part = |a: &Array, from: i32, to: i32| a.index((.., .., from..to)).unwrap();
        let mut seen = None;
        for (from, to) in [(0, 250), (250, 256), (256, 257), (257, 300)] {
            seen = Some(
                cache
                    .update(&part(&k, from, to), &part(&v, from, to))
                    .unwrap(),
            );
        }
        let seen = seen.unwrap();
        assert_eq!(
            seen.keys.to_vec::<f32>().unwrap(),
            k.to_vec::<f32>().unwrap()
        );
        assert_eq!(
            seen.values.to_vec::<f32>().unwrap(),
            v.to_vec::<f32>().unwrap()
        );
        assert_eq!(cache.nbytes(), 2 * 512 * 2 * 4);
    });
}

#[test]
fn quantized_caches_round_once() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (k, v) = (
            normal(&mut rng, &[2, 2, 7, 32]),
            normal(&mut rng, &[2, 2, 7, 32]),
        );
        for bits in [8, 4] {
            let q = Quantization::affine(32, bits);
            let mut cache = KvCache::quantized(q);
            let part = |a: &Array, from: i32, to: i32| a.index((.., .., from..to)).unwrap();
            cache.update(&part(&k, 0, 4), &part(&v, 0, 4)).unwrap();
            let seen = cache.update(&part(&k, 4, 7), &part(&v, 4, 7)).unwrap();
            for (got, of) in [(seen.keys, &k), (seen.values, &v)] {
                let want = of.quantize(q).unwrap().dequantize().unwrap();
                assert_eq!(got.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap());
            }
            assert_eq!(cache.arrays().len(), 6);
        }
        let mut cache = KvCache::quantized(Quantization::affine(64, 8));
        assert!(cache.update(&k, &v).is_err());
        assert!(cache.is_empty());
    });
}

#[test]
fn a_cut_cache_goes_on_from_there() {
    on_worker(|| {
        with_device(Device::CPU, || {
            let mut rng = Rng::new();
            let (x, other) = (normal(&mut rng, &[1, 8, 64]), normal(&mut rng, &[1, 3, 64]));
            let layer = layer(&mut rng, None);
            let mut cache = KvCache::growing();
            layer.forward(&x, &mut cache).unwrap();
            cache.truncate(5).unwrap();
            let got = layer.forward(&other, &mut cache).unwrap();
            let whole = ops::concatenate([&cut(&x, 0, 5), &other], 1).unwrap();
            let want = reference(&layer, &whole, 4, 2, 8).unwrap();
            check(&got, &cut(&want, 5, 8), CLOSE, "after the cut");
            assert!(cache.truncate(9).is_err() && cache.truncate(-1).is_err());
            let mut ring = KvCache::rotating(4).unwrap();
            layer.forward(&x, &mut ring).unwrap();
            assert!(ring.truncate(5).is_err());
            ring.truncate(0).unwrap();
            assert!(ring.is_empty() && ring.arrays().is_empty());
        });
    });
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    on_worker(|| {
        let mut rng = Rng::new();
        let mut cache = KvCache::preallocated(3).unwrap();
        let kv = |heads: usize, n: usize| Array::ones((1, heads, n, 4), F32).unwrap();
        cache.update(&kv(2, 2), &kv(2, 2)).unwrap();
        for (keys, values) in [
            (kv(2, 2), kv(2, 2)),
            (kv(1, 1), kv(1, 1)),
            (kv(2, 1), kv(1, 1)),
            (Array::ones((2, 4), F32).unwrap(), kv(2, 1)),
        ] {
            let error = cache.update(&keys, &values).unwrap_err().to_string();
            assert!(
                error.contains("keys") || error.contains("values"),
                "{error}"
            );
            assert_eq!(cache.offset(), 2);
        }
        cache.update(&kv(2, 1), &kv(2, 1)).unwrap();
        // Values of another width are refused when the keys have come in.
        let mut ring = KvCache::rotating(2).unwrap();
        let of = |n: f32| Array::full((1, 1, 1, 4), n, F32).unwrap();
        (0..3).for_each(|n| drop(ring.update(&of(n as f32), &of(0.0)).unwrap()));
        let narrow = Array::ones((1, 1, 1, 3), F32).unwrap();
        assert!(ring.update(&of(9.0), &narrow).is_err());
        let seen = ring.update(&of(3.0), &of(0.0)).unwrap().keys;
        assert_eq!(
            seen.index((0, 0, .., 0)).unwrap().to_vec::<f32>().unwrap(),
            [2.0, 3.0]
        );
        assert!(KvCache::rotating(0).is_err() && KvCache::preallocated(-1).is_err());
        for config in [
            AttentionConfig::new(64, 0),
            AttentionConfig::new(64, 4).kv_heads(3),
            AttentionConfig::new(64, 4).window(0),
            AttentionConfig::new(64, 4).window(2).causal(false),
        ] {
            assert!(Attention::new(config, &mut Init::seed(0)).is_err());
        }
        let layer = layer(&mut rng, None);
        assert!(
            layer
                .forward(&Array::ones((2, 64), F32).unwrap(), None)
                .is_err()
        );
        assert_eq!(layer.trained().len(), 4);
    });
}
