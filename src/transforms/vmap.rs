//! Vectorization.

use std::cell::RefCell;

use crate::array::refs;
use crate::bridge::transforms::ffi;
use crate::error::Lift;
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
    /// Empty: the first axis of each.
    in_axes: Vec<Option<i32>>,
    out_axes: Vec<Option<i32>>,
}

impl<F> Vmap<F>
where
    F: Fn(&[Array]) -> Result<Vec<Array>>,
{
    /// The axis of each input that is mapped, negative from the last; `None` passes the input whole.
    pub fn in_axes(mut self, axes: impl IntoIterator<Item = Option<i32>>) -> Self {
        self.in_axes = axes.into_iter().collect();
        self
    }

    /// Where the mapped axis goes in each output, negative from the last of the result; `None` for an output that
    /// has none, as it does not depend on a mapped input.
    pub fn out_axes(mut self, axes: impl IntoIterator<Item = Option<i32>>) -> Self {
        self.out_axes = axes.into_iter().collect();
        self
    }

    /// Calls the vectorized function.
    ///
    /// An output that does not depend on a mapped input is repeated along the mapped axis, unless its axis is `None`.
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
        let given = of_each("in_axes", &self.in_axes, inputs.len())?;
        let mut in_axes = Vec::with_capacity(inputs.len());
        let mut size = None;
        for (i, (axis, a)) in given.iter().zip(inputs).enumerate() {
            let a = a.as_ref();
            let Some(axis) = *axis else {
                in_axes.push(UNMAPPED);
                continue;
            };
            let at = resolve(axis, a.ndim(), format_args!("input {i}"), "in_axes")?;
            let length = a.shape()[at];
            if *size.get_or_insert(length) != length {
                return Err(Error::shape(format!(
                    "`inputs`: expected mapped axes of one length, got {} and, for input {i}, {length}",
                    size.unwrap_or_default()
                )));
            }
            in_axes.push(at as i32);
        }
        if size.is_none() {
            return Err(Error::argument("in_axes", "a mapped axis", "none"));
        }
        // Outputs as `f` gave them, where an output shall stay as it is.
        let whole = RefCell::new(Vec::new());
        let noted = |traced: &[Array]| {
            let outputs = (self.f)(traced)?;
            if self.out_axes.contains(&None) {
                *whole.borrow_mut() = independent(&outputs, traced, &in_axes)?;
            }
            Ok(outputs)
        };
        let outputs = transform(&noted, |f| {
            one_list(ffi::vmap(f, &in_axes, &[], &refs(inputs)))
        })?;
        let axes = of_each("out_axes", &self.out_axes, outputs.len())?;
        let mut whole = whole.into_inner();
        let mut placed = Vec::with_capacity(outputs.len());
        for (i, (y, axis)) in outputs.into_iter().zip(axes).enumerate() {
            placed.push(match (axis, whole.get_mut(i).and_then(Option::take)) {
                (Some(axis), _) => place(i, y, axis)?,
                (None, Some(whole)) => whole,
                (None, None) => {
                    let expected =
                        format_args!("an axis for output {i}, which depends on a mapped input");
                    return Err(Error::argument("out_axes", expected, "None"));
                }
            });
        }
        Ok(placed)
    }
}

/// The outputs that depend on no mapped input.
fn independent(outputs: &[Array], inputs: &[Array], in_axes: &[i32]) -> Result<Vec<Option<Array>>> {
    let mapped = inputs.iter().zip(in_axes);
    let mapped = mapped.filter(|(_, axis)| **axis != UNMAPPED);
    let mapped: Vec<&Array> = mapped.map(|(a, _)| a).collect();
    let depend = ffi::depend(&refs(outputs), &refs(&mapped)).lift()?;
    let whole = outputs.iter().zip(depend);
    Ok(whole
        .map(|(y, depends)| (!depends).then(|| y.clone()))
        .collect())
}

/// MLX's mark for "not mapped".
const UNMAPPED: i32 = -1;

/// Moves the mapped axis of output `i`, which MLX left in front, to where it is wanted.
#[track_caller]
fn place(i: usize, y: Array, axis: i32) -> Result<Array> {
    match resolve(axis, y.ndim(), format_args!("output {i}"), "out_axes")? {
        0 => Ok(y),
        at => y.moveaxis(0, at as i32),
    }
}

/// The axis counted from the first.
#[track_caller]
fn resolve(
    axis: i32,
    ndim: usize,
    whose: std::fmt::Arguments<'_>,
    argument: &str,
) -> Result<usize> {
    let ndim = i64::try_from(ndim).unwrap_or(i64::MAX);
    let at = i64::from(axis) + if axis < 0 { ndim } else { 0 };
    match usize::try_from(at) {
        Ok(at_usize) if at < ndim => Ok(at_usize),
        _ if ndim == 0 => Err(Error::argument(
            argument,
            format_args!("None for {whose}, which has no dimensions"),
            axis,
        )),
        _ => Err(Error::argument(
            argument,
            format_args!("an axis of {whose} from {} to {}", -ndim, ndim - 1),
            axis,
        )),
    }
}

#[track_caller]
fn of_each(name: &str, given: &[Option<i32>], count: usize) -> Result<Vec<Option<i32>>> {
    if given.is_empty() {
        return Ok(vec![Some(0); count]);
    }
    if given.len() != count {
        return Err(Error::argument(
            name,
            format_args!("{count} axes, one for each array"),
            given.len(),
        ));
    }
    Ok(given.to_vec())
}
