//! `mlx/random.h`.

#[cxx::bridge(namespace = "zmlx::random")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/random.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;
        #[namespace = "zmlx"]
        type Dtype = crate::Dtype;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn split(key: &Array, num: i32, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn split_pair(key: &Array, s: StreamRef) -> Result<UniquePtr<CxxVector<Array>>>;
        fn bits(dims: &[i32], width: i32, key: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn uniform(
            low: &Array,
            high: &Array,
            dims: &[i32],
            dtype: Dtype,
            key: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn normal(
            dims: &[i32],
            dtype: Dtype,
            loc: ArrayRef,
            scale: ArrayRef,
            key: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn multivariate_normal(
            mean: &Array,
            cov: &Array,
            dims: &[i32],
            dtype: Dtype,
            key: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn randint(
            low: &Array,
            high: &Array,
            dims: &[i32],
            dtype: Dtype,
            key: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn bernoulli(
            p: &Array,
            dims: &[i32],
            key: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn truncated_normal(
            lower: &Array,
            upper: &Array,
            dims: &[i32],
            dtype: Dtype,
            key: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn gumbel(
            dims: &[i32],
            dtype: Dtype,
            key: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn categorical(
            logits: &Array,
            axis: i32,
            key: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn categorical_shaped(
            logits: &Array,
            axis: i32,
            dims: &[i32],
            key: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn laplace(
            dims: &[i32],
            dtype: Dtype,
            loc: f32,
            scale: f32,
            key: &Array,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn permutation(x: &Array, axis: i32, key: &Array, s: StreamRef)
        -> Result<UniquePtr<Array>>;
        fn permutation_of(n: i32, key: &Array, s: StreamRef) -> Result<UniquePtr<Array>>;
    }
}
