//! Steps of AdamW beyond what the table says of it.

use zmlx::kernels::optimizers::adamw_step;
use zmlx::prelude::*;
use zmlx::{Result, compile, eval, grad};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

/// The paper's algorithm in float64.
struct Exact {
    p: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
}

impl Exact {
    fn step(&mut self, g: &[f64], lr: f64, step: i32, [beta1, beta2, eps, wd]: [f64; 4]) {
        for (i, g) in g.iter().enumerate() {
            self.m[i] = beta1 * self.m[i] + (1.0 - beta1) * g;
            self.v[i] = beta2 * self.v[i] + (1.0 - beta2) * g * g;
            let first = self.m[i] / (1.0 - beta1.powi(step));
            let second = self.v[i] / (1.0 - beta2.powi(step));
            self.p[i] -= lr * (first / (second.sqrt() + eps) + wd * self.p[i]);
        }
    }
}

/// Elements are off by `tolerance`, relative to themselves and to the numbers around 1 that they are differences of.
#[track_caller]
fn near(got: &Array, want: &[f64], tolerance: f64, what: &str) {
    within(got, want, tolerance, 1.0, what);
}

#[track_caller]
fn within(got: &Array, want: &[f64], tolerance: f64, terms: f64, what: &str) {
    let got = numbers(got).unwrap();
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= tolerance * (terms + w.abs()),
            "{what}: element {i}: {g}, {w}"
        );
    }
}

fn exactly(a: &Array) -> Vec<f64> {
    numbers(a).unwrap()
}

/// Steps from zero moments on: biases are corrected by the number of the step, which counts by one, in numbers and in arrays.
#[test]
fn many_steps_as_in_the_paper() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let n = 1234;
        let others = [
            [0.9, 0.999, 1e-8, 0.01],
            [0.8, 0.9999, 1e-3, 0.0],
            [0.0, 0.95, 0.0, 0.3],
        ];
        for numbers in others {
            let [beta1, beta2, eps, wd] = numbers;
            let mut p = Array::from_slice(&rng.normals(n), n)?;
            let zeros = Array::zeros(n as i32, F32)?;
            let (mut m, mut v) = (zeros.clone(), zeros.clone());
            let zero = || vec![0.0; n];
            let mut want = Exact {
                p: exactly(&p),
                m: zero(),
                v: zero(),
            };
            for step in 1..=20 {
                let lr = 0.1 / f64::from(step);
                let g = Array::from_slice(&rng.normals(n), n)?;
                let (lr_array, step_array) =
                    (Array::from(lr as f32), Array::from_slice(&[step], 1)?);
                let call = match step % 2 {
                    0 => adamw_step(&p, &g, &m, &v, lr, step),
                    _ => adamw_step(&p, &g, &m, &v, &lr_array, &step_array),
                };
                [p, m, v] = call.beta1(beta1).beta2(beta2).eps(eps).wd(wd).call()?;
                want.step(&exactly(&g), lr, step, numbers);
                // Each step adds a few roundings of float32.
                let tolerance = 1e-6 * f64::from(step + 4);
                near(&m, &want.m, tolerance, "m");
                near(&v, &want.v, tolerance, "v");
                near(&p, &want.p, tolerance, "p");
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Moments in float32 beside parameters of 16 bits stay float32: the original rounds them to the parameters' dtype.
#[test]
fn moments_keep_their_dtype() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for dtype in [F16, BF16] {
            let n = 2048;
            let random = |rng: &mut Rng| Array::from_slice(&rng.normals(n), n);
            let p = random(&mut rng)?.astype(dtype)?;
            let g = random(&mut rng)?.astype(dtype)?;
            let m = random(&mut rng)?;
            let v = random(&mut rng)?.square()?;
            let mut want = Exact {
                p: exactly(&p),
                m: exactly(&m),
                v: exactly(&v),
            };
            want.step(&exactly(&g), 0.01, 100, [0.9, 0.999, 1e-8, 0.01]);
            let [p, m, v] = adamw_step(&p, &g, &m, &v, 0.01, 100).call()?;
            assert_eq!([p.dtype(), m.dtype(), v.dtype()], [dtype, F32, F32]);
            near(&m, &want.m, 1e-6, "m");
            near(&v, &want.v, 1e-6, "v");
            near(&p, &want.p, 4e-3, "p");
        }
        Ok(())
    })
    .unwrap();
}

/// A second moment of a small change: 1 - 0.999 in float32 would be off by 1e-5, and beta^step near 1 by more.
#[test]
fn betas_near_one() {
    on_worker(|| -> Result<()> {
        let (p, g, zero) = (
            Array::from(1.0f32),
            Array::from(3.0f32),
            Array::from(0.0f32),
        );
        for (beta2, step) in [(0.999, 1), (0.9999, 2), (0.999_999, 5), (0.5, 1000)] {
            let [p1, _, v] = adamw_step(&p, &g, &zero, &zero, 0.5, step)
                .beta2(beta2)
                .wd(0.0)
                .call()?;
            let mut want = Exact {
                p: vec![1.0],
                m: vec![0.0],
                v: vec![0.0],
            };
            want.step(&[3.0], 0.5, step, [0.9, beta2, 1e-8, 0.0]);
            within(&v, &want.v, 1e-6, 0.0, "v");
            within(&p1, &want.p, 2e-6, 0.0, "p");
        }
        Ok(())
    })
    .unwrap();
}

/// Rates and steps as arrays compile with a model, and have gradients.
#[test]
fn rates_and_steps_as_arrays() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let arrays: Vec<Array> = (0..4)
            .map(|i| {
                let a = Array::from_slice(&rng.normals(64), (4, 16))?;
                if i == 3 { a.square() } else { Ok(a) }
            })
            .collect::<Result<_>>()?;
        let step = |p: &[Array]| -> Result<Vec<Array>> {
            Ok(adamw_step(&p[0], &p[1], &p[2], &p[3], &p[4], &p[5])
                .call()?
                .into())
        };
        let compiled = compile(step)?;
        for (lr, t) in [(0.5f32, 1.0f32), (0.125, 7.0)] {
            let mut all = arrays.clone();
            all.extend([Array::from(lr), Array::from(t)]);
            let (got, want) = (compiled.call(&all)?, step(&all)?);
            eval(&got)?;
            for (got, want) in got.iter().zip(&want) {
                near(got, &exactly(want), 1e-6, "compiled");
            }
            let [p, g, m, v] = &arrays[..] else {
                unreachable!()
            };
            let slope = grad(|lr| adamw_step(p, g, m, v, lr, f64::from(t)).call()?[0].sum(..))(
                &Array::from(lr),
            )?;
            // The step is linear in its rate.
            let [moved, ..] = adamw_step(p, g, m, v, 1.0, f64::from(t)).call()?;
            let want: f64 = exactly(&moved)
                .iter()
                .zip(exactly(p))
                .map(|(a, b)| a - b)
                .sum();
            near(&slope, &[want], 1e-4, "slope of the rate");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_adamw_refuses() {
    on_worker(|| -> Result<()> {
        #[track_caller]
        fn refused(got: Result<[Array; 3]>, is: fn(&Error) -> bool, words: &[&str]) {
            let error = got.expect_err("an error");
            let text = error.to_string();
            assert!(is(&error), "{error:?}");
            assert!(
                words.iter().all(|w| text.contains(w)),
                "{text}, expected {words:?}"
            );
        }
        let dtype = |e: &Error| matches!(e, Error::Dtype { .. });
        let shape = |e: &Error| matches!(e, Error::Shape { .. });
        let argument = |e: &Error| matches!(e, Error::Argument { .. });
        let a = Array::ones((2, 3), F32)?;
        let row = Array::ones(3, F32)?;
        let int = a.astype(Dtype::Int32)?;
        let call = || adamw_step(&a, &a, &a, &a, 0.1, 1);
        refused(
            adamw_step(&a, &row, &a, &a, 0.1, 1).call(),
            shape,
            &["`g`", "[2, 3]", "[3]"],
        );
        refused(adamw_step(&a, &a, &row, &a, 0.1, 1).call(), shape, &["`m`"]);
        refused(adamw_step(&a, &a, &a, &row, 0.1, 1).call(), shape, &["`v`"]);
        refused(
            adamw_step(&int, &a, &a, &a, 0.1, 1).call(),
            dtype,
            &["`p`", "int32"],
        );
        refused(
            adamw_step(&a, &a, &a, &int, 0.1, 1).call(),
            dtype,
            &["`v`", "int32"],
        );
        refused(
            adamw_step(&a, &a, &a, &a, &row, 1).call(),
            shape,
            &["`lr`", "[3]"],
        );
        refused(
            adamw_step(&a, &a, &a, &a, 0.1, &row).call(),
            shape,
            &["`step`", "[3]"],
        );
        let one = Array::ones(1, Dtype::Int32)?;
        refused(
            adamw_step(&a, &a, &a, &a, &one, 1).call(),
            dtype,
            &["`lr`", "int32"],
        );
        refused(
            adamw_step(&a, &a, &a, &a, 0.1, 0).call(),
            argument,
            &["`step`", "0"],
        );
        refused(
            adamw_step(&a, &a, &a, &a, f64::NAN, 1).call(),
            argument,
            &["`lr`", "NaN"],
        );
        refused(call().beta1(1.0).call(), argument, &["`beta1`", "1"]);
        refused(call().beta2(-0.5).call(), argument, &["`beta2`", "-0.5"]);
        refused(call().eps(-1.0).call(), argument, &["`eps`", "-1"]);
        refused(call().wd(f64::INFINITY).call(), argument, &["`wd`", "inf"]);
        // An empty parameter has an empty step.
        let empty = Array::zeros((0, 3), F32)?;
        let [p, ..] = adamw_step(&empty, &empty, &empty, &empty, 0.1, 1).call()?;
        assert_eq!(p.shape(), [0, 3]);
        Ok(())
    })
    .unwrap();
}
