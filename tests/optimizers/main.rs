//! Optimizers against the formulas of their papers in float64, over many steps on random data.

#[path = "../common/mod.rs"]
mod common;

mod numbers;
mod papers;
mod state;
