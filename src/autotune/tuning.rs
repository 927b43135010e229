//! What a search found, for people.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;

use super::candidate::Candidate;
use super::search::{Rejected, Stop, Timing};

/// Why a candidate may not win.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Rejection {
    /// It does not compile, or its launch or the timer failed.
    Failed(Arc<Error>),
    /// It leaves an element unwritten that the default writes.
    Unwritten {
        /// Name of the output.
        output: String,
        /// Of the element, flat and row-major.
        index: usize,
    },
    /// Its output is another one than the default's.
    Differs {
        /// Name of the output.
        output: String,
        /// Of the first such element, flat and row-major.
        index: usize,
        /// What the candidate computes.
        got: f64,
        /// What the default computes.
        want: f64,
    },
}

impl Rejection {
    pub(super) fn failed(e: Error) -> Self {
        Rejection::Failed(Arc::new(e))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Failed(e) => write!(f, "failed: {e}"),
            Rejection::Unwritten { output, index } => {
                write!(f, "element {index} of `{output}` is not written")
            }
            Rejection::Differs {
                output,
                index,
                got,
                want,
            } => write!(
                f,
                "element {index} of `{output}` is {got}, the default's {want}"
            ),
        }
    }
}

/// What a search found; made by [`TunedLaunch::tune`](super::TunedLaunch::tune). Prints as a table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tuning {
    /// The winner: the default, unless another is faster by more than 2%, by more than both
    /// median absolute deviations together, and in three quarters of the rounds.
    pub best: Candidate,
    /// The default.
    pub default: Candidate,
    /// What was measured, the default first. Those that came to the final have as many samples as it
    /// had rounds.
    pub timings: Vec<Timing>,
    /// What may not win.
    pub rejected: Vec<Rejected>,
    /// How many candidates there are, measured or not.
    pub candidates: usize,
    /// Why the search ended.
    pub stop: Stop,
    /// Bytes of inputs and outputs together.
    pub bytes: usize,
    /// How long it all took, compiling included.
    pub elapsed: Duration,
}

impl Tuning {
    /// How many times faster the best is than the default; 1 when it is the default.
    pub fn speedup(&self) -> f64 {
        match self.best == self.default {
            true => 1.0,
            false => self.time_of(&self.default) / self.time_of(&self.best),
        }
    }

    /// Seconds.
    pub(super) fn time_of(&self, candidate: &Candidate) -> f64 {
        let found = self.timings.iter().find(|t| t.candidate == *candidate);
        found.map_or(f64::NAN, |t| t.median.as_secs_f64())
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |d: Duration| d.as_secs_f64() * 1e6;
        writeln!(
            f,
            "{:<24} {:>10} {:>8} {:>7} {:>8}",
            "threadgroup, constants", "median us", "MAD us", "samples", "GB/s"
        )?;
        for t in &self.timings {
            let mark = match (t.candidate == self.best, t.candidate == self.default) {
                (true, true) => "  best, default",
                (true, false) => "  best",
                (false, true) => "  default",
                (false, false) => "",
            };
            let rate = self.bytes as f64 / t.median.as_secs_f64() / 1e9;
            writeln!(
                f,
                "{:<24} {:>10.2} {:>8.2} {:>7} {rate:>8.2}{mark}",
                t.candidate,
                us(t.median),
                us(t.mad),
                t.samples
            )?;
        }
        for r in &self.rejected {
            writeln!(f, "{:<24} rejected: {}", r.candidate, r.reason)?;
        }
        let tried = self.timings.len() + self.rejected.len();
        let why = match self.stop {
            Stop::Complete => "nothing left to try",
            Stop::Roofline => "near the copy bandwidth",
            Stop::Budget => "time is up",
        };
        write!(
            f,
            "{tried} of {} tried in {:.2} s ({why}); {:.2}x the default",
            self.candidates,
            self.elapsed.as_secs_f64(),
            self.speedup()
        )
    }
}
