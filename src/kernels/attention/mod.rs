//! Attention: its parts, and that over caches of blocks.

mod paged;
mod tile;

pub use paged::{PagedAttention, paged_attention};
pub use tile::attention_tile_proto;
