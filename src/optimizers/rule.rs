//! What one optimizer does with one parameter.

use super::flat::Flats;
use super::num::Num;
use crate::{Array, Result};

/// The step under way.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number, from 1.
    pub(super) number: Num,
    /// Its rate, schedule included.
    pub(super) rate: Num,
}

/// A parameter, its gradient and what is kept for it.
pub struct Item<'a> {
    pub(super) value: &'a Array,
    pub(super) grad: &'a Array,
    pub(super) kept: &'a [Array],
}

/// What becomes of a parameter: its new values, and what is kept for it.
pub type Changed = (Array, Vec<Array>);

/// The arithmetic of an optimizer. Those of this module are what there is: a type parameter of [`Optimizer`](super::Optimizer).
pub trait Rule: Clone + 'static {
    /// The names of the arrays that are kept for a parameter of this name and these values.
    fn slots(&self, name: &str, value: &Array) -> &'static [&'static str];

    /// Those arrays before the first step.
    ///
    /// # Errors
    /// What making them fails with.
    fn start(&self, name: &str, value: &Array) -> Result<Vec<Array>>;

    /// The step of one parameter.
    ///
    /// # Errors
    /// What the operations fail with.
    fn change(&self, name: &str, item: &Item<'_>, step: &Step) -> Result<Changed>;

    /// The steps of all parameters of a group; one by one unless the rule knows better.
    ///
    /// # Errors
    /// What the operations fail with.
    fn change_all(
        &self,
        items: &[(&str, Item<'_>)],
        step: &Step,
        flats: &mut Flats,
    ) -> Result<Vec<Changed>> {
        let _ = flats;
        let all = items.iter();
        all.map(|(name, item)| self.change(name, item, step))
            .collect()
    }
}
