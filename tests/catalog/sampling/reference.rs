//! Which tokens may come, and which one comes, by the definitions in float64.

use crate::common::{Rng, random_bits};

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub temperature: f32,
    pub top_k: usize,
    pub top_p: f32,
    pub min_p: f32,
}

/// The words of a row: a number of splitmix64, one for each row.
pub fn words(seed: u64, row: u64) -> [u32; 2] {
    let z = Rng::of(seed.wrapping_add(row.wrapping_mul(0x9E37_79B9_7F4A_7C15))).next();
    [z as u32, (z >> 32) as u32]
}

/// The tokens that may come, with their weights, most likely ones first. Limits of probability are `off` times those asked for.
pub fn kept(logits: &[f64], o: Options, off: f64) -> Vec<(usize, f64)> {
    let temperature = f64::from(o.temperature);
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = (off * f64::from(o.min_p)).clamp((-40f64).exp(), 1.0);
    let weight = |logit: f64| ((logit - most) / temperature).exp();
    let all = logits.iter().copied().enumerate();
    let mut all: Vec<(usize, f64)> = all.filter(|(_, logit)| weight(*logit) >= least).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if o.top_k > 0 {
        all.truncate(o.top_k);
    }
    for (_, v) in &mut all {
        *v = weight(*v);
    }
    if o.top_p < 1.0 {
        let limit = off * f64::from(o.top_p) * all.iter().map(|a| a.1).sum::<f64>();
        let mut sum = 0.0;
        let crosses = |(_, weight): &(usize, f64)| {
            sum += weight;
            sum >= limit
        };
        let last = all.iter().position(crosses).unwrap_or(all.len() - 1);
        all.truncate(last + 1);
    }
    all
}

/// The token of a row, by the definition in float64, and whether roundings of float32 could give another.
pub fn token(logits: &[f64], o: Options, words: [u32; 2], draw: u64) -> (u32, bool) {
    let winner = |off: f64| {
        let arrivals = kept(logits, o, off).into_iter().map(|(i, weight)| {
            let bits = random_bits(words, draw * logits.len() as u64 + i as u64);
            let u = (f64::from(bits) + 0.5) / 4_294_967_296.0;
            (-(-u).ln_1p() / weight, i)
        });
        let mut arrivals: Vec<(f64, usize)> = arrivals.collect();
        arrivals.sort_by(|a, b| a.0.total_cmp(&b.0));
        let near = arrivals.len() > 1 && arrivals[1].0 / arrivals[0].0 < 1.0 + 1e-4;
        (arrivals[0].1 as u32, near)
    };
    let (token, near) = winner(1.0);
    let others = [1.0 - 1e-4, 1.0 + 1e-4].map(|off| winner(off).0);
    (token, near || others != [token; 2])
}

pub const OPTIONS: [Options; 8] = {
    const ALL: Options = Options {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
    };
    [
        ALL,
        Options {
            temperature: 0.3,
            ..ALL
        },
        Options { top_k: 40, ..ALL },
        Options {
            temperature: 1.7,
            top_p: 0.9,
            ..ALL
        },
        Options { min_p: 0.05, ..ALL },
        Options {
            temperature: 0.8,
            top_k: 50,
            top_p: 0.95,
            min_p: 0.01,
        },
        // More than are collected.
        Options {
            top_k: 3000,
            top_p: 0.99,
            ..ALL
        },
        Options {
            top_p: 0.999,
            temperature: 5.0,
            ..ALL
        },
    ]
};
