//! Rust closures that MLX calls.
//!
//! MLX keeps some of them in its graph (custom functions, compiled functions),
//! so a closure may be dropped late, even at thread exit. A failure inside one
//! must cross C++ frames as an exception that carries a text only: the original
//! error, or the panic, waits meanwhile (`crate::error::waiting`).

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use cxx::{CxxVector, UniquePtr};

use super::array::ffi::{self, Array as RawArray};
use super::deep::{check_depth, on_own_stack};
use super::transforms::ffi::depth;
use crate::error::Lift;
use crate::error::waiting::{Failure, keep};
use crate::unwanted::drop_quietly;
use crate::{Error, Result};

/// What a failing callback tells C++; the real error is in the slot.
#[derive(Debug, thiserror::Error)]
#[error("a Rust closure failed")]
pub(crate) struct CallbackFailed;

/// Runs user code for MLX: neither an error nor a panic is lost.
fn guarded<T>(body: impl FnOnce() -> Result<T>) -> Failed<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(failed(Failure::Error(e))),
        Err(payload) => Err(failed(Failure::Panic(payload))),
    }
}

/// Checks what user code gave.
fn found<T>(checked: Result<T>) -> Failed<T> {
    checked.map_err(|e| failed(Failure::Found(e)))
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

/// Leaves the failure where the outer call finds it.
fn failed(failure: Failure) -> CallbackFailed {
    keep(failure);
    CallbackFailed
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

/// A list of arrays as C++ has it. `crate::transforms` makes Rust handles of them.
pub(crate) type List = CxxVector<RawArray>;
pub(crate) type Arrays = UniquePtr<List>;
type Failed<T> = std::result::Result<T, CallbackFailed>;

/// `outputs = f(inputs)`.
pub(crate) type Function<'a> = dyn Fn(&List) -> Result<Arrays> + 'a;
/// `f(primals, cotangents, outputs)` for a VJP.
pub(crate) type VjpFunction = dyn Fn(&List, &List, &List) -> Result<Arrays>;
/// `f(primals, tangents, argnums)` for a JVP.
pub(crate) type JvpFunction = dyn Fn(&List, &List, &[i32]) -> Result<Arrays>;
/// `f(inputs, axes)` gives outputs and their axes; -1 stands for "not mapped".
pub(crate) type VmapFunction = dyn Fn(&List, &[i32]) -> Result<(Arrays, Vec<i32>)>;

/// A closure that takes arrays and gives arrays.
pub(crate) struct Callback(Pinned<Function<'static>>);

impl Callback {
    pub(crate) fn new(f: Box<Function<'static>>) -> Box<Self> {
        Box::new(Callback(Pinned::new(f)))
    }

    /// Lends a closure that borrows to one bridge call that keeps nothing of it.
    ///
    /// `lend` must not store the callback; the five bridge functions that may be
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

    pub(crate) fn call(&self, inputs: &List) -> Failed<Arrays> {
        let outputs = on_own_stack(|| guarded(|| self.0.get()?(inputs)))?;
        // What comes next walks over this graph.
        found(check_depth(|| depth(&outputs).lift()))?;
        Ok(outputs)
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

    pub(crate) fn forward(&self, inputs: &List) -> Failed<Arrays> {
        guarded(|| (self.0.get()?.forward)(inputs))
    }

    pub(crate) fn vjp(&self, primals: &List, cotangents: &List, outputs: &List) -> Failed<Arrays> {
        let grads = guarded(|| {
            let rule = present(&self.0.get()?.vjp)?;
            rule(primals, cotangents, outputs)
        })?;
        found(check_gradients(primals.len(), primals, &grads))?;
        Ok(grads)
    }

    pub(crate) fn jvp(&self, primals: &List, tangents: &List, argnums: &[i32]) -> Failed<Arrays> {
        guarded(|| {
            let rule = present(&self.0.get()?.jvp)?;
            rule(primals, tangents, argnums)
        })
    }

    pub(crate) fn vmap(
        &self,
        inputs: &List,
        axes: &[i32],
        out_axes: &mut Vec<i32>,
    ) -> Failed<Arrays> {
        guarded(|| {
            let rule = present(&self.0.get()?.vmap)?;
            let (outputs, axes) = rule(inputs, axes)?;
            *out_axes = axes;
            Ok(outputs)
        })
    }
}

fn present<T: ?Sized>(rule: &Option<Rc<T>>) -> Result<&T> {
    rule.as_deref()
        .ok_or_else(|| Error::Other("a transformation rule that was not given was called".into()))
}

/// The rules of one node that is a launch of a kernel.
pub(crate) trait OfNode {
    /// How many of the node's inputs are the function's; sizes may follow.
    fn inputs(&self) -> usize;
    /// One gradient for each of the function's inputs.
    fn vjp(&self, inputs: &List, cotangents: &List, outputs: &List) -> Result<Arrays>;
    /// One tangent for each output; `tangents[i]` belongs to input `argnums[i]`.
    fn jvp(&self, inputs: &List, tangents: &List, argnums: &[i32]) -> Result<Arrays>;
    /// The outputs, with the mapped axis in front; an axis of -1 among `axes` means that the input is not mapped.
    fn vmap(&self, inputs: &List, axes: &[i32]) -> Result<Arrays>;
}

/// [`OfNode`] as a node holds it.
pub(crate) struct NodeRules(Pinned<dyn OfNode>);

impl NodeRules {
    pub(crate) fn new(rules: Box<dyn OfNode>) -> Box<Self> {
        Box::new(NodeRules(Pinned::new(rules)))
    }

    pub(crate) fn vjp(&self, inputs: &List, cotangents: &List, outputs: &List) -> Failed<Arrays> {
        let grads = guarded(|| self.0.get()?.vjp(inputs, cotangents, outputs))?;
        let count = found(self.0.get())?.inputs();
        found(check_gradients(count, inputs, &grads))?;
        Ok(grads)
    }

    pub(crate) fn jvp(&self, inputs: &List, tangents: &List, argnums: &[i32]) -> Failed<Arrays> {
        guarded(|| self.0.get()?.jvp(inputs, tangents, argnums))
    }

    pub(crate) fn vmap(&self, inputs: &List, axes: &[i32]) -> Failed<Arrays> {
        guarded(|| self.0.get()?.vmap(inputs, axes))
    }
}

/// One gradient for each of so many primals, of its shape and dtype.
fn check_gradients(count: usize, primals: &List, grads: &List) -> Result<()> {
    if count != grads.len() {
        return Err(Error::argument(
            "vjp",
            format_args!("{count} gradients, one for each primal"),
            grads.len(),
        ));
    }
    for (i, (p, g)) in primals.iter().zip(grads).enumerate() {
        let (want, got) = (ffi::dims(p), ffi::dims(g));
        if want != got {
            return Err(Error::shape(format!(
                "`vjp`: expected shape {want:?} for the gradient of primal {i}, got {got:?}"
            )));
        }
        // Numbers without a derivative have no gradient whose dtype could matter.
        let (want, got) = (ffi::dtype(p), ffi::dtype(g));
        if !want.is_integral() && want != got {
            return Err(Error::dtype(format!(
                "`vjp`: expected dtype {want} for the gradient of primal {i}, got dtype {got}"
            )));
        }
    }
    Ok(())
}
