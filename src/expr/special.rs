//! The error function in f64, which Rust's library lacks.

/// erf(x), to a few units in the last place.
pub(super) fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    if a > 6.0 {
        return 1.0_f64.copysign(x);
    }
    if a < 2.5 {
        // exp(-x^2) times a series with positive terms: nothing cancels.
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term > sum * 1e-18 {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        return (sum * (-a * a).exp() * std::f64::consts::FRAC_2_SQRT_PI).copysign(x);
    }
    // The continued fraction of erfc, from the inside.
    let fraction = (1..=60)
        .rev()
        .fold(a, |inner, k| a + 0.5 * f64::from(k) / inner);
    let erfc = (-a * a).exp() / (fraction * std::f64::consts::PI.sqrt());
    (1.0 - erfc).copysign(x)
}
