//! Stacks of our own: for the threads of a threadgroup, and for kernels whose local arrays a
//! thread's usual stack does not hold.
//!
//! Memory is reserved at once and taken from the system as it is touched. Where nobody knows how
//! deep a kernel goes, the lowest page cannot be touched. Such a page costs a memory mapping or two,
//! of which a process has some 65,000: 32 OS threads with 1024 stacks each would use them up. Where
//! the compiler told how deep, stacks do without, and lie in one mapping side by side.

use std::{io, num::NonZeroUsize, ptr};

use corosensei::stack::{Stack as Switchable, StackPointer};

use super::memory;

/// Bytes of a stack for what needs no more.
pub const USUAL: usize = 256 * 1024;

/// What a thread's own stack certainly has left.
const AT_HAND: u64 = 128 * 1024;

/// For what is called besides the kernel's functions: the switch back to the scheduler, the C++
/// library when a loop is stopped, a signal handler's frame with all vector registers.
const SLACK: u64 = 64 * 1024;

/// For a kernel whose compiler does not say how much it needs: what it would have on an OS thread.
const UNKNOWN: usize = 8 << 20;

/// Stacks of up to this size are kept for the next launch.
const KEPT: usize = 1024 * 1024;

/// Local memory of a launch that nobody has to count.
const SMALL: u64 = 256 << 20;

/// What a stack has to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Bytes.
    size: usize,
    /// Whether something may overflow it.
    guarded: bool,
}

/// How much stack one GPU thread of a kernel needs, where the compiler told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth(pub Option<u64>);

impl Depth {
    /// A coroutine's stack.
    pub fn coroutine(self) -> Kind {
        let size = match self.0 {
            None => UNKNOWN,
            Some(bytes) => round(bytes.saturating_add(SLACK)).max(USUAL),
        };
        Kind {
            size,
            guarded: self.0.is_none(),
        }
    }

    /// The stack that threads in a loop need, where it cannot be that of the OS thread. Which
    /// thread runs a group, with which limits, is not for the kernel to know.
    pub fn own(self) -> Option<Kind> {
        self.0
            .is_none_or(|bytes| bytes > AT_HAND)
            .then(|| self.coroutine())
    }

    /// How many OS threads may run groups with `together` GPU threads alive in each, so that their
    /// local memory fits into this machine's; `busy` at most. Fails where even one may not.
    pub fn fits(self, together: u32, busy: usize) -> Result<usize, String> {
        let bytes = self.0.unwrap_or(0);
        let group = bytes.saturating_mul(together.into());
        if bytes <= AT_HAND || group.saturating_mul(busy as u64) <= SMALL {
            return Ok(busy);
        }
        let free = memory::available();
        if group > free {
            return Err(format!(
                "each of the {together} threads of a threadgroup has {} of local variables, {} in all, and the system has {} left",
                memory::Size(bytes),
                memory::Size(group),
                memory::Size(free)
            ));
        }
        Ok(busy.min((free / group) as usize).max(1))
    }
}

fn round(bytes: u64) -> usize {
    const UNIT: u64 = 64 * 1024;
    usize::try_from(bytes.saturating_add(UNIT - 1) & !(UNIT - 1)).unwrap_or(usize::MAX)
}

/// One stack.
#[derive(Debug)]
pub struct Stack {
    /// The lowest address.
    start: NonZeroUsize,
    /// Bytes from there.
    len: usize,
    /// Tests give stacks the worst alignment that is promised. What runs on one asks for its end more than once, while other tests change
    /// what is asked of the next one.
    #[cfg(test)]
    shift: usize,
}

impl Stack {
    /// A stack of its own memory.
    pub fn new(kind: Kind) -> io::Result<Self> {
        let guard = if kind.guarded { page() } else { 0 };
        let len = kind
            .size
            .checked_add(guard)
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        #[cfg(target_os = "linux")]
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        #[cfg(not(target_os = "linux"))]
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, wherever the system likes.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self {
            start: NonZeroUsize::new(start as usize)
                .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?,
            len,
            #[cfg(test)]
            shift: tests::shift(),
        };
        // Side by side they are large enough for huge pages, and a touched byte would take one.
        #[cfg(target_os = "linux")]
        if guard == 0 {
            // SAFETY: the mapping just made. A system without huge pages says no, and has none.
            let _ = unsafe { libc::madvise(start, len, libc::MADV_NOHUGEPAGE) };
        }
        // SAFETY: the first page of the mapping just made, which nothing uses yet.
        match guard > 0 && unsafe { libc::mprotect(start, guard, libc::PROT_NONE) } != 0 {
            false => Ok(stack),
            true => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is this stack's, and nothing runs on it any more.
        // What could fail is a wrong address or length, and then nothing happens.
        let _ = unsafe { libc::munmap(self.start.get() as *mut _, self.len) };
    }
}

// SAFETY: the memory between `limit` and `base` is the stack's own, at least `USUAL` bytes. Its
// first page cannot be touched, or its size follows from what the compiler knows about every
// function that runs on it, with `SLACK` for what it does not.
unsafe impl Switchable for Stack {
    fn base(&self) -> StackPointer {
        let end = self.start.saturating_add(self.len);
        #[cfg(test)]
        let end = NonZeroUsize::new(end.get() - self.shift).unwrap_or(end);
        end
    }

    fn limit(&self) -> StackPointer {
        self.start
    }
}

fn page() -> usize {
    static PAGE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *PAGE.get_or_init(|| {
        // SAFETY: it only asks.
        usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(64 * 1024)
    })
}

/// Stacks of one kind that wait for their next use.
#[derive(Debug, Default)]
pub struct Spare {
    kind: Kind,
    stacks: Vec<Stack>,
}

impl Spare {
    /// A stack of this kind.
    pub fn take(&mut self, kind: Kind) -> io::Result<Stack> {
        if self.kind != kind {
            self.stacks.clear();
            self.kind = kind;
        }
        #[cfg_attr(not(test), expect(unused_mut, reason = "tests change it"))]
        let Some(mut stack) = self.stacks.pop() else {
            return Stack::new(kind);
        };
        #[cfg(test)]
        {
            stack.shift = tests::shift();
        }
        Ok(stack)
    }

    /// Keeps `stack` for the next that asks.
    pub fn give(&mut self, stack: Stack) {
        self.stacks.push(stack);
    }

    /// Gives large stacks back to the system.
    pub fn trim(&mut self) {
        // Of one whose size is a guess, little has been touched.
        if self.kind.size > KEPT && !self.kind.guarded {
            self.stacks.clear();
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Bytes that stacks begin below their end, a multiple of what the ABI promises.
    pub static SHIFT: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn shift() -> usize {
        SHIFT.load(Ordering::Relaxed)
    }

    #[test]
    fn stacks_are_as_large_as_the_frames() {
        assert_eq!(Depth(None).own().map(|kind| kind.size), Some(UNKNOWN));
        assert_eq!(Depth(Some(1000)).own(), None);
        assert_eq!(Depth(Some(1000)).coroutine().size, USUAL);
        for bytes in [200_000, 3 << 20, 64 << 20] {
            let depth = Depth(Some(bytes));
            assert!(depth.own().unwrap().size as u64 >= bytes + SLACK);
            assert!(depth.coroutine().size as u64 >= bytes + SLACK);
        }
    }

    /// A process has so many mappings only, and a machine many cores.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_thousand_stacks_take_few_mappings() {
        let mappings = || {
            std::fs::read_to_string("/proc/self/maps")
                .unwrap()
                .lines()
                .count()
        };
        let before = mappings();
        let stacks: Vec<Stack> = (0..1024)
            .map(|_| Stack::new(Depth(Some(1000)).coroutine()).unwrap())
            .collect();
        for stack in &stacks {
            let last = stack.base().get() - 16;
            // SAFETY: within the stack, on which nothing runs.
            unsafe { std::ptr::with_exposed_provenance_mut::<u8>(last).write(1) };
        }
        // Other tests map and unmap meanwhile.
        let more = mappings().saturating_sub(before);
        assert!(more < 512, "{more} mappings");
    }

    #[test]
    fn local_memory_has_to_fit() {
        assert_eq!(Depth(None).fits(1024, 64), Ok(64));
        assert_eq!(Depth(Some(100)).fits(1024, 64), Ok(64));
        // A quarter of what is left, so that four OS threads at most find room.
        let quarter = memory::available() / 4;
        let busy = Depth(Some(quarter)).fits(1, 64).unwrap();
        assert!((1..=5).contains(&busy), "{busy}");
        let error = Depth(Some(1 << 40)).fits(1024, 2).unwrap_err();
        assert!(error.contains("1024 threads"), "{error}");
        assert!(error.contains("1 TiB"), "{error}");
    }
}
