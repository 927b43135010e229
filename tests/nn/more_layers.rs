//! Convolutions, dropout, losses, experts, lists of layers, attention over blocks.

use zmlx::nn::{self, Init, KvCache, ModuleExt, PagedCache, Pages, losses};
use zmlx::ops::Quantization;
use zmlx::prelude::*;
use zmlx::{Result, random};

use crate::common::{Rng, exactly, f64s, on_worker};
use crate::toolkit::{check, normal};

fn wide(a: &Array) -> Array {
    a.astype(F64).unwrap()
}

#[test]
fn convolutions_by_their_sums() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            let mut init = Init::seed(rng.next());
            let x = normal(&mut rng, &[2, 7, 4]);
            let layer = nn::Conv1d::grouped(4, 6, [3], 2, &mut init).unwrap();
            let layer = layer.with(|c| c.stride(2).padding(1));
            let (v, w) = (f64s(&x), f64s(&layer.weight));
            let b = f64s(layer.bias.as_ref().unwrap());
            let mut want = Vec::new();
            for n in 0..2 {
                for at in 0..4i32 {
                    for o in 0..6usize {
                        let mut sum = b[o];
                        for k in 0..3i32 {
                            let p = at * 2 + k - 1;
                            if (0..7).contains(&p) {
                                for c in 0..2usize {
                                    let group = o / 3;
                                    let from = (n * 7 + p as usize) * 4 + group * 2 + c;
                                    sum += v[from] * w[(o * 3 + k as usize) * 2 + c];
                                }
                            }
                        }
                        want.push(sum);
                    }
                }
            }
            let y = layer.forward(&x).unwrap();
            assert_eq!(y.shape(), [2, 4, 6]);
            crate::common::close(&y, &want, 1e-5);

            // A window of one position is a linear layer.
            let image = normal(&mut rng, &[1, 3, 2, 4]);
            let point = nn::Conv2d::new(4, 5, [1, 1], &mut init).unwrap();
            let w = point.weight.reshape((5, 4)).unwrap();
            let linear = nn::Linear::from_weight(w, Some((**point.bias.as_ref().unwrap()).clone()));
            let want = wide(&linear.forward(&image).unwrap());
            check(&point.forward(&image).unwrap(), &want, 1e-5, "points");
            assert!(nn::Conv1d::grouped(4, 6, [3], 4, &mut init).is_err());
            assert!(nn::Conv2d::new(4, 6, [3, 0], &mut init).is_err());
        });
    });
}

#[test]
fn dropout_keeps_the_mean_and_the_seed() {
    on_worker(|| {
        let mut layer = nn::Dropout::new(0.25).unwrap();
        let x = Array::ones(40_000, F32).unwrap();
        let run = |layer: &nn::Dropout| {
            random::seed(9);
            layer.forward(&x).unwrap().to_vec::<f32>().unwrap()
        };
        let y = run(&layer);
        assert!(y.iter().all(|v| *v == 0.0 || (v - 1.0 / 0.75).abs() < 1e-6));
        let kept = y.iter().filter(|v| **v != 0.0).count() as f64;
        // Seven deviations of a binomial number.
        assert!(
            (kept - 30_000.0).abs() < 7.0 * (40_000.0f64 * 0.1875).sqrt(),
            "{kept}"
        );
        assert_eq!(y, run(&layer));
        assert_ne!(y, layer.forward(&x).unwrap().to_vec::<f32>().unwrap());
        layer.train(false);
        assert_eq!(run(&layer), vec![1.0; 40_000]);
        assert!(nn::Dropout::new(1.0).is_err() && nn::Dropout::new(f32::NAN).is_err());
    });
}

#[test]
fn losses_by_their_formulas() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (x, t) = (normal(&mut rng, &[50]), normal(&mut rng, &[50]));
        let (a, b) = (f64s(&x), f64s(&t));
        let pairs = |f: fn(f64, f64) -> f64| -> Vec<f64> {
            a.iter().zip(&b).map(|(x, t)| f(*x, *t)).collect()
        };
        let near = |got: Result<Array>, want: Vec<f64>| {
            crate::common::close(&got.unwrap(), &want, 1e-5);
        };
        near(losses::mse(&x, &t), pairs(|x, t| (x - t).powi(2)));
        near(losses::l1(&x, &t), pairs(|x, t| (x - t).abs()));
        near(
            losses::huber(&x, &t, 0.5),
            pairs(|x, t| match (x - t).abs() {
                d if d <= 0.5 => d * d / 2.0,
                d => 0.5 * (d - 0.25),
            }),
        );
        let chance = t.sigmoid().unwrap();
        near(
            losses::binary_cross_entropy(&x, &chance),
            pairs(|x, t| {
                let (p, t) = (1.0 / (1.0 + (-x).exp()), 1.0 / (1.0 + (-t).exp()));
                -(t * p.ln() + (1.0 - t) * (1.0 - p).ln())
            }),
        );
        let logs = |v: &[f64]| {
            let sum: f64 = v.iter().map(|x| x.exp()).sum();
            v.iter().map(|x| x - sum.ln()).collect::<Vec<_>>()
        };
        let (la, lb) = (logs(&a), logs(&b));
        let divergence: f64 = la.iter().zip(&lb).map(|(q, p)| p.exp() * (p - q)).sum();
        let log_softmax = |x: &Array| (x - x.logsumexp(..).unwrap()).unwrap();
        near(
            losses::kl_divergence(&log_softmax(&x), &log_softmax(&t)),
            vec![divergence],
        );
        near(
            losses::cross_entropy(
                &x.reshape((1, 50)).unwrap(),
                &Array::from_slice(&[7], 1).unwrap(),
            ),
            vec![-la[7]],
        );
        let one = Array::ones((1, 50), F32).unwrap();
        assert!(losses::mse(&x, &one).is_err() && losses::huber(&x, &t, 0.0).is_err());
    });
}

/// Each token by hand: its best experts, their layers one by one.
#[test]
fn experts_one_by_one() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            for (k, quantized) in [(1, false), (2, false), (3, false), (2, true)] {
                let mut moe = nn::Moe::new(32, 64, 4, k, &mut Init::seed(rng.next())).unwrap();
                if quantized {
                    let q = Quantization::affine(32, 8);
                    assert_eq!(moe.quantize(q, |n| n != "router").unwrap(), 3);
                }
                let x = normal(&mut rng, &[2, 3, 32]);
                let scores = wide(&x)
                    .matmul(
                        &wide(&moe.router.weight.dense().unwrap())
                            .transpose(..)
                            .unwrap(),
                    )
                    .unwrap();
                let scores = scores.to_vec::<f64>().unwrap();
                let stack = |e: &nn::Experts, i: i32| {
                    let all = wide(&e.weight.dense().unwrap());
                    all.index(i).unwrap().transpose(..).unwrap()
                };
                let rows = wide(&x).reshape((6, 32)).unwrap();
                let mut want = Vec::new();
                let mut share = [0.0; 4];
                let mut chance = [0.0; 4];
                for t in 0..6usize {
                    let s = &scores[t * 4..t * 4 + 4];
                    let all: f64 = s.iter().map(|v| v.exp()).sum();
                    (0..4).for_each(|e| chance[e] += s[e].exp() / all / 6.0);
                    let mut order: Vec<usize> = (0..4).collect();
                    order.sort_by(|a, b| s[*b].total_cmp(&s[*a]));
                    let best = &order[..k as usize];
                    let sum: f64 = best.iter().map(|e| s[*e].exp()).sum();
                    let row = rows.index(t as i32..t as i32 + 1).unwrap();
                    let mut y = vec![0.0; 32];
                    for &e in best {
                        share[e] += 1.0 / (6.0 * f64::from(k));
                        let by =
                            |w: &nn::Experts, x: &Array| x.matmul(&stack(w, e as i32)).unwrap();
                        let gate = by(&moe.gate, &row);
                        let h = ((&gate * gate.sigmoid().unwrap()).unwrap() * by(&moe.up, &row))
                            .unwrap();
                        let out = by(&moe.down, &h).to_vec::<f64>().unwrap();
                        for (y, o) in y.iter_mut().zip(out) {
                            *y += o * s[e].exp() / sum;
                        }
                    }
                    want.extend(y);
                }
                let (y, balance) = moe.forward_balanced(&x).unwrap();
                crate::common::close(&y, &want, 1e-5);
                crate::common::close(&moe.forward(&x).unwrap(), &want, 1e-5);
                let want = 4.0 * share.iter().zip(chance).map(|(f, p)| f * p).sum::<f64>();
                crate::common::close(&balance.reshape(1).unwrap(), &[want], 1e-5);
            }
            assert!(nn::Moe::new(8, 8, 4, 5, &mut Init::seed(1)).is_err());
            assert!(nn::Moe::new(8, 8, 4, 0, &mut Init::seed(1)).is_err());
        });
    });
}

/// The gradient of a mixture is the slope of its loss.
#[test]
fn experts_learn() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            let mut moe = nn::Moe::new(8, 16, 4, 2, &mut Init::seed(rng.next())).unwrap();
            let x = normal(&mut rng, &[5, 8]);
            let step = nn::value_and_grad(&moe, |m, x: &Array| {
                let (y, balance) = m.forward_balanced(x)?;
                y.square()?.sum(..)? + (balance * 0.01)?
            });
            let (_, grads) = step(&moe, &x).unwrap();
            for name in ["gate.weight", "up.weight", "down.weight"] {
                let along = normal(
                    &mut rng,
                    &grads[name]
                        .shape()
                        .iter()
                        .map(|n| *n as usize)
                        .collect::<Vec<_>>(),
                );
                let slope = (&grads[name] * &along)
                    .unwrap()
                    .sum(..)
                    .unwrap()
                    .item::<f32>()
                    .unwrap();
                let before = moe.parameters();
                let h = 1e-2f32;
                let mut at = |s: f32| {
                    let moved = (&before[name] + (&along * s).unwrap()).unwrap();
                    moe.set(&[(name.to_owned(), moved)].into_iter().collect())
                        .unwrap();
                    step(&moe, &x).unwrap().0.item::<f32>().unwrap()
                };
                let found = (at(h) - at(-h)) / (2.0 * h);
                at(0.0);
                // The third derivative times h^2 / 6, and float32's rounding over h.
                assert!(
                    (found - slope).abs() <= 0.02 * (1.0 + slope.abs()),
                    "{name} {found} {slope}"
                );
            }
        });
    });
}

#[test]
fn layers_in_a_row() {
    on_worker(|| {
        let mut init = Init::seed(3);
        let mut model = nn::Sequential::new()
            .then(nn::Linear::new(4, 8, &mut init).unwrap())
            .then(nn::Activation::Silu)
            .then(nn::Dropout::new(0.5).unwrap())
            .then(nn::RmsNorm::new(8, &init).unwrap());
        model.train(false);
        let names: Vec<String> = model.parameters().into_names().collect();
        assert_eq!(names, ["0.bias", "0.weight", "3.weight"]);
        assert_eq!((model.len(), model.is_empty()), (4, false));
        let x = Array::ones((2, 4), F32).unwrap();
        let copy = model.clone();
        let before = copy.forward(&x).unwrap().to_vec::<f32>().unwrap();
        model.update(|_, a| a * 0.0).unwrap();
        assert_eq!(
            model.forward(&x).unwrap().to_vec::<f32>().unwrap(),
            [0.0; 16]
        );
        assert_eq!(
            copy.forward(&x).unwrap().to_vec::<f32>().unwrap(),
            before,
            "a clone is apart"
        );
    });
}

/// Two sequences in blocks, each against the same layer with a cache of its own.
#[test]
fn attention_over_blocks_is_attention() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            let config = nn::AttentionConfig::new(64, 4).kv_heads(2);
            let layer = nn::Attention::new(config, &mut Init::seed(rng.next())).unwrap();
            let mut paged = PagedCache::new(6, 4, 2, 16, F32).unwrap();
            let tables = [vec![5, 0, 2], vec![3, 1]];
            let lengths = [6, 3];
            let mut caches = [KvCache::growing(), KvCache::growing()];
            for ((table, count), cache) in tables.iter().zip(lengths).zip(&mut caches) {
                let prompt = normal(&mut rng, &[1, count as usize, 64]);
                let [_, k, v] = layer.heads_of(&prompt).unwrap();
                let k = layer.rope.as_ref().unwrap().forward(&k, 0).unwrap();
                let one = |a: &Array| a.squeeze(0).unwrap();
                paged.write(table, 0, &one(&k), &one(&v)).unwrap();
                layer.forward(&prompt, cache).unwrap();
            }
            for n in 0..3 {
                let x = normal(&mut rng, &[2, 1, 64]);
                let offsets = lengths.map(|l| l + n);
                let pages = Pages::new(&tables, &offsets).unwrap();
                let y = layer.forward_paged(&x, &mut paged, &pages).unwrap();
                for (i, cache) in caches.iter_mut().enumerate() {
                    let part = |a: &Array| a.index(i as i32..i as i32 + 1).unwrap();
                    let want = layer.forward(&part(&x), cache).unwrap();
                    check(&part(&y), &wide(&want), 1e-5, "a sequence");
                }
            }
            let k = Array::ones((2, 1, 16), F32).unwrap();
            assert!(paged.write(&[9], 0, &k, &k).is_err());
            assert!(paged.write(&[1], 4, &k, &k).is_err());
            assert!(Pages::new(&tables, &[1]).is_err());
            assert!(PagedCache::new(0, 4, 2, 16, F32).is_err());
        });
    });
}
