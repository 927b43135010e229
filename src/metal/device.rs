//! MLX's own Metal: its library of kernels, and traces for Xcode.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::bridge::graph::ffi;
use crate::error::Lift as _;
use crate::io::place::utf8;
use crate::stream::enter;

/// Writes what the GPU does, until [`stop_capture`], to a `.gputrace` file, which Xcode opens. The program has to run with `MTL_CAPTURE_ENABLED=1`.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) for a path that is not UTF-8, [`Error::Mlx`](crate::Error::Mlx) where there is no Metal or no such file can be made.
#[track_caller]
pub fn start_capture(path: impl AsRef<Path>) -> Result<()> {
    enter();
    ffi::start_capture(utf8(path.as_ref())?).lift()
}

/// Ends what [`start_capture`] began.
///
/// # Errors
/// [`Error::Mlx`](crate::Error::Mlx) where there is no Metal.
#[track_caller]
pub fn stop_capture() -> Result<()> {
    enter();
    ffi::stop_capture().lift()
}

/// Where MLX looks for `mlx.metallib` first, if not beside its library. It counts before the first use of a GPU.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) for a path that is not UTF-8.
#[track_caller]
pub fn set_metallib_path(path: impl AsRef<Path>) -> Result<()> {
    ffi::set_metallib_path(utf8(path.as_ref())?).lift()
}

/// What [`set_metallib_path`] set, or an empty path.
///
/// # Errors
/// What MLX says.
#[track_caller]
pub fn metallib_path() -> Result<PathBuf> {
    Ok(ffi::metallib_path().lift()?.into())
}
