//! Arrays with other values at some positions, by an index: `x.at((1, ..)).set(0.0)`.

use super::fit::check_update;
use super::plan::{Plan, new_axes, order};
use super::{Array, IndexItem, IntoIndex, Operand};
use crate::Result;

/// Positions of an array, to be given other values; made by [`Array::at`].
#[derive(Clone, Debug)]
#[must_use = "nothing is changed before `set` or another of its methods"]
pub struct At<'a> {
    array: &'a Array,
    items: Vec<IndexItem>,
}

impl Array {
    /// The positions that an index names, as in [`index`](Array::index), for new values.
    ///
    /// Arrays do not change: each method of [`At`] gives another array. `x[i] = v` of Python is
    /// `x = x.at(i).set(v)?` here.
    ///
    /// ```
    /// use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// let mut x = Array::zeros((2, 3), I32)?;
    /// x = x.at((0, 1..)).set(7)?;
    /// x = x.at((.., -1)).add(Array::from_slice(&[1, 2], 2)?)?;
    /// assert_eq!(x.to_vec::<i32>()?, [0, 7, 8, 0, 0, 2]);
    ///
    /// let columns = Array::from_slice(&[0, 0, 2], 3)?;
    /// x = x.at((1, &columns)).add(10)?; // the first column twice
    /// assert_eq!(x.to_vec::<i32>()?, [0, 7, 8, 20, 0, 12]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn at(&self, index: impl IntoIndex) -> At<'_> {
        At {
            array: self,
            items: index.into_index(),
        }
    }
}

macro_rules! updates {
    ($($(#[$doc:meta])* $name:ident $slice:ident $scatter:ident;)*) => {
        impl At<'_> {$(
            $(#[$doc])*
            /// The value is a number, or an array that broadcasts to what [`index`](Array::index) gives there.
            ///
            /// # Errors
            /// As [`index`](Array::index); [`Error::Shape`](crate::Error::Shape) when the value does not broadcast;
            /// [`Error::Argument`](crate::Error::Argument) or [`Error::Dtype`](crate::Error::Dtype) for one that the
            /// array's dtype does not hold.
            #[track_caller]
            pub fn $name(&self, value: impl Operand) -> Result<Array> {
                let Ready { array, plan, value, part } = self.ready(value)?;
                let Some(part) = part else {
                    return array.$slice(value, plan.start, plan.stop, plan.steps);
                };
                let (axes, indices): (Vec<i32>, Vec<&Array>) =
                    plan.taken.iter().map(|(axis, array)| (*axis, array)).unzip();
                let part = part.$scatter(indices, &value, axes)?;
                match part.shape() == array.shape() && plan.steps.iter().all(|&s| s == 1) {
                    true => Ok(part),
                    false => array.slice_update(part, plan.start, plan.stop, plan.steps),
                }
            }
        )*}
    };
}

updates! {
    /// This array with a value there. Which of several for one position stays is not defined.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2, 3])?;
    /// assert_eq!(x.at(1..).set(0)?.to_vec::<i32>()?, [1, 0, 0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    set slice_update scatter;
    /// This array with a value added there; several for one position are all added.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2, 3])?;
    /// assert_eq!(x.at(0).add(10)?.to_vec::<i32>()?, [11, 2, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    add slice_update_add scatter_add;
    /// This array multiplied by a value there.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2, 3])?;
    /// assert_eq!(x.at(-1).multiply(10)?.to_vec::<i32>()?, [1, 2, 30]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    multiply slice_update_prod scatter_prod;
    /// This array with the larger of its element and a value there.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2, 3])?;
    /// assert_eq!(x.at(..).maximum(2)?.to_vec::<i32>()?, [2, 2, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    maximum slice_update_max scatter_max;
    /// This array with the smaller of its element and a value there.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2, 3])?;
    /// assert_eq!(x.at(..).minimum(2)?.to_vec::<i32>()?, [1, 2, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    minimum slice_update_min scatter_min;
}

impl At<'_> {
    /// This array with a value subtracted there; several for one position are all subtracted.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2, 3])?;
    /// assert_eq!(x.at(0).subtract(10)?.to_vec::<i32>()?, [-9, 2, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`add`](At::add).
    #[track_caller]
    pub fn subtract(&self, value: impl Operand) -> Result<Array> {
        let dtype = self.array.dtype();
        let value = value.operand(dtype)?;
        check_update("value", &value, dtype)?;
        self.add(value.astype(dtype)?.negative()?)
    }
}

/// An update in the terms of slices and scatters.
struct Ready<'a> {
    array: &'a Array,
    plan: Plan,
    /// In the layout of the slice, or of the blocks of a scatter.
    value: Array,
    /// What arrays of positions refer to, where there are such.
    part: Option<Array>,
}

impl<'a> At<'a> {
    #[track_caller]
    fn ready(&self, value: impl Operand) -> Result<Ready<'a>> {
        let array = self.array;
        let value = value.operand(array.dtype())?;
        check_update("value", &value, array.dtype())?;
        let plan = array.plan(self.items.clone())?;
        let part = array.slice(&plan.start, &plan.stop, &plan.steps)?;
        if plan.taken.is_empty() {
            let new = new_axes(&plan.kept, 0, 0);
            let seen = part.squeeze(&plan.dropped)?.expand_dims(&new)?;
            let value = value.broadcast_to(seen.shape())?;
            let value = value.squeeze(new)?.expand_dims(&plan.dropped)?;
            return Ok(Ready {
                array,
                plan,
                value,
                part: None,
            });
        }
        // What reading gives has the shape that the value broadcasts to; the way back is the same in reverse.
        let seen = part.take_together(&plan.taken, &plan.kept, plan.place)?;
        let new = new_axes(&plan.kept, plan.place, 0).len();
        let rest = part.ndim() - plan.taken.len();
        let lead = (seen.ndim() - new - rest) as i32;
        let value = value.broadcast_to(seen.shape())?;
        let value = value.squeeze(new_axes(&plan.kept, plan.place, lead))?;
        let moved = order(&plan.kept, plan.place, lead, value.ndim() as i32);
        let mut back = vec![0; moved.len()];
        for (to, &from) in moved.iter().enumerate() {
            back[from as usize] = to as i32;
        }
        let ones: Vec<i32> = plan.taken.iter().map(|(axis, _)| axis + lead).collect();
        let value = value.transpose(back)?.expand_dims(ones)?;
        Ok(Ready {
            array,
            plan,
            value,
            part: Some(part),
        })
    }
}
