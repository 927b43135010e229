//! `mlx/array.h` and the evaluation half of `mlx/transforms.h`.

#[cxx::bridge(namespace = "zmlx")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/array.h");

        type Array;
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;
        type Dtype = crate::Dtype;

        fn from_bytes(bytes: &[u8], dims: &[i32], dtype: Dtype) -> Result<UniquePtr<Array>>;
        fn plain(bytes: &[u8], dtype: Dtype) -> UniquePtr<Array>;
        fn share(a: &Array) -> UniquePtr<Array>;
        fn new_list() -> Result<UniquePtr<CxxVector<Array>>>;
        fn push(list: Pin<&mut CxxVector<Array>>, a: &Array) -> Result<()>;

        fn dims(a: &Array) -> &[i32];
        fn steps(a: &Array) -> &[i64];
        fn size(a: &Array) -> usize;
        #[rust_name = "dtype"]
        fn type_(a: &Array) -> Dtype;
        fn id(a: &Array) -> usize;
        fn same_data(a: &Array, b: &Array) -> bool;

        fn ready(a: &Array) -> Result<bool>;
        fn is_row_contiguous(a: &Array) -> bool;
        fn is_tracer(a: &Array) -> bool;
        fn address(a: &Array) -> Result<usize>;
        fn show(a: &Array) -> Result<String>;

        fn check_failed(a: &Array) -> Result<()>;

        /// An asynchronous evaluation.
        type Run;
        fn eval(arrays: &[ArrayRef]) -> Result<()>;
        fn async_eval(arrays: &[ArrayRef]) -> Result<SharedPtr<Run>>;
        fn finish(run: &Run) -> Result<()>;
        fn is_done(run: &Run) -> Result<bool>;
    }
}
