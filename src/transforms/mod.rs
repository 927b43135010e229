//! Function transforms: gradients, vectorization, custom rules, compilation, export.

mod closures;
mod compile;
mod custom;
mod export;
mod grad;
mod import;
mod mapped;
pub(crate) mod rules;
mod signature;
mod single;
mod vmap;

pub use compile::{CompileMode, Compiled, compile, set_compile_enabled, set_compile_mode};
pub use custom::{CustomFunction, checkpoint, custom_function};
pub(crate) use export::exporting;
pub use export::{FunctionExporter, Keywords, export_function, exporter};
pub use grad::{grad, jvp, value_and_grad, value_and_grad_of, vjp};
pub use import::{ImportedFunction, import_function};
pub use signature::FunctionSignature;
pub use single::{CustomFunction1, compile1, custom_function1, vmap1};
pub use vmap::{Vmap, vmap};

use std::cell::Cell;

use crate::bridge::array::ffi::Array as RawArray;
use crate::bridge::callback::Callback;
use crate::bridge::deep::on_deep_stack;
use crate::bridge::transforms::ffi::TwoLists;
use crate::error::{Here, Lift};
use crate::{Array, Result};

thread_local! {
    /// Derivative and vectorization transforms under way on this thread.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Those of them that go backward, and so keep what the way forward computed.
    static BACKWARD: Cell<u32> = const { Cell::new(0) };
    /// Whether a rule of the only transform under way is at work.
    static ALONE: Cell<bool> = const { Cell::new(false) };
    /// All transforms under way on this thread, compiling and exporting included.
    static TRACES: Cell<u32> = const { Cell::new(0) };
    /// Whether one of them has ended within another that goes on.
    static NESTED: Cell<bool> = const { Cell::new(false) };
}

/// Counts a transform that is under way.
struct Trace;

impl Trace {
    fn begin() -> Trace {
        TRACES.set(TRACES.get() + 1);
        Trace
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        TRACES.set(TRACES.get() - 1);
        NESTED.set(TRACES.get() > 0);
    }
}

/// Whether a transform may see arrays without their telling: the end of an inner transform takes the marks of tracers away, also those that the
/// outer one made, and so they miss in the inner one's rules.
pub(crate) fn watched() -> bool {
    TRACES.get() > 1 || NESTED.get()
}

/// Lends `f` to a transform that looks through custom functions.
#[track_caller]
fn transform<R>(
    f: &dyn Fn(&[Array]) -> Result<Vec<Array>>,
    call: impl FnOnce(Box<Callback>) -> R,
) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    crate::stream::enter();
    DEPTH.set(DEPTH.get() + 1);
    let _leave = Leave;
    let _trace = Trace::begin();
    // A rule may begin a transform of its own.
    let _alone = NotAlone(ALONE.replace(false));
    closures::lend(f, |f| on_deep_stack(|| call(f)))
}

/// Restores what [`alone`] says.
struct NotAlone(bool);

impl Drop for NotAlone {
    fn drop(&mut self) {
        ALONE.set(self.0);
    }
}

/// The same for a transform that takes gradients.
#[track_caller]
fn transform_backward<R>(
    f: &dyn Fn(&[Array]) -> Result<Vec<Array>>,
    call: impl FnOnce(Box<Callback>) -> R,
) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            BACKWARD.set(BACKWARD.get() - 1);
        }
    }
    BACKWARD.set(BACKWARD.get() + 1);
    let _leave = Leave;
    transform(f, call)
}

/// Whether a gradient of what is computed now may be asked for.
pub(crate) fn differentiating() -> bool {
    BACKWARD.get() > 0
}

/// Runs a rule that gives gradients. Nothing looks through what it computes where no other transform is under way.
pub(crate) fn pulling<R>(rule: impl FnOnce() -> R) -> R {
    let _before = NotAlone(ALONE.get());
    ALONE.set(DEPTH.get() == 1 && BACKWARD.get() == 1);
    rule()
}

/// Whether what is computed now has no derivatives, although it is made of what a transform sees.
pub(crate) fn alone() -> bool {
    ALONE.get()
}

/// True where nothing but a file will see the graph: MLX cannot write custom functions, and
/// their rules have no say in a plain call.
fn plain_export() -> bool {
    exporting() && DEPTH.get() == 0
}

/// Both halves of what a derivative transform returns.
#[track_caller]
fn two(lists: Result<TwoLists, cxx::Exception>) -> Result<(Vec<Array>, Vec<Array>)> {
    let lists = lists.lift().here()?;
    Ok((
        crate::array::unpack(&lists.values)?,
        crate::array::unpack(&lists.extra)?,
    ))
}

type RawList = cxx::UniquePtr<cxx::CxxVector<RawArray>>;

#[track_caller]
fn one_list(list: Result<RawList, cxx::Exception>) -> Result<Vec<Array>> {
    crate::array::unpack(&*list.lift().here()?)
}
