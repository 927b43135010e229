//! The catalog, kernel by kernel, against its formulas in float64. What is tested follows from
//! `kernels::catalog()`: a new row of the table is tested without a line here.
//!
//! `ZMLX_CATALOG=NAME` tests only the kernels whose name contains NAME; `ZMLX_TEST_SEED` repeats a
//! run with its numbers.

mod activations;
mod blocks;
mod cases;
mod checked;
mod derivatives;
mod docs;
mod dropout;
mod errors;
mod image;
mod layouts;
mod long_rows;
mod optimizers;
mod places;
mod process;
mod quant;
mod reference;
mod report;
mod scan;
mod special;
mod tolerance;
mod values;
mod vmap;

#[path = "../common/mod.rs"]
mod common;
