//! Vectorization.

use crate::array::refs;
use crate::bridge::transforms::ffi;
use crate::{Array, Error, Result};

use super::{one_list, transform};

/// Vectorizes `f` over the first axis of every input and output.
///
/// Change the axes with [`Vmap::in_axes`] and [`Vmap::out_axes`].
///
/// ```
/// use zmlx::{Array, vmap};
/// # fn main() -> zmlx::Result<()> {
/// let dot = |v: &[Array]| Ok(vec![v[0].multiply(&v[1])?.sum(..)?]);
/// let a = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let y = vmap(dot).call([&a, &a])?;
/// assert_eq!(y[0].to_vec::<f32>()?, [5.0, 25.0]);
/// # Ok(())
/// # }
/// ```
pub fn vmap<F>(f: F) -> Vmap<F>
where
    F: Fn(&[Array]) -> Result<Vec<Array>>,
{
    Vmap {
        f,
        in_axes: Vec::new(),
        out_axes: Vec::new(),
    }
}

/// A vectorized function; made by [`vmap`].
pub struct Vmap<F> {
    f: F,
    in_axes: Vec<i32>,
    out_axes: Vec<i32>,
}

impl<F> Vmap<F>
where
    F: Fn(&[Array]) -> Result<Vec<Array>>,
{
    /// The axis of each input that is mapped; `None` passes the input whole.
    pub fn in_axes(mut self, axes: impl IntoIterator<Item = Option<i32>>) -> Self {
        self.in_axes = axes.into_iter().map(|a| a.unwrap_or(UNMAPPED)).collect();
        self
    }

    /// Where the mapped axis goes in each output; `None` for an output that has none.
    pub fn out_axes(mut self, axes: impl IntoIterator<Item = Option<i32>>) -> Self {
        self.out_axes = axes.into_iter().map(|a| a.unwrap_or(UNMAPPED)).collect();
        self
    }

    /// Calls the vectorized function.
    ///
    /// # Errors
    /// What `f` returns as an error, unchanged; [`Error::Argument`] or [`Error::Shape`] when axes
    /// do not fit the arrays.
    #[track_caller]
    pub fn call<A: AsRef<Array>>(&self, inputs: impl AsRef<[A]>) -> Result<Vec<Array>> {
        let inputs = inputs.as_ref();
        if inputs.is_empty() {
            return Err(Error::argument("inputs", "at least one array", "none"));
        }
        let in_axes = axes("in_axes", &self.in_axes, inputs.len())?;
        for (i, (axis, a)) in in_axes.iter().zip(inputs).enumerate() {
            let ndim = a.as_ref().ndim() as i32;
            if *axis != UNMAPPED && *axis >= ndim {
                return Err(Error::argument(
                    "in_axes",
                    format_args!("an axis below {ndim} for input {i}"),
                    axis,
                ));
            }
        }
        if in_axes.iter().all(|&a| a == UNMAPPED) {
            return Err(Error::argument("in_axes", "a mapped axis", "none"));
        }
        let checked = |inputs: &[Array]| {
            let outputs = (self.f)(inputs)?;
            axes("out_axes", &self.out_axes, outputs.len())?;
            Ok(outputs)
        };
        transform(&checked, |f| {
            one_list(ffi::vmap(f, &in_axes, &self.out_axes, &refs(inputs)))
        })
    }
}

/// MLX's mark for "not mapped".
const UNMAPPED: i32 = -1;

#[track_caller]
fn axes(name: &str, given: &[i32], count: usize) -> Result<Vec<i32>> {
    if given.is_empty() {
        return Ok(vec![0; count]);
    }
    if given.len() != count {
        return Err(Error::argument(
            name,
            format_args!("{count} axes, one for each array"),
            given.len(),
        ));
    }
    if let Some(bad) = given.iter().find(|&&a| a < UNMAPPED) {
        return Err(Error::argument(name, "axes from 0 on", bad));
    }
    Ok(given.to_vec())
}
