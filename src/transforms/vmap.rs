//! Vectorization.

use crate::array::{refs, unpack};
use crate::bridge::deep::on_deep_stack;
use crate::bridge::transforms::ffi;
use crate::error::Lift;
use crate::{Array, Error, Result};

use super::transform;

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
    in_axes: Vec<Option<i32>>,
    out_axes: Vec<Option<i32>>,
}

impl<F> Vmap<F>
where
    F: Fn(&[Array]) -> Result<Vec<Array>>,
{
    /// The axis of each input that is mapped; `None` passes the input whole. Negative axes count from
    /// the last.
    ///
    /// ```
    /// use zmlx::{Array, vmap};
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// let scale = Array::from(10);
    /// // The columns of the first input, with the whole second.
    /// let f = vmap(|x| Ok(vec![x[0].sum(..)?.multiply(&x[1])?])).in_axes([Some(1), None]);
    /// assert_eq!(f.call([&x, &scale])?[0].to_vec::<i32>()?, [40, 60]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn in_axes(mut self, axes: impl IntoIterator<Item = Option<i32>>) -> Self {
        self.in_axes = axes.into_iter().collect();
        self
    }

    /// Where the mapped axis goes in each output; negative ones count from the last axis of the result.
    /// `None` for an output that depends on no mapped input: it is given once, without the axis. With an
    /// axis such an output is repeated.
    ///
    /// ```
    /// use zmlx::{Array, vmap};
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// let f = vmap(|x| Ok(vec![x[0].clone()])).out_axes([Some(1)]);
    /// assert_eq!(f.call([&x])?[0].to_vec::<i32>()?, [1, 3, 2, 4]); // rows became columns
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn out_axes(mut self, axes: impl IntoIterator<Item = Option<i32>>) -> Self {
        self.out_axes = axes.into_iter().collect();
        self
    }

    /// Calls the vectorized function.
    ///
    /// # Errors
    /// What `f` returns as an error, unchanged; [`Error::Argument`] when axes do not fit the arrays, or an
    /// output that depends on a mapped input is given `None`; [`Error::Shape`] when the mapped axes are not
    /// all of one length.
    #[track_caller]
    pub fn call<A: AsRef<Array>>(&self, inputs: impl AsRef<[A]>) -> Result<Vec<Array>> {
        let inputs = inputs.as_ref();
        if inputs.is_empty() {
            return Err(Error::argument("inputs", "at least one array", "none"));
        }
        let given = one_for_each("in_axes", &self.in_axes, inputs.len())?;
        let mut in_axes = Vec::with_capacity(inputs.len());
        let mut mapped: Option<i32> = None;
        for (i, (axis, a)) in given.iter().zip(inputs).enumerate() {
            let a = a.as_ref();
            let Some(axis) = axis else {
                in_axes.push(UNMAPPED);
                continue;
            };
            let axis = axis_of("in_axes", "input", i, *axis, a.ndim())?;
            let n = a.shape()[axis as usize];
            let first = *mapped.get_or_insert(n);
            if n != first {
                return Err(Error::shape(format!(
                    "`in_axes`: expected mapped axes of one length, got {first} and, for input {i}, {n}"
                )));
            }
            in_axes.push(axis);
        }
        if mapped.is_none() {
            return Err(Error::argument("in_axes", "a mapped axis", "none"));
        }
        let refs_in = refs(inputs);
        let lists = transform(&self.f, |f| ffi::vmap_trace(f, &in_axes, &refs_in).lift())?;
        let outputs = unpack(&lists.extra)?;
        let given = one_for_each("out_axes", &self.out_axes, outputs.len())?;
        let mut out_axes = Vec::new();
        let mut replaced = Vec::new();
        for (i, (axis, out)) in given.iter().zip(&outputs).enumerate() {
            match axis {
                Some(axis) => {
                    out_axes.push(axis_of("out_axes", "output", i, *axis, out.ndim() + 1)?);
                    replaced.push(out);
                }
                None if ffi::depends_on(out.raw(), &lists.values, &in_axes).lift()? => {
                    return Err(Error::argument(
                        "out_axes",
                        format_args!("an axis for output {i}, which depends on a mapped input"),
                        "None",
                    ));
                }
                None => {}
            }
        }
        let done = on_deep_stack(|| {
            ffi::vmap_replace(
                &refs_in,
                &lists.values,
                &refs(&replaced),
                &in_axes,
                &out_axes,
            )
        });
        let mut done = unpack(&*done.lift()?)?.into_iter();
        Ok(given
            .iter()
            .zip(&outputs)
            .filter_map(|(axis, out)| axis.map_or_else(|| Some(out.clone()), |_| done.next()))
            .collect())
    }
}

/// MLX's mark for "not mapped".
const UNMAPPED: i32 = -1;

/// The axes given, or the first one for each array.
#[track_caller]
fn one_for_each(name: &str, given: &[Option<i32>], count: usize) -> Result<Vec<Option<i32>>> {
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

/// An axis counted from the first of `ndim`.
#[track_caller]
fn axis_of(name: &str, what: &str, i: usize, axis: i32, ndim: usize) -> Result<i32> {
    let n = ndim as i64;
    let at = i64::from(axis) + if axis < 0 { n } else { 0 };
    if (0..n).contains(&at) {
        return Ok(at as i32);
    }
    let expected = match ndim {
        0 => format!("None for {what} {i}, which has no axes"),
        _ => format!("an axis between {} and {} for {what} {i}", -n, n - 1),
    };
    Err(Error::argument(name, expected, axis))
}
