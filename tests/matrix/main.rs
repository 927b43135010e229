//! Products of matrices, against MLX's in float64.

#[path = "../common/mod.rs"]
mod common;

mod products;
mod tiles;
