//! What can go wrong between MSL text and a finished launch, as values.

use std::{fmt, time::Duration};

pub use crate::error::kernel::{CompileError, EngineError, Location, LowerError, Region};

/// Why a launch did not run, or did not finish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// Not the buffers that the kernel's signature asks for.
    #[error("kernel `{kernel}` takes {expected} buffers, {got} were given")]
    Buffers {
        /// The kernel.
        kernel: String,
        /// How many its signature has.
        expected: usize,
        /// How many were given.
        got: usize,
    },
    /// A size of zero.
    #[error("kernel `{kernel}`: {what} {value:?} has a dimension of zero")]
    Empty {
        /// The kernel.
        kernel: String,
        /// Grid or threadgroup.
        what: &'static str,
        /// The value.
        value: [u32; 3],
    },
    /// More threads in a threadgroup than Metal allows.
    #[error("kernel `{kernel}`: threadgroup {threadgroup:?} has more than {limit} threads")]
    Threadgroup {
        /// The kernel.
        kernel: String,
        /// As asked for.
        threadgroup: [u32; 3],
        /// The most that is possible.
        limit: u32,
    },
    /// More threadgroups than an index can count.
    #[error("kernel `{kernel}`: grid {grid:?} has too many threadgroups")]
    Grid {
        /// The kernel.
        kernel: String,
        /// As asked for.
        grid: [u32; 3],
    },
    /// Compiled for threadgroups of one thread, launched with more.
    #[error("kernel `{kernel}` was compiled for threadgroups of one thread, not {threadgroup:?}")]
    NotSingle {
        /// The kernel.
        kernel: String,
        /// As asked for.
        threadgroup: [u32; 3],
    },
    /// No memory for the stacks of a threadgroup's threads.
    #[error("kernel `{kernel}`: no memory for the stacks of its threads: {reason}")]
    Stack {
        /// The kernel.
        kernel: String,
        /// The system's answer.
        reason: String,
    },
    /// No memory for what the threads of a threadgroup share.
    #[error("kernel `{kernel}`: no memory for its {bytes} bytes of threadgroup memory: {reason}")]
    ThreadgroupMemory {
        /// The kernel.
        kernel: String,
        /// What its variables take.
        bytes: u64,
        /// The system's answer, or what it has left.
        reason: String,
    },
    /// The kernel's library had been unloaded to make room for others, and does not come back.
    #[error("{reason}")]
    Library {
        /// The kernel.
        kernel: String,
        /// Why, with the kernel's name.
        reason: String,
    },
    /// Threads of one threadgroup wait at different barriers, which a GPU may never pass.
    #[error(
        "kernel `{kernel}`: threads of one threadgroup wait at different barriers, \
         some at {first} and some at {second}"
    )]
    Barriers {
        /// The kernel.
        kernel: String,
        /// Where a thread waits.
        first: String,
        /// Where another one waits.
        second: String,
    },
    /// The checked mode found an access outside of a buffer.
    #[error("out of bounds: {violation}")]
    OutOfBounds {
        /// The kernel.
        kernel: String,
        /// The first such access.
        violation: Box<Violation>,
    },
    /// The time limit for one launch ran out.
    #[error(
        "kernel `{kernel}` did not finish within {limit:?} and was stopped \
         (ZMLX_KERNEL_TIMEOUT sets the limit)"
    )]
    Timeout {
        /// The kernel.
        kernel: String,
        /// The limit.
        limit: Duration,
    },
}

/// An access out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The buffer, threadgroup array or constant table.
    pub buffer: String,
    /// In elements of the type that it was accessed as, from the buffer's start.
    pub index: i64,
    /// How many whole elements of that type the buffer has.
    pub extent: u64,
    /// Bytes of such an element.
    pub element: u32,
    /// Where the access begins, in bytes from the buffer's start.
    pub offset: i64,
    /// Bytes of the buffer.
    pub bytes: u64,
    /// The thread's position in the grid.
    pub thread: [u32; 3],
    /// The thread's index in its threadgroup.
    pub index_in_threadgroup: u32,
    /// The line of the MSL, where it is known.
    pub location: Option<Location>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            buffer,
            index,
            extent,
            element,
            thread: [x, y, z],
            ..
        } = self;
        write!(
            f,
            "`{buffer}` was accessed at index {index}, outside of its {extent} elements \
             of {element} bytes (byte {} of {}), by the thread at ({x}, {y}, {z})",
            self.offset, self.bytes
        )?;
        match &self.location {
            Some(location) => write!(
                f,
                "\n  at {} line {}\n    {}",
                location.region,
                location.line,
                location.text.trim()
            ),
            None => Ok(()),
        }
    }
}
