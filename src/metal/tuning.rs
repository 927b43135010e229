//! What autotuning asks of a kernel.

use std::sync::Arc;

use super::MetalKernel;

impl MetalKernel {
    /// The text of the kernel function's body.
    pub(crate) fn body(&self) -> &str {
        &self.inner.spec.source
    }

    /// The text before the kernel function.
    pub(crate) fn header(&self) -> &str {
        &self.inner.spec.header
    }

    /// The same kernel, whose launches write no captures.
    pub(crate) fn without_captures(&self) -> MetalKernel {
        MetalKernel {
            inner: Arc::clone(&self.inner),
            captures: None,
            checks: self.checks.clone(),
        }
    }

    /// SHA-256 of everything compiled in.
    pub(crate) fn key(&self) -> String {
        use sha2::{Digest, Sha256};
        let s = &self.inner.spec;
        let mut hasher = Sha256::new();
        let parts = [&s.name, &s.source, &s.header];
        for part in parts
            .into_iter()
            .chain(&s.inputs)
            .chain([&String::from("|")])
            .chain(&s.outputs)
        {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update([
            s.ensure_row_contiguous.into(),
            s.atomic_outputs.into(),
            s.math_mode as u8,
        ]);
        crate::engine::host::hex(&hasher.finalize())
    }
}
