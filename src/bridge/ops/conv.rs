//! Convolutions.

#[cxx::bridge(namespace = "zmlx::ops")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/ops/conv.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn conv_general(
            x: &Array,
            w: &Array,
            stride: &[i32],
            low: &[i32],
            high: &[i32],
            dilation: &[i32],
            input_dilation: &[i32],
            groups: i32,
            flip: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
    }
}
