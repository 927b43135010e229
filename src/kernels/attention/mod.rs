//! Attention: its parts, and that over caches of blocks.

mod paged;
mod softmax;
mod tile;

pub(super) use paged::TABLE as PAGED;
pub use paged::{PagedAttention, paged_attention};
pub(super) use softmax::TABLES;
pub use softmax::{logsumexp_lastdim, masked_softmax, scale_mask_softmax};
pub(super) use tile::TABLE as TILE;
pub use tile::attention_tile_proto;
