//! Schedules at all steps, and numbers that no step takes.

use zmlx::nn::{Init, Linear, ModuleExt, Tree};
use zmlx::optim::{self, exponential, steps};
use zmlx::{Array, Result};

use crate::common::on_worker;

/// A product with a rounded inverse is just below some whole numbers.
#[test]
fn drops_come_in_time() {
    for every in 1..300u64 {
        let schedule = steps(every, 0.5);
        for n in [1, 2, 3, 10] {
            let factor = |step: u64| schedule.factor(step);
            assert_eq!(factor(n * every), 0.5f64.powi(n as i32), "{every} {n}");
            assert_eq!(
                factor(n * every - 1),
                0.5f64.powi(n as i32 - 1),
                "{every} {n}"
            );
        }
    }
    assert_eq!(exponential(0.0).factor(0), 1.0);
    assert_eq!(exponential(0.0).factor(1), 0.0);
}

fn model() -> Result<(Linear, Tree)> {
    let model = Linear::without_bias(2, 1, &mut Init::seed(3))?;
    let grads = model.parameters().map(|_, w| w.ones_like())?;
    Ok((model, grads))
}

#[test]
fn betas_beyond_one() {
    on_worker(|| -> Result<()> {
        for betas in [(1.5, 0.9), (0.9, -0.1), (0.9, f64::NAN)] {
            let (mut model, grads) = model()?;
            let mut lion = optim::Lion::new(0.1).betas(betas.0, betas.1);
            let text = lion.update(&mut model, grads).unwrap_err().to_string();
            assert!(text.contains("`betas`"), "{text}");
            assert!(text.contains("tests/optimizers/numbers.rs"), "{text}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn rates_that_are_no_numbers() {
    on_worker(|| -> Result<()> {
        let (mut model, grads) = model()?;
        let before = model.weight.dense()?.to_vec::<f32>()?;
        for rate in [f64::NAN, f64::INFINITY, 1e300] {
            let told = |r: Result<()>| {
                let text = r.unwrap_err().to_string();
                assert!(
                    text.contains("`rate`") && text.contains("tests/optimizers/numbers.rs"),
                    "{text}"
                );
            };
            told(optim::Sgd::new(rate).update(&mut model, grads.clone()));
            told(optim::Lion::new(rate).update(&mut model, grads.clone()));
            told(optim::Muon::new(rate).update(&mut model, grads.clone()));
            told(optim::AdamW::new(rate).update(&mut model, grads.clone()));
            told(optim::Adafactor::new(rate).update(&mut model, grads.clone()));
        }
        let text = optim::AdamW::new(0.1)
            .betas(2.0, 0.9)
            .update(&mut model, grads.clone());
        let text = text.unwrap_err().to_string();
        assert!(text.contains("tests/optimizers/numbers.rs"), "{text}");
        assert_eq!(model.weight.dense()?.to_vec::<f32>()?, before);
        Ok(())
    })
    .unwrap();
}

/// Momentum that is asked for behind the first step counts from there on.
#[test]
fn momentum_may_come_later() {
    on_worker(|| -> Result<()> {
        let (mut model, grads) = model()?;
        let start = model.weight.dense()?.to_vec::<f32>()?;
        let mut sgd = optim::Sgd::new(0.5);
        sgd.update(&mut model, grads.clone())?;
        let mut sgd = sgd.momentum(0.5);
        sgd.update(&mut model, grads.clone())?;
        sgd.update(&mut model, grads)?;
        // 0.5, then 0.5, then 0.5 * 1.5.
        for (now, start) in model.weight.dense()?.to_vec::<f32>()?.iter().zip(start) {
            assert!((start - now - 1.75).abs() < 1e-6, "{start} {now}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn steps_of_a_state_are_whole() {
    on_worker(|| -> Result<()> {
        let (model, _) = model()?;
        let mut adam = optim::AdamW::new(0.1);
        adam.prepare(&model)?;
        let state = adam.state()?;
        for step in [-1.0f32, 2.5, f32::NAN] {
            let mut state = state.clone();
            state.insert("step".to_owned(), Array::from(step));
            let text = adam.load_state(&model, &state).unwrap_err().to_string();
            assert!(
                text.contains("`step`") && text.contains("whole number"),
                "{text}"
            );
        }
        adam.load_state(&model, &state)
    })
    .unwrap();
}
