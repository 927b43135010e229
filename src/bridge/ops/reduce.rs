//! Reductions.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/reduce.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn sum(a: &Array, axes: &[i32], keepdims: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
    }
}
