//! Rust closures that MLX calls.
//!
//! MLX keeps some of them in its graph (custom functions, compiled functions),
//! so a closure may be dropped late, even at thread exit. A failure inside one
//! must cross C++ frames as an exception that carries a text only: the original
//! error, or the panic, waits in a slot of this thread until the outer bridge
//! call comes back with the exception and takes it out.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use cxx::{CxxVector, UniquePtr};

use super::array::ffi::Array as RawArray;
use super::signature::{self, Signature};
use crate::array::{Array, pack, unpack};
use crate::unwanted::drop_quietly;
use crate::{Error, Result};

enum Failure {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

thread_local! {
    static FAILURE: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// The error behind the callback exception that just arrived; resumes its panic.
pub(crate) fn take_failure() -> Option<Error> {
    // At the end of a thread the slot may be gone, and what was to be in it.
    match FAILURE.try_with(|slot| slot.borrow_mut().take()).ok()? {
        Some(Failure::Error(e)) => Some(e),
        Some(Failure::Panic(payload)) => resume_unwind(payload),
        None => None,
    }
}

/// What a failing callback tells C++; the real error is in the slot.
#[derive(Debug, thiserror::Error)]
#[error("a Rust closure failed")]
pub(crate) struct CallbackFailed;

/// Runs user code for MLX: neither an error nor a panic is lost.
fn guarded<T>(body: impl FnOnce() -> Result<T>) -> std::result::Result<T, CallbackFailed> {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(e)) => Failure::Error(e),
        Err(payload) => Failure::Panic(payload),
    };
    let before = FAILURE.try_with(|slot| slot.borrow_mut().replace(failure));
    // One that nobody has taken out; a panic's payload may panic when it is dropped.
    drop_quietly(before);
    Err(CallbackFailed)
}

/// A number of the calling thread. Unlike the system's handle it can be had at any time: thread-locals
/// without a destructor live as long as their thread.
fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    if NUMBER.get() == 0 {
        NUMBER.set(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.get()
}

/// A value that is used and dropped on the thread that made it, or not at all.
///
/// Closures are not `Send`, but MLX holds them inside graph nodes, and nothing
/// in C++ ties a node to a thread. Elsewhere a call is an error and a drop leaks.
struct Pinned<T: ?Sized> {
    home: u64,
    value: std::mem::ManuallyDrop<Box<T>>,
}

impl<T: ?Sized> Pinned<T> {
    fn new(value: Box<T>) -> Self {
        Pinned {
            home: this_thread(),
            value: std::mem::ManuallyDrop::new(value),
        }
    }

    fn get(&self) -> Result<&T> {
        if this_thread() == self.home {
            Ok(&self.value)
        } else {
            Err(Error::Other(
                "a closure was called on another thread than the one that made it".into(),
            ))
        }
    }
}

impl<T: ?Sized> Drop for Pinned<T> {
    fn drop(&mut self) {
        if this_thread() != self.home {
            return;
        }
        // C++ destroys it, through frames that a panic would end the process in.
        // SAFETY: taken once, here, and never used again.
        let value = unsafe { std::mem::ManuallyDrop::take(&mut self.value) };
        drop_quietly(value);
    }
}

type Arrays = UniquePtr<CxxVector<RawArray>>;
type Failed<T> = std::result::Result<T, CallbackFailed>;

/// `outputs = f(inputs)`.
pub(crate) type Function<'a> = dyn Fn(&[Array]) -> Result<Vec<Array>> + 'a;
/// `f(primals, cotangents, outputs)` for a VJP.
pub(crate) type VjpFunction = dyn Fn(&[Array], &[Array], &[Array]) -> Result<Vec<Array>>;
/// `f(primals, tangents, argnums)` for a JVP.
pub(crate) type JvpFunction = dyn Fn(&[Array], &[Array], &[i32]) -> Result<Vec<Array>>;
/// `f(inputs, axes)` gives outputs and their axes; -1 stands for "not mapped".
pub(crate) type VmapFunction = dyn Fn(&[Array], &[i32]) -> Result<(Vec<Array>, Vec<i32>)>;

/// A closure that takes arrays and gives arrays.
pub(crate) struct Callback(Pinned<Function<'static>>);

impl Callback {
    pub(crate) fn new(f: Box<Function<'static>>) -> Box<Self> {
        Box::new(Callback(Pinned::new(f)))
    }

    /// Lends a closure that borrows to one bridge call that keeps nothing of it.
    ///
    /// `lend` must not store the callback; the four bridge functions that may be
    /// used here call the closure before they return and drop it.
    pub(crate) fn lend<R>(f: &Function<'_>, call: impl FnOnce(Box<Callback>) -> R) -> R {
        // The closure is reached through a cell that is emptied before `f` can go
        // away, so a callback that did stay behind would fail instead of dangling.
        struct Empty<'a>(&'a Cell<Option<NonNull<Function<'static>>>>);
        impl Drop for Empty<'_> {
            fn drop(&mut self) {
                self.0.set(None);
            }
        }
        let address = NonNull::from(f);
        // SAFETY: only the lifetime changes; the pointer is followed below while
        // the cell holds it, which ends before this function returns.
        let address = unsafe {
            std::mem::transmute::<NonNull<Function<'_>>, NonNull<Function<'static>>>(address)
        };
        let cell = Rc::new(Cell::new(Some(address)));
        let _empty = Empty(&cell);
        let inner = Rc::clone(&cell);
        call(Callback::new(Box::new(move |inputs| match inner.get() {
            // SAFETY: the cell is full, so `lend` is still running and `f` alive.
            Some(f) => (unsafe { f.as_ref() })(inputs),
            None => Err(Error::Other(
                "a transform called its closure too late".into(),
            )),
        })))
    }

    pub(crate) fn call(&self, inputs: &CxxVector<RawArray>) -> Failed<Arrays> {
        guarded(|| pack(&self.0.get()?(&unpack(inputs)?)?))
    }
}

/// A function with its own transformation rules.
pub(crate) struct CustomRules(Pinned<Rules>);

/// What [`CustomRules`] holds. A rule that is absent is derived by MLX.
pub(crate) struct Rules {
    pub(crate) forward: Rc<Function<'static>>,
    pub(crate) vjp: Option<Rc<VjpFunction>>,
    pub(crate) jvp: Option<Rc<JvpFunction>>,
    pub(crate) vmap: Option<Rc<VmapFunction>>,
    /// What the forward function gave when it was called: the rules are held to it.
    pub(crate) outputs: OnceCell<Vec<Signature>>,
}

impl CustomRules {
    pub(crate) fn new(rules: Rules) -> Box<Self> {
        Box::new(CustomRules(Pinned::new(Box::new(rules))))
    }

    pub(crate) fn has_vjp(&self) -> bool {
        self.0.get().is_ok_and(|r| r.vjp.is_some())
    }

    pub(crate) fn has_jvp(&self) -> bool {
        self.0.get().is_ok_and(|r| r.jvp.is_some())
    }

    pub(crate) fn has_vmap(&self) -> bool {
        self.0.get().is_ok_and(|r| r.vmap.is_some())
    }

    pub(crate) fn forward(&self, inputs: &CxxVector<RawArray>) -> Failed<Arrays> {
        guarded(|| {
            let rules = self.0.get()?;
            let outputs = (rules.forward)(&unpack(inputs)?)?;
            rules.outputs.get_or_init(|| signature::of(&outputs));
            pack(&outputs)
        })
    }

    pub(crate) fn vjp(
        &self,
        primals: &CxxVector<RawArray>,
        cotangents: &CxxVector<RawArray>,
        outputs: &CxxVector<RawArray>,
    ) -> Failed<Arrays> {
        guarded(|| {
            let primals = unpack(primals)?;
            let rule = present(&self.0.get()?.vjp)?;
            let outputs = unpack(outputs)?;
            let cotangents = signature::cotangents(&outputs, unpack(cotangents)?)?;
            let grads = rule(&primals, &cotangents, &outputs)?;
            signature::gradients(&primals, &grads)?;
            pack(&grads)
        })
    }

    pub(crate) fn jvp(
        &self,
        primals: &CxxVector<RawArray>,
        tangents: &CxxVector<RawArray>,
        argnums: &[i32],
    ) -> Failed<Arrays> {
        guarded(|| {
            let rule = present(&self.0.get()?.jvp)?;
            let tangents = rule(&unpack(primals)?, &unpack(tangents)?, argnums)?;
            if let Some(outputs) = self.0.get()?.outputs.get() {
                signature::tangents(outputs, &tangents)?;
            }
            pack(&tangents)
        })
    }

    pub(crate) fn vmap(
        &self,
        inputs: &CxxVector<RawArray>,
        axes: &[i32],
        out_axes: &mut Vec<i32>,
    ) -> Failed<Arrays> {
        guarded(|| {
            let rule = present(&self.0.get()?.vmap)?;
            let inputs = unpack(inputs)?;
            let (outputs, at) = rule(&inputs, axes)?;
            if let Some(known) = self.0.get()?.outputs.get() {
                signature::mapped(known, &inputs, axes, &outputs, &at)?;
            }
            *out_axes = at;
            pack(&outputs)
        })
    }
}

fn present<T: ?Sized>(rule: &Option<Rc<T>>) -> Result<&T> {
    rule.as_deref()
        .ok_or_else(|| Error::Other("a transformation rule that was not given was called".into()))
}
