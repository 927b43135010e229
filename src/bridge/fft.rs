//! `mlx/fft.h`.

#![allow(clippy::too_many_arguments)]

#[cxx::bridge(namespace = "zmlx::fft")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/fft.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;

        fn fftn(
            a: &Array,
            n: &[i32],
            axes: &[i32],
            how: u8,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn ifftn(
            a: &Array,
            n: &[i32],
            axes: &[i32],
            how: u8,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn rfftn(
            a: &Array,
            n: &[i32],
            axes: &[i32],
            how: u8,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn irfftn(
            a: &Array,
            n: &[i32],
            axes: &[i32],
            how: u8,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn fftshift(a: &Array, axes: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn ifftshift(a: &Array, axes: &[i32], s: StreamRef) -> Result<UniquePtr<Array>>;
        fn fftfreq(n: i32, d: f64, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn rfftfreq(n: i32, d: f64, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn stft(
            x: &Array,
            n_fft: i32,
            hop: i32,
            win: i32,
            window: ArrayRef,
            center: bool,
            pad: &str,
            how: u8,
            onesided: bool,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
        fn istft(
            x: &Array,
            n_fft: i32,
            hop: i32,
            win: i32,
            window: ArrayRef,
            center: bool,
            how: u8,
            onesided: bool,
            length: i32,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
    }
}
