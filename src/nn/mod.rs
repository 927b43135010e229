//! Layers, models of them, and what is done with a model's parameters.
//!
//! A layer is parameters and one call of a function of [`kernels`](crate::kernels) or of MLX. A model is a struct of layers that
//! derives [`Module`]; its parameters stand in a tree by name, and loading, freezing, quantizing and training work on that tree.

mod activation;
mod attend;
mod attention;
mod cache;
mod embedding;
mod ext;
mod init;
mod linear;
mod load;
mod lora;
mod mlp;
mod module;
mod norm;
mod param;
mod rope;
mod tree;
mod weight;

pub use zmlx_macros::Module;

pub use self::activation::Activation;
pub use self::attention::{Attention, AttentionConfig};
pub use self::cache::{KvCache, Seen};
pub use self::embedding::Embedding;
pub use self::ext::ModuleExt;
pub use self::init::Init;
pub use self::linear::{Linear, QuantizedLinear};
pub use self::lora::Lora;
pub use self::mlp::{Mlp, SwiGlu};
pub use self::module::{Leaf, Module, Node, Visit, VisitMut};
pub use self::norm::{GroupNorm, LayerNorm, RmsNorm};
pub use self::param::{Buffer, Param};
pub use self::rope::Rope;
pub use self::tree::Tree;
pub use self::weight::Weight;
