//! Gradients by name, clipping, accumulation, compiled steps.

use zmlx::nn::{self, Accumulator, Init, ModuleExt, Tree, losses};
use zmlx::optim;
use zmlx::prelude::*;

use crate::common::{Rng, exactly, f64s, on_worker};
use crate::toolkit::{check, normal};

#[test]
fn gradients_are_those_of_the_formula() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            let (x, w) = (normal(&mut rng, &[4, 3]), normal(&mut rng, &[2, 3]));
            let t = normal(&mut rng, &[4, 2]);
            let b = normal(&mut rng, &[2]);
            let mut model = nn::Linear::from_weight(w.clone(), Some(b.clone()));
            let step = nn::value_and_grad(&model, |m, (x, t): &(Array, Array)| {
                losses::mse(&m.forward(x)?, t)?.sum(..)
            });
            let batch = (x.clone(), t.clone());
            let (_, grads) = step(&model, &batch).unwrap();
            // d/dW sum (x W^T + b - t)^2 = 2 (x W^T + b - t)^T x.
            let wide = |a: &Array| a.astype(F64).unwrap();
            let off =
                (wide(&x).matmul(&wide(&w).transpose(..).unwrap()).unwrap() + wide(&b)).unwrap();
            let off = ((off - wide(&t)).unwrap() * 2.0).unwrap();
            let dw = off.transpose(..).unwrap().matmul(&wide(&x)).unwrap();
            check(grads.get("weight").unwrap(), &dw, 1e-5, "weight");
            check(
                grads.get("bias").unwrap(),
                &off.sum(0).unwrap(),
                1e-5,
                "bias",
            );

            model.freeze(|name| name == "bias");
            let (_, grads) = step(&model, &batch).unwrap();
            assert_eq!(grads.into_names().collect::<Vec<_>>(), ["weight"]);
            model.freeze(|_| true);
            let error = step(&model, &batch).unwrap_err().to_string();
            assert!(
                error.contains("trained") && error.contains(file!()),
                "{error}"
            );
        });
    });
}

#[test]
fn errors_of_the_function_come_out_unchanged() {
    on_worker(|| {
        let model = nn::Linear::without_bias(3, 2, &mut Init::seed(1)).unwrap();
        let step = nn::value_and_grad(&model, |m, x: &Array| m.forward(x));
        let x = Array::ones((1, 3), F32).unwrap();
        assert!(
            step(&model, &x)
                .unwrap_err()
                .to_string()
                .contains("single number")
        );
        let step = nn::value_and_grad(&model, |_, _: &Array| Err(Error::other("mine")));
        assert_eq!(step(&model, &x).unwrap_err().to_string(), "mine");
    });
}

#[test]
fn clipping_keeps_the_direction() {
    on_worker(|| {
        let mut rng = Rng::new();
        let tree = |rng: &mut Rng| -> Tree {
            let a = normal(rng, &[3, 4]);
            let b = normal(rng, &[5]).astype(F16).unwrap();
            [("a".to_owned(), a), ("b".to_owned(), b)]
                .into_iter()
                .collect()
        };
        let grads = tree(&mut rng);
        let values = |t: &Tree| -> Vec<f64> {
            let all = t.values().flat_map(|a| f64s(&a.astype(F32).unwrap()));
            all.collect()
        };
        let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let before = values(&grads);
        let norm = nn::norm(&grads).unwrap().item::<f32>().unwrap();
        assert!((f64::from(norm) / length(&before) - 1.0).abs() < 1e-6);
        let after = values(&nn::clip_norm(grads.clone(), 0.5).unwrap());
        for (a, b) in after.iter().zip(&before) {
            // A rounding of float16.
            let want = b * 0.5 / length(&before);
            assert!((a - want).abs() <= 1e-3 * want.abs() + 1e-7, "{a} {want}");
        }
        assert_eq!(
            values(&nn::clip_norm(grads.clone(), 100.0).unwrap()),
            before
        );
        assert_eq!(values(&nn::clip_norm(grads.clone(), norm).unwrap()), before);
        for wrong in [0.0, -1.0, f32::NAN] {
            assert!(nn::clip_norm(grads.clone(), wrong).is_err());
        }
        let mut integers = grads;
        integers.insert("c".into(), Array::from(1));
        assert!(
            nn::clip_norm(integers, 1.0)
                .unwrap_err()
                .to_string()
                .contains("`c`")
        );
    });
}

/// The mean loss of a batch is the mean of those of its halves, and so is the gradient.
#[test]
fn accumulated_gradients_are_those_of_the_whole_batch() {
    on_worker(|| {
        exactly(|| {
            let mut rng = Rng::new();
            let model = nn::Mlp::new(3, 5, &mut Init::seed(rng.next())).unwrap();
            let x = normal(&mut rng, &[8, 3]);
            let step = nn::value_and_grad(&model, |m, x: &Array| m.forward(x)?.square()?.mean(..));
            let (_, whole) = step(&model, &x).unwrap();
            let mut sums = Accumulator::new();
            assert!(sums.take_mean().is_err());
            for half in x.split(2, 0).unwrap() {
                sums.add(&step(&model, &half).unwrap().1).unwrap();
            }
            assert_eq!(sums.count(), 2);
            assert!(sums.add(&Tree::new()).is_err());
            for (name, got) in &sums.take_mean().unwrap() {
                check(got, &whole[name].astype(F64).unwrap(), 1e-5, name);
            }
        });
    });
}

/// A compiled step goes the way of the plain one, schedule and number of the step included.
#[test]
fn a_compiled_step_is_the_step() {
    on_worker(|| {
        let mut rng = Rng::new();
        let seed = rng.next();
        let x = normal(&mut rng, &[8, 3]);
        let fresh = || {
            let model = nn::Linear::new(3, 2, &mut Init::seed(seed)).unwrap();
            let schedule = optim::warmup(2).then(optim::cosine(5));
            let mut optimizer = optim::AdamW::new(0.1).schedule(schedule);
            optimizer.prepare(&model).unwrap();
            (model, optimizer)
        };
        type State = (nn::Linear, optim::AdamW);
        let step = |(model, optimizer): &mut State, x: &Array| -> zmlx::Result<Array> {
            let grad = nn::value_and_grad(model, |m, x: &Array| m.forward(x)?.square()?.mean(..));
            let (loss, grads) = grad(model, x)?;
            optimizer.update(model, grads)?;
            Ok(loss)
        };
        let (mut plain, mut fast) = (fresh(), fresh());
        let compiled = nn::compile(move |s: &mut State, x: &[Array]| Ok(vec![step(s, &x[0])?]));
        let compiled = compiled.unwrap();
        for _ in 0..6 {
            let want = step(&mut plain, &x).unwrap();
            let got = compiled.call(&mut fast, [&x]).unwrap();
            nn::eval_all((&plain, &want)).unwrap();
            // The rate and the corrections are rounded to float32 in another order.
            let want = exactly(|| want.astype(F64).unwrap());
            check(&got[0], &want, 1e-4, "loss");
        }
        assert_eq!((plain.1.step(), fast.1.step()), (6, 6));
        for (name, got) in &fast.0.parameters() {
            let want = exactly(|| plain.0.parameters()[name].astype(F64).unwrap());
            check(got, &want, 1e-4, name);
        }

        let mut bare: State = (fresh().0, optim::AdamW::new(0.1));
        let error = compiled.call(&mut bare, [&x]).unwrap_err().to_string();
        assert!(
            error.contains("`1.bias.m`") && error.contains("prepare"),
            "{error}"
        );
        assert_eq!(bare.1.step(), 0);
    });
}

#[test]
fn dropout_in_a_compiled_step_is_refused() {
    on_worker(|| {
        let mut dropout = nn::Dropout::new(0.5).unwrap();
        let step = nn::compile(|d: &mut nn::Dropout, x: &[Array]| Ok(vec![d.forward(&x[0])?]));
        let step = step.unwrap();
        let x = Array::ones(8, F32).unwrap();
        let error = step.call(&mut dropout, [&x]).unwrap_err().to_string();
        assert!(error.contains("same elements"), "{error}");
        dropout.train(false);
        assert_eq!(
            step.call(&mut dropout, [&x]).unwrap()[0]
                .to_vec::<f32>()
                .unwrap(),
            [1.0; 8]
        );
    });
}
