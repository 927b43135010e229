//! Runs a check over the catalog and reports what failed, all of it.

use std::sync::Arc;

use zmlx::Result;
use zmlx::kernels::{Entry, catalog};
use zmlx::prelude::*;

use crate::cases::{Case, DTYPES, deep};
use crate::common::{Rng, start};
use crate::tolerance::Tolerance;

/// How many failures of a kernel in a dtype are told.
const TOLD: usize = 6;

/// What the checks of one kernel in one dtype found.
pub struct Report {
    /// For the random numbers of these checks.
    pub seed: u64,
    checks: usize,
    failures: Vec<String>,
}

impl Report {
    /// Adds the outcome of a check; an error is a failure.
    pub fn check(&mut self, case: &Case, what: &str, outcome: Result<Option<String>>) {
        self.checks += 1;
        let failure = outcome.unwrap_or_else(|e| Some(e.to_string()));
        if let Some(failure) = failure {
            self.failures
                .push(format!("{} {what}: {failure}", case.label()));
        }
    }

    /// Compares outputs with exact ones; `terms` is what they are sums of, if they are sums.
    pub fn compare_exactly(
        &mut self,
        case: &Case,
        what: &str,
        terms: &[Array],
        got: &[Array],
        want: &[Array],
    ) {
        self.compare_by(case, what, got, want, |y| {
            Tolerance::kernel(case, y.dtype()).of_terms(case, y.size(), terms)
        });
    }

    /// Compares derivatives with exact ones; `factors` are the cotangents or tangents.
    pub fn compare_derivatives(
        &mut self,
        case: &Case,
        what: &str,
        tolerance: impl Fn(&Case, Dtype) -> Tolerance,
        factors: &[Array],
        got: &[Array],
        want: &[Array],
    ) {
        self.compare_by(case, what, got, want, |y| {
            let tolerance = tolerance(case, y.dtype());
            let tolerance = tolerance.of_terms(case, y.size(), factors)?;
            tolerance.of_factors(case, factors)
        });
    }

    /// Compares results of kernels with each other.
    pub fn compare(&mut self, case: &Case, what: &str, got: &[Array], want: &[Array]) {
        self.compare_by(case, what, got, want, |y| {
            Ok(Tolerance::pair(case, y.dtype()))
        });
    }

    fn compare_by(
        &mut self,
        case: &Case,
        what: &str,
        got: &[Array],
        want: &[Array],
        tolerance: impl Fn(&Array) -> Result<Tolerance>,
    ) {
        if got.len() != want.len() {
            let text = format!("{} arrays, expected {}", got.len(), want.len());
            self.check(case, what, Ok(Some(text)));
        }
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let outcome = tolerance(got).and_then(|t| t.compare(got, want));
            self.check(case, &format!("{what} {i}"), outcome);
        }
    }
}

/// Runs `body` for each kernel in each of the dtypes, on all cores.
pub fn each_in(
    dtypes: &[Dtype],
    body: impl Fn(&mut Report, &'static Entry, Dtype) -> Result<()> + Send + Sync + 'static,
) {
    of_those(dtypes, |_, _| true, body);
}

/// [`each_in`] for kernels that are tested in depth, and for the others in the dtypes of `shallow`.
pub fn deep_in(
    dtypes: &[Dtype],
    shallow: &'static [Dtype],
    body: impl Fn(&mut Report, &'static Entry, Dtype) -> Result<()> + Send + Sync + 'static,
) {
    let chosen = move |entry: &Entry, dtype| deep(entry) || shallow.contains(&dtype);
    of_those(dtypes, chosen, body);
}

/// [`deep_in`] float32 alone and without the others; or, where `ZMLX_SWEEP` is set as in a step of `.ci/run`, in all dtypes, and the others in
/// those of `shallow`. `values` asks all functions for values and gradients in all dtypes anyway.
pub fn swept(
    shallow: &'static [Dtype],
    body: impl Fn(&mut Report, &'static Entry, Dtype) -> Result<()> + Send + Sync + 'static,
) {
    match std::env::var_os("ZMLX_SWEEP").is_some() {
        true => deep_in(&DTYPES, shallow, body),
        false => deep_in(&[F32], &[], body),
    }
}

fn of_those(
    dtypes: &[Dtype],
    chosen: impl Fn(&Entry, Dtype) -> bool,
    body: impl Fn(&mut Report, &'static Entry, Dtype) -> Result<()> + Send + Sync + 'static,
) {
    let wanted = std::env::var("ZMLX_CATALOG").unwrap_or_default();
    let body = Arc::new(body);
    let mut rng = Rng::new();
    let mut jobs = Vec::new();
    // Functions of other inputs than rows have tests of their own.
    for entry in catalog().filter(|e| e.name.contains(&wanted) && e.follows_rows()) {
        for &dtype in dtypes {
            if !chosen(entry, dtype) {
                continue;
            }
            let (body, seed) = (Arc::clone(&body), rng.next());
            let job = start(move || {
                let mut report = Report {
                    seed,
                    checks: 0,
                    failures: Vec::new(),
                };
                if let Err(e) = body(&mut report, entry, dtype) {
                    report.failures.push(format!("{} {dtype}: {e}", entry.name));
                }
                report
            });
            jobs.push((format!("{} {dtype}", entry.name), job));
        }
    }
    let (mut checks, mut failed) = (0, 0);
    for (name, job) in jobs {
        let report = job.finish();
        checks += report.checks;
        failed += report.failures.len();
        for failure in report.failures.iter().take(TOLD) {
            println!("{failure}");
        }
        if report.failures.len() > TOLD {
            println!("{name}: {} more", report.failures.len() - TOLD);
        }
    }
    println!("{checks} checks");
    assert_eq!(failed, 0, "failures; they stand above");
}

/// [`each_in`] all dtypes of the catalog.
pub fn each(
    body: impl Fn(&mut Report, &'static Entry, Dtype) -> Result<()> + Send + Sync + 'static,
) {
    each_in(&DTYPES, body);
}
