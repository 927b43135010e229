//! `mlx/ops.h`, one file per family.

pub(crate) mod elementwise;
pub(crate) mod reduce;
pub(crate) mod shape;
