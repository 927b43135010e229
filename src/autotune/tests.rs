//! The search against invented times.

use std::collections::HashMap;

use super::candidate::{Axis, Candidate, Space};
use super::search::{Bench, Found, Plan, Prepared, Search, Stop, search};
use super::{Cache, Rejection, Tuned};
use crate::{Error, Result};

static_assertions::assert_impl_all!(Tuned: Send, Sync, Clone);
static_assertions::assert_impl_all!(Cache: Send, Sync);

/// A machine whose times are a function of the candidate and of how many samples it has taken.
struct Machine<F> {
    seconds: F,
    floor: Option<f64>,
    wrong: Vec<String>,
    failing: Vec<String>,
    prepared: Vec<String>,
    samples: HashMap<String, usize>,
    total: usize,
}

impl<F: Fn(&Candidate, usize) -> f64> Machine<F> {
    fn new(seconds: F) -> Self {
        Machine {
            seconds,
            floor: None,
            wrong: Vec::new(),
            failing: Vec::new(),
            prepared: Vec::new(),
            samples: HashMap::new(),
            total: 0,
        }
    }

    fn search(&mut self, space: &Space, by: Search) -> Found {
        search(space, plan(by), self).expect("the default does not fail")
    }
}

impl<F: Fn(&Candidate, usize) -> f64> Bench for Machine<F> {
    fn prepare(&mut self, candidate: &Candidate) -> Result<Prepared> {
        let name = candidate.to_string();
        self.prepared.push(name.clone());
        if self.failing.contains(&name) {
            return Err(Error::not_ready("it does not compile"));
        }
        Ok(match self.wrong.contains(&name) {
            true => Prepared::Rejected(Rejection::Unwritten {
                output: "out".into(),
                index: 0,
            }),
            false if candidate.threadgroup[0] == 3 => Prepared::Slow(1e6),
            false => Prepared::Ready,
        })
    }

    fn sample(&mut self, candidate: &Candidate) -> Result<f64> {
        *self.samples.entry(candidate.to_string()).or_default() += 1;
        self.total += 1;
        Ok((self.seconds)(candidate, self.total))
    }

    fn effective(&self, candidate: &Candidate) -> Candidate {
        let mut c = candidate.clone();
        c.threadgroup[0] = c.threadgroup[0].min(512);
        c
    }

    fn floor(&mut self) -> Option<f64> {
        self.floor
    }
}

fn plan(search: Search) -> Plan {
    Plan {
        search,
        iterations: 21,
        seed: 3,
        budget: 1e9,
    }
}

fn line(widths: &[i64]) -> Space {
    Space {
        threadgroups: widths.iter().map(|&w| [w, 1, 1]).collect(),
        axes: Vec::new(),
    }
}

fn plane() -> Space {
    let mut space = line(&[256, 1, 32]);
    space.axes.push(Axis {
        name: "VEC".into(),
        values: vec![4.into(), 1.into(), 64.into()],
    });
    space
}

/// Uniform in [0, 1) by the number of the sample.
fn noise(n: usize) -> f64 {
    let bits = super::stats::random(&mut (n as u64)) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[test]
fn the_fastest_wins() {
    for by in [Search::Exhaustive, Search::Pruned] {
        let cost = |c: &Candidate, _| {
            let tg = if c.threadgroup[0] == 1 { 1.0 } else { 1.5 };
            tg * if c.int("VEC") == 64 { 0.5 } else { 1.0 }
        };
        let mut machine = Machine::new(cost);
        let found = machine.search(&plane(), by);
        assert_eq!(found.best.to_string(), "1 VEC=64");
        assert_eq!(found.stop, Stop::Complete);
        let tried = if by == Search::Exhaustive { 9 } else { 5 };
        assert_eq!(machine.prepared.len(), tried, "{:?}", machine.prepared);
        assert_eq!(machine.prepared[0], "256 VEC=4");
    }
}

#[test]
fn ties_go_to_the_default() {
    for gain in [1.0, 0.99, 0.981, 1.3] {
        let cost = |c: &Candidate, _| if c.threadgroup[0] == 64 { gain } else { 1.0 };
        let found = Machine::new(cost).search(&line(&[256, 64, 32]), Search::Exhaustive);
        assert_eq!(found.best.threadgroup, [256, 1, 1], "{gain}");
    }
    let cost = |c: &Candidate, _| if c.threadgroup[0] == 64 { 0.97 } else { 1.0 };
    let found = Machine::new(cost).search(&line(&[256, 64, 32]), Search::Exhaustive);
    assert_eq!(found.best.threadgroup, [64, 1, 1]);
}

/// How often of 200 times a candidate won, with times that vary by the width of `noise`.
fn wins(time: f64, width: f64) -> usize {
    let space = line(&[256, 64, 32, 16, 8, 4]);
    let won = |run: &usize| {
        let cost = |c: &Candidate, n| {
            let time = if c.threadgroup[0] == 32 { time } else { 1.0 };
            time * (1.0 + width * noise(n + 1_000_000 * run))
        };
        let found = Machine::new(cost).search(&space, Search::Exhaustive);
        found.best.threadgroup != [256, 1, 1]
    };
    (0..200).filter(won).count()
}

#[test]
fn what_is_within_the_noise_does_not_win() {
    // All the same, with times that vary by a tenth, by half, by as much as they are.
    for width in [0.1, 0.5, 1.0] {
        assert!(wins(1.0, width) <= 3, "{width}: {}", wins(1.0, width));
    }
    // What is faster by more than the noise does.
    assert!(wins(0.9, 0.05) >= 198);
    assert!(wins(0.7, 0.3) >= 190);
}

#[test]
fn stray_samples_change_nothing() {
    // Every fifth sample takes ten times as long; a candidate is faster by a fifth.
    let cost = |c: &Candidate, n: usize| {
        let time = if c.threadgroup[0] == 64 { 0.8 } else { 1.0 };
        time * if n.is_multiple_of(5) {
            10.0
        } else {
            1.0 + 0.01 * noise(n)
        }
    };
    let found = Machine::new(cost).search(&line(&[256, 64, 32]), Search::Exhaustive);
    assert_eq!(found.best.threadgroup, [64, 1, 1]);
}

#[test]
fn a_machine_that_becomes_faster_does_not_choose() {
    let cost = |_: &Candidate, n| 1.0 / (1.0 + n as f64 * 0.05);
    let found = Machine::new(cost).search(&line(&[256, 64, 32, 16]), Search::Exhaustive);
    assert_eq!(found.best.threadgroup, [256, 1, 1]);
}

#[test]
fn the_search_ends_at_the_roofline() {
    let mut machine = Machine::new(|_: &Candidate, _| 1.0);
    machine.floor = Some(0.96);
    let found = machine.search(&plane(), Search::Exhaustive);
    assert_eq!(found.stop, Stop::Roofline);
    assert_eq!(machine.prepared, ["256 VEC=4"]);
    // A candidate gets there.
    let mut machine =
        Machine::new(|c: &Candidate, _| if c.threadgroup[0] == 1 { 1.0 } else { 2.0 });
    machine.floor = Some(0.96);
    let found = machine.search(&line(&[256, 64, 1, 32, 8]), Search::Exhaustive);
    assert_eq!(
        (found.stop, found.best.threadgroup),
        (Stop::Roofline, [1, 1, 1])
    );
    assert_eq!(machine.prepared, ["256", "64", "1"]);
    // Nobody does.
    machine.floor = Some(0.9);
    machine.prepared.clear();
    let found = machine.search(&line(&[256, 64, 1, 32, 8]), Search::Exhaustive);
    assert_eq!((found.stop, machine.prepared.len()), (Stop::Complete, 5));
}

#[test]
fn the_budget_ends_the_search() {
    let mut machine = Machine::new(|_: &Candidate, _| 1.0);
    let space = line(&[256, 64, 32, 16, 8]);
    // The default takes five samples, each candidate ten with the default's beside it.
    let plan = Plan {
        budget: 10.0,
        ..plan(Search::Exhaustive)
    };
    let found = search(&space, plan, &mut machine).unwrap();
    assert_eq!(found.stop, Stop::Budget);
    assert_eq!(machine.prepared.len(), 2);
}

#[test]
fn what_fails_or_is_wrong_is_rejected_with_the_reason() {
    let mut machine = Machine::new(|c: &Candidate, _| c.threadgroup[0] as f64);
    machine.wrong = vec!["1".into()];
    machine.failing = vec!["2".into()];
    let found = machine.search(&line(&[256, 1, 2, 64]), Search::Exhaustive);
    assert_eq!(found.best.threadgroup, [64, 1, 1]);
    let reasons: Vec<_> = found
        .rejected
        .iter()
        .map(|r| r.reason.to_string())
        .collect();
    assert_eq!(reasons[0], "element 0 of `out` is not written");
    assert!(reasons[1].starts_with("failed: it does not compile"));
    assert_eq!(machine.samples.get("1"), None);
}

#[test]
fn a_default_that_fails_is_an_error() {
    let mut machine = Machine::new(|_: &Candidate, _| 1.0);
    machine.failing = vec!["256".into()];
    assert!(search(&line(&[256, 1]), plan(Search::Pruned), &mut machine).is_err());
    assert_eq!(machine.prepared.len(), 1);
}

#[test]
fn hopeless_candidates_cost_two_samples() {
    let cost = |c: &Candidate, _| if c.threadgroup[0] == 1 { 100.0 } else { 1.0 };
    let mut machine = Machine::new(cost);
    let found = machine.search(&line(&[256, 1, 64, 3]), Search::Exhaustive);
    assert_eq!(machine.samples["1"], 2);
    // One is so slow that nobody waits for a second.
    assert_eq!(machine.samples.get("3"), None);
    assert_eq!(found.timings.len(), 4);
    assert_eq!(found.timings[3].samples, 1);
}

#[test]
fn what_is_dispatched_the_same_way_is_tried_once() {
    let mut machine = Machine::new(|_: &Candidate, _| 1.0);
    machine.search(&line(&[512, 1024, 600, 32]), Search::Exhaustive);
    assert_eq!(machine.prepared, ["512", "32"]);
}
