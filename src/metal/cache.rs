//! Kernels that are defined already, by everything that defines them.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, LazyLock};

use dashmap::DashMap;
use sha2::{Digest as _, Sha256};

use crate::Result;
use crate::engine::host::checked::Checked;
use crate::engine::msl::MathMode;

use super::kernel::Inner;
use super::spec::KernelBuilder;

/// SHA-256 of a description.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KernelKey(pub(super) [u8; 32]);

/// Changes when the fields below do, so that keys of older versions mean nothing else.
const FORMAT: &[u8] = b"zmlx-kernel-1";

impl KernelKey {
    /// The key of what `spec` describes when it is checked in this mode.
    ///
    /// Each field carries its length and each list its count: no two descriptions give the
    /// same bytes.
    pub(super) fn of(spec: &KernelBuilder, checked: Option<Checked>) -> Self {
        // Every field by name: a new one cannot be forgotten here.
        let KernelBuilder {
            name,
            inputs,
            outputs,
            source,
            header,
            ensure_row_contiguous,
            atomic_outputs,
            math_mode,
            checked: _,
            cached: _,
        } = spec;
        let mut hasher = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(FORMAT);
        field(name.as_bytes());
        for names in [inputs, outputs] {
            field(&(names.len() as u64).to_le_bytes());
            names.iter().for_each(|n| field(n.as_bytes()));
        }
        field(source.as_bytes());
        field(header.as_bytes());
        let math = match math_mode {
            MathMode::Safe => 0,
            MathMode::Relaxed => 1,
            MathMode::Fast => 2,
        };
        let checked = match checked {
            None => 0,
            Some(Checked::Strict) => 1,
            Some(Checked::Robust) => 2,
        };
        let flags = [*ensure_row_contiguous, *atomic_outputs].map(u8::from);
        field(&[flags[0], flags[1], math, checked]);
        KernelKey(hasher.finalize().into())
    }

    /// Lower-case hexadecimal.
    pub(super) fn hex(&self) -> String {
        use std::fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut s, b| {
            // Writing to a string cannot fail.
            let _ = write!(s, "{b:02x}");
            s
        })
    }
}

/// A hash of a hash: its first bytes.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn write(&mut self, bytes: &[u8]) {
        let mut first = [0; 8];
        let n = bytes.len().min(8);
        first[..n].copy_from_slice(&bytes[..n]);
        self.0 = u64::from_le_bytes(first);
    }

    // A slice's length, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type Kernels = DashMap<KernelKey, Arc<Inner>, BuildHasherDefault<Prefix>>;

static KERNELS: LazyLock<Kernels> = LazyLock::new(Kernels::default);

/// The kernel of this key. A new one is made by `make` and kept, unless that fails. No lock is
/// held meanwhile; of several threads that make the same one, the first to end counts.
pub(super) fn get_or_make(
    key: KernelKey,
    make: impl FnOnce() -> Result<Inner>,
) -> Result<Arc<Inner>> {
    if let Some(found) = KERNELS.get(&key) {
        return Ok(Arc::clone(&found));
    }
    let made = Arc::new(make()?);
    Ok(Arc::clone(&KERNELS.entry(key).or_insert(made)))
}

/// The kernel of this key, if it is there.
pub(super) fn get(key: KernelKey) -> Option<Arc<Inner>> {
    KERNELS.get(&key).map(|k| Arc::clone(&k))
}

/// All kernels, in no order.
pub(super) fn all() -> Vec<Arc<Inner>> {
    KERNELS.iter().map(|k| Arc::clone(&k)).collect()
}

pub(super) fn len() -> usize {
    KERNELS.len()
}

/// Forgets all kernels, and their compiled specializations even where handles are alive.
pub(super) fn clear() {
    for kernel in all() {
        kernel.specializations.clear();
    }
    KERNELS.clear();
    crate::engine::host::forget();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MetalKernel;
    use proptest::prelude::*;

    fn key(spec: &KernelBuilder) -> String {
        KernelKey::of(spec, spec.checked).hex()
    }

    /// The key is part of what people keep: names of files, tuning results. It never changes
    /// without a new `FORMAT`.
    #[test]
    fn keys_are_stable() {
        let spec = MetalKernel::new("square", ["x"], ["out"])
            .source("uint i = thread_position_in_grid.x; out[i] = x[i] * x[i];")
            .header("// nothing\n");
        assert_eq!(
            key(&spec),
            "bd1f79b9d98ea3d3818e9665072c0c9c297d4f5b366b413c7f89c05a7cada48a"
        );
    }

    #[test]
    fn every_field_counts() {
        let base = || MetalKernel::new("k", ["x"], ["o"]).source("s").header("h");
        let specs = [
            base(),
            MetalKernel::new("k2", ["x"], ["o"]).source("s").header("h"),
            MetalKernel::new("k", ["y"], ["o"]).source("s").header("h"),
            MetalKernel::new("k", ["x"], ["p"]).source("s").header("h"),
            base().source("t"),
            base().header("i"),
            base().ensure_row_contiguous(false),
            base().atomic_outputs(true),
            base().math_mode(MathMode::Relaxed),
            base().math_mode(MathMode::Fast),
            base().checked(Checked::Strict),
            base().checked(Checked::Robust),
        ];
        let keys: std::collections::HashSet<_> = specs.iter().map(key).collect();
        assert_eq!(keys.len(), specs.len());
        assert_eq!(key(&base()), key(&base().cache(false)));
    }

    /// One description: name, inputs, outputs, source, header.
    type Parts = (String, Vec<String>, Vec<String>, String, String);

    /// Short texts over few characters, so that equal concatenations are frequent.
    fn parts() -> impl Strategy<Value = Parts> {
        let word = || "[ab\\x01\\x00]{0,2}";
        let words = || prop::collection::vec("[ab]{0,2}", 0..3);
        (word(), words(), words(), word(), word())
    }

    fn spec((name, inputs, outputs, source, header): &Parts) -> KernelBuilder {
        MetalKernel::new(name, inputs.clone(), outputs.clone())
            .source(source)
            .header(header)
    }

    proptest! {
        #[test]
        fn only_equal_descriptions_share_a_key(a in parts(), b in parts()) {
            prop_assert_eq!(a == b, key(&spec(&a)) == key(&spec(&b)));
        }

        /// A character moved over the boundary of two fields.
        #[test]
        fn boundaries_count(a in "[a-c]{1,4}", b in "[a-c]{0,4}", at in 0usize..6) {
            let split = |left: &str, right: &str| {
                let (l, r) = (left.to_owned(), right.to_owned());
                let (n, none) = ("n".to_owned(), Vec::new());
                spec(&match at {
                    0 => (l, vec![r], none, n.clone(), n),
                    1 => (n.clone(), vec![l, r], none, n.clone(), n),
                    2 => (n.clone(), vec![l], vec![r], n.clone(), n),
                    3 => (n.clone(), none.clone(), vec![l], r, n),
                    4 => (n.clone(), none.clone(), none, l, r),
                    _ => (l, none.clone(), none, r, n),
                })
            };
            let joined = format!("{a}{b}");
            let moved = joined.split_at(a.len() - 1);
            prop_assert_ne!(key(&split(&a, &b)), key(&split(moved.0, moved.1)));
        }
    }
}
