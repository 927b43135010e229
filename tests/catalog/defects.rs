//! The known defects of the original, ZMLX 0.4.2, by number, each with the tests that it would fail: the list is complete, and
//! what it names exists.

use zmlx::Result;
use zmlx::kernels::activations;
use zmlx::prelude::*;

use crate::common::{on_worker, root};
use crate::tolerance::numbers;

mod table;
use table::{Defect, defects};

#[test]
fn each_defect_has_its_tests() {
    if !root().join("tests/catalog").is_dir() {
        println!("SKIPPED: the sources of the tests are not here");
        return;
    }
    let all = defects();
    let numbers: Vec<u32> = all.iter().map(|d| d.number).collect();
    assert_eq!(numbers, (1..=55).collect::<Vec<_>>());
    for Defect {
        number,
        what,
        tests,
        why,
    } in &all
    {
        assert!(
            !tests.is_empty() || !why.is_empty(),
            "{number}, {what}: no test"
        );
        for test in tests {
            let (file, name) = test.split_once(' ').expect("a file and a function");
            let text = std::fs::read_to_string(root().join(file)).expect(test);
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let head = format!("fn {name}(");
            let at = lines
                .iter()
                .position(|l| l.trim_start_matches("pub(crate) ").starts_with(&head));
            let at = at.unwrap_or_else(|| panic!("{number}: no {name} in {file}"));
            let marks = lines[at.saturating_sub(6)..at].iter();
            let marked = marks
                .rev()
                .any(|l| l.starts_with("#[test") || l.starts_with("#[rstest"));
            assert!(marked, "{number}: {name} in {file} is no test");
        }
    }
}

/// Where `exp(x) - 1` and `log(1 + exp(x))` would keep none of the digits.
#[test]
fn small_results_keep_their_digits() {
    on_worker(|| -> Result<()> {
        let near = |y: Array, want: f64| {
            let got = numbers(&y).unwrap()[0];
            assert!(
                (got - want).abs() < 1e-6 * want.abs(),
                "{got}, expected {want}"
            );
        };
        for x in [-1e-6f32, -1e-4, -3e-3] {
            let (a, exact) = (Array::from(x), f64::from(x).exp_m1());
            near(activations::elu(&a).call()?, exact);
            near(activations::celu(&a).call()?, exact);
        }
        for x in [-20.0f32, -40.0, -80.0] {
            let (a, power) = (Array::from(x), f64::from(x).exp());
            near(activations::softplus(&a)?, power.ln_1p());
            near(activations::mish(&a)?, f64::from(x) * power.ln_1p().tanh());
            near(grad(activations::softplus)(&a)?, power / (1.0 + power));
        }
        Ok(())
    })
    .unwrap();
}

/// The square of 300 is no half.
#[test]
fn slopes_of_large_halves() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[300.0f32, -300.0, 60000.0], 3)?.astype(F16)?;
        let slope = grad(|x: &Array| activations::gelu_tanh(x)?.sum(..))(&x)?;
        assert_eq!(numbers(&slope)?, [1.0, 0.0, 1.0]);
        let slope = grad(|x: &Array| activations::silu(x)?.sum(..))(&x)?;
        assert_eq!(numbers(&slope)?, [1.0, 0.0, 1.0]);
        Ok(())
    })
    .unwrap();
}
