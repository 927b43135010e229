//! Compiled functions.

use std::marker::PhantomData;

use crate::array::refs;
use crate::bridge::callback::Callback;
use crate::bridge::transforms::ffi;
use crate::error::Lift;
use crate::{Array, Result};

use super::one_list;

/// Compiles a function: its graph is traced once for each set of input shapes and dtypes,
/// simplified, and element-wise operations are fused.
///
/// The function must be pure: it is called only to trace it. Custom kernels in it stay
/// nodes of the compiled graph.
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
    Compiled::new(f, false)
}

/// A compiled function; made by [`compile`]. Belongs to its thread.
pub struct Compiled {
    made: cxx::UniquePtr<ffi::Function>,
    here: PhantomData<*const ()>,
}

impl Compiled {
    /// Traces once for all shapes: works for functions that do not look at their shapes.
    #[track_caller]
    pub fn shapeless<F>(f: F) -> Result<Compiled>
    where
        F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
    {
        Compiled::new(f, true)
    }

    #[track_caller]
    fn new<F>(f: F, shapeless: bool) -> Result<Compiled>
    where
        F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
    {
        crate::stream::enter();
        Ok(Compiled {
            made: ffi::compile(Callback::new(Box::new(f)), shapeless).lift()?,
            here: PhantomData,
        })
    }

    /// Calls the compiled function.
    ///
    /// # Errors
    /// While tracing: what the function returns as an error, unchanged.
    #[track_caller]
    pub fn call<A: AsRef<Array>>(&self, inputs: impl AsRef<[A]>) -> Result<Vec<Array>> {
        one_list(self.made.call(&refs(inputs.as_ref())))
    }
}

/// Turns compilation off, or on again, for the process; off, compiled functions run as written.
#[track_caller]
pub fn set_compile_enabled(enabled: bool) -> Result<()> {
    ffi::set_compile_enabled(enabled).lift()
}

#[cfg(test)]
mod tests {
    static_assertions::assert_not_impl_any!(super::Compiled: Send, Sync);
}
