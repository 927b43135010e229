//! A word on the way out: when a signal ends the process while a kernel runs, the kernel's name and
//! launch go to the standard error stream first.
//!
//! The signal is never hidden. Whoever handled it before handles it still, and if nobody did the
//! process dies of it.

use std::{
    cell::{Cell, UnsafeCell},
    env,
    mem::MaybeUninit,
    ptr,
    sync::{
        Once, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use libc::{c_int, c_void, siginfo_t};

/// What a kernel can do to a process, and their names.
const SIGNALS: [(c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGABRT, "SIGABRT"),
];

/// Bytes of the stack that the handler runs on, where a thread has none yet.
const STACK: usize = 64 * 1024;

/// What is said about a launch.
#[derive(Debug)]
pub struct Running<'a> {
    pub kernel: &'a str,
    pub grid: [u32; 3],
    pub threadgroup: [u32; 3],
}

thread_local! {
    /// The launch that this thread is busy with.
    static RUNNING: Cell<*const Running<'static>> = const { Cell::new(ptr::null()) };
    /// Whether this thread has seen to its signal stack.
    static READY: Cell<bool> = const { Cell::new(false) };
    static OWN: SignalStack = const { SignalStack(Cell::new(ptr::null_mut())) };
}

/// Runs `work`, a part of the launch `running`, on this thread.
pub fn watched<R>(running: &Running<'_>, work: impl FnOnce() -> R) -> R {
    if !READY.get() {
        prepare();
    }
    let outer = RUNNING.replace(ptr::from_ref(running).cast());
    let result = work();
    RUNNING.set(outer);
    result
}

/// Installs the handlers, once, and gives this thread a stack to run them on.
#[cold]
fn prepare() {
    static ONCE: Once = Once::new();
    READY.set(true);
    if env::var("ZMLX_CRASH_REPORT").is_ok_and(|word| word.trim() == "0") {
        return;
    }
    ONCE.call_once(install);
    OWN.with(SignalStack::provide);
}

/// A signal stack that goes with its thread.
struct SignalStack(Cell<*mut c_void>);

impl SignalStack {
    /// Gives the thread a signal stack unless it has one: an overflown stack holds no handler.
    fn provide(&self) {
        // SAFETY: both calls only concern this thread's signal stack. The mapping is new, and stays
        // until the thread ends.
        unsafe {
            let mut old = MaybeUninit::<libc::stack_t>::zeroed().assume_init();
            if libc::sigaltstack(ptr::null(), &raw mut old) != 0
                || old.ss_flags & libc::SS_DISABLE == 0
            {
                return;
            }
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
            let start = libc::mmap(ptr::null_mut(), STACK, access, flags, -1, 0);
            if start == libc::MAP_FAILED {
                return;
            }
            let new = libc::stack_t {
                ss_sp: start,
                ss_flags: 0,
                ss_size: STACK,
            };
            match libc::sigaltstack(&raw const new, ptr::null_mut()) {
                0 => self.0.set(start),
                _ => drop(libc::munmap(start, STACK)),
            }
        }
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let start = self.0.get();
        if start.is_null() {
            return;
        }
        // SAFETY: the mapping is ours. It is given up only if the thread still has it for its signal
        // stack, and after that nobody knows it.
        unsafe {
            let mut current = MaybeUninit::<libc::stack_t>::zeroed().assume_init();
            if libc::sigaltstack(ptr::null(), &raw mut current) == 0 && current.ss_sp == start {
                let none = libc::stack_t {
                    ss_sp: ptr::null_mut(),
                    ss_flags: libc::SS_DISABLE,
                    ss_size: STACK,
                };
                if libc::sigaltstack(&raw const none, ptr::null_mut()) == 0 {
                    libc::munmap(start, STACK);
                }
            }
        }
    }
}

/// What handled each signal before.
static BEFORE: [OnceLock<Action>; SIGNALS.len()] = [const { OnceLock::new() }; SIGNALS.len()];

struct Action(UnsafeCell<libc::sigaction>);

// SAFETY: it is written before it is shared, and only read afterwards.
unsafe impl Sync for Action {}
// SAFETY: an address of a function and some flags, which belong to no thread.
unsafe impl Send for Action {}

fn install() {
    for (at, (signal, _)) in SIGNALS.iter().enumerate() {
        // SAFETY: the first call only asks. The handler does nothing but what may be done within
        // one, and finds in `BEFORE` what it goes on to, as that is filled before it is installed.
        unsafe {
            let mut before = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            if libc::sigaction(*signal, ptr::null(), &raw mut before) != 0 {
                continue;
            }
            let mut ours = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            ours.sa_sigaction = handle as *const () as usize;
            ours.sa_mask = before.sa_mask;
            ours.sa_flags =
                libc::SA_SIGINFO | libc::SA_ONSTACK | (before.sa_flags & libc::SA_NODEFER);
            if BEFORE[at].set(Action(UnsafeCell::new(before))).is_ok() {
                // Where it fails, things stay as they are.
                let _ = libc::sigaction(*signal, &raw const ours, ptr::null_mut());
            }
        }
    }
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(at) = SIGNALS.iter().position(|&(s, _)| s == signal) else {
        return;
    };
    static BEGUN: AtomicBool = AtomicBool::new(false);
    static DONE: AtomicBool = AtomicBool::new(false);
    let running = RUNNING.get();
    // A signal that another process sent says nothing about the kernel.
    // SAFETY: the system passes a valid record.
    let sent = unsafe { (*info).si_code } <= 0 && signal != libc::SIGABRT;
    if !running.is_null() && !sent {
        if BEGUN.swap(true, Ordering::Relaxed) {
            // Threads of a launch crash together: the first one is to finish before another ends the process.
            let nap = libc::timespec {
                tv_sec: 0,
                tv_nsec: 1_000_000,
            };
            for _ in 0..200 {
                if DONE.load(Ordering::Acquire) {
                    break;
                }
                // SAFETY: it may be called in a handler, and reads a valid time.
                unsafe { libc::nanosleep(&raw const nap, ptr::null_mut()) };
            }
        } else {
            // SAFETY: not null, so it is the launch in whose `watched` this thread is.
            say(SIGNALS[at].1, unsafe { &*running });
            DONE.store(true, Ordering::Release);
        }
    }
    // SAFETY: `install` filled it before this function could be called. Calling the former handler
    // with what came is what the system would have done.
    unsafe {
        let Some(before) = BEFORE[at].get().map(|action| &*action.0.get()) else {
            return;
        };
        match before.sa_sigaction {
            libc::SIG_DFL => {
                libc::sigaction(signal, before, ptr::null_mut());
                // A fault comes again when the instruction is tried again; what was sent does not.
                if (*info).si_code <= 0 {
                    libc::raise(signal);
                }
            }
            // An ignored fault would come for ever, so the system ends the process at the second.
            libc::SIG_IGN => {
                if (*info).si_code > 0 {
                    libc::sigaction(signal, before, ptr::null_mut());
                }
            }
            handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                    std::mem::transmute(handler);
                handler(signal, info, context);
            }
            handler => {
                let handler: extern "C" fn(c_int) = std::mem::transmute(handler);
                handler(signal);
            }
        }
    }
}

/// Writes the message, without taking memory or a lock.
fn say(signal: &str, running: &Running<'_>) {
    let mut text = Line::default();
    text.add("zmlx: ");
    text.add(signal);
    text.add(" in kernel `");
    text.add(running.kernel);
    text.add("`, grid ");
    text.sizes(running.grid);
    text.add(", threadgroup ");
    text.sizes(running.threadgroup);
    text.add(" (ZMLX_CHECKED=1 finds accesses out of bounds)\n");
    // SAFETY: the bytes are the line's own. Nothing can be done if it fails.
    let _ = unsafe { libc::write(2, text.bytes.as_ptr().cast(), text.len) };
}

/// A line of text on the stack.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; 512],
            len: 0,
        }
    }
}

impl Line {
    /// Adds `text`, which may be cut, with room left for the line's end.
    fn add(&mut self, text: &str) {
        let room = match text.ends_with('\n') {
            true => self.bytes.len() - self.len,
            false => (self.bytes.len() - self.len).saturating_sub(160),
        };
        for (to, from) in self.bytes[self.len..]
            .iter_mut()
            .zip(text.bytes().take(room))
        {
            *to = from;
            self.len += 1;
        }
    }

    fn sizes(&mut self, sizes: [u32; 3]) {
        for (at, &size) in sizes.iter().enumerate() {
            self.add(if at == 0 { "[" } else { ", " });
            self.number(size);
        }
        self.add("]");
    }

    fn number(&mut self, mut value: u32) {
        let mut digits = [0; 10];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.add(std::str::from_utf8(&digits[at..]).unwrap_or("?"));
    }
}

#[cfg(test)]
mod tests;
