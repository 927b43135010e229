//! Arguments of the catalog's functions: what they may be, and those that are no arrays.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::{Array, Dtype, Element, Error, Result};

/// An argument that is no array, as an array without axes. The latest few of a thread are kept.
///
/// A GPU reads what the host wrote over the bus. MLX's CUDA build keeps up to 8 bytes on the host for
/// good, and each threadgroup of each launch would wait for them, so a GPU gets a view of several
/// copies that it made itself.
pub(crate) fn number<T: Bits>(value: T) -> Result<Rc<Array>> {
    struct Kept {
        bits: u64,
        dtype: Dtype,
        gpu: bool,
        array: Rc<Array>,
    }
    thread_local! {
        static KEPT: RefCell<VecDeque<Kept>> = const { RefCell::new(VecDeque::new()) };
    }
    let gpu = crate::stream::current().gpu;
    let same = |k: &&Kept| (k.dtype, k.gpu, k.bits) == (T::DTYPE, gpu, value.bits());
    // At the end of a thread nothing is kept any more.
    let found = KEPT.try_with(|kept| Some(Rc::clone(&kept.borrow().iter().find(same)?.array)));
    if let Ok(Some(array)) = found {
        return Ok(array);
    }
    let mut array = Array::scalar(value)?;
    if gpu {
        array = crate::ops::concatenate([&array.reshape(1)?; 4], 0)?.index(0)?;
        crate::eval([&array])?;
    }
    let array = Rc::new(array);
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() == 32 {
            kept.pop_front();
        }
        kept.push_back(Kept {
            bits: value.bits(),
            dtype: T::DTYPE,
            gpu,
            array: Rc::clone(&array),
        });
    });
    Ok(array)
}

/// The number of elements, as the size of a single axis.
#[track_caller]
pub(super) fn count(name: &str, a: &Array) -> Result<i32> {
    match i32::try_from(a.size()) {
        Ok(count) => Ok(count),
        Err(_) => {
            let expected = "fewer than 2^31 elements";
            Err(Error::argument(name, expected, a.size()))
        }
    }
}

/// So many rows as leading axes have, as the size of a single axis.
#[track_caller]
pub(super) fn rows(name: &str, leading: &[i32]) -> Result<i32> {
    if leading.contains(&0) {
        return Ok(0);
    }
    match leading.iter().try_fold(1i32, |n, &d| n.checked_mul(d)) {
        Some(rows) => Ok(rows),
        None => Err(Error::shape(format!(
            "`{name}`: expected leading axes of fewer than 2^31 rows, got {leading:?}"
        ))),
    }
}

/// Integers as int64; what that does not hold becomes its largest number, in place of a negative one.
pub(super) fn signed(integers: &Array) -> Result<Array> {
    match integers.dtype() {
        Dtype::Uint64 => {
            let most = Array::scalar(i64::MAX as u64)?;
            integers.minimum(most)?.astype(Dtype::Int64)
        }
        _ => integers.astype(Dtype::Int64),
    }
}

/// So many parts of a size, as the size of a single axis that has room for one more.
#[track_caller]
pub(super) fn places(name: &str, parts: i32, size: i32) -> Result<i32> {
    match parts.checked_mul(size) {
        Some(all) if all < i32::MAX => Ok(all),
        _ => {
            let expected =
                "fewer than 2^31 - 1 places in all, for this derivative or this way to compute it";
            let found = format!("{parts} times {size}");
            Err(Error::argument(name, expected, found))
        }
    }
}

/// Numbers that can be told apart.
pub(crate) trait Bits: Element + Copy {
    fn bits(self) -> u64;
}
impl Bits for f32 {
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}
impl Bits for u32 {
    fn bits(self) -> u64 {
        self.into()
    }
}
impl Bits for i64 {
    fn bits(self) -> u64 {
        self as u64
    }
}

/// Metal passes arrays without axes as references; kernels over rows index all alike.
pub(super) fn with_axes<'a>(inputs: &[&'a Array]) -> Result<SmallVec<[Cow<'a, Array>; 4]>> {
    let mut all = SmallVec::new();
    for &a in inputs {
        all.push(match a.ndim() {
            0 => Cow::Owned(a.reshape(1)?),
            _ => Cow::Borrowed(a),
        });
    }
    Ok(all)
}

/// Number of rows and width of an array over whose last axis a function works.
///
/// # Errors
/// [`Error::Shape`] for an array without axes.
#[track_caller]
pub(crate) fn rows_of(name: &str, x: &Array) -> Result<(usize, usize)> {
    match x.shape().split_last() {
        // Without elements there may be more rows than a number holds.
        Some((&n, leading)) => {
            let rows = leading
                .iter()
                .fold(1usize, |all, &n| all.saturating_mul(n as usize));
            Ok((rows, n as usize))
        }
        None => Err(Error::shape(format!(
            "`{name}`: expected an array with at least one axis, got a scalar"
        ))),
    }
}

/// Refuses what is no floating type that Metal has.
#[track_caller]
pub(crate) fn check_float(name: &str, x: &Array) -> Result<()> {
    match x.dtype() {
        Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16 => Ok(()),
        other => Err(Error::dtype(format!(
            "`{name}`: expected float32, float16 or bfloat16, got {other}{}",
            crate::codegen::dtypes::remedy(other)
        ))),
    }
}

/// Refuses what are no integers.
#[track_caller]
pub(super) fn check_integers(name: &str, a: &Array) -> Result<()> {
    let dtype = a.dtype();
    if dtype.is_integral() && dtype != Dtype::Bool {
        return Ok(());
    }
    Err(Error::dtype(format!(
        "`{name}`: expected integers, got {dtype}"
    )))
}

/// Refuses another shape.
#[track_caller]
pub(crate) fn check_shape(name: &str, x: &Array, shape: &[i32]) -> Result<()> {
    if x.shape() == shape {
        return Ok(());
    }
    Err(Error::shape(format!(
        "`{name}`: expected shape {shape:?}, got {:?}",
        x.shape()
    )))
}

/// Refuses an array that does not broadcast to the shape.
#[track_caller]
pub(crate) fn check_broadcast(name: &str, x: &Array, shape: &[i32]) -> Result<()> {
    let mut pairs = x.shape().iter().rev().zip(shape.iter().rev());
    if x.ndim() <= shape.len() && pairs.all(|(own, to)| own == to || *own == 1) {
        return Ok(());
    }
    Err(Error::shape(format!(
        "`{name}`: expected what broadcasts to shape {shape:?}, got {:?}",
        x.shape()
    )))
}

/// As many elements in two axes, each of which may have fewer than 2^31.
pub(super) fn two_axes(shape: &[i32]) -> [i32; 2] {
    let mut sizes = [1i32; 2];
    for &n in shape.iter().rev() {
        match (sizes[0], sizes[1].checked_mul(n)) {
            (1, Some(inner)) => sizes[1] = inner,
            _ => sizes[0] = sizes[0].saturating_mul(n),
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::two_axes;

    #[test]
    fn two_axes_hold_what_one_does_not() {
        assert_eq!(two_axes(&[]), [1, 1]);
        assert_eq!(two_axes(&[2, 3, 4]), [1, 24]);
        assert_eq!(two_axes(&[65_536, 32_768]), [65_536, 32_768]);
        assert_eq!(two_axes(&[65_536, 32_768, 2]), [65_536, 65_536]);
        assert_eq!(two_axes(&[2, 5, 65_536, 32_768, 3]), [655_360, 98_304]);
    }
}
