//! The fused operations against plain loops in f64.

mod common;

use common::{close, factors_are_rounded, noise, on_worker, short};
use rstest::rstest;
use zmlx::{Array, Dtype, Error, fast};

fn array(values: &[f32], shape: &[i32]) -> Array {
    Array::from_slice(values, shape).unwrap()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

#[rstest]
#[case(1, 1)]
#[case(3, 7)]
#[case(5, 130)]
fn norms(#[case] rows: usize, #[case] n: usize) {
    on_worker(move || {
        let (x, w, b) = (noise(rows * n, 1), noise(n, 2), noise(n, 3));
        let (eps, shape) = (1e-3f32, [rows as i32, n as i32]);
        let (mut rms, mut layer, mut plain) = (vec![], vec![], vec![]);
        for row in wide(&x).chunks(n) {
            let len = n as f64;
            let square = row.iter().map(|v| v * v).sum::<f64>() / len;
            let mean = row.iter().sum::<f64>() / len;
            let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / len;
            for (i, v) in row.iter().enumerate() {
                let (w, b) = (f64::from(w[i]), f64::from(b[i]));
                plain.push(v / (square + f64::from(eps)).sqrt());
                rms.push(v / (square + f64::from(eps)).sqrt() * w);
                layer.push((v - mean) / (var + f64::from(eps)).sqrt() * w + b);
            }
        }
        let (x, w, b) = (
            array(&x, &shape),
            array(&w, &[n as i32]),
            array(&b, &[n as i32]),
        );
        close(&fast::rms_norm(&x, None, eps).unwrap(), &plain, 1e-5);
        close(&fast::rms_norm(&x, &w, eps).unwrap(), &rms, 1e-5);
        close(&fast::layer_norm(&x, &w, &b, eps).unwrap(), &layer, 1e-5);
        let short = array(&noise(n + 1, 4), &[n as i32 + 1]);
        assert!(matches!(
            fast::rms_norm(&x, &short, eps),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(
            fast::layer_norm(&x, None, &short, eps),
            Err(Error::Shape { .. })
        ));
        assert!(fast::rms_norm(&Array::from(1.0f32), None, eps).is_err());
    });
}

#[test]
fn cross_entropy() {
    on_worker(|| {
        let (n, classes) = (6usize, 9usize);
        let logits = noise(n * classes, 5);
        let targets = [0i32, 8, 3, -1, 100, -100];
        let at = [0usize, 8, 3, 8, 8, 0];
        let want: Vec<f64> = wide(&logits)
            .chunks(classes)
            .zip(at)
            .map(|(row, t)| row.iter().map(|v| v.exp()).sum::<f64>().ln() - row[t])
            .collect();
        let x = array(&logits, &[n as i32, classes as i32]);
        let t = Array::from_slice(&targets, n).unwrap();
        close(&fast::cross_entropy(&x, &t).unwrap(), &want, 1e-5);
        let small = Array::from_slice(&[0u8, 8, 3, 8, 255, 0], n).unwrap();
        close(&fast::cross_entropy(&x, &small).unwrap(), &want, 1e-5);
        assert!(matches!(
            fast::cross_entropy(&x, &Array::from(1i32)),
            Err(Error::Shape { .. })
        ));
        assert!(fast::cross_entropy(&x, &array(&noise(n, 1), &[n as i32])).is_err());
        let none = array(&[], &[3, 0]);
        let t = Array::from_slice(&[0i32; 3], 3).unwrap();
        assert!(matches!(
            fast::cross_entropy(&none, &t),
            Err(Error::Shape { .. })
        ));
    });
}

/// `x` of shape (b, t, d), pairs by halves or neighbours.
fn turned(
    x: &[f32],
    (b, t, d): (usize, usize, usize),
    dims: usize,
    neighbours: bool,
    angle: impl Fn(usize, usize, usize) -> f64,
) -> Vec<f64> {
    let mut y = wide(x);
    for row in 0..b * t {
        for i in 0..dims / 2 {
            let (p, q) = if neighbours {
                (2 * i, 2 * i + 1)
            } else {
                (i, i + dims / 2)
            };
            let (u, v) = (f64::from(x[row * d + p]), f64::from(x[row * d + q]));
            let a = angle(row / t, row % t, i);
            y[row * d + p] = u * a.cos() - v * a.sin();
            y[row * d + q] = u * a.sin() + v * a.cos();
        }
    }
    y
}

#[rstest]
fn rope(#[values(false, true)] neighbours: bool, #[values(4, 8)] dims: usize) {
    on_worker(move || {
        let (b, t, d) = (2, 5, 8);
        let x = noise(b * t * d, 6);
        let a = array(&x, &[b as i32, t as i32, d as i32]);
        let frequency = move |i: usize, base: f64| base.powf(-2.0 * i as f64 / dims as f64);
        let base = || fast::rope(&a, dims as i32).traditional(neighbours);

        let want = turned(&x, (b, t, d), dims, neighbours, |_, t, i| {
            t as f64 * frequency(i, 1e4)
        });
        close(&base().call().unwrap(), &want, 1e-5);
        let want = turned(&x, (b, t, d), dims, neighbours, |_, t, i| {
            (t as f64 + 3.0) * 0.5 * frequency(i, 100.0)
        });
        close(
            &base().offset(3).scale(0.5).base(100.0).call().unwrap(),
            &want,
            1e-5,
        );
        let want = turned(&x, (b, t, d), dims, neighbours, |b, t, i| {
            (t + [1, 40][b]) as f64 * frequency(i, 1e4)
        });
        let each = Array::from_slice(&[1i32, 40], 2).unwrap();
        close(&base().offsets(&each).call().unwrap(), &want, 1e-4);
        let periods: Vec<f32> = (0..dims / 2).map(|i| 1.0 + i as f32).collect();
        let want = turned(&x, (b, t, d), dims, neighbours, |_, t, i| {
            t as f64 / (1.0 + i as f64)
        });
        let periods = array(&periods, &[dims as i32 / 2]);
        close(&base().freqs(&periods).call().unwrap(), &want, 1e-5);
        assert!(base().freqs(&each).call().is_err() || dims == 4);
        for bad in [-2, 0, 3, 10] {
            assert!(fast::rope(&a, bad).call().is_err(), "{bad}");
        }
        assert!(fast::rope(&Array::from(1.0f32), 2).call().is_err());
    });
}

struct Heads {
    b: usize,
    heads: usize,
    kv: usize,
    tq: usize,
    tk: usize,
    d: usize,
    dv: usize,
}

/// Scores get `extra(head, query, key)`; `sink(head)` takes part in the softmax.
fn attention(
    h: &Heads,
    (q, k, v): (&[f32], &[f32], &[f32]),
    scale: f64,
    extra: impl Fn(usize, usize, usize) -> f64,
    sink: impl Fn(usize) -> f64,
) -> Vec<f64> {
    let (q, k, v) = (wide(q), wide(k), wide(v));
    let mut out = Vec::new();
    for bn in 0..h.b * h.heads {
        let (b, head) = (bn / h.heads, bn % h.heads);
        let kv = b * h.kv + head / (h.heads / h.kv);
        for i in 0..h.tq {
            let row = &q[(bn * h.tq + i) * h.d..][..h.d];
            let weights: Vec<f64> = (0..h.tk)
                .map(|j| {
                    let key = &k[(kv * h.tk + j) * h.d..][..h.d];
                    let dot: f64 = row.iter().zip(key).map(|(a, b)| a * b).sum();
                    (dot * scale + extra(head, i, j)).exp()
                })
                .collect();
            let total: f64 = weights.iter().sum::<f64>() + sink(head).exp();
            for c in 0..h.dv {
                let sum: f64 = (0..h.tk)
                    .map(|j| weights[j] * v[(kv * h.tk + j) * h.dv + c])
                    .sum();
                out.push(sum / total);
            }
        }
    }
    out
}

#[rstest]
#[case(Heads { b: 2, heads: 4, kv: 4, tq: 5, tk: 5, d: 8, dv: 8 })]
#[case(Heads { b: 1, heads: 6, kv: 2, tq: 3, tk: 7, d: 4, dv: 6 })]
fn attention_in_every_mode(#[case] h: Heads) {
    on_worker(move || {
        let n = [
            h.b * h.heads * h.tq * h.d,
            h.b * h.kv * h.tk * h.d,
            h.b * h.kv * h.tk * h.dv,
        ];
        let factors = |n, seed| noise(n, seed).into_iter().map(short).collect::<Vec<_>>();
        let (q, k, v) = (factors(n[0], 7), factors(n[1], 8), factors(n[2], 9));
        // Scaled queries and the weights of values are not short: each may be off by 2^-11, scores are about 1.
        let tol = if factors_are_rounded() { 1e-3 } else { 1e-5 };
        let scale = (h.d as f64).powf(-0.5);
        let dims = |n: [usize; 4]| n.map(|d| d as i32);
        let aq = array(&q, &dims([h.b, h.heads, h.tq, h.d]));
        let ak = array(&k, &dims([h.b, h.kv, h.tk, h.d]));
        let av = array(&v, &dims([h.b, h.kv, h.tk, h.dv]));
        let run = || fast::scaled_dot_product_attention(&aq, &ak, &av, scale as f32);
        let none = |_: usize| f64::NEG_INFINITY;
        let want = |extra: &dyn Fn(usize, usize, usize) -> f64, sink: &dyn Fn(usize) -> f64| {
            attention(&h, (&q, &k, &v), scale, extra, sink)
        };

        let y = run().call().unwrap();
        assert_eq!(y.shape(), dims([h.b, h.heads, h.tq, h.dv]));
        close(&y, &want(&|_, _, _| 0.0, &none), tol);

        let late = h.tk - h.tq;
        let causal = |_: usize, i: usize, j: usize| {
            if j <= i + late {
                0.0
            } else {
                f64::NEG_INFINITY
            }
        };
        close(&run().causal().call().unwrap(), &want(&causal, &none), tol);

        let add = noise(h.tq * h.tk, 10);
        let mask = array(&add, &[h.tq as i32, h.tk as i32]);
        let extra = |_: usize, i: usize, j: usize| f64::from(add[i * h.tk + j]);
        close(
            &run().mask(&mask).call().unwrap(),
            &want(&extra, &none),
            tol,
        );

        let bools: Vec<bool> = (0..h.heads * h.tk).map(|i| i % 3 != 1).collect();
        let mask = Array::from_slice(&bools, dims([1, h.heads, 1, h.tk])).unwrap();
        let extra = |n: usize, _: usize, j: usize| {
            if bools[n * h.tk + j] {
                0.0
            } else {
                f64::NEG_INFINITY
            }
        };
        close(
            &run().mask(&mask).call().unwrap(),
            &want(&extra, &none),
            tol,
        );

        let sinks = noise(h.heads, 11);
        let s = array(&sinks, &[h.heads as i32]);
        let sink = |n: usize| f64::from(sinks[n]);
        close(
            &run().sinks(&s).causal().call().unwrap(),
            &want(&causal, &sink),
            tol,
        );

        assert!(run().sinks(&mask).call().is_err());
        assert!(run().mask(&array(&noise(2, 1), &[2])).call().is_err());
    });
}

#[test]
fn attention_refuses_what_does_not_fit() {
    on_worker(|| {
        let a = |s: [i32; 4]| array(&noise(s.iter().product::<i32>() as usize, 1), &s);
        let bad = |q: [i32; 4], k: [i32; 4], v: [i32; 4]| {
            fast::scaled_dot_product_attention(&a(q), &a(k), &a(v), 1.0)
                .call()
                .unwrap_err()
        };
        assert!(matches!(
            bad([1, 2, 3, 4], [1, 0, 3, 4], [1, 0, 3, 4]),
            Error::Shape { .. }
        ));
        bad([1, 3, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]);
        bad([1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3, 4]);
        bad([2, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]);
        let flat = array(&noise(4, 1), &[4]);
        assert!(
            fast::scaled_dot_product_attention(&flat, &flat, &flat, 1.0)
                .call()
                .is_err()
        );
    });
}

#[rstest]
fn gated_delta(#[values(false, true)] masked: bool, #[values(false, true)] begun: bool) {
    on_worker(move || {
        let (b, t, hk, hv, dk, dv) = (2usize, 5usize, 2usize, 4usize, 8usize, 3usize);
        let (q, k, v) = (
            noise(b * t * hk * dk, 1),
            noise(b * t * hk * dk, 2),
            noise(b * t * hv * dv, 3),
        );
        let gate: Vec<f32> = noise(b * t * hv, 4)
            .iter()
            .map(|x| 0.75 + x / 4.0)
            .collect();
        let beta: Vec<f32> = noise(b * t * hv, 5).iter().map(|x| 0.5 + x / 2.0).collect();
        let start = if begun {
            noise(b * hv * dv * dk, 6)
        } else {
            vec![0.0; b * hv * dv * dk]
        };
        let mask: Vec<bool> = (0..b * t).map(|i| !masked || i % 3 != 1).collect();

        let mut state = wide(&start);
        let mut want = vec![f64::NAN; b * t * hv * dv];
        let at = |x: &[f32], i: usize| f64::from(x[i]);
        for bi in 0..b {
            for ti in (0..t).filter(|ti| mask[bi * t + ti]) {
                for h in 0..hv {
                    let key = ((bi * t + ti) * hk + h / (hv / hk)) * dk;
                    let head = (bi * t + ti) * hv + h;
                    for c in 0..dv {
                        let s = &mut state[((bi * hv + h) * dv + c) * dk..][..dk];
                        s.iter_mut().for_each(|s| *s *= at(&gate, head));
                        let seen: f64 = (0..dk).map(|i| s[i] * at(&k, key + i)).sum();
                        let delta = (at(&v, head * dv + c) - seen) * at(&beta, head);
                        (0..dk).for_each(|i| s[i] += delta * at(&k, key + i));
                        want[head * dv + c] = (0..dk).map(|i| s[i] * at(&q, key + i)).sum();
                    }
                }
            }
        }
        let dims = |n: &[usize]| n.iter().map(|&d| d as i32).collect::<Vec<_>>();
        let keys = dims(&[b, t, hk, dk]);
        let heads = dims(&[b, t, hv]);
        let (q, k) = (array(&q, &keys), array(&k, &keys));
        let v = array(&v, &dims(&[b, t, hv, dv]));
        let (gate, beta) = (array(&gate, &heads), array(&beta, &heads));
        let start = array(&start, &dims(&[b, hv, dv, dk]));
        let mask_array = Array::from_slice(&mask, (b, t)).unwrap();
        let mut run = fast::gated_delta_update(&q, &k, &v, &gate, &beta);
        if masked {
            run = run.mask(&mask_array);
        }
        if begun {
            run = run.state(&start);
        }
        let (y, end) = run.clone().call().unwrap();
        assert_eq!(y.shape(), v.shape());
        close(&end, &state, 1e-4);
        let got = y.to_vec::<f32>().unwrap();
        for (g, w) in got.iter().zip(&want).filter(|(_, w)| !w.is_nan()) {
            assert!((f64::from(*g) - w).abs() < 1e-4, "{g} against {w}");
        }
        assert!(matches!(
            run.clone().state(&q).call(),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(run.mask(&gate).call(), Err(Error::Dtype { .. })));
        let e = fast::gated_delta_update(&q, &k, &v, &beta, &start).call();
        assert!(matches!(e, Err(Error::Shape { .. })));
    });
}

#[rstest]
#[case(Dtype::Float16)]
#[case(Dtype::Bfloat16)]
fn dtypes_stay(#[case] dtype: Dtype) {
    on_worker(move || {
        let x = zmlx::random::of_type(dtype).normal((1, 2, 4, 8)).unwrap();
        for y in [
            fast::rms_norm(&x, None, 1e-5),
            fast::layer_norm(&x, None, None, 1e-5),
            fast::rope(&x, 8).call(),
            fast::scaled_dot_product_attention(&x, &x, &x, 0.3)
                .causal()
                .call(),
        ] {
            let y = y.unwrap();
            assert_eq!((y.dtype(), y.shape()), (dtype, x.shape()));
            y.eval().unwrap();
        }
    });
}
