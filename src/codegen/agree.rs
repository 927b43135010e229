//! Whether the two texts of a fold agree: `update` takes in one more element, `reduce` joins two partial results.
//!
//! Threads take every so many-th element, and each begins with the initial value. So the fold of a row has to
//! be what `reduce` makes of the folds of any two parts of it. That is tried with numbers; what cannot be computed here (a function of
//! the author's header) or gives no number is taken for good.

use crate::expr::Expr;
use crate::{Dtype, Error, Result};

/// A fold as its author wrote it.
pub(crate) struct Texts<'a> {
    pub(crate) init: &'a str,
    pub(crate) update: &'a str,
    pub(crate) reduce: &'a str,
}

/// The fold's parts.
pub(crate) struct Parts<'a> {
    /// The name of the accumulator in the update.
    pub(crate) acc: &'a str,
    pub(crate) init: &'a Expr,
    pub(crate) update: &'a Expr,
    /// Of `a` and `b`.
    pub(crate) combine: &'a Expr,
    /// The update is a sum, a maximum or a minimum, which is meant for all numbers.
    pub(crate) known: bool,
}

/// Refuses an update and a reduction that do not belong together.
#[track_caller]
pub(crate) fn check(
    name: &str,
    parts: &Parts<'_>,
    texts: &Texts<'_>,
    inputs: &[String],
    compute: Dtype,
) -> Result<()> {
    let whole = !compute.is_floating();
    // A fold may be meant for numbers of a kind only: it is refused if it is right for none.
    let wrong = |domain: Domain| {
        (0..TRIALS).any(|trial| {
            let sample = Sample {
                inputs,
                domain,
                whole,
                trial,
            };
            sample.disagrees(parts) == Some(true)
        })
    };
    let refused =
        wrong(Domain::Any) && (parts.known || (wrong(Domain::Small) && wrong(Domain::Large)));
    if !refused {
        return Ok(());
    }
    Err(Error::argument(
        "reduce",
        format_args!(
            "two partial results of reduction `{name}` as one, as its update `{}` and its initial value `{}` give them",
            texts.update, texts.init
        ),
        format_args!(
            "`{}`, which gives another value than the update does when it takes in the elements one by one",
            texts.reduce
        ),
    ))
}

const TRIALS: u64 = 4;
/// Elements of a row.
const COUNT: u64 = 7;

#[derive(Clone, Copy)]
enum Domain {
    /// Of both signs.
    Any,
    /// Between 0 and 1.
    Small,
    /// Above 1.
    Large,
}

struct Sample<'a> {
    inputs: &'a [String],
    domain: Domain,
    whole: bool,
    trial: u64,
}

impl Sample<'_> {
    /// A number for a name at a place; the same each time.
    fn number(&self, name: &str, place: u64) -> f64 {
        let mut hash = 0xcbf2_9ce4_8422_2325u64 ^ self.trial.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for byte in name.bytes().chain(place.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let unit = ((hash ^ (hash >> 29)) >> 11) as f64 / (1u64 << 53) as f64;
        let value = match self.domain {
            Domain::Any => 4.0 * unit - 2.0,
            Domain::Small => unit,
            Domain::Large => 1.0 + 2.0 * unit,
        };
        if self.whole {
            (value * 5.0).round()
        } else {
            value
        }
    }

    /// A variable that is the same along the row, or the element's.
    fn variable(&self, name: &str, at: u64) -> f64 {
        match name {
            "D" => COUNT as f64,
            "j" => at as f64,
            "row" => 3.0,
            _ if self.inputs.iter().any(|i| i == name) => self.number(name, at),
            _ => self.number(name, COUNT),
        }
    }

    fn init(&self, parts: &Parts<'_>) -> Option<f64> {
        parts.init.evaluate(&|n| Some(self.variable(n, 0))).ok()
    }

    /// The fold of these elements, from `start` on.
    fn fold(&self, parts: &Parts<'_>, start: f64, of: impl Iterator<Item = u64>) -> Option<f64> {
        let mut acc = start;
        for at in of {
            let value = |n: &str| {
                Some(if n == parts.acc {
                    acc
                } else {
                    self.variable(n, at)
                })
            };
            acc = parts.update.evaluate(&value).ok()?;
        }
        Some(acc)
    }

    /// Whether joined parts are something else than the whole; none where that cannot be told.
    fn disagrees(&self, parts: &Parts<'_>) -> Option<bool> {
        let start = self.init(parts)?;
        let join = |a: f64, b: f64| {
            let value = |n: &str| Some(if n == "a" { a } else { b });
            parts.combine.evaluate(&value).ok()
        };
        let whole = self.fold(parts, start, 0..COUNT)?;
        let mut wrong = false;
        let of = |part: &dyn Fn(u64) -> bool| (0..COUNT).filter(|&i| part(i)).collect::<Vec<_>>();
        // Halves, and every second element.
        let splits = [of(&|i| i < 3), of(&|i| i % 2 == 0)];
        for left in &splits {
            let right = (0..COUNT).filter(|i| !left.contains(i));
            let a = self.fold(parts, start, left.iter().copied())?;
            let b = self.fold(parts, start, right)?;
            // Threads meet in any order.
            wrong |= differ(join(a, b)?, whole) || differ(join(b, a)?, whole);
        }
        // A thread without elements.
        wrong |= differ(join(whole, start)?, whole) || differ(join(start, whole)?, whole);
        Some(wrong)
    }
}

/// Whether two numbers are more than roundings apart; false unless both are numbers.
fn differ(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() || a == b {
        return false;
    }
    let near = (a - b).abs() <= 1e-6 * (1.0 + a.abs() + b.abs());
    !near
}
