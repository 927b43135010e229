//! Layers against compositions of MLX's operations in float64 or closed forms, and what is done with trees of parameters.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/toolkit.rs"]
mod toolkit;

mod attention;
mod blocks;
mod grad;
mod layers;
mod more_layers;
mod refused;
mod tree;
