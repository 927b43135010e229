//! MLX's memory counters and limits, in bytes.
//!
//! They count what MLX's allocator hands out, on all threads together.

use crate::array::refs;
use crate::bridge::graph::ffi as graph;
use crate::bridge::stream::ffi;
use crate::error::Lift;
use crate::{Array, Result};

/// Bytes in use now.
#[track_caller]
pub fn active() -> Result<usize> {
    ffi::active_memory().lift()
}

/// Most bytes in use since the start or [`reset_peak`].
#[track_caller]
pub fn peak() -> Result<usize> {
    ffi::peak_memory().lift()
}

/// Starts a new measurement of [`peak`].
#[track_caller]
pub fn reset_peak() -> Result<()> {
    ffi::reset_peak_memory().lift()
}

/// Bytes kept for reuse.
#[track_caller]
pub fn cache() -> Result<usize> {
    ffi::cache_memory().lift()
}

/// Gives the bytes kept for reuse back to the system.
#[track_caller]
pub fn clear_cache() -> Result<()> {
    ffi::clear_cache().lift()
}

/// Bytes above which MLX waits for running work before it allocates more.
#[track_caller]
pub fn limit() -> Result<usize> {
    ffi::memory_limit().lift()
}

/// Sets [`limit`]; returns the limit before.
#[track_caller]
pub fn set_limit(bytes: usize) -> Result<usize> {
    ffi::set_memory_limit(bytes).lift()
}

/// Sets how many bytes may be kept for reuse; returns the limit before.
#[track_caller]
pub fn set_cache_limit(bytes: usize) -> Result<usize> {
    ffi::set_cache_limit(bytes).lift()
}

/// Sets how many bytes may be wired (macOS 15 and later); returns the limit before.
#[track_caller]
pub fn set_wired_limit(bytes: usize) -> Result<usize> {
    ffi::set_wired_limit(bytes).lift()
}

/// Bytes of the buffers that hold these arrays, a shared one once.
///
/// ```
/// use zmlx::{Array, memory};
///
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32; 1024], 1024)?;
/// assert_eq!(memory::of([&x])?, memory::of([&x, &x.clone()])?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What MLX says of an array that is not computed yet.
#[track_caller]
pub fn of<A: AsRef<Array>>(arrays: impl AsRef<[A]>) -> Result<usize> {
    graph::array_buffer_size(&refs(arrays.as_ref())).lift()
}
