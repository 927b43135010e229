//! Tuned kernels: what wins, what is kept, and where nothing is measured. Times are invented:
//! no test depends on a clock.

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod file;
mod search;
mod setup;
