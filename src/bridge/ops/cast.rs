//! Representations, and marks on the graph.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/cast.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;
        #[namespace = "zmlx"]
        type Dtype = crate::Dtype;

        fn real(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn imag(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn conjugate(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn stop_gradient(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn to_fp8(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;

        fn astype(a: &Array, dtype: Dtype, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn view(a: &Array, dtype: Dtype, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn from_fp8(a: &Array, dtype: Dtype, s: StreamRef) -> Result<UniquePtr<Array>>;
    }
}
