//! Arithmetic, comparison, logic and bit operations on two arrays, and choices between them.

use std::ops::{RangeFrom, RangeInclusive, RangeToInclusive};

use super::macros::{binary, comparison};
use super::{done, done_list};
use crate::array::fit::{Number, reach};
use crate::array::maybe;
use crate::bridge::ops::elementwise::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Operand, Result};

binary! {
    /// Sum, `self + other`.
    add: [1.0f32, 2.0], 0.5 => f32 [1.5, 2.5];
    /// Difference, `self - other`.
    subtract: [1.0f32, 2.0], 0.5 => f32 [0.5, 1.5];
    /// Product, `self * other`.
    multiply: [1.0f32, 2.0], 0.5 => f32 [0.5, 1.0];
    /// Quotient, `self / other`; integers give float32.
    divide: [1, 3], 2 => f32 [0.5, 1.5];
    /// Power, `self ^ other`. Integers to a negative power give 0, but for 1 and -1.
    power: [2, 3], 3 => i32 [8, 27];
    /// The larger of the two; NaN if one is.
    maximum: [-1.0f32, 2.0], 0.0 => f32 [0.0, 2.0];
    /// The smaller of the two; NaN if one is.
    minimum: [-1.0f32, 2.0], 0.0 => f32 [-1.0, 0.0];
    /// `log(e^self + e^other)` without overflow.
    logaddexp: [0.0f32, 100.0], 0.0 => near [0.693147f32, 100.0];
    /// Angle of the point (`other`, `self`), in radians between -pi and pi.
    arctan2: [1.0f32, -1.0], -1.0 => near [2.356194f32, -2.356194];
    /// Remainder of division with the sign of the divisor, as Python's `%`. Integers modulo
    /// 0 give 0.
    remainder: [7, -7], 3 => i32 [1, 2];
}

comparison! {
    /// True where the values are equal (bool).
    equal: [1, 2, 3], 2 => bool [false, true, false];
    /// True where the values differ (bool).
    not_equal: [1, 2, 3], 2 => bool [true, false, true];
    /// True where `self > other` (bool).
    greater: [1, 2, 3], 2 => bool [false, false, true];
    /// True where `self >= other` (bool).
    greater_equal: [1, 2, 3], 2 => bool [false, true, true];
    /// True where `self < other` (bool).
    less: [1, 2, 3], 2 => bool [true, false, false];
    /// True where `self <= other` (bool).
    less_equal: [1, 2, 3], 2 => bool [true, true, false];
    /// True where both are true or non-zero (bool).
    logical_and: [true, false], true => bool [true, false];
    /// True where one at least is true or non-zero (bool).
    logical_or: [true, false], false => bool [true, false];
    /// True where exactly one is true or non-zero (bool).
    logical_xor: [true, false], true => bool [false, true];
}

/// Operations on bits: MLX reports a wrong dtype as an unspecific error, so check first.
macro_rules! bits {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl Array {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`Error::Dtype`] unless both are integers or bool and have a common type, which uint64
            /// and signed integers have not.
            #[track_caller]
            pub fn $name(&self, other: impl Operand) -> Result<Array> {
                let other = other.operand(self.dtype())?;
                for a in [self, &*other] {
                    if !a.dtype().is_integral() {
                        return Err(Error::dtype(format!(
                            concat!("[", stringify!($name), "] expected integers or bool, got {}"),
                            a.dtype()
                        )));
                    }
                }
                if no_common_integer(self.dtype(), other.dtype()) {
                    return Err(Error::dtype(format!(
                        concat!("[", stringify!($name), "] expected integers with a common type, got {} and {}"),
                        self.dtype(),
                        other.dtype()
                    )));
                }
                done(ffi::$name(self.raw(), other.raw(), current()))
            }
        )*}
    };
}

/// Whether no integer type holds the values of both.
fn no_common_integer(a: Dtype, b: Dtype) -> bool {
    let signed = |d| matches!(d, Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64);
    (a == Dtype::Uint64 && signed(b)) || (b == Dtype::Uint64 && signed(a))
}

bits! {
    /// Bits set in both.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([0b1100, 0b1010])?;
    /// assert_eq!(x.bitwise_and(0b0110)?.to_vec::<i32>()?, [0b0100, 0b0010]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    bitwise_and;
    /// Bits set in one at least.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([0b1100, 0b1010])?;
    /// assert_eq!(x.bitwise_or(0b0110)?.to_vec::<i32>()?, [0b1110, 0b1110]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    bitwise_or;
    /// Bits set in exactly one.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([0b1100, 0b1010])?;
    /// assert_eq!(x.bitwise_xor(0b0110)?.to_vec::<i32>()?, [0b1010, 0b1100]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    bitwise_xor;
    /// Bits moved up by `other`. By a count that is negative or not below the number of bits all leave: 0.
    /// Bool becomes uint8.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 5])?;
    /// assert_eq!(x.left_shift(2)?.to_vec::<i32>()?, [4, 20]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    left_shift;
    /// Bits moved down by `other`, keeping the sign: by a count that is negative or not below the number of
    /// bits 0, or -1 for a negative number. Bool becomes uint8.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([20, -1])?;
    /// assert_eq!(x.right_shift(2)?.to_vec::<i32>()?, [5, -1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    right_shift;
}

impl Array {
    /// `floor(self / other)`; between integers in their own type. Integers divided by 0 give 0.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([7, -7])?;
    /// assert_eq!(x.floor_divide(2)?.to_vec::<i32>()?, [3, -4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] for complex arrays.
    #[track_caller]
    pub fn floor_divide(&self, other: impl Operand) -> Result<Array> {
        let other = other.operand(self.dtype())?;
        if [self.dtype(), other.dtype()].contains(&Dtype::Complex64) {
            return Err(Error::dtype(format!(
                "[floor_divide] expected real numbers, got {} and {}",
                self.dtype(),
                other.dtype()
            )));
        }
        done(ffi::floor_divide(self.raw(), other.raw(), current()))
    }

    /// Floored quotient and remainder. Integers divided by 0 give 0 and 0.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let (q, r) = Array::from_iter([7, -7])?.divmod(2)?;
    /// assert_eq!(q.to_vec::<i32>()?, [3, -4]);
    /// assert_eq!(r.to_vec::<i32>()?, [1, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] for complex arrays.
    #[track_caller]
    pub fn divmod(&self, other: impl Operand) -> Result<(Array, Array)> {
        let other = other.operand(self.dtype())?;
        let qr = done_list(ffi::divmod(self.raw(), other.raw(), current()))?;
        let [q, r] = super::join::exactly(qr)?;
        Ok((q, r))
    }

    /// Values limited to a range: `x.clip(0.0..=1.0)`, `x.clip(0.0..)`, `x.clip(&low..=&high)`.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::from_slice(&[-1.0f32, 0.5, 3.0], 3)?;
    /// assert_eq!(x.clip(0.0..=1.0)?.to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A bound beyond what the integers of the array reach limits nothing: uint8 clipped to
    /// `-1..=300` is as it was.
    ///
    /// # Errors
    /// [`Error::Argument`] for a bound that no number of the array's dtype meets, such as uint8
    /// from 300.
    #[track_caller]
    pub fn clip(&self, bounds: impl Bounds) -> Result<Array> {
        let (lo, hi) = bounds.bounds(self)?;
        if lo.is_none() && hi.is_none() {
            return Ok(self.clone()); // both limit nothing
        }
        done(ffi::clip(
            self.raw(),
            maybe(lo.as_ref()),
            maybe(hi.as_ref()),
            current(),
        ))
    }
}

/// `x` where `condition` is true (or non-zero), `y` elsewhere: MLX's `where`, which is a
/// keyword of Rust.
///
/// ```
/// use zmlx::{Array, ops};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[-1.0f32, 2.0], 2)?;
/// let relu = ops::where_(&x.greater(0.0)?, &x, 0.0)?;
/// assert_eq!(relu.to_vec::<f32>()?, [0.0, 2.0]);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn where_(condition: &Array, x: impl Operand, y: impl Operand) -> Result<Array> {
    let (x, y) = match (x.as_array(), y.as_array()) {
        (Some(a), _) => (a.clone(), y.operand(a.dtype())?.into_owned()),
        (None, Some(b)) => (x.operand(b.dtype())?.into_owned(), b.clone()),
        (None, None) => {
            let x = x.operand(condition.dtype())?.into_owned();
            let y = y.operand(x.dtype())?.into_owned();
            (x, y)
        }
    };
    done(ffi::where_(condition.raw(), x.raw(), y.raw(), current()))
}

/// A range of values for [`Array::clip`]: `lo..=hi`, `lo..` or `..=hi`, of numbers or arrays.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no range of values",
    note = "`low..=high`, `low..` or `..=high`, of numbers or arrays; `..high` without its end is none"
)]
pub trait Bounds {
    /// The lower and the upper bound as arrays that suit `like`.
    #[track_caller]
    fn bounds(&self, like: &Array) -> Result<(Option<Array>, Option<Array>)>;
}

/// One bound, or none where every number of the dtype meets it.
#[track_caller]
fn bound(value: &impl Operand, like: &Array, lower: bool) -> Result<Option<Array>> {
    if value.as_array().is_none()
        && like.dtype().is_integral()
        && let Ok(plain) = value.operand(like.dtype())
        && plain.dtype().is_floating()
    {
        return Ok(Some(plain.into_owned())); // the array becomes one of floats
    }
    let array = value.compared(like.dtype())?.into_owned();
    if value.as_array().is_some() || array.dtype() == like.dtype() {
        return Ok(Some(array));
    }
    let outside = match (Number::known(&array), reach(like.dtype())) {
        (Some(Number::Whole(n)), Some((low, high))) => match lower {
            true => n < low,
            false => n > high,
        },
        // A number beyond the largest of a type of floats.
        (Some(Number::Real(v)), None) if like.dtype() != Dtype::Complex64 => (v < 0.0) == lower,
        _ => return Ok(Some(array)),
    };
    match outside {
        true => Ok(None),
        // Beyond the other end, which `operand` refuses.
        false => value.operand(like.dtype()).map(|a| Some(a.into_owned())),
    }
}

impl<T: Operand> Bounds for RangeInclusive<T> {
    #[track_caller]
    fn bounds(&self, like: &Array) -> Result<(Option<Array>, Option<Array>)> {
        Ok((
            bound(self.start(), like, true)?,
            bound(self.end(), like, false)?,
        ))
    }
}

impl<T: Operand> Bounds for RangeFrom<T> {
    #[track_caller]
    fn bounds(&self, like: &Array) -> Result<(Option<Array>, Option<Array>)> {
        Ok((bound(&self.start, like, true)?, None))
    }
}

impl<T: Operand> Bounds for RangeToInclusive<T> {
    #[track_caller]
    fn bounds(&self, like: &Array) -> Result<(Option<Array>, Option<Array>)> {
        Ok((None, bound(&self.end, like, false)?))
    }
}
