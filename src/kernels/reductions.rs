//! Functions that make one value, or a few, of each row.

pub use super::selection::{argmax_lastdim, topk_lastdim};
