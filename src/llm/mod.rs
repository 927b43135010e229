//! Language models: loading, generating text, and what a server of them needs.

mod chat;
mod config;
mod engine;
mod generate;
mod matrix;
mod model;
mod paged;
mod pages;
mod plain;
mod rope;
mod sampling;
mod schedule;
mod text;
mod tokenizer;
mod tokenizer_kinds;
mod weights;

pub use self::chat::{ChatTemplate, Message};
pub use self::config::{Activation, Config, Stretch};
pub use self::engine::{Counts, Engine, Event, Finish, Request};
pub use self::generate::{Generate, Language, Llm, Stream, load, load_parts, load_with};
pub use self::matrix::Matrix;
pub use self::model::{Attend, Model};
pub use self::paged::{Batch, PagedAttend, PagedCache, SLOTS};
pub use self::pages::{Lease, Pages};
pub use self::plain::Plain;
pub use self::sampling::{Chosen, Sampler, Sampling};
pub use self::schedule::{Id, Limits, Refused, Schedule, Work};
pub use self::text::TextOut;
pub use self::tokenizer::Tokenizer;
pub use self::weights::Weights;
