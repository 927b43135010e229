//! The example of a server, asked by a client over TCP, with a tiny random model.

#[path = "../../examples/server/app/mod.rs"]
#[allow(dead_code, reason = "the program uses more of it")]
mod app;
mod client;
mod limits;
mod official;
#[path = "../common/rng.rs"]
mod rng;
mod setup;
mod texts;
#[path = "../llm/tiny.rs"]
mod tiny;
mod wrong;
