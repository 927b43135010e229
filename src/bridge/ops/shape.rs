//! Shape and layout.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/shape.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn reshape(a: &Array, dims: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn transpose(a: &Array, axes: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn as_strided(
            a: &Array,
            dims: &[i32],
            strides: &[i64],
            offset: usize,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn contiguous(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
    }
}
