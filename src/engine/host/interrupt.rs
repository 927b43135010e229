//! Takes a thread out of a kernel that does not end by itself.
//!
//! The patrol sends the thread a signal. Its handler leaves the kernel the way that the kernel would
//! take itself, and only from the kernel's own code: a function of a library below it may
//! hold a lock, so the patrol tries again a little later. Kernels own nothing that would be lost, as
//! MSL has no destructors with effects.
//!
//! The signal is `SIGURG`, which by default does nothing. Its handler is installed when a
//! launch is late for the first time, and hands on what was not meant for it.

use std::{cell::Cell, ops::Range, ptr};

use super::patrol::Post;

thread_local! {
    /// This thread's post, for the handler.
    pub(super) static POST: Cell<*const Post> = const { Cell::new(ptr::null()) };
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod system {
    use std::{
        mem::MaybeUninit,
        ptr,
        sync::{
            OnceLock,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use libc::{c_int, c_void, siginfo_t, ucontext_t};

    use super::{POST, Post, Range};

    const SIGNAL: c_int = libc::SIGURG;
    /// A coroutine's word that it ends, as `kernels/runtime/host/abi.h` has it.
    const END: u32 = 4;

    /// What handled the signal before: its address, and whether it takes three arguments.
    static BEFORE: OnceLock<(usize, bool)> = OnceLock::new();

    /// Lets the signal reach this thread.
    pub fn admit() {
        // SAFETY: a set of signals of our own, and only this thread's mask changes.
        unsafe {
            let mut set = MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, SIGNAL);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
        }
    }

    /// Interrupts the thread of `post`, which has not ended.
    pub fn send(post: &Post) {
        // SAFETY: the first call only asks. The handler does what may be done within one.
        unsafe {
            let mut before = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            if libc::sigaction(SIGNAL, ptr::null(), &raw mut before) != 0 {
                return;
            }
            let ours = handle as *const () as usize;
            if before.sa_sigaction != ours {
                let takes_three = before.sa_flags & libc::SA_SIGINFO != 0;
                BEFORE.get_or_init(|| (before.sa_sigaction, takes_three));
                let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
                action.sa_sigaction = ours;
                // The handler need not return, so no signal may stay blocked while it runs.
                action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_NODEFER;
                libc::sigemptyset(&raw mut action.sa_mask);
                libc::sigaction(SIGNAL, &raw const action, ptr::null_mut());
            }
            libc::pthread_kill(post.thread, SIGNAL);
        }
    }

    extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        let post = POST.get();
        // SAFETY: null, or this thread's post, which lives as long as the thread; the system passes
        // a valid context.
        unsafe {
            if let Some(post) = post.as_ref()
                && is_late(post)
                && code_of(post).contains(&place(context.cast()))
            {
                leave(post);
            }
        }
        let (before, takes_three) = BEFORE.get().copied().unwrap_or((libc::SIG_DFL, false));
        // SAFETY: the system passes valid records.
        let sent_by_us = !post.is_null() && unsafe { (*info).si_code } == libc::SI_TKILL;
        if sent_by_us || before == libc::SIG_DFL || before == libc::SIG_IGN {
            return;
        }
        // SAFETY: the address of a handler, called as the system would have called it.
        unsafe {
            if takes_three {
                let before: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                    std::mem::transmute(before);
                before(signal, info, context);
            } else {
                let before: extern "C" fn(c_int) = std::mem::transmute(before);
                before(signal);
            }
        }
    }

    fn is_late(post: &Post) -> bool {
        let launch = post.launch.load(Ordering::Relaxed);
        launch != 0 && post.over.load(Ordering::Relaxed) == launch
    }

    fn code_of(post: &Post) -> Range<usize> {
        let [start, end] = &post.code;
        let read = |at: &AtomicUsize| at.load(Ordering::Relaxed);
        read(start)..read(end)
    }

    /// Leaves the kernel, if there is a way.
    ///
    /// # Safety
    /// The calling thread is that of `post`, and was interrupted in the code of its kernel.
    unsafe fn leave(post: &Post) {
        let current = post.current.load(Ordering::Acquire);
        if !current.is_null() {
            // SAFETY: coroutines run on this thread, and the code that was interrupted is that of
            // the one whose context is current. It is never resumed.
            unsafe {
                let context = *current;
                ((*context).suspend)(context, END);
            }
        }
        let exit = post.exit.swap(ptr::null_mut(), Ordering::AcqRel);
        if !exit.is_null() {
            // SAFETY: the entry point that told it is below us on this thread's stack: it takes its
            // word back before it returns.
            unsafe { ((*exit).leave)(exit) };
        }
    }

    /// The address of the instruction that was interrupted.
    unsafe fn place(context: *const ucontext_t) -> usize {
        // SAFETY: the caller has it from the system.
        let machine = unsafe { &(*context).uc_mcontext };
        #[cfg(target_arch = "x86_64")]
        let place = machine.gregs[libc::REG_RIP as usize] as usize;
        #[cfg(target_arch = "aarch64")]
        let place = machine.pc as usize;
        place
    }

    /// The code of the library that holds the function at `address`.
    pub fn code_around(address: usize) -> Range<usize> {
        struct Search {
            address: usize,
            found: Range<usize>,
        }
        unsafe extern "C" fn visit(
            info: *mut libc::dl_phdr_info,
            _: usize,
            search: *mut c_void,
        ) -> c_int {
            // SAFETY: the loader passes a valid record, and we our own.
            let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
            for at in 0..usize::from(info.dlpi_phnum) {
                // SAFETY: there are as many headers as the record says.
                let header = unsafe { &*info.dlpi_phdr.add(at) };
                let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
                let code = start..start.wrapping_add(header.p_memsz as usize);
                if header.p_type == libc::PT_LOAD
                    && header.p_flags & libc::PF_X != 0
                    && code.contains(&search.address)
                {
                    search.found = code;
                    return 1;
                }
            }
            0
        }
        let mut search = Search {
            address,
            found: 0..0,
        };
        // SAFETY: the function above keeps to what it is given.
        unsafe { libc::dl_iterate_phdr(Some(visit), ptr::from_mut(&mut search).cast()) };
        search.found
    }
}

/// Where no handler is written for the system, only a kernel's own questions stop it.
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod system {
    use super::{Post, Range};

    pub fn admit() {}

    pub fn send(_: &Post) {}

    pub fn code_around(_: usize) -> Range<usize> {
        0..0
    }
}

pub(super) use system::{admit, code_around, send};
