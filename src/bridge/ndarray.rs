//! Views of arrays for the crate `ndarray`.

use ndarray::{ArrayViewD, Axis, IxDyn, ShapeBuilder};

use super::array::ffi;
use super::element::{Element, matches, require_bools, require_ready};
use crate::error::Lift;
use crate::{Dtype, Error, Result};

/// The elements of an evaluated array, however they lie.
#[track_caller]
pub(crate) fn view<T: Element>(array: &ffi::Array) -> Result<ArrayViewD<'_, T>> {
    matches::<T>(ffi::dtype(array))?;
    require_ready(array)?;
    let dims = ffi::dims(array);
    let shape: Vec<usize> = dims.iter().map(|&d| d as usize).collect();
    if shape.contains(&0) {
        return ArrayViewD::from_shape(IxDyn(&shape), &[]).map_err(Error::other);
    }
    let mut low = ffi::address(array).lift()?;
    // `ndarray` wants the lowest element first, and turns axes around afterwards.
    let (mut steps, mut turned) = (Vec::new(), Vec::new());
    for (axis, (&d, &step)) in shape.iter().zip(ffi::steps(array)).enumerate() {
        // One element has no neighbour, whatever its distance.
        let step = if d == 1 { 0 } else { step };
        let length = step.unsigned_abs() as usize;
        if step < 0 {
            low -= (d - 1) * length * size_of::<T>();
            turned.push(axis);
        }
        steps.push(length);
    }
    if !low.is_multiple_of(align_of::<T>()) {
        return Err(Error::not_ready(
            "the array's storage is not aligned for its type: use `to_ndarray`",
        ));
    }
    if T::DTYPE == Dtype::Bool {
        // SAFETY: as below, for bytes.
        let bytes = unsafe {
            ArrayViewD::from_shape_ptr(IxDyn(&shape).strides(IxDyn(&steps)), low as *const u8)
        };
        require_bools(&bytes)?;
    }
    let shape = IxDyn(&shape).strides(IxDyn(&steps));
    // SAFETY: the array is evaluated, so an initialized element lies wherever its strides lead to from its first one, and `low` is the
    // lowest of them. The type matches and is aligned, bools were looked at, and the handle keeps the buffer alive and undonated
    // while it is borrowed.
    let mut view = unsafe { ArrayViewD::from_shape_ptr(shape, low as *const T) };
    for axis in turned {
        view.invert_axis(Axis(axis));
    }
    Ok(view)
}
