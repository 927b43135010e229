//! Reductions over the last axis.

mod compensated;
mod sums;
mod table;

pub(super) use sums::TABLE as SUMS;
pub use sums::{
    MeanLastdim, StdLastdim, SumLastdim, max_lastdim, mean_lastdim, std_lastdim, sum_lastdim,
    var_lastdim,
};
pub(super) use table::{TABLE as CHOICES, by_partition};

pub use super::selection::{argmax_lastdim, topk_lastdim};
