//! Language models: loading, generating text, and what a server of them needs. With the feature `llm`.
//!
//! [`load`] takes a GGUF file or a folder of safetensors with `config.json` and `tokenizer.json`, of a model of the Llama family:
//! [`Config`] says which ones. [`Llm::generate`] gives text piece by piece. Below it stand, from the top:
//!
//! - [`Engine`]: many sequences through one model, a token of each at a time, with [`Sampling`] of their own;
//! - [`Schedule`] and [`Pages`]: which tokens are next, which page of the cache is whose. Plain numbers;
//! - [`Model`] and [`PagedCache`]: the computation, by the catalog's kernels over packed matrices as they lie in the file;
//! - [`Decoder`]: the same weights as layers of [`nn`](crate::nn), to fine-tune them;
//! - [`Plain`]: the same by MLX's operations with weights in float32, to compare with.
//!
//! ```no_run
//! use zmlx::llm::{self, Message};
//! # fn main() -> zmlx::Result<()> {
//! let model = llm::load("SmolLM2-135M-Instruct.Q4_1.gguf")?;
//! let answer = model.chat([Message::new("user", "What is a whale?")]).max_tokens(64).text()?;
//! println!("{answer}");
//! # Ok(())
//! # }
//! ```
//!
//! `examples/generate` and `examples/server` use it; docs/SERVING.md tells of servers.

mod ahead;
mod batch;
mod chat;
mod config;
mod decoder;
mod engine;
mod generate;
mod language;
mod linear;
mod load;
mod matrix;
mod model;
mod options;
mod paged;
mod pages;
mod plain;
mod rope;
mod sampling;
mod schedule;
mod share;
mod shared;
mod store;
mod stream;
mod text;
mod tokenizer;
mod tokenizer_kinds;
mod weights;

pub use self::batch::Batch;
pub use self::chat::{ChatTemplate, Message};
pub use self::config::{Activation, Config, Stretch};
pub use self::decoder::{Decoder, DecoderLayer};
pub use self::engine::{Counts, Engine, Event, Finish, Request};
pub use self::generate::{Generate, Llm};
pub use self::language::Language;
pub use self::load::{load, load_decoder, load_parts, load_shared, load_weights, load_with};
pub use self::matrix::Matrix;
pub use self::model::{Attend, Model};
pub use self::options::{EngineOptions, PageKind};
pub use self::paged::{PagedAttend, PagedCache, SLOTS};
pub use self::pages::{Lease, Pages};
pub use self::plain::Plain;
pub use self::sampling::{Chosen, Sampler, Sampling};
pub use self::schedule::{Id, Limits, Refused, Schedule, Work};
pub use self::shared::SharedWeights;
pub use self::stream::Stream;
pub use self::text::TextOut;
pub use self::tokenizer::Tokenizer;
pub use self::weights::Weights;
