//! Kernels from expressions.
//!
//! An operation is a [`program::Program`]: what it reads, what it reduces along a row, what it writes. A call's
//! shapes decide on a [`pattern::Pattern`], and [`text`] writes a kernel for the two. [`derive`] makes
//! programs of programs: their derivatives. [`op::Operation`] ties this together and has the rules that
//! transforms ask for.

mod agree;
pub(crate) mod blocks;
mod by_row;
pub(crate) mod classify;
pub(crate) mod derive;
mod derived;
pub(crate) mod dtypes;
pub(crate) mod explicit;
mod flat;
mod floats;
mod folds;
#[cfg(test)]
mod golden;
pub(crate) mod group;
mod held;
mod keep;
mod kernels;
mod kinds;
pub(crate) mod layout;
#[cfg(test)]
mod lengths;
mod limit;
pub(crate) mod make;
pub(crate) mod names;
pub(crate) mod op;
mod partial;
pub(crate) mod pattern;
pub(crate) mod places;
pub(crate) mod program;
mod recorded;
mod remade;
mod rules;
mod saved;
mod scaled;
pub(crate) mod scope;
pub(crate) mod settings;
mod sizes;
mod strides;
mod summed;
mod sums;
mod terms;
pub(crate) mod text;
mod whole;
