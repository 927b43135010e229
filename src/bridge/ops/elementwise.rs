//! Element-wise operations.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/elementwise.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;
        #[namespace = "zmlx"]
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;

        fn abs(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn positive(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn negative(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn sign(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn reciprocal(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn floor(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn ceil(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn trunc(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn square(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn sqrt(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn rsqrt(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn exp(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn expm1(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn log(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn log2(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn log10(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn log1p(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn sin(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn cos(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn tan(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn arcsin(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn arccos(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn arctan(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn sinh(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn cosh(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn tanh(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn arcsinh(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn arccosh(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn arctanh(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn degrees(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn radians(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn sigmoid(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn erf(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn erfinv(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;

        fn logical_not(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn bitwise_invert(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn isnan(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn isinf(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn isfinite(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn isposinf(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn isneginf(a: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;

        fn add(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn subtract(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn multiply(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn divide(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn power(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn maximum(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn minimum(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn logaddexp(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn arctan2(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn remainder(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn floor_divide(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn divmod(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<CxxVector<Array>>>;

        fn equal(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn not_equal(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn greater(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn greater_equal(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn less(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn less_equal(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn logical_and(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn logical_or(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn logical_xor(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn bitwise_and(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn bitwise_or(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn bitwise_xor(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn left_shift(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn right_shift(a: &Array, b: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;

        fn round(a: &Array, decimals: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn where_(c: &Array, x: &Array, y: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn clip(a: &Array, lo: ArrayRef, hi: ArrayRef, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn nan_to_num(
            a: &Array,
            nan: f32,
            posinf: f32,
            neginf: f32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn isclose(
            a: &Array,
            b: &Array,
            rtol: f64,
            atol: f64,
            equal_nan: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn allclose(
            a: &Array,
            b: &Array,
            rtol: f64,
            atol: f64,
            equal_nan: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn array_equal(
            a: &Array,
            b: &Array,
            equal_nan: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
    }
}
