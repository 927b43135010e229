//! `mlx/fast.h` without its custom kernels.

#![allow(clippy::too_many_arguments)]

#[cxx::bridge(namespace = "zmlx::fast")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/fast.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn rms_norm(
            x: &Array,
            weight: ArrayRef,
            eps: f32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn layer_norm(
            x: &Array,
            weight: ArrayRef,
            bias: ArrayRef,
            eps: f32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn cross_entropy(logits: &Array, targets: &Array, s: StreamRef)
        -> Result<UniquePtr<Array>>;
        fn rope(
            x: &Array,
            dims: i32,
            traditional: bool,
            base: f32,
            scale: f32,
            offset: &Array,
            freqs: ArrayRef,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn scaled_dot_product_attention(
            queries: &Array,
            keys: &Array,
            values: &Array,
            scale: f32,
            causal: bool,
            mask: ArrayRef,
            sinks: ArrayRef,
            force_fused: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn gated_delta_update(
            queries: &Array,
            keys: &Array,
            values: &Array,
            gates: &Array,
            beta: &Array,
            state: ArrayRef,
            mask: ArrayRef,
            s: StreamRef,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
    }
}
