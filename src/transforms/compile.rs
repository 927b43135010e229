//! Compiled functions.

use std::cell::RefCell;
use std::rc::Rc;

use crate::array::refs;
use crate::bridge::deep::on_deep_stack;
use crate::bridge::transforms::ffi;
use crate::bridge::{StreamRef, stream};
use crate::error::Lift;
use crate::stream::current;
use crate::{Array, Result};

use super::closures::{Function, kept};
use super::one_list;

/// Compiles a function: its graph is traced once for each set of input shapes and dtypes,
/// simplified, and element-wise operations are fused.
///
/// MLX can also trace once for all shapes ("shapeless"). It does not check shapes then: a matrix
/// product called with other inner dimensions than at the trace reads foreign memory (tried with
/// 0.32.4). So that is not offered here.
///
/// On the CPU the first call with new shapes takes seconds where operations fuse: MLX writes C++ for the fused part and
/// runs the system's compiler (`g++`). Later calls of the process, and later processes that find MLX's cache below the
/// temporary folder, skip that. A program that must answer at once calls the function once when it starts.
///
/// The function must be pure: it is called only to trace it. Custom kernels in it stay
/// nodes of the compiled graph.
///
/// On the CPU the first evaluation of a call takes seconds: MLX writes C++ for each group of fused
/// operations and runs `g++` on it, some two to six seconds each and longer on a busy machine. The libraries stay in the
/// system's temporary folder (`mlx/<version>/cpu`), where later processes find them; whoever else may write
/// there decides what is loaded.
/// A program that runs for less than a minute on a CPU is mostly better off without `compile`.
///
/// ```
/// use zmlx::{Array, compile};
/// # fn main() -> zmlx::Result<()> {
/// let silu = compile(|p: &[Array]| Ok(vec![(&p[0] * p[0].sigmoid())?]))?;
/// let y = silu.call([&Array::from(0.0f32)])?;
/// assert_eq!(y[0].item::<f32>()?, 0.0);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn compile<F>(f: F) -> Result<Compiled>
where
    F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
{
    let compiled = Compiled {
        f: Rc::new(f),
        made: RefCell::default(),
    };
    compiled.function()?;
    Ok(compiled)
}

/// A compiled function; made by [`compile`]. Belongs to its thread.
///
/// Its operations run on the stream that is current when it is called; each stream has a
/// graph of its own.
pub struct Compiled {
    f: Rc<Function>,
    made: RefCell<Vec<(StreamRef, Rc<cxx::UniquePtr<ffi::Function>>)>>,
}

impl Compiled {
    /// Calls the compiled function.
    ///
    /// # Errors
    /// While tracing: what the function returns as an error, unchanged.
    #[track_caller]
    pub fn call<A: AsRef<Array>>(&self, inputs: impl AsRef<[A]>) -> Result<Vec<Array>> {
        let f = self.function()?;
        let inputs = refs(inputs.as_ref());
        one_list(on_deep_stack(|| f.call(&inputs)))
    }

    /// The function for the current stream. MLX looks only at its own default stream when it
    /// decides whether a traced graph can be used again.
    #[track_caller]
    fn function(&self) -> Result<Rc<cxx::UniquePtr<ffi::Function>>> {
        // MLX must have made its default stream before it first notes it in its cache: it
        // would not recognize it later, and trace once more.
        crate::Stream::default_for(crate::Device::default_device()?)?;
        let stream = stream::ffi::resolve(current()).lift()?;
        let mut made = self.made.borrow_mut();
        if let Some((_, f)) = made.iter().find(|(s, _)| *s == stream) {
            return Ok(Rc::clone(f));
        }
        let f = Rc::clone(&self.f);
        let callback = kept(move |inputs| {
            let _trace = super::Trace::begin();
            f(inputs)
        });
        let f = Rc::new(ffi::compile(callback).lift()?);
        made.push((stream, Rc::clone(&f)));
        Ok(f)
    }
}

/// Turns compilation off, or on again, for the process; off, compiled functions run as written.
///
/// ```
/// use zmlx::{Array, compile, set_compile_enabled};
/// set_compile_enabled(false)?;
/// let double = compile(|x: &[Array]| Ok(vec![x[0].multiply(2)?]))?;
/// assert_eq!(double.call([&Array::from(3)])?[0].item::<i32>()?, 6); // as written
/// set_compile_enabled(true)?;
/// # Ok::<(), zmlx::Error>(())
/// ```
#[track_caller]
pub fn set_compile_enabled(enabled: bool) -> Result<()> {
    ffi::set_compile_enabled(enabled).lift()
}

/// What [`compile`] does to a graph, see [`set_compile_mode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompileMode {
    /// Nothing: compiled functions run as written.
    Disabled,
    /// It fuses operations, and leaves those that appear twice.
    NoSimplify,
    /// It computes what appears twice once, and fuses nothing.
    NoFuse,
    /// All of it.
    Enabled,
}

/// Chooses for the process what compilation does to functions that are traced from now on.
///
/// ```
/// use zmlx::{Array, CompileMode, compile, set_compile_mode};
/// set_compile_mode(CompileMode::NoFuse)?;
/// let double = compile(|x: &[Array]| Ok(vec![x[0].multiply(2)?]))?;
/// assert_eq!(double.call([&Array::from(3)])?[0].item::<i32>()?, 6);
/// set_compile_mode(CompileMode::Enabled)?;
/// # Ok::<(), zmlx::Error>(())
/// ```
#[track_caller]
pub fn set_compile_mode(mode: CompileMode) -> Result<()> {
    crate::bridge::graph::ffi::set_compile_mode(mode as u8).lift()
}

#[cfg(test)]
mod tests {
    static_assertions::assert_not_impl_any!(super::Compiled: Send, Sync);
}
