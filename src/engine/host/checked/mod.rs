//! The checked mode: launches whose every access to a buffer is tested.
//!
//! The library is told, on each OS thread that runs it, where to report; the first access out of
//! range is described there and, unless the launch is robust, ends it. Elements of the outputs that
//! no thread wrote are found without shadow memory: the outputs are filled with a pattern, and what
//! still holds it afterwards is either unwritten or was given just this value. A second run over
//! another pattern tells the two apart. It happens only if there are such elements at all.

mod target;
mod unwritten;

use std::{
    ffi::{CStr, c_char},
    ptr,
    sync::atomic::{AtomicU32, AtomicU64},
};

pub use crate::engine::error::Violation;
pub use target::CheckedHost;
pub(super) use unwritten::Probe;
pub use unwritten::Unwritten;

use super::{HostKernel, LaunchArgs, abi::Launch, loader::Loaded};
use crate::engine::{
    error::{LaunchError, Region},
    msl::Lowered,
};

/// What a checked launch does about an access out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checked {
    /// The first one ends the launch with an error.
    Strict,
    /// Loads give zero, stores are dropped, and the launch goes on, as on a GPU.
    Robust,
}

impl Checked {
    /// What `ZMLX_CHECKED` asks for: `1` for strict, `robust`; unset, empty or `0` for nothing.
    pub fn from_env() -> Option<Self> {
        match std::env::var("ZMLX_CHECKED").ok()?.trim() {
            "" | "0" => None,
            "robust" => Some(Self::Robust),
            _ => Some(Self::Strict),
        }
    }
}

/// What a checked launch found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Accesses out of range. A strict launch stops soon after the first.
    pub violations: u64,
    /// The first of them.
    pub first: Option<Violation>,
    /// Outputs with elements that no thread wrote.
    pub unwritten: Vec<Unwritten>,
}

/// The record that the library writes to, as `kernels/runtime/host/checked.h` declares it.
#[repr(C)]
pub(super) struct Report {
    count: AtomicU64,
    claimed: AtomicU32,
    robust: u32,
    buffer: *const c_char,
    file: *const c_char,
    line: u32,
    size: u32,
    offset: i64,
    bytes: u64,
    position: [u32; 3],
    thread: u32,
}

// SAFETY: the library counts with atomic operations, and only the thread that set `claimed` writes
// the rest, which is read after all threads have been joined.
unsafe impl Sync for Report {}

impl Report {
    pub fn new(mode: Checked) -> Self {
        Self {
            count: AtomicU64::new(0),
            claimed: AtomicU32::new(0),
            robust: u32::from(mode == Checked::Robust),
            buffer: ptr::null(),
            file: ptr::null(),
            line: 0,
            size: 0,
            offset: 0,
            bytes: 0,
            position: [0; 3],
            thread: 0,
        }
    }

    /// How many, and the first of them.
    fn read(&mut self, lowered: &Lowered) -> (u64, Option<Violation>) {
        let count = *self.count.get_mut();
        if *self.claimed.get_mut() == 0 {
            return (count, None);
        }
        let file = text(self.file);
        let known = [Region::Header, Region::Signature, Region::Source]
            .iter()
            .any(|region| region.file() == file);
        let violation = Violation {
            buffer: text(self.buffer),
            index: self.offset.div_euclid(i64::from(self.size.max(1))),
            extent: self.bytes / u64::from(self.size.max(1)),
            element: self.size,
            offset: self.offset,
            bytes: self.bytes,
            thread: self.position,
            index_in_threadgroup: self.thread,
            location: known
                .then(|| {
                    let line = self.line as usize;
                    lowered.map.locate(&lowered.text, &file, line, 1)
                })
                .flatten(),
        };
        (count, Some(violation))
    }
}

/// A text of the library's own.
fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the library wrote the address of one of its literals, and whoever reads a report holds
    // the library.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}

/// What a library in the checked mode has on top.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hooks {
    pub begin: unsafe extern "C" fn(*const Launch, *const Report),
    pub outputs: unsafe extern "C" fn(*mut u32),
}

impl HostKernel {
    /// Runs a kernel that was compiled with [`CompileOptions::checked`](super::CompileOptions), and
    /// says what was found. `filled` says that the outputs have been given a value on purpose, so
    /// that it is no fault to leave an element alone.
    ///
    /// # Safety
    /// Every buffer is valid for its length until this returns, aligned for its type, and written
    /// by nobody else meanwhile; those that the signature writes to are written by nobody at all.
    pub unsafe fn launch_checked(
        &self,
        args: &LaunchArgs<'_>,
        mode: Checked,
        filled: bool,
    ) -> (Findings, Result<(), LaunchError>) {
        match self.loaded() {
            // SAFETY: the caller's promises are those that are asked for.
            Ok(loaded) => unsafe { self.launch_probed(&loaded, args, mode, filled) },
            Err(error) => (Findings::default(), Err(error)),
        }
    }

    /// # Safety
    /// As [`launch_checked`](Self::launch_checked).
    unsafe fn launch_probed(
        &self,
        loaded: &Loaded,
        args: &LaunchArgs<'_>,
        mode: Checked,
        filled: bool,
    ) -> (Findings, Result<(), LaunchError>) {
        let mut findings = Findings::default();
        let outputs = match loaded.hooks {
            Some(hooks) if !filled && args.buffers.len() == self.lowered.buffers => {
                let mut sizes = vec![0; self.lowered.buffers];
                // SAFETY: the library writes one number for each buffer of the signature.
                unsafe { (hooks.outputs)(sizes.as_mut_ptr()) };
                sizes
            }
            _ => Vec::new(),
        };
        // SAFETY: the caller vouches for the buffers.
        let mut probe = unsafe { Probe::new(args.buffers, &outputs) };
        let result = loop {
            probe.fill();
            let mut report = Report::new(mode);
            // SAFETY: the caller's promises; the kernel itself keeps to its buffers.
            let result = unsafe { self.run(loaded, args, Some(&report)) };
            if findings.violations == 0 {
                (findings.violations, findings.first) = report.read(&self.lowered);
            }
            let result = match (&findings.first, mode) {
                (Some(first), Checked::Strict) => Err(LaunchError::OutOfBounds {
                    kernel: self.name.clone(),
                    violation: Box::new(first.clone()),
                }),
                _ => result,
            };
            if result.is_err() {
                return (findings, result);
            }
            if probe.is_settled() {
                break result;
            }
        };
        findings.unwritten = probe.unwritten(&self.lowered.names);
        (findings, result)
    }
}
