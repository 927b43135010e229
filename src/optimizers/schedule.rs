//! How the rate changes from step to step.

use super::num::Num;
use crate::Result;

/// A factor on the rate of each step. The first step is number 0.
///
/// ```
/// use zmlx::optim::{cosine, warmup};
/// let schedule = warmup(10).then(cosine(100).to(0.1));
/// assert_eq!(schedule.factor(0), 0.1);   // (0 + 1) / 10
/// assert_eq!(schedule.factor(9), 1.0);
/// assert!((schedule.factor(60) - 0.55).abs() < 1e-12);
/// assert_eq!(schedule.factor(1000), 0.1);
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Constant,
    Linear { steps: f64, end: f64 },
    Cosine { steps: f64, end: f64 },
    Exponential { factor: f64 },
    Steps { every: f64, factor: f64 },
    Root { most: f64 },
    Warmup { steps: f64, then: Box<Schedule> },
}

/// The rate as it is.
///
/// ```
/// assert_eq!(zmlx::optim::constant().factor(1000), 1.0);
/// ```
pub fn constant() -> Schedule {
    Shape::Constant.into()
}

/// In a line to 0, or to [`Schedule::to`], over so many steps; then constant.
///
/// ```
/// let schedule = zmlx::optim::linear(10).to(0.5);
/// assert_eq!((schedule.factor(0), schedule.factor(5), schedule.factor(99)), (1.0, 0.75, 0.5));
/// ```
pub fn linear(steps: u64) -> Schedule {
    let (steps, end) = (steps.max(1) as f64, 0.0);
    Shape::Linear { steps, end }.into()
}

/// Along half a cosine to 0, or to [`Schedule::to`], over so many steps; then constant (I. Loshchilov and F. Hutter, "SGDR", 2017).
///
/// ```
/// let schedule = zmlx::optim::cosine(10);
/// assert!((schedule.factor(5) - 0.5).abs() < 1e-12 && schedule.factor(10).abs() < 1e-12);
/// ```
pub fn cosine(steps: u64) -> Schedule {
    let (steps, end) = (steps.max(1) as f64, 0.0);
    Shape::Cosine { steps, end }.into()
}

/// `factor^step`.
///
/// ```
/// assert_eq!(zmlx::optim::exponential(0.5).factor(3), 0.125);
/// ```
pub fn exponential(factor: f64) -> Schedule {
    Shape::Exponential { factor }.into()
}

/// `factor^floor(step / every)`.
///
/// ```
/// let schedule = zmlx::optim::steps(10, 0.5);
/// assert_eq!((schedule.factor(9), schedule.factor(10), schedule.factor(25)), (1.0, 0.5, 0.25));
/// ```
pub fn steps(every: u64, factor: f64) -> Schedule {
    let every = every.max(1) as f64;
    Shape::Steps { every, factor }.into()
}

/// `min(most, 1 / sqrt(step + 1))`: with 0.01 the relative rate of Adafactor.
///
/// ```
/// let schedule = zmlx::optim::inverse_root(0.1);
/// assert_eq!((schedule.factor(0), schedule.factor(399)), (0.1, 0.05));
/// ```
pub fn inverse_root(most: f64) -> Schedule {
    Shape::Root { most }.into()
}

/// In a line up to the rate, which the last of so many steps reaches; what comes [`then`](Schedule::then) counts its steps from there.
///
/// ```
/// let schedule = zmlx::optim::warmup(4);
/// assert_eq!((schedule.factor(0), schedule.factor(3), schedule.factor(99)), (0.25, 1.0, 1.0));
/// ```
pub fn warmup(steps: u64) -> Schedule {
    let (steps, then) = (steps as f64, Box::new(constant()));
    Shape::Warmup { steps, then }.into()
}

impl From<Shape> for Schedule {
    fn from(shape: Shape) -> Self {
        Schedule { shape }
    }
}

impl Schedule {
    /// Where a line or a cosine ends, as a factor on the rate. Others have no end and stay as they are.
    pub fn to(mut self, factor: f64) -> Self {
        if let Shape::Linear { end, .. } | Shape::Cosine { end, .. } = &mut self.shape {
            *end = factor;
        }
        self
    }

    /// What follows a [`warmup`]. Others have no end and stay as they are.
    pub fn then(mut self, next: Schedule) -> Self {
        if let Shape::Warmup { then, .. } = &mut self.shape {
            **then = next;
        }
        self
    }

    /// The factor at a step.
    pub fn factor(&self, step: u64) -> f64 {
        match self.at(&Num::Known(step as f64)) {
            Ok(Num::Known(factor)) => factor,
            // Known numbers stay known.
            _ => f64::NAN,
        }
    }

    /// The factor, by one formula for known numbers and those of a compiled step.
    pub(super) fn at(&self, step: &Num) -> Result<Num> {
        match &self.shape {
            Shape::Constant => step.times(0.0)?.plus(1.0),
            Shape::Linear { steps, end } => {
                let done = step.at_most(*steps)?.times(1.0 / steps)?;
                done.times(end - 1.0)?.plus(1.0)
            }
            Shape::Cosine { steps, end } => {
                let angle = step.at_most(*steps)?.times(std::f64::consts::PI / steps)?;
                let half = angle.cos()?.plus(1.0)?.times(0.5)?;
                half.times(1.0 - end)?.plus(*end)
            }
            Shape::Exponential { factor } => step.as_power_of(*factor),
            Shape::Steps { every, factor } => step.divided(*every)?.floor()?.as_power_of(*factor),
            Shape::Root { most } => step.plus(1.0)?.powf(-0.5)?.at_most(*most),
            Shape::Warmup { steps, .. } if *steps < 1.0 => self.after(step, *steps),
            Shape::Warmup { steps, .. } => {
                // The line is the lesser of the two while it lasts, and 1 from then on.
                let line = step.plus(1.0)?.times(1.0 / steps)?.at_most(1.0)?;
                match (line, self.after(step, *steps)?) {
                    (Num::Known(a), Num::Known(b)) => Ok(Num::Known(a * b)),
                    (Num::Lazy(a), b) => b.of(&a).map(Num::Lazy),
                    (Num::Known(a), b) => b.times(a),
                }
            }
        }
    }

    /// The factor of what follows the warm-up, whose steps count from its end; 1 before that.
    fn after(&self, step: &Num, steps: f64) -> Result<Num> {
        match &self.shape {
            Shape::Warmup { then, .. } => then.at(&step.plus(-steps)?.at_least(0.0)?),
            _ => Ok(Num::Known(1.0)),
        }
    }
}
