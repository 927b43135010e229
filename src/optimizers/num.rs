//! Numbers that are known, or that a compiled step will know.

use crate::kernels::optimizers::Scalar;
use crate::{Array, Result};

/// A number of a step: its number, its rate.
#[derive(Clone, Debug)]
pub(crate) enum Num {
    Known(f64),
    /// float32, no axes.
    Lazy(Array),
}

impl Num {
    /// One function for both.
    #[track_caller]
    fn map(
        &self,
        known: impl FnOnce(f64) -> f64,
        lazy: impl FnOnce(&Array) -> Result<Array>,
    ) -> Result<Num> {
        match self {
            Num::Known(n) => Ok(Num::Known(known(*n))),
            Num::Lazy(a) => lazy(a).map(Num::Lazy),
        }
    }

    #[track_caller]
    pub(super) fn plus(&self, n: f64) -> Result<Num> {
        self.map(|x| x + n, |a| a.add(n as f32))
    }

    #[track_caller]
    pub(super) fn times(&self, n: f64) -> Result<Num> {
        self.map(|x| x * n, |a| a.multiply(n as f32))
    }

    #[track_caller]
    pub(super) fn at_most(&self, n: f64) -> Result<Num> {
        self.map(|x| x.min(n), |a| a.minimum(n as f32))
    }

    #[track_caller]
    pub(super) fn at_least(&self, n: f64) -> Result<Num> {
        self.map(|x| x.max(n), |a| a.maximum(n as f32))
    }

    #[track_caller]
    pub(super) fn cos(&self) -> Result<Num> {
        self.map(f64::cos, Array::cos)
    }

    #[track_caller]
    pub(super) fn floor(&self) -> Result<Num> {
        self.map(f64::floor, Array::floor)
    }

    #[track_caller]
    pub(super) fn divided(&self, n: f64) -> Result<Num> {
        self.map(|x| x / n, |a| a.divide(n as f32))
    }

    #[track_caller]
    pub(super) fn powf(&self, n: f64) -> Result<Num> {
        self.map(|x| x.powf(n), |a| a.power(n as f32))
    }

    /// `base^self`.
    #[track_caller]
    pub(super) fn as_power_of(&self, base: f64) -> Result<Num> {
        let log = base.ln();
        self.map(
            |x| base.powf(x),
            // Of other numbers there is no logarithm, or 0 times infinity.
            |a| match base > 0.0 && base.is_finite() {
                true => a.multiply(log as f32)?.exp(),
                false => Array::from(base as f32).power(a),
            },
        )
    }

    /// The array times the number, in its own dtype.
    #[track_caller]
    pub(super) fn of(&self, a: &Array) -> Result<Array> {
        match self {
            Num::Known(n) => a.multiply(*n as f32),
            Num::Lazy(n) => a.multiply(n),
        }
    }

    /// For a kernel.
    pub(super) fn scalar(&self) -> Scalar<'_> {
        match self {
            Num::Known(n) => Scalar::Number(*n),
            Num::Lazy(a) => Scalar::Array(a),
        }
    }
}
