//! Element-wise operations.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/elementwise.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn abs(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn negative(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn exp(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn square(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn sigmoid(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;

        fn add(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn subtract(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn multiply(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn divide(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
    }
}
