//! The records shared with a kernel's library, as `kernels/runtime/host/abi.h` declares them.

use std::ffi::{c_int, c_void};

/// One launch, shared by all workers.
#[repr(C)]
pub struct Launch {
    pub buffers: *const *mut c_void,
    pub lengths: *const u64,
    pub grid: [u32; 3],
    pub threadgroup: [u32; 3],
    pub groups: [u32; 3],
    pub before: *const u64,
}

// SAFETY: the kernel's threads only read the record, and what its pointers lead to is meant to be
// used by all threads of the grid at once, as the caller of a launch promises.
unsafe impl Sync for Launch {}

/// One GPU thread while the threads of a threadgroup are coroutines.
#[repr(C)]
pub struct Context {
    pub suspend: extern "C" fn(*mut Context, u32),
    pub lane: u32,
    pub simd: u32,
    pub simd_size: u32,
    pub parity: u32,
    pub slots: *mut u64,
    pub active: *const u32,
    pub user: *const c_void,
}

/// Words of the exchange area of one simdgroup: two halves of 32 lanes with 16 bytes each.
pub const SLOT_WORDS: usize = 2 * 32 * 2;

/// Runs whole threadgroups; not 0 when it was stopped.
pub type Run = unsafe extern "C" fn(*const Launch, u32, u32) -> c_int;
/// Runs one thread of one threadgroup within a coroutine; not 0 when it was stopped.
pub type Thread = unsafe extern "C" fn(*const Launch, u32, u32) -> c_int;
/// Where the calling OS thread keeps the context of the GPU thread that runs on it.
pub type Current = unsafe extern "C" fn() -> *mut *mut Context;
/// Gives the library the function that its loops ask whether time is up, and the one that it tells
/// its way out.
pub type SetWatch =
    unsafe extern "C" fn(extern "C" fn() -> bool, extern "C" fn(*mut Exit) -> *mut Exit);

/// The way out of a loop over threads; the library's own record of the place follows.
#[repr(C)]
pub struct Exit {
    pub leave: unsafe extern "C" fn(*mut Exit) -> !,
}
