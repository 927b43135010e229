//! Plain values that cross the bridge, with the layout of `cpp/include/zmlx/types.h`.

use std::marker::PhantomData;

use cxx::{ExternType, type_id};

use super::array::ffi;
use crate::Dtype;

/// A borrowed array in a slice of arrays; null where an optional array is absent.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ArrayRef<'a> {
    ptr: *const ffi::Array,
    life: PhantomData<&'a ffi::Array>,
}

impl<'a> ArrayRef<'a> {
    pub(crate) const NONE: ArrayRef<'static> = ArrayRef {
        ptr: std::ptr::null(),
        life: PhantomData,
    };

    pub(crate) fn new(array: &'a ffi::Array) -> Self {
        ArrayRef {
            ptr: array,
            life: PhantomData,
        }
    }
}

/// A stream, or with a negative index the calling thread's default stream of the device.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamRef {
    pub index: i32,
    pub device_index: i32,
    pub gpu: bool,
}

// SAFETY: `#[repr(C)]` with the same fields in the same order as the C++ struct
// of that name, whose size the C++ side asserts; no destructor, no pointer to self.
unsafe impl ExternType for StreamRef {
    type Id = type_id!("zmlx::StreamRef");
    type Kind = cxx::kind::Trivial;
}

// SAFETY: as above; the lifetime exists on the Rust side only.
unsafe impl ExternType for ArrayRef<'_> {
    type Id = type_id!("zmlx::ArrayRef");
    type Kind = cxx::kind::Trivial;
}

// SAFETY: `Dtype` is `#[repr(i32)]` with MLX's own discriminants (a C++ `enum
// class` without a base is an `int`), checked by `static_assert` and a test.
unsafe impl ExternType for Dtype {
    type Id = type_id!("zmlx::Dtype");
    type Kind = cxx::kind::Trivial;
}
