//! Compiled steps that change a state.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::counter::Counter;
use super::ext::ModuleExt;
use super::module::{Module, Node};
use crate::{Array, Compiled, Error, Result};

thread_local! {
    /// Whether a step is being traced.
    static TRACING: Cell<bool> = const { Cell::new(false) };
}

/// Whether what is computed now is traced for [`compile`], so that a number drawn now would be drawn once for all calls.
pub(super) fn tracing() -> bool {
    TRACING.get()
}

/// Compiles a step that changes a state: a model, or a model and its optimizer as a pair. All arrays of the state go in and come
/// out with each call, so `step` may change any of them.
///
/// `step` is run to trace it, once for each set of shapes and dtypes; what it does beside the arrays of the state and its
/// [`Counter`]s happens then only. So the state must have all its arrays before the first call
/// ([`Optimizer::prepare`](crate::optimizers::Optimizer::prepare)). [`compile`](crate::compile()) says what the first call costs.
///
/// ```
/// use zmlx::{Array, nn::{self, Param}};
/// # fn main() -> zmlx::Result<()> {
/// let mut total = Param::new(Array::from(1.0f32));
/// let step = nn::compile(|total: &mut Param, x: &[Array]| {
///     let sum = (&**total + &x[0])?;
///     total.set(sum.clone());
///     Ok(vec![sum])
/// })?;
/// step.call(&mut total, [&Array::from(2.0f32)])?;
/// step.call(&mut total, [&Array::from(3.0f32)])?;
/// assert_eq!(total.item::<f32>()?, 6.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the compiler of MLX fails with.
#[track_caller]
pub fn compile<S, F>(step: F) -> Result<CompiledStep<S>>
where
    S: Module + Clone + 'static,
    F: Fn(&mut S, &[Array]) -> Result<Vec<Array>> + 'static,
{
    let shared = Rc::new(Shared {
        state: RefCell::new(None),
        traced: RefCell::default(),
    });
    let inner = Rc::clone(&shared);
    let compiled = crate::compile(move |all| trace(&inner, &step, all))?;
    Ok(CompiledStep { compiled, shared })
}

/// A compiled step; made by [`compile`]. Belongs to its thread.
pub struct CompiledStep<S> {
    compiled: Compiled,
    shared: Rc<Shared<S>>,
}

/// What the caller and the traced function give each other.
struct Shared<S> {
    /// The state of the call under way: what is in it beside arrays.
    state: RefCell<Option<S>>,
    /// What each trace found: the names of the state's arrays, and how far each counter went.
    traced: RefCell<Vec<(Vec<String>, Vec<u64>)>>,
}

impl<S: Module + Clone> CompiledStep<S> {
    /// Runs the step on the state, and gives what it gives.
    ///
    /// # Errors
    /// While tracing: what the step returns as an error, unchanged; [`Error::Argument`] where it adds arrays to the state or takes some
    /// away. The state then is as before.
    #[track_caller]
    pub fn call<A: AsRef<Array>>(
        &self,
        state: &mut S,
        inputs: impl AsRef<[A]>,
    ) -> Result<Vec<Array>> {
        let (names, mut all) = arrays_of(state);
        let counters = counters_of(state);
        for count in &counters {
            all.push(Array::scalar(*count as f32)?);
        }
        all.extend(inputs.as_ref().iter().map(|a| a.as_ref().clone()));
        *self.shared.state.borrow_mut() = Some(state.clone());
        let outputs = self.compiled.call(all);
        *self.shared.state.borrow_mut() = None;
        let mut outputs = outputs?;
        let traced = self.shared.traced.borrow();
        let Some((_, went)) = traced.iter().find(|(n, _)| *n == names) else {
            return Err(Error::argument(
                "state",
                "the arrays that were traced",
                "others",
            ));
        };
        let results = outputs.split_off(names.len());
        let mut new = outputs.into_iter();
        let mut went = went.iter();
        state.each_mut(|_, node| match node {
            Node::Leaf { value, .. } => {
                if let Some(array) = new.next() {
                    *value = array;
                }
            }
            Node::Counter(counter) => counter.count += went.next().copied().unwrap_or(0),
            _ => {}
        });
        Ok(results)
    }
}

/// The step on stand-ins.
fn trace<S: Module + Clone>(
    shared: &Shared<S>,
    step: &impl Fn(&mut S, &[Array]) -> Result<Vec<Array>>,
    all: &[Array],
) -> Result<Vec<Array>> {
    struct Leave(bool);
    impl Drop for Leave {
        fn drop(&mut self) {
            TRACING.set(self.0);
        }
    }
    let _leave = Leave(TRACING.replace(true));
    let Some(mut state) = shared.state.borrow().clone() else {
        return Err(Error::not_ready(
            "a compiled step was traced outside of its call",
        ));
    };
    let (names, _) = arrays_of(&state);
    let mut given = all.iter().cloned();
    state.each_mut(|_, node| {
        if let Node::Leaf { value, .. } = node
            && let Some(array) = given.next()
        {
            *value = array;
        }
    });
    state.each_mut(|_, node| {
        if let Node::Counter(counter) = node {
            counter.traced = given.next();
            counter.in_trace = 0;
        }
    });
    let inputs: Vec<Array> = given.collect();
    let results = step(&mut state, &inputs)?;
    let (after, mut outputs) = arrays_of(&state);
    if names != after {
        let new = after.iter().filter(|n| !names.contains(n));
        let gone = names.iter().filter(|n| !after.contains(n));
        let listed: Vec<String> = new.chain(gone).map(|n| format!("`{n}`")).collect();
        return Err(Error::argument(
            "step",
            "one that leaves the state the arrays that it has (an optimizer gets them by `prepare`)",
            format_args!("others: {}", listed.join(", ")),
        ));
    }
    let mut went = Vec::new();
    state.each_mut(|_, node| {
        if let Node::Counter(counter) = node {
            went.push(counter.in_trace);
        }
    });
    let mut traced = shared.traced.borrow_mut();
    traced.retain(|(n, _)| *n != names);
    traced.push((names, went));
    outputs.extend(results);
    Ok(outputs)
}

/// Names and arrays in the order of fields.
fn arrays_of(state: &impl Module) -> (Vec<String>, Vec<Array>) {
    let (mut names, mut arrays) = (Vec::new(), Vec::new());
    state.each(|name, leaf| {
        names.push(name.to_owned());
        arrays.push(leaf.value.clone());
    });
    (names, arrays)
}

fn counters_of(state: &mut impl Module) -> Vec<u64> {
    let mut counts = Vec::new();
    state.each_mut(|_, node| {
        if let Node::Counter(Counter { count, .. }) = node {
            counts.push(*count);
        }
    });
    counts
}
