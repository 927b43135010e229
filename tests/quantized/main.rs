//! Quantized matrices and products with them, against plain loops in float64.

mod calls;
mod checked;
#[path = "../common/mod.rs"]
mod common;
mod decode;
mod encode;
mod errors;
mod machines;
mod made;
mod products;
mod rounded;
