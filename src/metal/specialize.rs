//! Kernels for given dtypes and template arguments: generated text, compiled code.
//!
//! MLX's text depends on the dtypes of inputs and outputs, on whether an input is a scalar,
//! small (`constant` address space) or not, and on the template arguments. Each such
//! combination is generated and compiled once in a process; a new shape is not a new combination.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use dashmap::DashMap;

use crate::bridge::host::HostEntry;
use crate::bridge::kernel::ffi;
use crate::engine::{self, EngineError};
use crate::error::Lift;
use crate::{Array, Error, Result};

use super::kernel::{KernelSource, MetalKernel};
use super::launch::Launch;
use super::template::{self, TemplateArg};

/// What tells specializations of one kernel apart. As bytes, because every launch makes and hashes
/// one: lists of enumerations took longer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// `code` tells apart what the text does not say: for which engine, and what it was promised.
    pub(super) fn of(launch: &Launch<'_>, outputs: &[ffi::OutputSpec], code: [u8; 3]) -> Self {
        // As many inputs and outputs as the kernel has, so nothing has to be counted.
        let mut bytes = Vec::with_capacity(64);
        bytes.extend(code);
        for a in &launch.inputs {
            bytes.extend([a.dtype() as u8, class(a)]);
        }
        bytes.extend(outputs.iter().map(|o| o.dtype as u8));
        for (name, value) in &launch.template {
            // An identifier, which ends where the 0 is.
            bytes.extend(name.as_bytes());
            bytes.push(0);
            match *value {
                TemplateArg::Int(n) => {
                    bytes.push(0);
                    bytes.extend(n.to_le_bytes());
                }
                TemplateArg::Bool(b) => bytes.extend([1, u8::from(b)]),
                TemplateArg::Dtype(d) => bytes.extend([2, d as u8]),
            }
        }
        Key(bytes)
    }
}

/// Multiplies and folds, eight bytes at a time. Keys come from the program itself, so nobody
/// has a reason to make them collide.
#[derive(Clone, Copy, Default)]
pub(super) struct Fold(u64);

impl Fold {
    fn add(&mut self, word: u64) {
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        let wide = u128::from(self.0 ^ word) * u128::from(ODD);
        self.0 = wide as u64 ^ (wide >> 64) as u64;
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for &word in words {
            self.add(u64::from_le_bytes(word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(last));
        }
    }

    fn write_usize(&mut self, n: usize) {
        // The length. Never 0 with what follows, which a first word of 0 could turn into 0.
        self.add(n as u64 + 1);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The specializations of a kernel.
pub(super) type Specializations = DashMap<Key, Arc<Specialization>, BuildHasherDefault<Fold>>;

/// A specialization, empty until its first launch.
#[derive(Default)]
pub(super) struct Specialization {
    plan: OnceLock<cxx::SharedPtr<ffi::HostPlan>>,
    cuda: OnceLock<cxx::SharedPtr<ffi::CudaPlan>>,
    /// Held by the thread that makes the plan; others that need this very one wait.
    making: Mutex<()>,
}

/// How MLX passes an input: 0 by reference, 1 in `constant`, 2 in `device` memory.
pub(super) fn class(array: &Array) -> u8 {
    match (array.ndim(), array.size()) {
        (0, _) => 0,
        (_, n) if n < 8 => 1,
        _ => 2,
    }
}

/// Whether every simdgroup of a launch has 32 lanes.
fn whole(geometry: &ffi::Geometry) -> bool {
    let sizes = geometry.grid.iter().zip(&geometry.threadgroup);
    let threads: i32 = geometry.threadgroup.iter().product();
    threads % 32 == 0 && sizes.into_iter().all(|(grid, group)| grid % group == 0)
}

impl MetalKernel {
    /// The compiled kernel for a launch on the CPU.
    #[track_caller]
    pub(super) fn host_plan(
        &self,
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec],
        single: bool,
    ) -> Result<cxx::SharedPtr<ffi::HostPlan>> {
        let entry = self.specialization(Key::of(launch, outputs, [u8::from(single), 0, 0]));
        if let Some(plan) = entry.plan.get() {
            return Ok(plan.clone());
        }
        // It guards nothing but the order, so a panic leaves it as good as new.
        let _making = entry.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = entry.plan.get() {
            return Ok(plan.clone());
        }
        let begin = Instant::now();
        let generated = self.generate(launch, outputs)?;
        if let Some(architecture) = engine::cuda::checked_architecture() {
            let rank = launch.inputs.iter().map(|a| a.ndim()).max().unwrap_or(0);
            let options = self.cuda_options(256, rank, true, architecture.to_owned());
            if let Err(e) = engine::cuda::compile(&generated.text, &options) {
                return Err(self.error(launch, e));
            }
        }
        let compiled = engine::host::compile_from(&generated.text, &self.options(single));
        let (kernel, origin) = match compiled {
            Ok(found) => found,
            Err(e) => return Err(self.error(launch, e)),
        };
        let host_entry = HostEntry::new(kernel, self.checks().cloned());
        let plan = ffi::host_plan(host_entry, &self.inner.definition.ffi_spec).lift()?;
        self.inner.stats.specialized(origin, begin.elapsed());
        Ok(entry.plan.get_or_init(|| plan).clone())
    }

    /// The entry for `key`, perhaps empty.
    fn specialization(&self, key: Key) -> Arc<Specialization> {
        let found = self.inner.specializations.get(&key).map(|s| Arc::clone(&s));
        match found {
            Some(entry) => entry,
            None => Arc::clone(&self.inner.specializations.entry(key).or_default()),
        }
    }

    /// The compiled kernel for a launch on CUDA.
    #[track_caller]
    pub(super) fn cuda_plan(
        &self,
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec],
        geometry: &ffi::Geometry,
    ) -> Result<cxx::SharedPtr<ffi::CudaPlan>> {
        let rank = launch.inputs.iter().map(|a| a.ndim()).max().unwrap_or(0);
        let threads = geometry
            .threadgroup
            .iter()
            .map(|n| n.unsigned_abs())
            .product();
        let rank = engine::cuda::rank_class(rank);
        let threads = engine::cuda::thread_class(threads);
        let whole = self.inner.definition.matrices && whole(geometry);
        // Powers of two, which their exponents stand for.
        let code = [
            2 + u8::from(whole),
            rank.ilog2() as u8,
            threads.ilog2() as u8,
        ];
        let entry = self.specialization(Key::of(launch, outputs, code));
        if let Some(plan) = entry.cuda.get() {
            return Ok(plan.clone());
        }
        // It guards nothing but the order, so a panic leaves it as good as new.
        let _making = entry.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = entry.cuda.get() {
            return Ok(plan.clone());
        }
        let begin = Instant::now();
        let generated = self.generate(launch, outputs)?;
        let options = self.cuda_options(threads, rank, whole, ffi::cuda_architecture().lift()?);
        let (kernel, origin) = match engine::cuda::compile(&generated.text, &options) {
            Ok(found) => found,
            Err(e) => return Err(self.error(launch, e)),
        };
        let spec = &self.inner.definition.ffi_spec;
        let (in_turn, shared) = (kernel.in_turn, kernel.shared);
        let plan =
            ffi::cuda_plan(&kernel.function, &kernel.code, spec, rank, in_turn, shared).lift()?;
        self.inner.stats.specialized(origin, begin.elapsed());
        Ok(entry.cuda.get_or_init(|| plan).clone())
    }

    /// The texts for a launch.
    #[track_caller]
    pub(super) fn texts(
        &self,
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec],
    ) -> Result<KernelSource> {
        let msl = self.msl(launch, outputs)?;
        let lowered = self.lowered(&msl, false);
        let lowered = lowered.map_err(|e| self.error(launch, e))?;
        Ok(KernelSource { msl, lowered })
    }

    /// What MLX generates for a launch.
    #[track_caller]
    pub(super) fn msl(&self, launch: &Launch<'_>, outputs: &[ffi::OutputSpec]) -> Result<String> {
        self.generate(launch, outputs).map(|g| g.text)
    }

    /// What the host engine makes of it.
    pub(super) fn lowered(&self, msl: &str, single: bool) -> Result<String, EngineError> {
        engine::host::lower(msl, &self.options(single)).map(|l| l.text)
    }

    #[track_caller]
    fn generate(&self, launch: &Launch<'_>, outputs: &[ffi::OutputSpec]) -> Result<ffi::Generated> {
        let classes: Vec<_> = launch
            .inputs
            .iter()
            .map(|a| ffi::InputClass {
                dtype: a.dtype(),
                class_: class(a),
            })
            .collect();
        self.inner
            .definition
            .native
            .generate(&classes, outputs, &template::to_ffi(&launch.template))
            .lift()
    }

    fn cuda_options(
        &self,
        threads: u32,
        rank: usize,
        whole: bool,
        architecture: String,
    ) -> engine::cuda::CompileOptions {
        engine::cuda::CompileOptions {
            name: self.name().to_owned(),
            math_mode: self.spec().math_mode,
            inputs: self.input_names().to_vec(),
            threads,
            rank,
            architecture,
            whole,
        }
    }

    fn options(&self, single: bool) -> engine::host::CompileOptions {
        engine::host::CompileOptions {
            name: self.name().to_owned(),
            math_mode: self.spec().math_mode,
            single,
            checked: self.checks().is_some(),
        }
    }

    #[track_caller]
    fn error(&self, launch: &Launch<'_>, problem: EngineError) -> Error {
        Error::Kernel {
            kernel: self.name().to_owned(),
            problem: Box::new(problem),
            context: launch.describe(),
            at: Launch::site(),
        }
    }
}
