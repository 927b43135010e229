//! What autotuning asks of a kernel.

use super::MetalKernel;
use super::cache::KernelKey;
use super::kernel::Inner;

impl MetalKernel {
    /// The text of the kernel function's body.
    pub(crate) fn body(&self) -> &str {
        &self.spec().source
    }

    /// The text before the kernel function.
    pub(crate) fn header(&self) -> &str {
        &self.spec().header
    }

    /// The same kernel, whose launches are neither captured nor counted.
    pub(crate) fn for_trials(&self) -> MetalKernel {
        let definition = &self.inner.definition;
        let key = KernelKey::of(&definition.spec, None);
        Inner::new(definition.clone(), key, None).into()
    }
}
