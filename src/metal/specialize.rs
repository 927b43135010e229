//! Kernels for given dtypes and template arguments: generated text, compiled code.
//!
//! MLX's text depends on the dtypes of inputs and outputs, on whether an input is a scalar,
//! small (`constant` address space) or not, and on the template arguments. Each such
//! combination is generated and compiled once in a process; a new shape is not a new combination.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Instant;

use dashmap::DashMap;
use smallvec::SmallVec;

use crate::bridge::host::HostEntry;
use crate::bridge::kernel::ffi;
use crate::engine::{self, EngineError};
use crate::error::Lift;
use crate::{Array, Dtype, Error, Result};

use super::kernel::{KernelSource, MetalKernel};
use super::launch::Launch;
use super::made::Made;
use super::template::{self, TemplateArg};

/// What tells specializations of one kernel apart. As words, because every launch makes and hashes
/// one: lists of enumerations took longer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(SmallVec<[u64; 12]>);

impl Key {
    /// `code` tells apart what the text does not say: for which engine, and what it was promised.
    pub(super) fn of(
        launch: &Launch<'_>,
        inputs: &Inputs,
        outputs: &[ffi::OutputSpec<'_>],
        code: [u8; 3],
    ) -> Self {
        let [engine, rank, threads] = code;
        // As many inputs and outputs as the kernel has, so nothing has to be counted.
        let mut words = SmallVec::new();
        words.push(u64::from(u32::from_le_bytes([engine, rank, threads, 0])));
        for i in inputs {
            words.push(u64::from(u16::from_le_bytes([i.dtype as u8, i.class])));
        }
        for o in outputs {
            words.push(o.dtype as u64);
        }
        for (name, value) in &launch.template {
            let (kind, value) = match *value {
                TemplateArg::Int(n) => (0, n.cast_unsigned()),
                TemplateArg::Bool(b) => (1, u32::from(b)),
                TemplateArg::Dtype(d) => (2, d as u32),
                // Refused before anything is compiled.
                TemplateArg::TooLarge(_) => (3, 0),
            };
            // Nobody has checked the name yet: no other list of names gives these words.
            words.push(u64::from(value) << 32 | (name.len() as u64) << 2 | kind);
            for part in name.as_bytes().chunks(8) {
                let mut word = [0; 8];
                word[..part.len()].copy_from_slice(part);
                words.push(u64::from_le_bytes(word));
            }
        }
        Key(words)
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
    plan: Made<cxx::SharedPtr<ffi::HostPlan>>,
    cuda: Made<cxx::SharedPtr<ffi::CudaPlan>>,
}

/// What code for CUDA was promised of a launch, in steps.
#[derive(Clone, Copy)]
pub(super) struct CudaClass {
    rank: usize,
    threads: u32,
    exact: bool,
    whole: bool,
    in_turn: u32,
}

impl CudaClass {
    pub(super) fn of(
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec<'_>],
        geometry: &ffi::Geometry,
    ) -> Self {
        let in_turn = engine::cuda::in_turn(launch.written_by_a_thread(outputs));
        let rank = launch.inputs.iter().map(|a| a.ndim()).max().unwrap_or(0);
        let [grid, threadgroup] =
            [geometry.grid, geometry.threadgroup].map(|t| t.map(i32::unsigned_abs));
        CudaClass {
            rank: engine::cuda::rank_class(rank),
            threads: engine::cuda::thread_class(threadgroup.iter().product()),
            exact: engine::cuda::is_exact(grid, threadgroup, in_turn),
            whole: launch.kernel.inner.definition.matrices && whole(geometry),
            in_turn,
        }
    }

    pub(super) fn key(
        self,
        launch: &Launch<'_>,
        inputs: &Inputs,
        outputs: &[ffi::OutputSpec<'_>],
    ) -> Key {
        // Powers of two, which their exponents stand for.
        let [rank, threads] = [self.rank.ilog2() as u8, self.threads.ilog2() as u8];
        let flags = u8::from(self.exact) + 2 * u8::from(self.whole);
        Key::of(
            launch,
            inputs,
            outputs,
            [2 + flags + 16 * self.in_turn.ilog2() as u8, rank, threads],
        )
    }
}

/// Whether each threadgroup is one thread.
pub(super) fn is_single(geometry: &ffi::Geometry) -> bool {
    geometry.threadgroup == [1; 3]
}

/// What a launch asks of an input more than once: each answer comes from MLX.
pub(super) struct Input {
    pub(super) dtype: Dtype,
    pub(super) bytes: usize,
    /// How MLX passes it: 0 by reference, 1 in `constant`, 2 in `device` memory.
    pub(super) class: u8,
}

pub(super) type Inputs = SmallVec<[Input; 4]>;

impl Input {
    pub(super) fn of(array: &Array) -> Self {
        let (dtype, size) = (array.dtype(), array.size());
        Input {
            dtype,
            bytes: size * dtype.size(),
            class: match size {
                8.. => 2,
                _ if array.ndim() == 0 => 0,
                _ => 1,
            },
        }
    }
}

/// Whether every simdgroup of a launch has 32 lanes.
fn whole(geometry: &ffi::Geometry) -> bool {
    let sizes = geometry.grid.iter().zip(&geometry.threadgroup);
    let threads: i32 = geometry.threadgroup.iter().product();
    threads % 32 == 0 && sizes.into_iter().all(|(grid, group)| grid % group == 0)
}

/// Whether the code lies where MLX looks for it now, so that launches need not carry it.
#[track_caller]
fn put_aside(kernel: &engine::cuda::CudaKernel) -> Result<bool> {
    if std::env::var_os("ZMLX_CUDA_INLINE").is_some_and(|off| !off.is_empty()) {
        return Ok(false);
    }
    let place = ffi::cuda_place(&kernel.function).lift()?;
    let put = || engine::cuda::aside::put(place.as_ref(), &kernel.function, &kernel.code);
    // Without it launches are slower and no more.
    Ok(!place.is_empty() && put().is_ok())
}

impl MetalKernel {
    /// The compiled kernel for a launch on the CPU: that of `entry`, or a new one that is kept there.
    #[track_caller]
    pub(super) fn host_plan<'s>(
        &self,
        entry: &'s Specialization,
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec<'_>],
        geometry: &ffi::Geometry,
    ) -> Result<&'s cxx::SharedPtr<ffi::HostPlan>> {
        entry.plan.get_or_make(|| {
            let begin = Instant::now();
            let generated = self.generate(launch, outputs)?;
            if let Some(architecture) = engine::cuda::checked_architecture() {
                let class = CudaClass::of(launch, outputs, geometry);
                let options = self.cuda_options(class, architecture.to_owned());
                if let Err(e) = engine::cuda::compile(&generated.text, &options) {
                    return Err(self.error(launch, e));
                }
            }
            let compiled =
                engine::host::compile_from(&generated.text, &self.options(is_single(geometry)));
            let (kernel, origin) = match compiled {
                Ok(found) => found,
                Err(e) => return Err(self.error(launch, e)),
            };
            let host_entry = HostEntry::new(engine::host::Node {
                kernel,
                checks: self.checks().cloned().map(|checks| checks as _),
            });
            let plan = ffi::host_plan(host_entry, &self.inner.definition.ffi_spec).lift()?;
            self.inner.stats.specialized(origin, begin.elapsed());
            Ok(plan)
        })
    }

    /// The entry for `key`, perhaps empty.
    pub(super) fn specialization(&self, key: &Key) -> Arc<Specialization> {
        let found = self.inner.specializations.get(key).map(|s| Arc::clone(&s));
        match found {
            Some(entry) => entry,
            None => Arc::clone(&self.inner.specializations.entry(key.clone()).or_default()),
        }
    }

    /// The compiled kernel for a launch on CUDA, as [`host_plan`](Self::host_plan).
    #[track_caller]
    pub(super) fn cuda_plan<'s>(
        &self,
        entry: &'s Specialization,
        class: CudaClass,
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec<'_>],
    ) -> Result<&'s cxx::SharedPtr<ffi::CudaPlan>> {
        entry.cuda.get_or_make(|| {
            let begin = Instant::now();
            let generated = self.generate(launch, outputs)?;
            let options = self.cuda_options(class, ffi::cuda_architecture().lift()?);
            let (kernel, origin) = match engine::cuda::compile(&generated.text, &options) {
                Ok(found) => found,
                Err(e) => return Err(self.error(launch, e)),
            };
            let spec = &self.inner.definition.ffi_spec;
            let aside = put_aside(&kernel)?;
            let plan = ffi::cuda_plan(
                &kernel.function,
                &kernel.code,
                spec,
                class.rank,
                kernel.in_turn,
                kernel.shared,
                class.exact,
                aside,
            )
            .lift()?;
            self.inner.stats.specialized(origin, begin.elapsed());
            Ok(plan)
        })
    }

    /// The texts for a launch.
    #[track_caller]
    pub(super) fn texts(
        &self,
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec<'_>],
    ) -> Result<KernelSource> {
        let msl = self.msl(launch, outputs)?;
        let lowered = self.lowered(&msl, false);
        let lowered = lowered.map_err(|e| self.error(launch, e))?;
        Ok(KernelSource { msl, lowered })
    }

    /// What MLX generates for a launch.
    #[track_caller]
    pub(super) fn msl(
        &self,
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec<'_>],
    ) -> Result<String> {
        self.generate(launch, outputs).map(|g| g.text)
    }

    /// What the host engine makes of it.
    pub(super) fn lowered(&self, msl: &str, single: bool) -> Result<String, EngineError> {
        engine::host::lower(msl, &self.options(single)).map(|l| l.text)
    }

    /// The text for a launch. What is made of it is kept by a key that holds the template
    /// arguments, so whoever finds it there need not check them again.
    #[track_caller]
    fn generate(
        &self,
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec<'_>],
    ) -> Result<ffi::Generated> {
        template::check(&launch.template, self)?;
        let classes: Vec<_> = launch
            .inputs
            .iter()
            .map(|a| ffi::InputClass {
                dtype: a.dtype(),
                class_: Input::of(a).class,
            })
            .collect();
        self.inner
            .definition
            .native
            .generate(&classes, outputs, &template::to_ffi(&launch.template))
            .lift()
    }

    fn cuda_options(&self, class: CudaClass, architecture: String) -> engine::cuda::CompileOptions {
        engine::cuda::CompileOptions {
            name: self.name().to_owned(),
            math_mode: self.spec().math_mode,
            inputs: self.input_names().to_vec(),
            threads: class.threads,
            rank: class.rank,
            exact: class.exact,
            in_turn: class.in_turn,
            whole: class.whole,
            architecture,
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
            problem: Box::new(super::hints::explained(problem, launch)),
            context: launch.describe(),
            at: Launch::site(),
        }
    }
}
