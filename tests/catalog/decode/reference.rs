//! Attention over a cache by loops in float64.

use zmlx::prelude::*;

use crate::heads::{Options, Sizes};
use crate::tolerance::numbers;

/// The output, row by row, token by token.
pub fn want(p: &[Array; 3], o: &Options<'_>) -> Vec<f64> {
    let [b, h, n, d] = [0, 1, 2, 3].map(|i| p[0].shape()[i]);
    let [kv, l] = [1, 2].map(|i| p[1].shape()[i]);
    let values = p.each_ref().map(|a| numbers(a).unwrap());
    want_of(&values, [b, h, n, kv, l, d], o)
}

/// The same of the values of arrays of these sizes.
pub fn want_of([q, k, v]: &[Vec<f64>; 3], sizes: Sizes, o: &Options<'_>) -> Vec<f64> {
    let [b, h, n, kv, l, d] = sizes.map(|n| n as usize);
    let lens = o.lens.map(|lens| numbers(lens).unwrap());
    let scale = o.scale.map_or(1.0 / (d as f64).sqrt(), f64::from);
    let sinks = o.sinks.map(|s| numbers(s).unwrap());
    let mut y = vec![0.0; q.len()];
    for (row, y) in y.chunks_mut(d).enumerate() {
        let (i, head, batch) = (row % n, row / n % h, row / n / h);
        let len = lens.as_ref().map_or(l as i64, |lens| lens[batch] as i64);
        let len = len.clamp(0, l as i64);
        let place = len - n as i64 + i as i64;
        let at = |t: usize| ((batch * kv + head / (h / kv)) * l + t) * d;
        let mut scores = Vec::new();
        for t in 0..l {
            let token = t as i64;
            let seen = token < len
                && (!o.causal || token <= place)
                && o.window.is_none_or(|w| token > place - i64::from(w));
            if seen {
                let dot: f64 = (0..d).map(|e| q[row * d + e] * k[at(t) + e]).sum();
                let score = dot * scale;
                let cap = o.softcap.map(f64::from);
                scores.push((t, cap.map_or(score, |c| c * (score / c).tanh())));
            }
        }
        let sink = sinks.as_ref().map(|s| s[head]);
        let most = scores
            .iter()
            .map(|s| s.1)
            .chain(sink)
            .fold(f64::NEG_INFINITY, f64::max);
        let all: f64 = scores
            .iter()
            .map(|s| s.1)
            .chain(sink)
            .map(|s| (s - most).exp())
            .sum();
        for (t, score) in scores {
            for (e, y) in y.iter_mut().enumerate() {
                *y += (score - most).exp() / all * v[at(t) + e];
            }
        }
    }
    assert_eq!(y.len(), b * h * n * d);
    y
}
