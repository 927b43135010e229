//! Attention: its parts, over caches of keys and values, and over those in blocks.

mod cache;
mod decode;
mod encode;
mod few;
mod few_codes;
mod few_launch;
mod few_plan;
mod few_tiles;
mod flash;
mod flash_launch;
mod flash_op;
mod flash_tiles;
mod options;
mod paged;
mod pick;
mod softmax;
mod tile;
mod weighted;

pub use cache::{Cache, QuantizedCache, quantize_cache};
pub(super) use decode::TABLE as DECODE;
pub use decode::{DecodeAttention, decode_attention};
pub(super) use flash::TABLE as FLASH;
pub use flash::{FlashAttention, flash_attention};
pub(super) use paged::TABLE as PAGED;
pub use paged::{PagedAttention, paged_attention};
pub use pick::{
    Implementation, ScaledDotProductAttention, attention_rule, scaled_dot_product_attention,
};
pub(super) use softmax::TABLES;
pub use softmax::{logsumexp_lastdim, masked_softmax, scale_mask_softmax};
pub(super) use tile::TABLE as TILE;
pub use tile::attention_tile_proto;
