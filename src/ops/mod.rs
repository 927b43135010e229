//! MLX's operations: methods of [`Array`] where an array comes first, functions here otherwise.
//!
//! All are lazy and run on the current stream (see [`crate::stream`]). Shapes broadcast as in
//! MLX. Errors carry MLX's message: [`Error::Shape`](crate::Error::Shape),
//! [`Error::Dtype`](crate::Error::Dtype) or [`Error::Argument`](crate::Error::Argument).

mod elementwise;
mod macros;
mod operators;
mod reduce;
mod shape;

use cxx::UniquePtr;

use crate::bridge::array::ffi;
use crate::error::Lift;
use crate::{Array, Result};

/// The result of a bridge call as an array, with the caller's location in errors.
#[track_caller]
pub(crate) fn done(raw: Result<UniquePtr<ffi::Array>, cxx::Exception>) -> Result<Array> {
    raw.lift().map(Array::wrap)
}

/// The result of a bridge call that gives several arrays.
#[track_caller]
pub(crate) fn done_list(
    raw: Result<UniquePtr<cxx::CxxVector<ffi::Array>>, cxx::Exception>,
) -> Result<Vec<Array>> {
    crate::array::unpack(&*raw.lift()?)
}
