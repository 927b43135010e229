//! The search for the fastest candidate. It knows neither kernels nor clocks.
//!
//! Each candidate is first probed: some samples, taken in turns with the default's, so that a
//! machine that becomes slow meanwhile slows both. The best few then run against the default
//! in rounds of random order, and only these fresh samples decide: the best of many noisy
//! probes would be the luckiest.

use std::time::Duration;

use crate::Result;

use super::candidate::{Candidate, Space};
use super::stats::{mad, median, shuffle};
use super::tuning::Rejection;

/// Which candidates are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// One thing at a time, in the order given: first the threadgroups with the default constants,
    /// then each constant with the best so far. Each candidate may cost a compilation.
    #[default]
    Pruned,
    /// Every combination.
    Exhaustive,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Everything that was to be tried was.
    Complete,
    /// A candidate moved its bytes nearly as fast as the device copies.
    Roofline,
    /// The time for measuring was used up.
    Budget,
}

/// How long one candidate took.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Which.
    pub candidate: Candidate,
    /// Of one launch.
    pub median: Duration,
    /// The median of the distances from the median.
    pub mad: Duration,
    /// How many samples there were.
    pub samples: usize,
}

/// A candidate that may not win.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Which.
    pub candidate: Candidate,
    /// Why.
    pub reason: Rejection,
}

/// What came out of a candidate's first runs.
pub(super) enum Prepared {
    Ready,
    Rejected(Rejection),
    /// It took so many seconds that more runs would be a waste; its outputs were not looked at.
    Slow(f64),
}

/// What the search runs candidates with.
pub(super) trait Bench {
    /// Compiles a candidate, runs it, compares its outputs with the default's, warms up. The
    /// first call is for the default.
    fn prepare(&mut self, candidate: &Candidate) -> Result<Prepared>;

    /// Seconds of one launch.
    fn sample(&mut self, candidate: &Candidate) -> Result<f64>;

    /// The candidate as it is dispatched: those that are the same are tried once.
    fn effective(&self, candidate: &Candidate) -> Candidate;

    /// Seconds below which no launch is expected to come, known after the default was prepared.
    fn floor(&mut self) -> Option<f64>;
}

/// How to search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) search: Search,
    /// Rounds of the final.
    pub(super) iterations: usize,
    pub(super) seed: u64,
    /// Seconds of samples.
    pub(super) budget: f64,
}

/// What a search found.
pub(super) struct Found {
    pub(super) best: Candidate,
    pub(super) timings: Vec<Timing>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) stop: Stop,
}

/// Samples of a probe.
const PROBES: usize = 5;
/// A candidate so many times slower than the default is not sampled further.
const HOPELESS: f64 = 2.0;
/// Candidates in the final, beside the default.
const FINALISTS: usize = 3;
/// Rounds of a final, however long they take.
const ROUNDS: usize = 5;
/// What a winner gains at least, and a candidate to be worth a final.
const MARGIN: f64 = 0.02;
/// In how many of its rounds a winner is faster than the default.
const AHEAD: f64 = 0.75;
/// The part of the roofline at which nothing better is to be expected.
const NEAR: f64 = 0.95;

/// A candidate and its samples.
struct Contender {
    candidate: Candidate,
    samples: Vec<f64>,
    /// Its probe's median over that of the default at the same time.
    score: f64,
}

struct Run<'a> {
    bench: &'a mut dyn Bench,
    plan: Plan,
    floor: Option<f64>,
    /// Seconds of samples so far.
    spent: f64,
    /// The default is the first.
    contenders: Vec<Contender>,
    seen: Vec<Candidate>,
    rejected: Vec<Rejected>,
    stop: Option<Stop>,
}

/// Searches the space.
///
/// # Errors
/// What the default fails with. The failure of another candidate is the reason to reject it.
pub(super) fn search(space: &Space, plan: Plan, bench: &mut dyn Bench) -> Result<Found> {
    let default = space.default();
    bench.prepare(&default)?;
    let floor = bench.floor();
    let seen = vec![bench.effective(&default)];
    let mut run = Run {
        bench,
        plan,
        floor,
        spent: 0.0,
        contenders: Vec::new(),
        seen,
        rejected: Vec::new(),
        stop: None,
    };
    let mut samples = Vec::new();
    for _ in 0..PROBES {
        samples.push(run.sample(&default)?);
    }
    run.contenders.push(Contender {
        candidate: default,
        samples,
        score: 1.0,
    });
    run.check_floor(0);
    match plan.search {
        Search::Exhaustive => {
            for point in space.points() {
                run.probe(space.at(&point))?;
            }
        }
        Search::Pruned => run.descend(space)?,
    }
    let best = run.decide()?;
    let timings = run.contenders.into_iter().map(Contender::timing).collect();
    Ok(Found {
        best,
        timings,
        rejected: run.rejected,
        stop: run.stop.unwrap_or(Stop::Complete),
    })
}

impl Run<'_> {
    /// Changes one coordinate after the other.
    fn descend(&mut self, space: &Space) -> Result<()> {
        let sizes = space.sizes();
        let mut here = vec![0; sizes.len()];
        for (axis, &size) in sizes.iter().enumerate() {
            let mut best = (1.0 - MARGIN) * self.score(&space.at(&here));
            let mut to = here[axis];
            for i in 0..size {
                let mut point = here.clone();
                point[axis] = i;
                self.probe(space.at(&point))?;
                let score = self.score(&space.at(&point));
                if score < best {
                    (best, to) = (score, i);
                }
            }
            here[axis] = to;
        }
        Ok(())
    }

    fn score(&self, candidate: &Candidate) -> f64 {
        let found = self.contenders.iter().find(|c| c.candidate == *candidate);
        found.map_or(f64::INFINITY, |c| c.score)
    }

    fn sample(&mut self, candidate: &Candidate) -> Result<f64> {
        let seconds = self.bench.sample(candidate)?;
        self.spent += seconds;
        Ok(seconds)
    }

    /// Tries a candidate, unless the search is over or has seen it.
    fn probe(&mut self, candidate: Candidate) -> Result<()> {
        let effective = self.bench.effective(&candidate);
        if self.stop.is_some() || self.seen.contains(&effective) {
            return Ok(());
        }
        if self.spent > self.plan.budget {
            self.stop = Some(Stop::Budget);
            return Ok(());
        }
        self.seen.push(effective);
        let prepared = self.bench.prepare(&candidate);
        match prepared.unwrap_or_else(|e| Prepared::Rejected(Rejection::failed(e))) {
            Prepared::Ready => {}
            Prepared::Rejected(reason) => {
                self.rejected.push(Rejected { candidate, reason });
                return Ok(());
            }
            Prepared::Slow(seconds) => {
                self.spent += seconds;
                self.contenders.push(Contender {
                    candidate,
                    samples: vec![seconds],
                    score: f64::INFINITY,
                });
                return Ok(());
            }
        }
        let default = self.contenders[0].candidate.clone();
        let (mut samples, mut beside) = (Vec::new(), Vec::new());
        for round in 0..PROBES {
            beside.push(self.sample(&default)?);
            match self.sample(&candidate) {
                Ok(seconds) => samples.push(seconds),
                Err(e) => {
                    let reason = Rejection::failed(e);
                    self.rejected.push(Rejected { candidate, reason });
                    return Ok(());
                }
            }
            if round > 0 && median(&samples) > HOPELESS * median(&beside) {
                break;
            }
        }
        let score = median(&samples) / median(&beside);
        self.contenders[0].samples.extend(beside);
        self.contenders.push(Contender {
            candidate,
            samples,
            score,
        });
        self.check_floor(self.contenders.len() - 1);
        Ok(())
    }

    /// Ends the search if this contender is as fast as can be.
    fn check_floor(&mut self, index: usize) {
        let time = median(&self.contenders[index].samples);
        if self.floor.is_some_and(|floor| time * NEAR <= floor) {
            self.stop = Some(Stop::Roofline);
        }
    }

    /// The final, and its winner.
    fn decide(&mut self) -> Result<Candidate> {
        let mut order: Vec<usize> = (1..self.contenders.len())
            .filter(|&i| self.contenders[i].score < 1.0 - MARGIN)
            .collect();
        let score = |i: &usize| self.contenders[*i].score;
        order.sort_by(|a, b| score(a).total_cmp(&score(b)));
        order.truncate(FINALISTS);
        let default = self.contenders[0].candidate.clone();
        if order.is_empty() {
            return Ok(default);
        }
        order.push(0);
        for &i in &order {
            self.contenders[i].samples.clear();
        }
        let mut state = self.plan.seed;
        let mut failed = Vec::new();
        for round in 0..self.plan.iterations {
            // Slow kernels: what the probes left of the time, and as much again.
            if round >= ROUNDS && self.spent > 2.0 * self.plan.budget {
                break;
            }
            shuffle(&mut order, &mut state);
            for &i in &order {
                if failed.contains(&i) {
                    continue;
                }
                let candidate = self.contenders[i].candidate.clone();
                match self.sample(&candidate) {
                    Ok(seconds) => self.contenders[i].samples.push(seconds),
                    Err(e) if i == 0 => return Err(e),
                    Err(e) => {
                        let reason = Rejection::failed(e);
                        self.rejected.push(Rejected { candidate, reason });
                        failed.push(i);
                    }
                }
            }
        }
        order.retain(|i| !failed.contains(i));
        let middle = |i: usize| median(&self.contenders[i].samples);
        // The earlier one where two are the same.
        order.sort_by(|&a, &b| middle(a).total_cmp(&middle(b)).then(a.cmp(&b)));
        let (first, base) = (&self.contenders[order[0]], &self.contenders[0]);
        let gain = median(&base.samples) - median(&first.samples);
        let noise = mad(&base.samples) + mad(&first.samples);
        // Round by round too: neighbours in time share what disturbs the machine.
        let pairs = first.samples.iter().zip(&base.samples);
        let ahead = pairs.filter(|(a, b)| a < b).count() as f64;
        let steady = ahead >= AHEAD * base.samples.len() as f64;
        let winner = match steady && gain > noise.max(MARGIN * median(&base.samples)) {
            true => first.candidate.clone(),
            false => default,
        };
        let mut index = 0;
        self.contenders.retain(|_| {
            index += 1;
            !failed.contains(&(index - 1))
        });
        Ok(winner)
    }
}

impl Contender {
    fn timing(self) -> Timing {
        let duration = |s: f64| Duration::try_from_secs_f64(s).unwrap_or(Duration::ZERO);
        Timing {
            median: duration(median(&self.samples)),
            mad: duration(mad(&self.samples)),
            samples: self.samples.len(),
            candidate: self.candidate,
        }
    }
}
