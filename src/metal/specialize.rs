//! Kernels for given dtypes and template arguments: generated text, compiled code.
//!
//! MLX's text depends on the dtypes of inputs and outputs, on whether an input is a scalar,
//! small (`constant` address space) or not, and on the template arguments. Each such
//! combination is generated and compiled once in a process; a new shape is not a new combination.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::bridge::host::HostEntry;
use crate::bridge::kernel::ffi;
use crate::engine::{self, EngineError};
use crate::error::Lift;
use crate::{Array, Dtype, Error, Result};

use super::kernel::{KernelSource, MetalKernel};
use super::launch::Launch;
use super::template::{self, TemplateArg};

/// What tells specializations of one kernel apart.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    inputs: Vec<(Dtype, u8)>,
    outputs: Vec<Dtype>,
    template: Vec<(String, TemplateArg)>,
    single: bool,
}

impl Key {
    pub(super) fn of(launch: &Launch<'_>, outputs: &[ffi::OutputSpec], single: bool) -> Self {
        Key {
            inputs: launch
                .inputs
                .iter()
                .map(|a| (a.dtype(), class(a)))
                .collect(),
            outputs: outputs.iter().map(|o| o.dtype).collect(),
            template: launch.template.clone(),
            single,
        }
    }
}

/// A specialization, empty until its first launch.
#[derive(Default)]
pub(super) struct Specialization {
    plan: OnceLock<cxx::SharedPtr<ffi::HostPlan>>,
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

impl MetalKernel {
    /// The compiled kernel for a launch on the CPU.
    #[track_caller]
    pub(super) fn host_plan(
        &self,
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec],
        single: bool,
    ) -> Result<cxx::SharedPtr<ffi::HostPlan>> {
        let key = Key::of(launch, outputs, single);
        let found = self.inner.specializations.get(&key).map(|s| Arc::clone(&s));
        let entry = match found {
            Some(entry) => entry,
            None => Arc::clone(&self.inner.specializations.entry(key).or_default()),
        };
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
