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
        fn vmap(
            f: Box<Callback>,
            in_axes: &[i32],
            out_axes: &[i32],
            inputs: &[ArrayRef],
        ) -> Result<UniquePtr<CxxVector<Array>>>;

        /// Whether each output depends on any of `inputs`.
        fn depend(outputs: &[ArrayRef], inputs: &[ArrayRef]) -> Result<Vec<bool>>;

        // These keep the closure.
        fn custom_function(rules: Box<CustomRules>) -> Result<UniquePtr<Function>>;
        fn checkpoint(f: Box<Callback>) -> Result<UniquePtr<Function>>;
        fn compile(f: Box<Callback>) -> Result<UniquePtr<Function>>;
        fn set_compile_enabled(enabled: bool) -> Result<()>;

        fn export_function(
            path: &str,
            f: Box<Callback>,
            inputs: &[ArrayRef],
            shapeless: bool,
        ) -> Result<()>;
        fn import_function(path: &str) -> Result<UniquePtr<Function>>;
    }
}
