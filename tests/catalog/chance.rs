//! Whether numbers are as random as they should be.

/// Standard deviations, about, by which a sum of squares over `cells - 1` degrees of freedom is off (E. Wilson and
/// M. Hilferty, 1931). Cells that expect fewer than 20 count as one cell, and are left out where even together they
/// expect fewer: a single hit there would outweigh all other cells.
pub fn chi_square(counts: &[u32], share: impl Fn(usize) -> f64) -> f64 {
    let total: f64 = counts.iter().map(|&c| f64::from(c)).sum();
    let cells = (0..counts.len()).map(|i| (f64::from(counts[i]), total * share(i)));
    let (mut kept, rare): (Vec<_>, Vec<_>) = cells.partition(|&(_, want)| want >= 20.0);
    let rare = (rare.iter()).fold((0.0, 0.0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
    if rare.1 >= 20.0 {
        kept.push(rare);
    }
    let terms = kept
        .iter()
        .map(|(count, want)| (count - want).powi(2) / want);
    let freedom = (kept.len() - 1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    ((terms.sum::<f64>() / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// These tests make some thousand such checks: one of a billion is beyond six deviations by chance, so a run in some
/// 100,000 fails without a fault.
#[track_caller]
pub fn chance(sigmas: f64, what: &str) {
    assert!(
        sigmas.abs() < 6.0,
        "{what}: {sigmas:.1} standard deviations"
    );
}
