//! `mlx/transforms.h`, `mlx/compile.h` and `mlx/export.h`: what takes functions.

use super::callback::{Callback, CustomRules};

#[cxx::bridge(namespace = "zmlx")]
pub(crate) mod ffi {
    extern "Rust" {
        type Callback;
        fn call(self: &Callback, inputs: &CxxVector<Array>) -> Result<UniquePtr<CxxVector<Array>>>;

        type CustomRules;
        fn forward(
            self: &CustomRules,
            inputs: &CxxVector<Array>,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn has_vjp(self: &CustomRules) -> bool;
        fn vjp(
            self: &CustomRules,
            primals: &CxxVector<Array>,
            cotangents: &CxxVector<Array>,
            outputs: &CxxVector<Array>,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn has_jvp(self: &CustomRules) -> bool;
        fn jvp(
            self: &CustomRules,
            primals: &CxxVector<Array>,
            tangents: &CxxVector<Array>,
            argnums: &[i32],
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn has_vmap(self: &CustomRules) -> bool;
        fn vmap(
            self: &CustomRules,
            inputs: &CxxVector<Array>,
            axes: &[i32],
            out_axes: &mut Vec<i32>,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
    }

    /// Values of a function and what a transform adds to them.
    struct TwoLists {
        values: UniquePtr<CxxVector<Array>>,
        extra: UniquePtr<CxxVector<Array>>,
    }

    unsafe extern "C++" {
        include!("zmlx/transforms.h");

        type Array = crate::bridge::array::ffi::Array;
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;
        type StreamRef = crate::bridge::StreamRef;

        /// A function that MLX made: compiled, checkpointed, custom or imported.
        type Function;
        fn call(self: &Function, inputs: &[ArrayRef]) -> Result<UniquePtr<CxxVector<Array>>>;

        // These four call the closure before they return and keep nothing of it.
        fn vjp(
            f: Box<Callback>,
            primals: &[ArrayRef],
            cotangents: &[ArrayRef],
            s: StreamRef,
        ) -> Result<TwoLists>;
        fn jvp(
            f: Box<Callback>,
            primals: &[ArrayRef],
            tangents: &[ArrayRef],
            s: StreamRef,
        ) -> Result<TwoLists>;
        fn value_and_grad(
            f: Box<Callback>,
            argnums: &[i32],
            inputs: &[ArrayRef],
            s: StreamRef,
        ) -> Result<TwoLists>;
        fn vmap_trace(f: Box<Callback>, in_axes: &[i32], inputs: &[ArrayRef]) -> Result<TwoLists>;
        fn vmap_replace(
            inputs: &[ArrayRef],
            traced: &CxxVector<Array>,
            outputs: &[ArrayRef],
            in_axes: &[i32],
            out_axes: &[i32],
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn depends_on(a: &Array, traced: &CxxVector<Array>, in_axes: &[i32]) -> Result<bool>;

        /// How many operations the longest chain has.
        fn depth(outputs: &CxxVector<Array>) -> Result<usize>;

        // These keep the closure.
        fn custom_function(rules: Box<CustomRules>) -> Result<UniquePtr<Function>>;
        fn checkpoint(f: Box<Callback>) -> Result<UniquePtr<Function>>;
        fn compile(f: Box<Callback>) -> Result<UniquePtr<Function>>;
        fn set_compile_enabled(enabled: bool) -> Result<()>;

        include!("zmlx/export.h");

        /// A file that functions are written to.
        type Exporter;
        fn exporter(path: &str, shapeless: bool, metadata: &str) -> Result<UniquePtr<Exporter>>;
        // It calls the closure before it returns and keeps nothing of it.
        fn trace(
            self: Pin<&mut Exporter>,
            f: Box<Callback>,
            args: &[ArrayRef],
            names: &Vec<String>,
            named: &[ArrayRef],
        ) -> Result<()>;

        /// A function that was read from a file.
        type Imported;
        fn import_function(path: &str) -> Result<UniquePtr<Imported>>;
        fn call(
            self: &Imported,
            args: &[ArrayRef],
            names: &Vec<String>,
            named: &[ArrayRef],
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn inputs(self: &Imported) -> Result<String>;
        fn metadata(self: &Imported) -> Result<String>;
    }
}
