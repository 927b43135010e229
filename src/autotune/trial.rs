//! Candidates of a real launch: run, compared and timed.

use std::time::{Duration, Instant};

use crate::{Array, MetalKernel, Result};

use super::agree::{self, FILLS, Outputs};
use super::candidate::Candidate;
use super::device::{Profile, copy_bandwidth};
use super::launch::TunedLaunch;
use super::search::{Bench, Prepared};

/// What measures. Closures `|work| { work.run()?; Ok(duration) }` do.
///
/// The usual one is a clock around [`Work::run`]. A program may bring a better one, and a test
/// one that gives the same in every run.
pub trait Timer: Send + Sync {
    /// How long all launches of `work` take together.
    fn time(&self, work: &mut Work<'_>) -> Result<Duration>;
}

impl<F: Fn(&mut Work<'_>) -> Result<Duration> + Send + Sync> Timer for F {
    fn time(&self, work: &mut Work<'_>) -> Result<Duration> {
        self(work)
    }
}

/// Launches that are to be timed: in the graph already, and not evaluated.
pub struct Work<'a> {
    candidate: &'a Candidate,
    launches: usize,
    outputs: Vec<Array>,
}

impl Work<'_> {
    /// What is timed.
    pub fn candidate(&self) -> &Candidate {
        self.candidate
    }

    /// How many launches it are.
    pub fn launches(&self) -> usize {
        self.launches
    }

    /// Evaluates them and waits; a second call finds nothing to do.
    #[track_caller]
    pub fn run(&mut self) -> Result<()> {
        crate::eval(&self.outputs)
    }
}

/// The clock on the wall.
pub(super) fn clock(work: &mut Work<'_>) -> Result<Duration> {
    let start = Instant::now();
    work.run()?;
    Ok(start.elapsed())
}

/// Seconds of samples that are thrown away before a candidate's first.
const WARM_UP: f64 = 0.01;
/// Most launches of a warm-up.
const WARM_UPS: usize = 20;
/// Seconds that a sample takes at least, by launching more than once.
const SAMPLE: f64 = 1e-4;
/// Most launches of a sample, and most bytes that their outputs may take.
const LAUNCHES: usize = 32;
const SAMPLE_BYTES: usize = 32 << 20;
/// A candidate whose first launch takes so many times as long as the default's is not tried
/// further. A first launch may be several times slower than others, in fresh memory.
const TOO_SLOW: f64 = 20.0;
/// Bytes from which on the copy bandwidth bounds a launch; fewer stay in caches, which are
/// faster.
const BOUND_BY_MEMORY: usize = 32 << 20;

pub(super) struct Trial<'l, 'a> {
    pub(super) launch: &'l TunedLaunch<'a>,
    pub(super) profile: &'l Profile,
    /// The kernel without what a launch does beside running.
    pub(super) kernel: MetalKernel,
    pub(super) reference: Option<Outputs>,
    /// Seconds of the default's last launch while it warmed up.
    pub(super) once: f64,
    /// Launches of a sample.
    pub(super) launches: usize,
}

impl Trial<'_, '_> {
    /// Bytes of inputs and outputs.
    pub(super) fn bytes(&self) -> usize {
        let inputs: usize = self.launch.inputs.iter().map(|a| a.nbytes()).sum();
        inputs + self.output_bytes()
    }

    fn output_bytes(&self) -> usize {
        let outputs = self.reference.iter().flat_map(|o| &o[0]);
        outputs.map(Array::nbytes).sum()
    }

    /// Evaluated outputs, for each initial value.
    fn outputs(&self, candidate: &Candidate) -> Result<Outputs> {
        let asked = self.launch.options.init_value;
        let fills = asked.as_ref().map_or(&FILLS[..], std::slice::from_ref);
        let run = |&fill: &f32| {
            let launch = self.launch.assemble(&self.kernel, candidate);
            let outputs = launch.init_value(fill).run_vec()?;
            crate::eval(&outputs)?;
            Ok(outputs)
        };
        fills.iter().map(run).collect()
    }

    fn seconds(&self, candidate: &Candidate, launches: usize) -> Result<f64> {
        let mut outputs = Vec::new();
        for _ in 0..launches {
            outputs.extend(self.launch.assemble(&self.kernel, candidate).run_vec()?);
        }
        let mut work = Work {
            candidate,
            launches,
            outputs,
        };
        let time = match &self.launch.config().timer {
            Some(timer) => timer.time(&mut work)?,
            None => clock(&mut work)?,
        };
        Ok(time.as_secs_f64() / launches as f64)
    }

    /// Gives the time of the last launch.
    fn warm_up(&self, candidate: &Candidate) -> Result<f64> {
        let mut spent = 0.0;
        let mut last = 0.0;
        for _ in 0..WARM_UPS {
            last = self.seconds(candidate, 1)?;
            spent += last;
            if spent >= WARM_UP {
                break;
            }
        }
        Ok(last)
    }
}

impl Bench for Trial<'_, '_> {
    fn prepare(&mut self, candidate: &Candidate) -> Result<Prepared> {
        if let Some(want) = &self.reference {
            let first = self.seconds(candidate, 1)?;
            if first > TOO_SLOW * self.once {
                return Ok(Prepared::Slow(first));
            }
            let outputs = self.outputs(candidate)?;
            let names = self.kernel.output_names();
            let tolerance = self.launch.config().tolerance;
            let reason = agree::compare(names, want, &outputs, tolerance)?;
            drop(outputs);
            if let Some(reason) = reason {
                return Ok(Prepared::Rejected(reason));
            }
            self.warm_up(candidate)?;
            return Ok(Prepared::Ready);
        }
        self.reference = Some(self.outputs(candidate)?);
        let once = self.warm_up(candidate)?;
        self.once = once;
        let enough = (SAMPLE / once.max(1e-9)).ceil() as usize;
        let room = SAMPLE_BYTES / self.output_bytes().max(1);
        self.launches = enough.min(room).clamp(1, LAUNCHES);
        Ok(Prepared::Ready)
    }

    fn sample(&mut self, candidate: &Candidate) -> Result<f64> {
        self.seconds(candidate, self.launches)
    }

    fn effective(&self, candidate: &Candidate) -> Candidate {
        let mut candidate = candidate.clone();
        // MLX shortens a threadgroup to the grid. A constant of that width tells them apart again.
        if !self.launch.has_width()
            && let Some(grid) = self.launch.grid_of(&candidate)
        {
            for (n, limit) in candidate.threadgroup.iter_mut().zip(grid) {
                *n = (*n).min(limit);
            }
        }
        candidate
    }

    fn floor(&mut self) -> Option<f64> {
        let config = self.launch.config();
        let bytes = self.bytes();
        let bandwidth = match (config.bandwidth, &config.timer) {
            (Some(bandwidth), _) => bandwidth,
            (None, None) if bytes >= BOUND_BY_MEMORY => {
                let cache = self.launch.cache();
                // The default ran, so copying does; if not, there is no bound.
                cache.copy(&self.profile.key, copy_bandwidth).ok()?
            }
            _ => return None,
        };
        (bandwidth > 0.0).then(|| bytes as f64 / bandwidth)
    }
}
