//! Steps of recurrent depth.

use zmlx::kernels::vlsp;
use zmlx::prelude::*;
use zmlx::{Result, grad};

use crate::common::{Rng, all_close, on_worker};
use crate::tolerance::numbers;
use crate::transformer::{normal, sigmoid};

#[test]
fn depths_of_gates() {
    on_worker(|| -> Result<()> {
        let inf = f32::INFINITY;
        let x = Array::from_slice(&[-inf, 0.0, inf, 1.0], 4)?;
        let y = numbers(&vlsp::depth_gate_sigmoid(&x).call()?)?;
        all_close(&y, &[0.0, 4.0, 8.0, 8.0 * sigmoid(1.0)], 1e-6);
        // No straight-through estimator: the slope is the function's.
        let slope = grad(|x| vlsp::depth_gate_sigmoid(x).k_max(3.0).call()?.sum(..))(&x)?;
        let s = sigmoid(1.0);
        all_close(
            &numbers(&slope)?,
            &[0.0, 0.75, 0.0, 3.0 * s * (1.0 - s)],
            1e-6,
        );
        for k_max in [0.0, -1.0, f32::NAN, inf] {
            let error = vlsp::depth_gate_sigmoid(&x)
                .k_max(k_max)
                .call()
                .unwrap_err();
            assert!(error.to_string().contains("`k_max`"), "{error}");
        }
        Ok(())
    })
    .unwrap();
}

/// A step with its number as an array without axes, as one of one element, and as one that a map gives.
#[test]
fn steps_of_one_number() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let (h, gate) = (normal(&mut rng, &[4, 9])?, normal(&mut rng, &[4, 9])?);
        let w = normal(&mut rng, &[9])?;
        let step = |alpha: &Array| vlsp::fused_recurrent_step(&h, &w, &gate, alpha).call();
        let zero = numbers(&step(&Array::from(0.0f32))?)?;
        assert_eq!(zero, numbers(&h)?);
        let alpha = Array::from(0.5f32);
        let y = step(&alpha)?;
        assert_eq!(numbers(&y)?, numbers(&step(&alpha.reshape(1)?)?)?);
        // The step is linear in the number, so the slope is what it adds for 1.
        let added = numbers(&(&step(&Array::from(1.0f32))? - &h)?)?;
        for alpha in [alpha.clone(), alpha.reshape(1)?] {
            let slope = grad(|a| step(a)?.sum(..))(&alpha)?;
            assert_eq!(slope.shape(), alpha.shape());
            all_close(&numbers(&slope)?, &[added.iter().sum()], 2e-5);
        }
        let alphas = Array::from_slice(&[0.0f32, 1.0, -2.0], 3)?;
        let mapped =
            zmlx::vmap(|p: &[Array]| Ok(vec![step(&p[0])?, grad(|a| step(a)?.sum(..))(&p[0])?]));
        let got = mapped.call(std::slice::from_ref(&alphas))?;
        for i in 0..3 {
            let alpha = alphas.index(i)?;
            all_close(
                &numbers(&got[0].index(i)?)?,
                &numbers(&step(&alpha)?)?,
                1e-6,
            );
            all_close(&numbers(&got[1].index(i)?)?, &[added.iter().sum()], 2e-5);
        }
        Ok(())
    })
    .unwrap();
}
