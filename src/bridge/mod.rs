//! The cxx bridge: everything that crosses between Rust and MLX's C++.
//!
//! One file per MLX header. A function here takes and returns C++ handles and
//! plain data; its C++ body is an inline shim in `cpp/include/zmlx/`. Every
//! function that can throw returns `Result`, because cxx ends the process when
//! an exception leaves a function that does not.

pub(crate) mod array;
pub(crate) mod callback;
pub(crate) mod deep;
pub(crate) mod distributed;
pub(crate) mod dlpack;
pub(crate) mod element;
pub(crate) mod fast;
pub(crate) mod fft;
pub(crate) mod frozen;
pub(crate) mod graph;
pub(crate) mod host;
pub(crate) mod io;
pub(crate) mod kernel;
pub(crate) mod linalg;
#[cfg(feature = "ndarray")]
pub(crate) mod ndarray;
pub(crate) mod ops;
pub(crate) mod owned;
pub(crate) mod random;
#[cfg(feature = "llm")]
pub(crate) mod room;
pub(crate) mod ruled;
pub(crate) mod stream;
pub(crate) mod transforms;
pub(crate) mod types;

pub(crate) use types::{ArrayRef, StreamRef};
