//! Mapped calls, what is refused, and penalties.

use zmlx::kernels::sampling::{repetition_penalty, sample};
use zmlx::prelude::*;
use zmlx::{Result, vjp, vmap};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

#[test]
fn mapped_and_refused() {
    on_worker(|| -> Result<()> {
        let x = random::normal((4, 3, 100))?;
        let call = |p: &[Array]| Ok(vec![sample(&p[0]).seed(3).call()?]);
        let mapped = vmap(call).call([&x])?;
        assert_eq!(
            mapped[0].to_vec::<u32>()?,
            call(std::slice::from_ref(&x))?[0].to_vec::<u32>()?
        );
        // With options of their own.
        let heat = random::uniform((4, 3))?;
        let call = |p: &[Array]| Ok(vec![sample(&p[0]).temperature(&p[1]).seed(3).call()?]);
        let mapped = vmap(call).call([&x, &heat])?;
        assert_eq!(mapped[0].shape(), [4, 3]);
        let second = call(&[x.index(1)?, heat.index(1)?])?;
        assert_eq!(
            mapped[0].index(1)?.to_vec::<u32>()?,
            second[0].to_vec::<u32>()?
        );

        let told = |e: Error, words: &[&str]| {
            let text = e.to_string();
            assert!(words.iter().all(|w| text.contains(w)), "{words:?}: {text}");
            assert!(text.contains("tests/catalog/sampling/calls.rs"), "{text}");
        };
        let twelve = Array::zeros(12, F32)?;
        told(
            sample(&Array::from(1.0f32)).call().unwrap_err(),
            &["`logits`"],
        );
        told(
            sample(&Array::zeros((2, 0), F32)?).call().unwrap_err(),
            &["`logits`", "[2, 0]"],
        );
        told(
            sample(&Array::zeros((2, 3), I32)?).call().unwrap_err(),
            &["`logits`", "int32"],
        );
        told(
            sample(&x).temperature(-1.0).call().unwrap_err(),
            &["`temperature`", "-1"],
        );
        told(
            sample(&x).temperature(f32::NAN).call().unwrap_err(),
            &["`temperature`", "NaN"],
        );
        told(
            sample(&x).top_p(1.5).call().unwrap_err(),
            &["`top_p`", "from 0 to 1", "1.5"],
        );
        told(
            sample(&x).min_p(-0.5).call().unwrap_err(),
            &["`min_p`", "-0.5"],
        );
        told(
            sample(&x).temperature(&twelve).call().unwrap_err(),
            &["`temperature`", "[4, 3]", "[12]"],
        );
        told(
            sample(&x).top_k(&twelve).call().unwrap_err(),
            &["`top_k`", "integers", "float32"],
        );
        told(
            sample(&x).seed(&Array::zeros(12, I32)?).call().unwrap_err(),
            &["`seed`", "[4, 3]"],
        );
        let wide = Array::zeros(1, F32)?.broadcast_to(1 << 24)?;
        told(sample(&wide).call().unwrap_err(), &["`logits`", "2^24"]);
        let gradient = vjp(
            |p| Ok(vec![sample(&p[0]).call()?.astype(F32)?]),
            [&x],
            [&Array::zeros((4, 3), F32)?],
        );
        told(gradient.unwrap_err(), &["`logits`", "`sample`"]);
        let seen = Array::zeros((4, 2, 5), I32)?;
        told(
            repetition_penalty(&x, &seen, 2.0).unwrap_err(),
            &["`tokens`", "[4, 3, 5]"],
        );
        told(
            repetition_penalty(&x, &x, 2.0).unwrap_err(),
            &["`tokens`", "integers"],
        );
        let seen = Array::zeros((4, 3, 5), I32)?;
        told(
            repetition_penalty(&x, &seen, 0.0).unwrap_err(),
            &["`penalty`", "above 0"],
        );
        told(
            repetition_penalty(&x, &seen, &twelve).unwrap_err(),
            &["`penalty`", "[4, 3]"],
        );
        Ok(())
    })
    .unwrap();
}

#[test]
fn penalties_meet_the_tokens_that_were_seen() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        for dtype in [F32, F16, BF16] {
            let x = random::normal((3, 50))?.astype(dtype)?;
            // Some twice, some no tokens.
            let seen: Vec<i64> = (0..60).map(|_| (rng.next() % 70) as i64 - 10).collect();
            let penalties = [1.5f32, 1.0, 0.75];
            let y = repetition_penalty(
                &x,
                &Array::from_slice(&seen, (3, 20))?,
                &Array::from_slice(&penalties, 3)?,
            )?;
            assert_eq!((y.shape(), y.dtype()), (x.shape(), dtype));
            let (x, y) = (numbers(&x)?, numbers(&y)?);
            for (i, (x, y)) in x.iter().zip(&y).enumerate() {
                let (row, token) = (i / 50, (i % 50) as i64);
                let penalty = f64::from(penalties[row]);
                let want = match seen[20 * row..20 * row + 20].contains(&token) {
                    false => *x,
                    true if *x > 0.0 => x / penalty,
                    true => x * penalty,
                };
                let step = match dtype {
                    F32 => 1e-7,
                    F16 => 1e-3,
                    _ => 8e-3,
                };
                assert!(
                    (y - want).abs() <= step * want.abs(),
                    "{dtype} {i}: {y}, {want}"
                );
            }
        }
        Ok(())
    })
    .unwrap();
}
