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

/// Memory in large pages for arrays that are read again and again: a processor that streams through small ones waits for their addresses.
#[cfg(feature = "llm")]
pub(crate) struct Room {
    all: Array,
    next: usize,
}

#[cfg(feature = "llm")]
impl Room {
    /// Where arrays begin: at lines of a processor's cache.
    const LINE: usize = 64;

    /// Bytes that an array of so many takes.
    pub(crate) fn needed(bytes: usize) -> usize {
        bytes.next_multiple_of(Room::LINE)
    }

    /// Room for arrays that need so many bytes together; none where it would be of no use: on a GPU, and for little.
    #[track_caller]
    pub(crate) fn new(bytes: usize) -> Result<Option<Room>> {
        const LEAST: usize = 4 << 20;
        if crate::stream::current().gpu || bytes < LEAST || !cfg!(target_os = "linux") {
            return Ok(None);
        }
        let all = crate::ops::done(crate::bridge::room::ffi::room(
            bytes.next_multiple_of(1 << 20),
        ))?;
        Ok(Some(Room { all, next: 0 }))
    }

    /// The array there. **Evaluates** it.
    #[track_caller]
    pub(crate) fn lay(&mut self, array: &Array) -> Result<Array> {
        let array = array.contiguous()?;
        array.eval()?;
        let laid = crate::bridge::room::ffi::lay(self.all.raw(), self.next, array.raw());
        self.next += Room::needed(array.nbytes());
        crate::ops::done(laid)
    }
}

#[cfg(all(test, feature = "llm", target_os = "linux"))]
mod tests {
    use super::*;
    use crate::Dtype;

    #[test]
    fn arrays_keep_their_values_side_by_side() -> Result<()> {
        let numbers = Array::arange(100_003)?;
        let all = [
            numbers.astype(Dtype::Uint8)?,
            numbers.astype(Dtype::Float16)?.index(..7)?,
            numbers
                .index(..100_000)?
                .reshape((400, 250))?
                .transpose(..)?,
            Array::zeros((0, 3), Dtype::Float32)?,
            numbers.astype(Dtype::Float64)?.index(3)?,
        ];
        assert!(Room::new(1 << 20)?.is_none(), "little needs none");
        let Some(mut room) = Room::new(5 << 20)? else {
            return Ok(()); // On a GPU.
        };
        let laid: Vec<Array> = all.iter().map(|a| room.lay(a)).collect::<Result<_>>()?;
        drop(room);
        for (one, other) in all.iter().zip(&laid) {
            assert_eq!((one.shape(), one.dtype()), (other.shape(), other.dtype()));
            assert!(one.equal(other)?.all(..)?.item::<bool>()?, "{one:?}");
        }
        // What is full is full.
        let mut room = Room::new(5 << 20)?.expect("as before");
        let large = Array::zeros(5 << 20, Dtype::Uint8)?;
        room.lay(&large)?;
        let failed = room.lay(&large).expect_err("there is no more room");
        assert!(failed.to_string().contains("does not fit"), "{failed}");
        Ok(())
    }
}
