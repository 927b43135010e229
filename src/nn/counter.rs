//! A number of steps that a compiled function sees as an input.

use super::module::{Module, Node, Visit, VisitMut};
use crate::Array;

/// How often something was done. A plain number, but while [`nn::compile`](super::compile()) traces a step, when it stands for
/// the number at each call.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    /// The number.
    pub count: u64,
    /// Its stand-in while a step is traced: float32, no axes.
    pub traced: Option<Array>,
    /// How far it went while it was traced.
    pub in_trace: u64,
}

impl Counter {
    /// One more.
    ///
    /// ```
    /// use zmlx::nn;
    /// let mut steps = nn::Counter::default();
    /// steps.advance();
    /// assert_eq!(steps.count, 1);
    /// ```
    pub fn advance(&mut self) {
        match self.traced {
            Some(_) => self.in_trace += 1,
            None => self.count += 1,
        }
    }
}

impl Module for Counter {
    fn visit<'a>(&'a self, _to: &mut Visit<'a, '_>) {}

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        to.node(Node::Counter(self));
    }
}
