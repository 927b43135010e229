//! Each rule, step by step, in float64.

use zmlx::nn::Tree;
use zmlx::optim::{self, Optimizer, Rule, Schedule};
use zmlx::prelude::*;

use crate::common::{Rng, exactly, on_worker};

const STEPS: usize = 40;

/// A run of an optimizer on random gradients, and of its formula: `formula(step, rate, p, g)` changes `p`, of these rows and columns.
/// Both see the same float32 gradients. The tolerance is that of `STEPS` roundings of float32 of numbers near 1, each step
/// having a dozen operations, unless a test says more.
fn run<R: Rule>(
    mut optimizer: Optimizer<R>,
    shape: &[usize],
    tolerance: f64,
    mut formula: impl FnMut(f64, &mut [f64], &[f64]),
) {
    let mut rng = Rng::new();
    let n: usize = shape.iter().product();
    let start = rng.normals(n);
    let mut want: Vec<f64> = start.iter().map(|v| f64::from(*v)).collect();
    let p = Array::from_slice(&start, shape).unwrap();
    let mut model: Tree = [("w".to_owned(), p)].into_iter().collect();
    for step in 1..=STEPS {
        let g = rng.normals(n);
        let wide: Vec<f64> = g.iter().map(|v| f64::from(*v)).collect();
        formula(step as f64, &mut want, &wide);
        let grads = [("w".to_owned(), Array::from_slice(&g, shape).unwrap())];
        optimizer
            .update(&mut model, grads.into_iter().collect())
            .unwrap();
        zmlx::nn::eval_all((&model, &optimizer)).unwrap();
    }
    assert_eq!(optimizer.step(), STEPS as u64);
    crate::common::close(model.get("w").unwrap(), &want, tolerance);
}

fn adamw(rate: impl Fn(f64) -> f64, decay: f64) -> impl FnMut(f64, &mut [f64], &[f64]) {
    let mut moments = Vec::new();
    move |t, p, g| {
        moments.resize(p.len(), (0.0, 0.0));
        for ((p, g), (m, v)) in p.iter_mut().zip(g).zip(&mut moments) {
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            let (m, v) = (*m / (1.0 - 0.9f64.powf(t)), *v / (1.0 - 0.999f64.powf(t)));
            *p -= rate(t) * (m / (v.sqrt() + 1e-8) + decay * *p);
        }
    }
}

#[test]
fn adam_and_adamw() {
    on_worker(|| {
        run(optim::Adam::new(0.01), &[7, 3], 2e-6, adamw(|_| 0.01, 0.0));
        let optimizer = optim::AdamW::new(0.02).weight_decay(0.1);
        run(optimizer, &[21], 2e-6, adamw(|_| 0.02, 0.1));
        let schedule = optim::warmup(5).then(optim::cosine(20).to(0.1));
        let rate = |t: f64| {
            let step = t - 1.0;
            let done = ((step - 5.0).max(0.0) / 20.0).min(1.0);
            let cosine = 0.1 + 0.9 * (1.0 + (std::f64::consts::PI * done).cos()) / 2.0;
            0.02 * ((step + 1.0) / 5.0).min(1.0) * cosine
        };
        let optimizer = optim::AdamW::new(0.02).weight_decay(0.1).schedule(schedule);
        run(optimizer, &[21], 2e-6, adamw(rate, 0.1));
    });
}

#[test]
fn sgd_in_its_forms() {
    on_worker(|| {
        for (momentum, nesterov, decay) in [(0.0, false, 0.0), (0.9, false, 0.01), (0.9, true, 0.0)]
        {
            let optimizer = optim::Sgd::new(0.01).momentum(momentum);
            let optimizer = optimizer.nesterov(nesterov).weight_decay(decay);
            let mut velocity = vec![0.0; 15];
            run(optimizer, &[5, 3], 4e-6, move |_, p, g| {
                for ((p, g), v) in p.iter_mut().zip(g).zip(&mut velocity) {
                    let g = g + decay * *p;
                    *v = momentum * *v + g;
                    *p -= 0.01 * if nesterov { g + momentum * *v } else { *v };
                }
            });
        }
    });
}

#[test]
fn lion() {
    on_worker(|| {
        let mut moment = vec![0.0f64; 33];
        let optimizer = optim::Lion::new(0.01).weight_decay(0.1);
        // A direction near 0 may be rounded to the other side, which moves a parameter by two rates: the chance is some
        // 1e-7 for each of 1320 directions.
        run(optimizer, &[33], 2e-6, move |_, p, g| {
            for ((p, g), m) in p.iter_mut().zip(g).zip(&mut moment) {
                let c = 0.9 * *m + 0.1 * g;
                *p -= 0.01 * (if c == 0.0 { 0.0 } else { c.signum() } + 0.1 * *p);
                *m = 0.99 * *m + 0.01 * g;
            }
        });
    });
}

/// A matrix in rows.
struct Matrix(usize, usize, Vec<f64>);

impl Matrix {
    fn product(&self, b: &Matrix) -> Matrix {
        let mut c = vec![0.0; self.0 * b.1];
        for i in 0..self.0 {
            for k in 0..self.1 {
                for j in 0..b.1 {
                    c[i * b.1 + j] += self.2[i * self.1 + k] * b.2[k * b.1 + j];
                }
            }
        }
        Matrix(self.0, b.1, c)
    }

    fn turned(&self) -> Matrix {
        let at = |i: usize| self.2[i % self.0 * self.1 + i / self.0];
        Matrix(self.1, self.0, (0..self.2.len()).map(at).collect())
    }

    fn sum(&self, a: f64, other: &Matrix, b: f64) -> Matrix {
        let pairs = self.2.iter().zip(&other.2);
        Matrix(self.0, self.1, pairs.map(|(x, y)| a * x + b * y).collect())
    }
}

fn newton_schulz(g: Matrix) -> Matrix {
    let tall = g.0 > g.1;
    let x = if tall { g.turned() } else { g };
    let length = x.2.iter().map(|v| v * v).sum::<f64>().sqrt() + 1e-7;
    let mut x = x.sum(1.0 / length, &x, 0.0);
    for _ in 0..5 {
        let a = x.product(&x.turned());
        let b = a.sum(-4.7750, &a.product(&a), 2.0315);
        x = x.sum(3.4445, &b.product(&x), 1.0);
    }
    if tall { x.turned() } else { x }
}

#[test]
fn muon() {
    on_worker(|| {
        exactly(|| {
            for (rows, columns) in [(4, 9), (9, 4)] {
                let mut velocity = Matrix(rows, columns, vec![0.0; 36]);
                let optimizer = optim::Muon::new(0.02).weight_decay(0.1);
                // The polynomial has a slope of up to 3.4445^5 = 485 where a length is near 0.
                run(optimizer, &[rows, columns], 1e-3, move |_, p, g| {
                    let g = Matrix(rows, columns, g.to_vec());
                    velocity = velocity.sum(0.95, &g, 1.0);
                    let u = newton_schulz(g.sum(1.0, &velocity, 0.95));
                    let scale = (rows as f64 / columns as f64).max(1.0).sqrt();
                    for (p, u) in p.iter_mut().zip(&u.2) {
                        *p -= 0.02 * (scale * u + 0.1 * *p);
                    }
                });
            }
            // What has one axis is AdamW's, at a hundredth of the rate.
            run(optim::Muon::new(1.0), &[12], 2e-6, adamw(|_| 0.01, 0.0));
        });
    });
}

#[test]
fn adafactor() {
    on_worker(|| {
        let rms = |v: &[f64]| (v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64).sqrt();
        let apply = move |t: f64, p: &mut [f64], g: &[f64], second: &[f64]| {
            let rate = rms(p).max(1e-3) * (1.0 / t.sqrt()).min(0.01);
            let u: Vec<f64> = g.iter().zip(second).map(|(g, v)| g / v.sqrt()).collect();
            let over = rms(&u).max(1.0);
            p.iter_mut().zip(u).for_each(|(p, u)| *p -= rate * u / over);
        };
        let mut v = vec![0.0; 12];
        run(
            optim::Adafactor::of_the_paper(),
            &[12],
            4e-6,
            move |t, p, g| {
                let b = 1.0 - t.powf(-0.8);
                v.iter_mut()
                    .zip(g)
                    .for_each(|(v, g)| *v = b * *v + (1.0 - b) * (g * g + 1e-30));
                apply(t, p, g, &v);
            },
        );
        // Sums in place of means, as the paper has them.
        let (mut r, mut c) = (vec![0.0; 5], vec![0.0; 7]);
        run(
            optim::Adafactor::of_the_paper(),
            &[5, 7],
            4e-6,
            move |t, p, g| {
                let b = 1.0 - t.powf(-0.8);
                let square = |i: usize, j: usize| g[i * 7 + j] * g[i * 7 + j] + 1e-30;
                for (i, r) in r.iter_mut().enumerate() {
                    *r = b * *r + (1.0 - b) * (0..7).map(|j| square(i, j)).sum::<f64>();
                }
                for (j, c) in c.iter_mut().enumerate() {
                    *c = b * *c + (1.0 - b) * (0..5).map(|i| square(i, j)).sum::<f64>();
                }
                let all: f64 = r.iter().sum();
                let second: Vec<f64> = (0..35).map(|k| r[k / 7] * c[k % 7] / all).collect();
                apply(t, p, g, &second);
            },
        );
    });
}

/// Closed forms: constant gradients of 1.
#[test]
fn on_a_slope() {
    on_worker(|| {
        fn last<R: Rule>(mut optimizer: Optimizer<R>, steps: i32) -> f32 {
            let mut model: Tree = [("w".to_owned(), Array::from(0.0f32))]
                .into_iter()
                .collect();
            for _ in 0..steps {
                let grads = [("w".to_owned(), Array::from(1.0f32))]
                    .into_iter()
                    .collect();
                optimizer.update(&mut model, grads).unwrap();
            }
            model.get("w").unwrap().item().unwrap()
        }
        let near =
            |got: f32, want: f32| assert!((got - want).abs() < 1e-5 * want.abs(), "{got} {want}");
        near(last(optim::Sgd::new(0.5), 3), -1.5);
        // v = 1, 1.5, 1.75.
        near(last(optim::Sgd::new(1.0).momentum(0.5), 3), -4.25);
        // Corrected moments of a constant are that constant.
        near(last(optim::Adam::new(0.5), 10), -5.0);
        near(last(optim::Lion::new(0.5), 10), -5.0);
    });
}

#[test]
fn schedules_at_some_steps() {
    let near = |s: Schedule, at: u64, want: f64| {
        let got = s.factor(at);
        assert!((got - want).abs() < 1e-12, "{got} {want}");
    };
    near(optim::constant(), 77, 1.0);
    near(optim::linear(10).to(0.5), 5, 0.75);
    near(optim::linear(10), 20, 0.0);
    near(optim::cosine(100), 50, 0.5);
    near(optim::cosine(100), 100, 0.0);
    near(optim::exponential(0.5), 3, 0.125);
    near(optim::steps(10, 0.1), 25, 0.01);
    near(optim::inverse_root(0.01), 0, 0.01);
    near(optim::inverse_root(2.0), 3, 0.5);
    near(optim::warmup(4), 1, 0.5);
    near(optim::warmup(4).then(optim::linear(4)), 6, 0.5);
    near(optim::warmup(0), 0, 1.0);
}
