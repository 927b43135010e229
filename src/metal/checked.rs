//! Kernels whose launches on the CPU are checked.

use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::host::Inspector;
use crate::engine::host::checked::{Checked, Findings, Unwritten, Violation};

use super::kernel::MetalKernel;

/// What the checked launches of a kernel found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedReport {
    /// Launches that have run. Kernels are lazy: one that nobody evaluated has not.
    pub launches: u64,
    /// Accesses out of range, in all launches together. A strict launch ends at its first.
    pub violations: u64,
    /// The first of them.
    pub first: Option<Violation>,
    /// Outputs with elements that no thread wrote, each as its last such launch left it. Launches
    /// with `init_value` do not count: there, unwritten elements hold that value.
    pub unwritten: Vec<Unwritten>,
}

/// The mode of a kernel's launches, and where they report to.
pub(crate) struct Checks {
    pub(crate) mode: Checked,
    /// The environment asked for the checks, so that nobody may ask for the report.
    loud: bool,
    report: Mutex<CheckedReport>,
}

impl Checks {
    fn new(mode: Checked, loud: bool) -> Arc<Self> {
        Arc::new(Self {
            mode,
            loud,
            report: Mutex::default(),
        })
    }

    /// The checks that a new kernel's description or the environment asks for.
    pub(super) fn of(asked: Option<Checked>) -> Option<Arc<Self>> {
        match asked {
            Some(mode) => Some(Self::new(mode, false)),
            None => Checked::from_env().map(|mode| Self::new(mode, true)),
        }
    }
}

impl Inspector for Checks {
    fn mode(&self) -> Checked {
        self.mode
    }

    fn add(&self, kernel: &str, findings: Findings) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.launches += 1;
        report.violations += findings.violations;
        if report.first.is_none()
            && let Some(first) = findings.first
        {
            if self.loud && self.mode == Checked::Robust {
                let count = findings.violations;
                eprintln!("zmlx: kernel `{kernel}`: {count} accesses out of bounds; {first}");
            }
            report.first = Some(first);
        }
        for found in findings.unwritten {
            let known = report
                .unwritten
                .iter_mut()
                .find(|u| u.output == found.output);
            match known {
                Some(known) => *known = found,
                None => {
                    if self.loud {
                        eprintln!("zmlx: kernel `{kernel}`: {found}");
                    }
                    report.unwritten.push(found);
                }
            }
        }
    }
}

impl MetalKernel {
    /// The same kernel, compiled so that every launch on a CPU stream is checked.
    ///
    /// The first access outside of a device, constant or threadgroup buffer ends the launch in an
    /// [`Error::Launch`](crate::Error::Launch) that names buffer, index, extent, thread and line;
    /// text that Metal's compiler would refuse does not compile (docs/CHECKED.md has the list); and
    /// [`checked_report`](Self::checked_report) tells which output elements no thread wrote.
    /// Elsewhere than on a CPU stream it is the same kernel.
    ///
    /// `ZMLX_CHECKED=1` in the environment does this for all kernels.
    ///
    /// ```
    /// # use zmlx::{Array, MetalKernel};
    /// # fn main() -> zmlx::Result<()> {
    /// let kernel = MetalKernel::new("shift", ["x"], ["out"])
    ///     .source("uint i = thread_position_in_grid.x; out[i] = x[i + 1];")
    ///     .build()?
    ///     .checked();
    /// let x = Array::from_slice(&[1.0f32; 100], 100)?;
    /// let [y] = kernel.launch(&[&x]).run()?;
    /// let error = y.to_vec::<f32>().unwrap_err().to_string();
    /// assert!(error.contains("`x` was accessed at index 100"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn checked(&self) -> MetalKernel {
        self.with_checks(Checked::Strict)
    }

    /// Like [`checked`](Self::checked), but loads out of range give zero, stores there are dropped,
    /// and the launch goes on, as a GPU would; the report has the count.
    pub fn checked_robust(&self) -> MetalKernel {
        self.with_checks(Checked::Robust)
    }

    /// What the launches of this kernel and its clones have found, if they are checked.
    ///
    /// Each kernel that was asked to be checked has a report of its own. Where the environment asked,
    /// kernels of one [key](Self::key) share it.
    pub fn checked_report(&self) -> Option<CheckedReport> {
        let checks = self.checks()?;
        let report = checks.report.lock().unwrap_or_else(PoisonError::into_inner);
        Some(report.clone())
    }
}
