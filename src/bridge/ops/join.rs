//! Lists of arrays.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/join.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;
        #[namespace = "zmlx"]
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;

        fn concatenate(arrays: &[ArrayRef], axis: &[i32], s: StreamRef)
        -> Result<UniquePtr<Array>>;
        fn stack(arrays: &[ArrayRef], axis: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn split(
            a: &Array,
            parts: i32,
            axis: i32,
            s: StreamRef,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn split_at(
            a: &Array,
            indices: &[i32],
            axis: i32,
            s: StreamRef,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn unstack(a: &Array, axis: i32, s: StreamRef) -> Result<UniquePtr<CxxVector<Array>>>;
        fn meshgrid(
            arrays: &[ArrayRef],
            sparse: bool,
            ij: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn broadcast_arrays(
            arrays: &[ArrayRef],
            s: StreamRef,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn depends(
            inputs: &[ArrayRef],
            dependencies: &[ArrayRef],
        ) -> Result<UniquePtr<CxxVector<Array>>>;
    }
}
