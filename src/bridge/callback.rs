//! Rust closures that MLX calls.
//!
//! MLX keeps some of them in its graph (custom functions, compiled functions),
//! so a closure may be dropped late, even at thread exit. A failure inside one
//! must cross C++ frames as an exception that carries a text only: the original
//! error, or the panic, waits in a slot of this thread until the outer bridge
//! call comes back with the exception and takes it out.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::ThreadId;

use cxx::{CxxVector, UniquePtr};

use super::array::ffi::Array as RawArray;
use crate::array::{Array, pack, unpack};
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
    match FAILURE.with(|slot| slot.borrow_mut().take()) {
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
    FAILURE.with(|slot| *slot.borrow_mut() = Some(failure));
    Err(CallbackFailed)
}

/// A value that is used and dropped on the thread that made it, or not at all.
///
/// Closures are not `Send`, but MLX holds them inside graph nodes, and nothing
/// in C++ ties a node to a thread. Elsewhere a call is an error and a drop leaks.
struct Pinned<T: ?Sized> {
    home: ThreadId,
    value: std::mem::ManuallyDrop<Box<T>>,
}

impl<T: ?Sized> Pinned<T> {
    fn new(value: Box<T>) -> Self {
        Pinned {
            home: std::thread::current().id(),
            value: std::mem::ManuallyDrop::new(value),
        }
    }

    fn get(&self) -> Result<&T> {
        if std::thread::current().id() == self.home {
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
        // The thread's own handle may be gone when thread-locals are torn down.
        let here = std::panic::catch_unwind(|| std::thread::current().id());
        if here.is_ok_and(|id| id == self.home) {
            // SAFETY: dropped once, here, and never used again.
            unsafe { std::mem::ManuallyDrop::drop(&mut self.value) };
        }
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

pub(crate) struct Callback(Pinned<Function<'static>>);
pub(crate) struct VjpCallback(Pinned<VjpFunction>);
pub(crate) struct JvpCallback(Pinned<JvpFunction>);
pub(crate) struct VmapCallback(Pinned<VmapFunction>);

impl Callback {
    pub(crate) fn new(f: Box<Function<'static>>) -> Box<Self> {
        Box::new(Callback(Pinned::new(f)))
    }

    /// A callback over a closure that borrows.
    ///
    /// # Safety
    /// The bridge call that receives it must drop it before it returns.
    pub(crate) unsafe fn borrowed<'a>(f: Box<Function<'a>>) -> Box<Self> {
        // SAFETY: only the lifetime changes; the caller promises that the box is
        // gone before `'a` ends.
        let f = unsafe { std::mem::transmute::<Box<Function<'a>>, Box<Function<'static>>>(f) };
        Callback::new(f)
    }

    pub(crate) fn call(&self, inputs: &CxxVector<RawArray>) -> Failed<Arrays> {
        guarded(|| pack(&self.0.get()?(&unpack(inputs)?)?))
    }
}

impl VjpCallback {
    pub(crate) fn new(f: Box<VjpFunction>) -> Box<Self> {
        Box::new(VjpCallback(Pinned::new(f)))
    }

    pub(crate) fn call(
        &self,
        primals: &CxxVector<RawArray>,
        cotangents: &CxxVector<RawArray>,
        outputs: &CxxVector<RawArray>,
    ) -> Failed<Arrays> {
        guarded(|| {
            let primals = unpack(primals)?;
            let grads = self.0.get()?(&primals, &unpack(cotangents)?, &unpack(outputs)?)?;
            if grads.len() != primals.len() {
                return Err(Error::argument(
                    "vjp",
                    format_args!("{} gradients, one for each primal", primals.len()),
                    grads.len(),
                ));
            }
            pack(&grads)
        })
    }
}

impl JvpCallback {
    pub(crate) fn new(f: Box<JvpFunction>) -> Box<Self> {
        Box::new(JvpCallback(Pinned::new(f)))
    }

    pub(crate) fn call(
        &self,
        primals: &CxxVector<RawArray>,
        tangents: &CxxVector<RawArray>,
        argnums: &[i32],
    ) -> Failed<Arrays> {
        guarded(|| {
            pack(&self.0.get()?(
                &unpack(primals)?,
                &unpack(tangents)?,
                argnums,
            )?)
        })
    }
}

impl VmapCallback {
    pub(crate) fn new(f: Box<VmapFunction>) -> Box<Self> {
        Box::new(VmapCallback(Pinned::new(f)))
    }

    pub(crate) fn call(
        &self,
        inputs: &CxxVector<RawArray>,
        axes: &[i32],
        out_axes: &mut Vec<i32>,
    ) -> Failed<Arrays> {
        guarded(|| {
            let (outputs, axes) = self.0.get()?(&unpack(inputs)?, axes)?;
            if axes.len() != outputs.len() {
                return Err(Error::argument(
                    "vmap",
                    format_args!("{} output axes, one for each output", outputs.len()),
                    axes.len(),
                ));
            }
            *out_axes = axes;
            pack(&outputs)
        })
    }
}
