//! New arrays.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/create.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;
        #[namespace = "zmlx"]
        type Dtype = crate::Dtype;

        fn zeros(dims: &[i32], dtype: Dtype, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn ones(dims: &[i32], dtype: Dtype, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn full(
            dims: &[i32],
            value: &Array,
            dtype: Dtype,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn full_like(a: &Array, value: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn zeros_like(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn ones_like(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn eye(n: i32, m: i32, k: i32, dtype: Dtype, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn tri(n: i32, m: i32, k: i32, dtype: Dtype, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn arange(
            start: f64,
            stop: f64,
            step: f64,
            dtype: Dtype,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn linspace(
            start: f64,
            stop: f64,
            n: i32,
            endpoint: bool,
            dtype: Dtype,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;

        fn hanning(n: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn hamming(n: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn bartlett(n: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn blackman(n: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
    }
}
