//! Choices against the probabilities that they should have.

use zmlx::llm::{Sampler, Sampling};
use zmlx::prelude::*;

use crate::common::Rng;

/// Tokens that can be chosen, and how often, in 5,000 draws.
fn frequencies(sampling: Sampling, logits: &[f32]) -> Vec<f64> {
    let logits = array(logits);
    let mut sampler = Sampler::new(sampling, &[]);
    let mut counts = vec![0.0; logits.size()];
    for _ in 0..5_000 {
        counts[sampler.choose(&logits, None).unwrap().token as usize] += 1.0 / 5_000.0;
    }
    counts
}

fn array(logits: &[f32]) -> Array {
    Array::from_slice(logits, logits.len()).unwrap()
}

fn softmax(logits: &[f32], temperature: f64, kept: &[usize]) -> Vec<f64> {
    let weight = |i: usize| match kept.contains(&i) {
        true => (f64::from(logits[i]) / temperature).exp(),
        false => 0.0,
    };
    let total: f64 = (0..logits.len()).map(weight).sum();
    (0..logits.len()).map(|i| weight(i) / total).collect()
}

/// The standard deviation of a frequency is at most sqrt(1/4 / 5,000) = 0.0071; six of them are 0.043. The kernel has stricter tests
/// (`tests/catalog/sampling.rs`).
#[test]
fn tokens_come_as_often_as_they_should() {
    let seed = Rng::new().next();
    let logits = [1.0, 3.0, 2.5, -1.0, 2.0, f32::NEG_INFINITY];
    let base = Sampling {
        temperature: 0.8,
        seed,
        ..Sampling::default()
    };
    // Probabilities at 0.8: 0.047, 0.569, 0.305, 0.004, 0.163 up to their sum.
    for (sampling, kept) in [
        (base.clone(), vec![0, 1, 2, 3, 4]),
        (
            Sampling {
                top_k: 2,
                ..base.clone()
            },
            vec![1, 2],
        ),
        (
            Sampling {
                top_p: 0.6,
                ..base.clone()
            },
            vec![1, 2],
        ),
        (
            Sampling {
                top_p: 0.0,
                ..base.clone()
            },
            vec![1],
        ),
        (
            Sampling {
                min_p: 0.2,
                ..base.clone()
            },
            vec![1, 2, 4],
        ),
        (
            Sampling {
                temperature: 0.0,
                ..base
            },
            vec![1],
        ),
    ] {
        let want = softmax(&logits, 0.8, &kept);
        let got = frequencies(sampling.clone(), &logits);
        for (g, w) in got.iter().zip(&want) {
            assert!(
                (g - w).abs() < 0.043 && (*w > 0.0 || *g == 0.0),
                "{sampling:?}: {got:?}, {want:?}"
            );
        }
    }
}

#[test]
fn repetition_is_punished() {
    let logits = array(&[2.0, 1.5, -0.1, -0.15]);
    let sampling = Sampling {
        repetition_penalty: 2.0,
        ..Sampling::default()
    };
    let mut sampler = Sampler::new(sampling, &[2]);
    let tokens: Vec<u32> = (0..3)
        .map(|_| sampler.choose(&logits, None).unwrap().token)
        .collect();
    // 2.0 becomes 1.0, then 1.5 becomes 0.75, and 1.0 is the best again.
    assert_eq!(tokens, [0, 1, 0]);
}

#[test]
fn probabilities_are_told() {
    let logits = [0.5, 2.0, 1.0, f32::NAN];
    let choose = |logits: &[f32], top| {
        let mut sampler = Sampler::new(Sampling::default(), &[]);
        sampler.choose(&array(logits), top).unwrap()
    };
    let total = (0.5f64.exp() + 2f64.exp() + 1f64.exp()).ln();
    // What is not a number is no choice, and has no part in the sum.
    for (logits, top) in [(&logits[..3], 2), (&logits, 2), (&logits[..3], 99)] {
        let chosen = choose(logits, Some(top));
        assert_eq!(chosen.token, 1);
        let told = f64::from(chosen.log_probability.expect("asked for"));
        assert!((told - (2.0 - total)).abs() < 1e-6);
        let (tokens, values): (Vec<u32>, Vec<f32>) = chosen.top.into_iter().unzip();
        assert_eq!(tokens, &[1, 2, 0][..top.min(3)]);
        assert!((f64::from(values[1]) - (1.0 - total)).abs() < 1e-6);
    }
    let none = choose(&logits, Some(0));
    assert!(none.log_probability.is_some() && none.top.is_empty());
    assert_eq!(choose(&logits, None).log_probability, None);
    assert_eq!(choose(&[f32::NAN, -1.0], None).token, 1);
    let square = Array::zeros((2, 3), F32).unwrap();
    let refused = Sampler::new(Sampling::default(), &[]).choose(&square, None);
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("`logits`") && text.contains("[2, 3]"),
        "{text}"
    );
}

#[test]
fn numbers_that_mean_nothing_are_refused() {
    for (name, wrong) in [
        (
            "temperature",
            Sampling {
                temperature: f32::NAN,
                ..Sampling::default()
            },
        ),
        (
            "top_p",
            Sampling {
                top_p: 1.5,
                ..Sampling::default()
            },
        ),
        (
            "min_p",
            Sampling {
                min_p: -0.5,
                ..Sampling::default()
            },
        ),
        (
            "repetition_penalty",
            Sampling {
                repetition_penalty: 0.0,
                ..Sampling::default()
            },
        ),
    ] {
        let refused = wrong.check().unwrap_err().to_string();
        assert!(refused.contains(&format!("`{name}`")), "{refused}");
    }
}
