//! `fast::metal_kernel`, its generated text, and the primitive that runs it on the CPU.

use super::host::HostEntry;

#[cxx::bridge(namespace = "zmlx")]
pub(crate) mod ffi {
    /// What `fast::metal_kernel` takes when a kernel is defined.
    struct KernelSpec {
        name: String,
        input_names: Vec<String>,
        output_names: Vec<String>,
        source: String,
        header: String,
        ensure_row_contiguous: bool,
        atomic_outputs: bool,
        math_mode: i32,
    }

    /// One template argument: an int, a bool or a dtype, by `kind` 0, 1, 2.
    struct TemplateValue {
        name: String,
        kind: u8,
        number: i32,
        dtype: Dtype,
    }

    /// Shape and dtype of one output.
    struct OutputSpec<'a> {
        shape: &'a [i32],
        dtype: Dtype,
    }

    /// A place for an output; no list of them is allocated.
    struct Slot {
        array: UniquePtr<Array>,
    }

    /// Sizes of a launch.
    struct Geometry {
        grid: [i32; 3],
        threadgroup: [i32; 3],
        has_init: bool,
        init: f32,
    }

    /// How an input is passed: its dtype and 0 for a scalar, 1 for `constant`, 2 for `device`.
    struct InputClass {
        dtype: Dtype,
        class_: u8,
    }

    /// The text that MLX generates for one specialization.
    struct Generated {
        function: String,
        text: String,
    }

    /// Memory that a kernel argument refers to: from the address on, and in front of it.
    struct Buffer {
        address: usize,
        bytes: u64,
        before: u64,
    }

    extern "Rust" {
        type HostEntry;
        /// # Safety
        /// Every buffer must be readable, and outputs writable, for its whole extent until this returns.
        unsafe fn run(
            self: &HostEntry,
            buffers: &[Buffer],
            grid: &[i32; 3],
            threadgroup: &[i32; 3],
            filled: bool,
        ) -> Result<()>;
    }

    unsafe extern "C++" {
        include!("zmlx/kernel.h");

        type Array = crate::bridge::array::ffi::Array;
        type ArrayRef<'a> = crate::bridge::ArrayRef<'a>;
        type Dtype = crate::Dtype;
        type StreamRef = crate::bridge::StreamRef;

        fn metal_available() -> Result<bool>;
        fn cuda_available() -> Result<bool>;

        /// The GPU as CUDA's compiler calls it, such as `sm_90`.
        fn cuda_architecture() -> Result<String>;

        /// MLX's own kernel function.
        type NativeKernel;
        fn native_kernel(spec: &KernelSpec) -> Result<UniquePtr<NativeKernel>>;
        /// A node that Metal runs.
        fn launch(
            self: &NativeKernel,
            inputs: &[ArrayRef],
            outputs: &[OutputSpec],
            template_args: &[TemplateValue],
            geometry: &Geometry,
            s: StreamRef,
            to: &mut [Slot],
        ) -> Result<()>;
        /// Under export: a node that only a file keeps.
        fn export_launch(
            self: &NativeKernel,
            inputs: &[ArrayRef],
            outputs: &[OutputSpec],
            template_args: &[TemplateValue],
            geometry: &Geometry,
            s: StreamRef,
            to: &mut [Slot],
        ) -> Result<()>;
        /// The text for inputs passed like `inputs`. Runs nothing.
        fn generate(
            self: &NativeKernel,
            inputs: &[InputClass],
            outputs: &[OutputSpec],
            template_args: &[TemplateValue],
        ) -> Result<Generated>;

        /// Below zero: nothing is filled. What was set before.
        fn set_poison(byte: i32) -> Result<i32>;

        /// A kernel compiled for the CPU, with what its arguments are made of.
        type HostPlan;
        fn host_plan(entry: Box<HostEntry>, spec: &KernelSpec) -> Result<SharedPtr<HostPlan>>;
        /// A node that the host engine runs.
        fn host_launch(
            plan: &SharedPtr<HostPlan>,
            inputs: &[ArrayRef],
            outputs: &[OutputSpec],
            geometry: &Geometry,
            s: StreamRef,
            to: &mut [Slot],
        ) -> Result<()>;

        /// A kernel compiled for CUDA, with what its arguments are made of.
        type CudaPlan;
        /// Where MLX looks for a function's code, but for the suffix; empty where it does not.
        fn cuda_place(function: &str) -> Result<String>;
        /// `aside`: the code lies there.
        #[allow(
            clippy::too_many_arguments,
            reason = "each is one of the code's properties"
        )]
        fn cuda_plan(
            name: &str,
            code: &[u8],
            spec: &KernelSpec,
            rank: usize,
            in_turn: u32,
            shared: u32,
            exact: bool,
            aside: bool,
        ) -> Result<SharedPtr<CudaPlan>>;
        /// A node that the GPU runs.
        fn cuda_launch(
            plan: &SharedPtr<CudaPlan>,
            inputs: &[ArrayRef],
            outputs: &[OutputSpec],
            geometry: &Geometry,
            s: StreamRef,
            to: &mut [Slot],
        ) -> Result<()>;
    }
}

// SAFETY: holds strings and flags that no call changes, so threads may share it.
unsafe impl Send for ffi::NativeKernel {}
// SAFETY: as above.
unsafe impl Sync for ffi::NativeKernel {}
// SAFETY: holds flags that never change and a `HostEntry`, which is `Send + Sync`.
unsafe impl Send for ffi::HostPlan {}
// SAFETY: as above.
unsafe impl Sync for ffi::HostPlan {}
// SAFETY: holds strings and flags that never change, and what does behind a lock.
unsafe impl Send for ffi::CudaPlan {}
// SAFETY: as above.
unsafe impl Sync for ffi::CudaPlan {}
