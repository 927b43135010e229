//! Kernels for given dtypes and template arguments: generated text, compiled code.
//!
//! MLX's text depends on the dtypes of inputs and outputs, on whether an input is a scalar,
//! small (`constant` address space) or not, and on the template arguments. Each such
//! combination is generated and compiled once in a process; a new shape is not a new combination.

use std::sync::{Arc, OnceLock};

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
    /// Which kernel's checks, as they report to it.
    checks: Option<u64>,
}

/// A specialization, empty until its first launch. The engine compiles each text once, whoever
/// asks for it meanwhile.
pub(super) type Specialization = OnceLock<cxx::SharedPtr<ffi::HostPlan>>;

/// How MLX passes an input: 0 by reference, 1 in `constant`, 2 in `device` memory.
fn class(array: &Array) -> u8 {
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
        let key = Key {
            inputs: launch
                .inputs
                .iter()
                .map(|a| (a.dtype(), class(a)))
                .collect(),
            outputs: outputs.iter().map(|o| o.dtype).collect(),
            template: launch.template.clone(),
            single,
            checks: self.checks.as_ref().map(|c| c.id),
        };
        let found = self.inner.specializations.get(&key).map(|s| Arc::clone(&s));
        let entry = match found {
            Some(entry) => entry,
            None => Arc::clone(&self.inner.specializations.entry(key).or_default()),
        };
        if let Some(plan) = entry.get() {
            return Ok(plan.clone());
        }
        let generated = self.generate(launch, outputs)?;
        let kernel = match engine::host::compile(&generated.text, &self.options(single)) {
            Ok(kernel) => kernel,
            Err(e) => return Err(self.error(launch, e)),
        };
        let plan = ffi::host_plan(
            HostEntry::new(kernel, self.checks.clone()),
            &self.inner.ffi_spec,
        )
        .lift()?;
        Ok(entry.get_or_init(|| plan).clone())
    }

    /// The texts for a launch.
    #[track_caller]
    pub(super) fn texts(
        &self,
        launch: &Launch<'_>,
        outputs: &[ffi::OutputSpec],
    ) -> Result<KernelSource> {
        let msl = self.generate(launch, outputs)?.text;
        let lowered =
            engine::host::lower(&msl, &self.options(false)).map_err(|e| self.error(launch, e))?;
        Ok(KernelSource {
            msl,
            lowered: lowered.text,
        })
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
            .native
            .generate(&classes, outputs, &template::to_ffi(&launch.template))
            .lift()
    }

    fn options(&self, single: bool) -> engine::host::CompileOptions {
        engine::host::CompileOptions {
            name: self.name().to_owned(),
            math_mode: self.inner.spec.math_mode,
            single,
            checked: self.checks.is_some(),
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
