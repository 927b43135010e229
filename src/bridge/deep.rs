//! Room for MLX's recursion.
//!
//! Transforms of MLX walk the graph by recursion, one step for each operation of the longest chain, and a
//! chain of some ten thousand overflows a thread's stack. So they run on a large stack of their own, which the
//! system fills with memory only as far as it is used; the thread stays the same, and with it all that is
//! the thread's. Closures of the user are called back on the thread's own stack.

use std::cell::Cell;
use std::ptr;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::{Error, Result};

/// How large a stack may be, best first: a system may have no room for the larger ones.
const SIZES: [usize; 3] = [512 << 20, 128 << 20, 16 << 20];

/// Bytes that a step of the recursion takes at most. MLX's own takes less than half.
const STEP: usize = 1024;

/// Steps that fit where there is no other stack than the thread's.
const FEW: usize = 512;

/// A stack, and how large it is.
struct Room {
    stack: DefaultStack,
    size: usize,
}

type Inside = Yielder<(), ()>;

thread_local! {
    /// The stack of the last call. To make one costs several calls to the system.
    static SPARE: Cell<Option<Room>> = const { Cell::new(None) };
    /// The large stack that this thread is on, if any, and what a transform may use of the stack that it is on.
    /// Outside of transforms that is 0.
    static ON: Cell<(*const Inside, usize)> = const { Cell::new((ptr::null(), 0)) };
}

/// Restores what [`ON`] was.
struct Restore((*const Inside, usize));
impl Drop for Restore {
    fn drop(&mut self) {
        ON.set(self.0);
    }
}

/// Runs `work` on a large stack. Nothing in it may unwind with an exception of C++.
pub(crate) fn on_deep_stack<R>(work: impl FnOnce() -> R) -> R {
    if !ON.get().0.is_null() {
        return work();
    }
    let spare = SPARE.try_with(Cell::take).ok().flatten();
    let Some(Room { stack, size }) = spare.or_else(room) else {
        let _restore = Restore(ON.replace((ptr::null(), FEW * STEP)));
        return work();
    };
    let body = move |yielder: &Inside, ()| {
        let _restore = Restore(ON.replace((yielder, size)));
        work()
    };
    // SAFETY: without the bounds of a lifetime, what `work` borrows has to outlive the coroutine: it ends
    // before this function returns, as nothing suspends it. A panic in it comes out of `resume`.
    let mut call = unsafe { Coroutine::with_stack_unchecked(stack, body) };
    let CoroutineResult::Return(result) = call.resume(()) else {
        unreachable!("nothing suspends it");
    };
    let stack = call.into_stack();
    if !is_used(&stack) {
        let _ = SPARE.try_with(|spare| spare.set(Some(Room { stack, size })));
    }
    result
}

/// Runs `work`, which is the user's, on the thread's own stack.
pub(super) fn on_own_stack<R>(work: impl FnOnce() -> R) -> R {
    let on = ON.get();
    if on.0.is_null() {
        return work();
    }
    let _restore = Restore(ON.replace((ptr::null(), 0)));
    // SAFETY: the pointer is set while the coroutine runs, which it does, and to its own yielder.
    let yielder = unsafe { &*on.0 };
    let work = Here(work);
    yielder.on_parent_stack(move || work.run())
}

/// Work that stays on its thread.
struct Here<F>(F);

// SAFETY: `on_parent_stack` runs it on the calling thread. It asks for `Send` so that no yielder gets to
// other code; what is in here is the user's closure and its arguments, and the yielder is no part of them.
unsafe impl<F> Send for Here<F> {}

impl<R, F: FnOnce() -> R> Here<F> {
    fn run(self) -> R {
        (self.0)()
    }
}

/// Refuses a graph that is too deep for the stack that a transform is on.
#[track_caller]
pub(super) fn check_depth(depth: impl FnOnce() -> Result<usize>) -> Result<()> {
    let limit = ON.get().1 / STEP;
    if limit == 0 {
        return Ok(());
    }
    let depth = depth()?;
    if depth <= limit {
        return Ok(());
    }
    Err(Error::argument(
        "function",
        format_args!("at most {limit} operations that each need the one before, for a transform"),
        depth,
    ))
}

fn room() -> Option<Room> {
    SIZES.into_iter().find_map(|size| {
        let stack = DefaultStack::new(size).ok()?;
        Some(Room { stack, size })
    })
}

/// Whether a call has used much of the stack, whose memory is given back then.
fn is_used(stack: &DefaultStack) -> bool {
    use corosensei::stack::Stack;
    const MARK: usize = 1 << 20;
    let top = stack.base().get() - MARK;
    // SAFETY: the bytes lie within the stack, all sizes of which are far larger than the mark, no code runs on it
    // now, and fresh memory of the system reads as zeros.
    let words = unsafe { std::slice::from_raw_parts((top - 4096) as *const usize, 512) };
    words.iter().any(|w| *w != 0)
}

#[cfg(test)]
mod tests {
    use super::{is_used, on_deep_stack, on_own_stack, room};

    /// Takes about 100 bytes a step.
    fn sum(n: u64) -> u64 {
        let here = std::hint::black_box([n; 8]);
        if n == 0 { 0 } else { here[3] + sum(n - 1) }
    }

    #[test]
    fn deep_and_back() {
        let outer = &String::from("borrowed");
        let address = |x: &u8| std::ptr::from_ref(x) as usize;
        let here = address(&0);
        let (length, total, own, again) = on_deep_stack(|| {
            let deep = address(&0);
            let own = on_own_stack(|| (address(&0), on_deep_stack(|| sum(10))));
            let again = on_deep_stack(|| address(&0));
            (outer.len(), sum(500_000), own, again.abs_diff(deep))
        });
        assert_eq!((length, total), (8, 500_000 * 500_001 / 2));
        assert!(own.0.abs_diff(here) < 1 << 20);
        assert_eq!(own.1, 55);
        assert!(again < 1 << 20);
    }

    #[test]
    fn panics_come_out() {
        for own in [false, true] {
            let caught = std::panic::catch_unwind(|| {
                on_deep_stack(|| match own {
                    true => on_own_stack(|| panic!("inside")),
                    false => panic!("inside"),
                })
            });
            assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "inside");
            assert_eq!(on_deep_stack(|| 3), 3);
        }
    }

    #[test]
    fn much_used_memory_is_given_back() {
        let fresh = room().unwrap();
        assert!(!is_used(&fresh.stack));
        let call = |n: u64| {
            // SAFETY: it ends before this function does, and borrows nothing.
            let mut call = unsafe {
                corosensei::Coroutine::<(), (), u64, _>::with_stack_unchecked(
                    room().unwrap().stack,
                    move |_, ()| sum(n),
                )
            };
            call.resume(());
            is_used(&call.into_stack())
        };
        assert!(!call(10));
        assert!(call(100_000));
    }
}
