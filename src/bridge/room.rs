//! Large memory for what is read again and again.

#[cxx::bridge(namespace = "zmlx")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/room.h");

        type Array = crate::bridge::array::ffi::Array;

        /// So many bytes, a multiple of 2^20, in large pages where the system has them.
        fn room(bytes: usize) -> Result<UniquePtr<Array>>;
        /// An evaluated array that lies row by row, in the bytes of `room` from `at` on, a multiple of 64.
        fn lay(room: &Array, at: usize, a: &Array) -> Result<UniquePtr<Array>>;
    }
}
