//! The kernel object.

use std::path::Path;
use std::sync::Arc;

use dashmap::DashMap;

use crate::bridge::kernel::ffi;
use crate::error::Lift;
use crate::{Array, Result};

use super::checked::Checks;
use super::launch::Launch;
use super::spec::KernelBuilder;
use super::specialize::{Key, Specialization};

/// A kernel in Metal Shading Language: a function of arrays that is a node of MLX's graph.
///
/// Cheap to clone, and unlike arrays it may be used from any thread.
///
/// ```
/// use zmlx::{Array, MetalKernel, Dtype};
/// # fn main() -> zmlx::Result<()> {
/// let scale = MetalKernel::new("scale", ["x", "k"], ["out"])
///     .source("uint i = thread_position_in_grid.x; out[i] = T(float(x[i]) * k);")
///     .build()?;
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0], 3)?;
/// let [y] = scale
///     .launch(&[&x, &2.5.into()])
///     .template("T", Dtype::Float32)
///     .output(x.shape(), Dtype::Float32)
///     .grid(x.size())
///     .run()?;
/// assert_eq!(y.to_vec::<f32>()?, [2.5, 5.0, 7.5]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MetalKernel {
    pub(super) inner: Arc<Inner>,
    pub(super) captures: Option<Arc<Path>>,
    pub(super) checks: Option<Arc<Checks>>,
}

pub(super) struct Inner {
    pub(super) spec: KernelBuilder,
    pub(super) ffi_spec: ffi::KernelSpec,
    pub(super) native: cxx::UniquePtr<ffi::NativeKernel>,
    pub(super) specializations: DashMap<Key, Arc<Specialization>>,
}

/// The texts of one specialization of a kernel.
#[derive(Clone, Debug)]
pub struct KernelSource {
    /// What Metal compiles: the text that MLX generates.
    pub msl: String,
    /// What the host engine compiles instead: the same text as C++.
    pub lowered: String,
}

impl MetalKernel {
    /// Starts the description of a kernel with these names of input and output buffers.
    ///
    /// `name` is for people and for Metal's function name; characters that no identifier has
    /// become `_` there. Two kernels may share a name: what is compiled is told apart by its text.
    #[expect(
        clippy::new_ret_no_self,
        reason = "a kernel needs a source before it exists"
    )]
    pub fn new<I, O>(name: &str, inputs: I, outputs: O) -> KernelBuilder
    where
        I: IntoIterator<Item: Into<String>>,
        O: IntoIterator<Item: Into<String>>,
    {
        KernelBuilder::new(name, inputs, outputs)
    }

    #[track_caller]
    pub(super) fn from_builder(spec: KernelBuilder) -> Result<MetalKernel> {
        let ffi_spec = spec.to_ffi();
        let checks = Checks::of(spec.checked);
        let native = ffi::native_kernel(&ffi_spec).lift()?;
        Ok(MetalKernel {
            inner: Arc::new(Inner {
                spec,
                ffi_spec,
                native,
                specializations: DashMap::new(),
            }),
            captures: None,
            checks,
        })
    }

    /// The name given at the definition.
    pub fn name(&self) -> &str {
        &self.inner.spec.name
    }

    /// Names of the inputs, in order.
    pub fn input_names(&self) -> &[String] {
        &self.inner.spec.inputs
    }

    /// Names of the outputs, in order.
    pub fn output_names(&self) -> &[String] {
        &self.inner.spec.outputs
    }

    /// The same kernel, every launch of which is written into a folder of its own below `dir`:
    /// the kernel, all arguments, the inputs and the outputs. See [`capture`](super::capture).
    ///
    /// Such a launch **evaluates** its inputs and outputs, so it fails inside a transform.
    pub fn capture(&self, dir: impl AsRef<Path>) -> MetalKernel {
        MetalKernel {
            inner: Arc::clone(&self.inner),
            captures: Some(dir.as_ref().into()),
            checks: self.checks.clone(),
        }
    }

    /// Starts a launch on these inputs, in the order of their names.
    pub fn launch<'a, A: AsRef<Array>>(&'a self, inputs: &'a [A]) -> Launch<'a> {
        Launch::new(self, inputs.iter().map(AsRef::as_ref).collect())
    }
}

impl std::fmt::Debug for MetalKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetalKernel")
            .field("name", &self.name())
            .field("inputs", &self.input_names())
            .field("outputs", &self.output_names())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    static_assertions::assert_impl_all!(super::MetalKernel: Send, Sync, Clone);
}
