//! Layers, models of them, and what is done with a model's parameters.
//!
//! A layer is parameters and one call of a function of [`kernels`](crate::kernels) or of MLX. A model is a struct of layers that
//! derives [`Module`]; its parameters stand in a tree by name, and loading, freezing, quantizing and training work on that tree.
//!
//! ```
//! use zmlx::nn::{self, ModuleExt, losses};
//! use zmlx::optim;
//! use zmlx::prelude::*;
//!
//! #[derive(Clone, nn::Module)]
//! struct Classifier {
//!     hidden: nn::Linear,
//!     norm: nn::RmsNorm,
//!     head: nn::Linear,
//! }
//!
//! impl Classifier {
//!     fn new(init: &mut nn::Init) -> zmlx::Result<Self> {
//!         Ok(Classifier {
//!             hidden: nn::Linear::new(2, 16, init)?,
//!             norm: nn::RmsNorm::new(16, init)?,
//!             head: nn::Linear::new(16, 2, init)?,
//!         })
//!     }
//!
//!     fn forward(&self, x: &Array) -> zmlx::Result<Array> {
//!         let x = nn::Activation::Relu.forward(&self.hidden.forward(x)?)?;
//!         self.head.forward(&self.norm.forward(&x)?)
//!     }
//! }
//!
//! # fn main() -> zmlx::Result<()> {
//! // Which of two numbers is larger.
//! random::seed(1);
//! let x = random::normal((64, 2))?;
//! let y = x.argmax(-1)?;
//!
//! let mut model = Classifier::new(&mut nn::Init::seed(7))?;
//! let mut optimizer = optim::AdamW::new(1e-2).weight_decay(0.1).schedule(optim::cosine(60));
//! let step = nn::value_and_grad(&model, |m, (x, y): &(Array, Array)| {
//!     losses::cross_entropy(&m.forward(x)?, y)?.mean(..)
//! });
//! let batch = (x, y);
//! let (first, _) = step(&model, &batch)?;
//! for _ in 0..60 {
//!     let (loss, grads) = step(&model, &batch)?;
//!     optimizer.update(&mut model, nn::clip_norm(grads, 1.0)?)?;
//!     nn::eval_all((&model, &optimizer, &loss))?;
//! }
//! let (last, _) = step(&model, &batch)?;
//! assert!(last.item::<f32>()? < 0.5 * first.item::<f32>()?);
//!
//! # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
//! # let path = folder.path().join("model.safetensors");
//! model.save(&path)?;
//! let mut again = Classifier::new(&mut nn::Init::zeros_only())?;
//! again.load(&path)?;
//! # Ok(())
//! # }
//! ```

mod activation;
mod arrays;
mod attend;
mod attention;
mod cache;
mod compile;
mod conv;
mod counter;
mod dropout;
mod embedding;
mod ext;
mod grad;
mod init;
mod linear;
mod load;
mod lora;
pub mod losses;
mod mlp;
mod module;
mod moe;
mod norm;
mod paged;
mod param;
mod products;
mod rope;
mod sequential;
mod sharded;
mod tree;
mod weight;

pub use zmlx_macros::Module;

pub use crate::kernels::activations::{
    celu, elu, gelu, gelu_tanh, hard_sigmoid, hardswish, leaky_relu, logsigmoid, mish, quick_gelu,
    relu, relu2, selu, sigmoid, silu, softplus, softsign, tanh,
};

pub use self::activation::Activation;
pub use self::arrays::{Arrays, eval_all};
pub use self::attention::{Attention, AttentionConfig};
pub use self::cache::{KvCache, PagedCache, Seen};
pub use self::compile::{CompiledStep, compile};
pub use self::conv::{Conv1d, Conv2d};
pub use self::counter::Counter;
pub use self::dropout::Dropout;
pub use self::embedding::Embedding;
pub use self::ext::ModuleExt;
pub use self::grad::{Accumulator, clip_norm, norm, value_and_grad};
pub use self::init::Init;
pub use self::linear::{Linear, QuantizedLinear};
pub use self::lora::Lora;
pub use self::mlp::{Mlp, SwiGlu};
pub use self::module::{Leaf, Module, Node, Visit, VisitMut};
pub use self::moe::{Experts, Moe};
pub use self::norm::{GroupNorm, LayerNorm, RmsNorm};
pub use self::paged::Pages;
pub use self::param::{Buffer, Param};
pub use self::rope::Rope;
pub use self::sequential::{Layer, LayerClone, Sequential};
pub use self::sharded::{AllToSharded, ShardedToAll, average_gradients, sum_gradient};
pub use self::tree::Tree;
pub use self::weight::Weight;
