//! Shape and layout.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/shape.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;
        #[namespace = "zmlx"]
        type Dtype = crate::Dtype;

        fn copy(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn contiguous(a: &Array, columns: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn matrix_transpose(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn atleast_1d(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn atleast_2d(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn atleast_3d(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;

        fn reshape(a: &Array, dims: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn unflatten(a: &Array, axis: i32, dims: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn flatten(a: &Array, first: i32, last: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn squeeze(a: &Array, axes: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn expand_dims(a: &Array, axes: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn transpose(a: &Array, axes: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn swapaxes(a: &Array, i: i32, j: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn moveaxis(a: &Array, from: i32, to: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn flip(a: &Array, axes: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn broadcast_to(a: &Array, dims: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn as_strided(
            a: &Array,
            dims: &[i32],
            strides: &[i64],
            offset: usize,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn repeat(a: &Array, n: i32, axis: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn tile(a: &Array, reps: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn roll(a: &Array, shift: &[i32], axes: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn pad(
            a: &Array,
            low: &[i32],
            high: &[i32],
            value: &Array,
            mode: &str,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn number_of_elements(
            a: &Array,
            axes: &[i32],
            inverted: bool,
            dtype: Dtype,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
    }
}
