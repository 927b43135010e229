//! Quantized matrices.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/quantized.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;
        #[namespace = "zmlx"]
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;
        #[namespace = "zmlx"]
        type Dtype = crate::Dtype;

        fn quantize(
            w: &Array,
            group: i32,
            bits: i32,
            mode: &str,
            scale: ArrayRef,
            s: StreamRef,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn dequantize(
            w: &Array,
            scales: &Array,
            biases: ArrayRef,
            group: i32,
            bits: i32,
            mode: &str,
            scale: ArrayRef,
            dtype: Dtype,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn quantized_matmul(
            x: &Array,
            w: &Array,
            scales: &Array,
            biases: ArrayRef,
            transpose: bool,
            group: i32,
            bits: i32,
            mode: &str,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn gather_qmm(
            x: &Array,
            w: &Array,
            scales: &Array,
            biases: ArrayRef,
            lhs: ArrayRef,
            rhs: ArrayRef,
            transpose: bool,
            group: i32,
            bits: i32,
            mode: &str,
            scale: ArrayRef,
            sorted: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn qqmm(
            x: &Array,
            w: &Array,
            scales: ArrayRef,
            group: i32,
            bits: i32,
            mode: &str,
            scale_x: ArrayRef,
            scale_w: ArrayRef,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn gather_qqmm(
            x: &Array,
            w: &Array,
            scales: ArrayRef,
            lhs: ArrayRef,
            rhs: ArrayRef,
            group: i32,
            bits: i32,
            mode: &str,
            scale_x: ArrayRef,
            scale_w: ArrayRef,
            sorted: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
    }
}
