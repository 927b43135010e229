//! Attention: its parts, and that over caches of blocks.

mod paged;
mod tile;

pub(super) use paged::TABLE as PAGED;
pub use paged::{PagedAttention, paged_attention};
pub(super) use tile::TABLE as TILE;
pub use tile::attention_tile_proto;
