//! Parts of attention over the last axis.

mod softmax;

pub(super) use softmax::TABLES;
pub use softmax::{logsumexp_lastdim, masked_softmax, scale_mask_softmax};
