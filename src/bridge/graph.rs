//! `mlx/graph_utils.h`, and what `mlx/compile.h`, `mlx/memory.h` and `mlx/backend/metal/metal.h` offer beside operations.

#[cxx::bridge(namespace = "zmlx::graph")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/graph.h");

        #[namespace = "zmlx"]
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;
        #[namespace = "zmlx"]
        type Dtype = crate::Dtype;

        fn print_graph(
            outputs: &[ArrayRef],
            named: &[ArrayRef],
            names: &Vec<String>,
        ) -> Result<String>;
        fn export_to_dot(
            outputs: &[ArrayRef],
            named: &[ArrayRef],
            names: &Vec<String>,
        ) -> Result<String>;
        fn set_compile_mode(mode: u8) -> Result<()>;
        fn promote_types(a: Dtype, b: Dtype) -> Result<Dtype>;
        fn array_buffer_size(arrays: &[ArrayRef]) -> Result<usize>;
        fn start_capture(path: &str) -> Result<()>;
        fn stop_capture() -> Result<()>;
        fn set_metallib_path(path: &str) -> Result<()>;
        fn metallib_path() -> Result<String>;
    }
}
