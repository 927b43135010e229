//! The memory that the threads of a threadgroup share: each OS thread's own copy of the library's
//! thread-local block.
//!
//! The C library takes a block from the system when a thread first touches it, and ends the process
//! if it cannot. So whether it can is found out before.

use std::{cell::RefCell, collections::HashSet, io, ptr, sync::Mutex};

use super::{
    loader::{Loaded, Module},
    memory,
};

/// Blocks of less are not worth a question: every thread needs that much for other things.
const SMALL: u64 = 64 * 1024;

/// Blocks of all threads together that need not be counted.
const SMALL_IN_ALL: u64 = 256 << 20;

/// What the C library adds for alignment and its own records.
const SLACK: u64 = 64 * 1024;

thread_local! {
    /// The libraries whose block this thread has.
    static HAD: RefCell<HashSet<u64>> = RefCell::default();
}

/// How many OS threads may have a block of `bytes` each, so that they fit into this machine's
/// memory; `busy` at most. Fails where not even one does.
pub fn fits(bytes: u64, busy: usize) -> Result<usize, String> {
    if bytes.saturating_mul(busy as u64) <= SMALL_IN_ALL {
        return Ok(busy);
    }
    let free = memory::available();
    if bytes > free {
        return Err(format!("the system has {} left", memory::Size(free)));
    }
    Ok(busy.min((free / bytes) as usize).max(1))
}

/// Makes sure that this thread has its block of `library`, or can have it.
pub fn prepare(library: &Loaded) -> io::Result<()> {
    if library.threadgroup <= SMALL {
        return Ok(());
    }
    // A thread that ends has no list any more, and asks each time.
    if HAD
        .try_with(|had| had.borrow().contains(&library.id))
        .unwrap_or(false)
    {
        return Ok(());
    }
    // What one thread found free, another must not take before the first has touched it.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    possible(library.threadgroup + SLACK)?;
    if let Module::Coroutines(_, current) = library.module {
        // SAFETY: it only takes the address of a variable in the block, which brings the block.
        unsafe { current() };
    }
    let _ = HAD.try_with(|had| had.borrow_mut().insert(library.id));
    Ok(())
}

/// Whether the system gives as many bytes at once.
fn possible(bytes: u64) -> io::Result<()> {
    let len = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
    // SAFETY: a new mapping wherever the system likes, which nobody uses and which goes at once.
    unsafe {
        let start = libc::mmap(ptr::null_mut(), len, access, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        libc::munmap(start, len);
    }
    Ok(())
}
