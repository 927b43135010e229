//! Products of matrices and vectors, diagonals.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/matrix.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;
        #[namespace = "zmlx"]
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;

        fn matmul(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn outer(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn kron(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;

        fn vecdot(a: &Array, b: &Array, axis: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn tensordot(
            a: &Array,
            b: &Array,
            axes_a: &[i32],
            axes_b: &[i32],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn addmm(
            c: &Array,
            a: &Array,
            b: &Array,
            alpha: f32,
            beta: f32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn einsum(
            subscripts: &str,
            operands: &[ArrayRef],
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn einsum_path(
            subscripts: &str,
            operands: &[ArrayRef],
            steps: &mut Vec<i32>,
        ) -> Result<String>;
        fn block_masked_mm(
            a: &Array,
            b: &Array,
            block: i32,
            mask_out: ArrayRef,
            mask_lhs: ArrayRef,
            mask_rhs: ArrayRef,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn gather_mm(
            a: &Array,
            b: &Array,
            lhs: ArrayRef,
            rhs: ArrayRef,
            sorted: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn segmented_mm(
            a: &Array,
            b: &Array,
            segments: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;

        fn diagonal(
            a: &Array,
            offset: i32,
            i: i32,
            j: i32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn diag(a: &Array, k: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn trace(a: &Array, offset: i32, i: i32, j: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn tril(a: &Array, k: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn triu(a: &Array, k: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn hadamard_transform(
            a: &Array,
            scaled: bool,
            scale: f32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
    }
}
