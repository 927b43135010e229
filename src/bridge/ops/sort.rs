//! Sorting and searching.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/sort.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;
        #[namespace = "zmlx"]
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;

        fn sort(a: &Array, axis: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn argsort(a: &Array, axis: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn partition(a: &Array, n: i32, axis: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn argpartition(a: &Array, n: i32, axis: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn topk(a: &Array, n: i32, axis: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;

        fn searchsorted(
            a: &Array,
            values: &Array,
            right: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn unique(
            a: &Array,
            size: i32,
            index: bool,
            inverse: bool,
            counts: bool,
            fill: ArrayRef,
            s: StreamRef,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
    }
}
