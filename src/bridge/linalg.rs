//! `mlx/linalg.h`.

#[cxx::bridge(namespace = "zmlx::linalg")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/linalg.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn inv(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
    }
}
