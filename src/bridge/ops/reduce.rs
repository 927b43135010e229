//! Reductions, softmax and cumulative forms.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/reduce.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn sum(a: &Array, axes: &[i32], keepdims: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn prod(a: &Array, axes: &[i32], keepdims: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn mean(a: &Array, axes: &[i32], keepdims: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn median(
            a: &Array,
            axes: &[i32],
            keepdims: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn max(a: &Array, axes: &[i32], keepdims: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn min(a: &Array, axes: &[i32], keepdims: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn all(a: &Array, axes: &[i32], keepdims: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn any(a: &Array, axes: &[i32], keepdims: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn logsumexp(
            a: &Array,
            axes: &[i32],
            keepdims: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn count_nonzero(
            a: &Array,
            axes: &[i32],
            keepdims: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn argmax(
            a: &Array,
            axes: &[i32],
            keepdims: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn argmin(
            a: &Array,
            axes: &[i32],
            keepdims: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn minmax(
            a: &Array,
            axes: &[i32],
            keepdims: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<CxxVector<Array>>>;

        fn var(
            a: &Array,
            axes: &[i32],
            keepdims: bool,
            ddof: i32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        #[rust_name = "std"]
        fn std_(
            a: &Array,
            axes: &[i32],
            keepdims: bool,
            ddof: i32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn softmax(
            a: &Array,
            axes: &[i32],
            precise: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;

        fn cumsum(
            a: &Array,
            axis: &[i32],
            reverse: bool,
            inclusive: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn cumprod(
            a: &Array,
            axis: &[i32],
            reverse: bool,
            inclusive: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn cummax(
            a: &Array,
            axis: &[i32],
            reverse: bool,
            inclusive: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn cummin(
            a: &Array,
            axis: &[i32],
            reverse: bool,
            inclusive: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn logcumsumexp(
            a: &Array,
            axis: &[i32],
            reverse: bool,
            inclusive: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn diff(a: &Array, n: i32, axis: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
    }
}
