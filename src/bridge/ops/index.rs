//! Reading and writing at positions.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/index.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;
        #[namespace = "zmlx"]
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;

        fn slice(
            a: &Array,
            start: &[i32],
            stop: &[i32],
            strides: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn slice_update(
            a: &Array,
            update: &Array,
            start: &[i32],
            stop: &[i32],
            strides: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn slice_update_add(
            a: &Array,
            update: &Array,
            start: &[i32],
            stop: &[i32],
            strides: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn slice_update_prod(
            a: &Array,
            update: &Array,
            start: &[i32],
            stop: &[i32],
            strides: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn slice_update_max(
            a: &Array,
            update: &Array,
            start: &[i32],
            stop: &[i32],
            strides: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn slice_update_min(
            a: &Array,
            update: &Array,
            start: &[i32],
            stop: &[i32],
            strides: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;

        fn slice_dynamic(
            a: &Array,
            start: &Array,
            axes: &[i32],
            sizes: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn slice_update_dynamic(
            a: &Array,
            update: &Array,
            start: &Array,
            axes: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn take(a: &Array, indices: &Array, axis: &[i32], s: StreamRef)
        -> Result<UniquePtr<Array>>;
        fn take_along_axis(
            a: &Array,
            indices: &Array,
            axis: i32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn put_along_axis(
            a: &Array,
            indices: &Array,
            values: &Array,
            axis: i32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn scatter_add_axis(
            a: &Array,
            indices: &Array,
            values: &Array,
            axis: i32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn gather(
            a: &Array,
            indices: &[ArrayRef],
            axes: &[i32],
            slice_sizes: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;

        fn scatter(
            a: &Array,
            indices: &[ArrayRef],
            updates: &Array,
            axes: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn scatter_add(
            a: &Array,
            indices: &[ArrayRef],
            updates: &Array,
            axes: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn scatter_prod(
            a: &Array,
            indices: &[ArrayRef],
            updates: &Array,
            axes: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn scatter_max(
            a: &Array,
            indices: &[ArrayRef],
            updates: &Array,
            axes: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn scatter_min(
            a: &Array,
            indices: &[ArrayRef],
            updates: &Array,
            axes: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        /// Rows `from` of `rows` in place of the rows `to` of `a`, which have as many elements; on a CPU stream, without derivatives.
        fn write_rows(
            a: &Array,
            rows: &Array,
            from: &[i32],
            to: &[i64],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn masked_scatter(
            a: &Array,
            mask: &Array,
            src: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
    }
}
