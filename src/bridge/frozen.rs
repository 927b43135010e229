//! Values that cross threads.

use super::element::{Element, elements_at, matches};
use crate::Result;
use crate::error::Lift;

#[cxx::bridge(namespace = "zmlx")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/frozen.h");

        type Array = crate::bridge::array::ffi::Array;
        type Dtype = crate::Dtype;
        type Frozen;

        fn freeze(a: &Array) -> Result<SharedPtr<Frozen>>;
        fn thaw(f: &Frozen) -> Result<UniquePtr<Array>>;
        fn frozen_address(f: &Frozen) -> Result<usize>;
        fn frozen_dims(f: &Frozen) -> &[i32];
        fn frozen_dtype(f: &Frozen) -> Dtype;
    }
}

// SAFETY: nothing in the C++ struct changes after `freeze` built it. Reference
// counts are atomic; freeing the buffer takes MLX's allocator lock. `freeze`
// made the one access that moves a CUDA buffer, so later ones only read, and no
// array over the buffer can be donated, so nothing writes the elements.
unsafe impl Send for ffi::Frozen {}
// SAFETY: as above; every function here takes it by shared reference and reads.
unsafe impl Sync for ffi::Frozen {}

/// The elements, without a copy.
#[track_caller]
pub(crate) fn view<T: Element>(frozen: &ffi::Frozen) -> Result<&[T]> {
    matches::<T>(ffi::frozen_dtype(frozen))?;
    let len = ffi::frozen_dims(frozen)
        .iter()
        .map(|&d| d as usize)
        .product();
    if len == 0 {
        return Ok(&[]);
    }
    let address = ffi::frozen_address(frozen).lift()?;
    // SAFETY: `freeze` took an evaluated row-contiguous array of this dtype and
    // shape; the owner in the struct keeps the buffer alive, nothing writes it.
    unsafe { elements_at(address, len) }
}
