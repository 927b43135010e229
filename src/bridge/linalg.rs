//! `mlx/linalg.h`.

#[cxx::bridge(namespace = "zmlx::linalg")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/linalg.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn norm(
            a: &Array,
            order: f64,
            axes: &[i32],
            keepdims: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn norm_named(
            a: &Array,
            order: &str,
            axes: &[i32],
            keepdims: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn norm_2(
            a: &Array,
            axes: &[i32],
            keepdims: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn qr(a: &Array, s: StreamRef) -> Result<UniquePtr<CxxVector<Array>>>;
        fn svd(a: &Array, vectors: bool, s: StreamRef) -> Result<UniquePtr<CxxVector<Array>>>;
        fn inv(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn tri_inv(a: &Array, upper: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn cholesky(a: &Array, upper: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn cholesky_inv(a: &Array, upper: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn pinv(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn lu(a: &Array, s: StreamRef) -> Result<UniquePtr<CxxVector<Array>>>;
        fn lu_factor(a: &Array, s: StreamRef) -> Result<UniquePtr<CxxVector<Array>>>;
        fn solve(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn solve_triangular(
            a: &Array,
            b: &Array,
            upper: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn cross(a: &Array, b: &Array, axis: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn eig(a: &Array, s: StreamRef) -> Result<UniquePtr<CxxVector<Array>>>;
        fn eigvals(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn eigh(a: &Array, upper: bool, s: StreamRef) -> Result<UniquePtr<CxxVector<Array>>>;
        fn eigvalsh(a: &Array, upper: bool, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn det(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn slogdet(a: &Array, s: StreamRef) -> Result<UniquePtr<CxxVector<Array>>>;
    }
}
