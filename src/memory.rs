//! MLX's memory counters and limits, in bytes.
//!
//! They count what MLX's allocator hands out, on all threads together.

use crate::Result;
use crate::bridge::stream::ffi;
use crate::error::Lift;

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
