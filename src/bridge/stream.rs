//! `mlx/stream.h`, `mlx/device.h` and `mlx/memory.h`.

#[cxx::bridge(namespace = "zmlx")]
pub(crate) mod ffi {
    /// One entry of MLX's description of a device.
    struct Fact {
        key: String,
        value: String,
    }

    unsafe extern "C++" {
        include!("zmlx/stream.h");

        type StreamRef = crate::bridge::StreamRef;

        fn mlx_version() -> Result<String>;
        fn default_device() -> Result<StreamRef>;
        fn set_default_device(device: StreamRef) -> Result<()>;
        fn device_available(device: StreamRef) -> Result<bool>;
        fn device_count(gpu: bool) -> Result<usize>;
        fn device_info(device: StreamRef) -> Result<Vec<Fact>>;

        fn new_stream(device: StreamRef) -> Result<StreamRef>;
        fn resolve(stream: StreamRef) -> Result<StreamRef>;
        fn synchronize(stream: StreamRef) -> Result<()>;
        fn clear_streams() -> Result<()>;

        fn keep_buffers() -> Result<()>;
        fn active_memory() -> Result<usize>;
        fn peak_memory() -> Result<usize>;
        fn reset_peak_memory() -> Result<()>;
        fn cache_memory() -> Result<usize>;
        fn clear_cache() -> Result<()>;
        fn memory_limit() -> Result<usize>;
        fn set_memory_limit(bytes: usize) -> Result<usize>;
        fn set_cache_limit(bytes: usize) -> Result<usize>;
        fn set_wired_limit(bytes: usize) -> Result<usize>;
    }
}
