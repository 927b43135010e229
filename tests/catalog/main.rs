//! The catalog, kernel by kernel, against its formulas in float64. What is tested follows from
//! `kernels::catalog()`: a new row of the table is tested without a line here.
//!
//! `ZMLX_CATALOG=NAME` tests only the kernels whose name contains NAME; `ZMLX_TEST_SEED` repeats a
//! run with its numbers.

mod activations;
mod attention;
mod beyond;
mod bits;
mod blocks;
mod caches;
mod cases;
mod chance;
mod checked;
mod decode;
mod defects;
mod derivatives;
mod docs;
mod dropout;
mod encoded;
mod errors;
mod extremes;
mod flash;
mod heads;
mod huge;
mod image;
mod indexing;
mod layouts;
mod linear;
mod long_rows;
mod loss;
mod moe;
mod names;
mod norms;
mod optimizers;
mod others;

mod paged;
mod process;
mod quant;
mod reductions;
mod reference;
mod report;
mod rope;
mod sampling;
mod scan;
mod selection;
mod sizes;
mod special;
mod speeds;
mod threads;
mod tolerance;
mod transformer;
mod values;
mod vlsp;
mod vmap;

#[path = "../common/mod.rs"]
mod common;
