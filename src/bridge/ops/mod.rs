//! `mlx/ops.h`, one file per family.

// Arguments are MLX's own; some operations have many.
#![allow(clippy::too_many_arguments)]

pub(crate) mod cast;
pub(crate) mod conv;
pub(crate) mod create;
pub(crate) mod elementwise;
pub(crate) mod index;
pub(crate) mod join;
pub(crate) mod matrix;
pub(crate) mod quantized;
pub(crate) mod reduce;
pub(crate) mod shape;
pub(crate) mod sort;
