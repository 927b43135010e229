//! The kernel object.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bridge::kernel::ffi;
use crate::error::Lift;
use crate::{Array, Result};

use super::cache::{self, KernelKey};
use super::checked::Checks;
use super::launch::Launch;
use super::spec::KernelBuilder;
use super::specialize::Specializations;
use super::stats::{Counters, KernelStats};
use crate::engine::host::checked::Checked;

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
}

/// What a kernel is made of. Checked kernels share it with the one they check.
pub(super) struct Definition {
    pub(super) spec: KernelBuilder,
    pub(super) ffi_spec: ffi::KernelSpec,
    pub(super) native: cxx::UniquePtr<ffi::NativeKernel>,
    /// It has matrices over simdgroups.
    pub(super) matrices: bool,
}

/// What all handles of a kernel share.
pub(super) struct Inner {
    pub(super) definition: Arc<Definition>,
    pub(super) key: String,
    /// How many kernels were made before this one.
    pub(super) number: u64,
    pub(super) stats: Arc<Counters>,
    pub(super) checks: Option<Arc<Checks>>,
    pub(super) specializations: Specializations,
}

impl Inner {
    pub(super) fn new(
        definition: Arc<Definition>,
        key: KernelKey,
        checks: Option<Arc<Checks>>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Inner {
            definition,
            key: key.hex(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            stats: Arc::default(),
            checks,
            specializations: Specializations::default(),
        }
    }

    #[track_caller]
    fn define(spec: KernelBuilder, key: KernelKey) -> Result<Self> {
        let ffi_spec = spec.to_ffi();
        let native = ffi::native_kernel(&ffi_spec).lift()?;
        let checks = Checks::of(spec.checked);
        let matrices = [&spec.header, &spec.source]
            .into_iter()
            .any(|text| crate::engine::cuda::has_matrices(text));
        let definition = Definition {
            matrices,
            spec,
            ffi_spec,
            native,
        };
        Ok(Inner::new(Arc::new(definition), key, checks))
    }

    /// The same kernel with a report of its own. Its specializations go with it, as they hold
    /// on to that report.
    fn with_new_report(&self, mode: Checked) -> Self {
        Inner {
            definition: Arc::clone(&self.definition),
            key: self.key.clone(),
            number: self.number,
            stats: Arc::clone(&self.stats),
            checks: Checks::of(Some(mode)),
            specializations: Specializations::default(),
        }
    }
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
    ///
    /// Describing the same kernel again gives the same kernel, with all that is compiled of it:
    /// see [`build`](KernelBuilder::build).
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
        let key = KernelKey::of(&spec, spec.checked);
        if !spec.cached {
            spec.check()?;
            super::mentioned::check(&spec)?;
            return Ok(Inner::define(spec, key)?.into());
        }
        let inner = match cache::get(key) {
            // It has been checked when it was new.
            Some(known) => known,
            None => {
                spec.check()?;
                super::mentioned::check(&spec)?;
                cache::get_or_make(key, || Inner::define(spec, key))?
            }
        };
        Ok(MetalKernel::handle(inner))
    }

    /// A handle to a kernel that others may use. Who asks for checks gets a report of what the
    /// own launches do wrong.
    pub(super) fn handle(inner: Arc<Inner>) -> MetalKernel {
        match inner.definition.spec.checked {
            Some(mode) => inner.with_new_report(mode).into(),
            None => inner.into(),
        }
    }

    /// The same kernel, checked, with a report and statistics of its own.
    pub(super) fn with_checks(&self, mode: Checked) -> MetalKernel {
        let definition = Arc::clone(&self.inner.definition);
        let key = KernelKey::of(&definition.spec, Some(mode));
        let inner = Inner::new(definition, key, Checks::of(Some(mode)));
        MetalKernel {
            inner: Arc::new(inner),
            captures: self.captures.clone(),
        }
    }

    pub(super) fn spec(&self) -> &KernelBuilder {
        &self.inner.definition.spec
    }

    pub(super) fn checks(&self) -> Option<&Arc<Checks>> {
        self.inner.checks.as_ref()
    }

    /// The name given at the definition.
    pub fn name(&self) -> &str {
        &self.spec().name
    }

    /// Names of the inputs, in order.
    pub fn input_names(&self) -> &[String] {
        &self.spec().inputs
    }

    /// Names of the outputs, in order.
    pub fn output_names(&self) -> &[String] {
        &self.spec().outputs
    }

    /// What identifies the kernel: the SHA-256 of name, inputs, outputs, source, header and all
    /// options, in lower-case hexadecimal.
    ///
    /// The same description has the same key in every process and on every machine; any other
    /// description has another.
    pub fn key(&self) -> &str {
        &self.inner.key
    }

    /// What the kernel has cost so far. [`Launch::timed`] adds times.
    ///
    /// ```
    /// # use zmlx::{Array, MetalKernel};
    /// # fn main() -> zmlx::Result<()> {
    /// let kernel = MetalKernel::new("doc_negate", ["x"], ["out"])
    ///     .source("uint i = thread_position_in_grid.x; out[i] = -x[i];")
    ///     .build()?;
    /// let x = Array::from_slice(&[1.0f32; 1000], 1000)?;
    /// let [_y] = kernel.launch(&[&x]).timed(true).run()?;
    /// let stats = kernel.stats();
    /// assert_eq!((stats.launches, stats.timed_runs), (1, 1));
    /// assert_eq!(stats.bytes, 8000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> KernelStats {
        self.inner.stats.read()
    }

    /// The same kernel, every launch of which is written into a folder of its own below `dir`:
    /// the kernel, all arguments, the inputs and the outputs. See [`capture`](super::capture).
    ///
    /// Such a launch **evaluates** its inputs and outputs, so it fails inside a transform.
    pub fn capture(&self, dir: impl AsRef<Path>) -> MetalKernel {
        MetalKernel {
            inner: Arc::clone(&self.inner),
            captures: Some(dir.as_ref().into()),
        }
    }

    /// Starts a launch on these inputs, in the order of their names.
    pub fn launch<'a, A: AsRef<Array>>(&'a self, inputs: &'a [A]) -> Launch<'a> {
        Launch::new(self, inputs.iter().map(AsRef::as_ref))
    }
}

impl From<Arc<Inner>> for MetalKernel {
    fn from(inner: Arc<Inner>) -> Self {
        MetalKernel {
            inner,
            captures: None,
        }
    }
}

impl From<Inner> for MetalKernel {
    fn from(inner: Inner) -> Self {
        Arc::new(inner).into()
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
