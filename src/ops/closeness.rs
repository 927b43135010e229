//! Whether two arrays are the same, or nearly.

use std::borrow::Cow;

use super::done;
use crate::array::fit::Number;
use crate::bridge::ops::elementwise::ffi;
use crate::stream::current;
use crate::{Array, Operand, Result};

impl Array {
    /// One bool: whether both have the same shape and values; with `equal_nan` NaN equals NaN.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1.0, f32::NAN])?;
    /// assert!(!x.array_equal(&x, false)?.item::<bool>()?);
    /// assert!(x.array_equal(&x, true)?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn array_equal(&self, other: &Array, equal_nan: bool) -> Result<Array> {
        done(ffi::array_equal(
            self.raw(),
            other.raw(),
            equal_nan,
            current(),
        ))
    }
}

macro_rules! closeness {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl Array {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, other: impl Operand, within: impl Into<Tolerance>) -> Result<Array> {
                let other = near(&other, self)?;
                let Tolerance { rtol, atol, equal_nan } = within.into();
                done(ffi::$name(self.raw(), other.raw(), rtol, atol, equal_nan, current()))
            }
        )*}
    };
}

closeness! {
    /// True where the values are close, `|self - other| <= atol + rtol * |other|` (bool).
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1.0f32, 2.0])?;
    /// let y = Array::from_iter([1.001f32, 2.1])?;
    /// assert_eq!(x.isclose(&y, (0.01, 0.0))?.to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    isclose;
    /// One bool: whether all values are close, as in [`isclose`](Array::isclose).
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1.0f32, 2.0])?;
    /// assert!(x.allclose(&x.add(1e-7)?, (1e-5, 1e-8))?.item::<bool>()?);
    /// assert!(!x.allclose(&x.add(0.1)?, (1e-5, 1e-8))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    allclose;
}

/// The other side of a comparison within a tolerance, which may reach from the integers of `like` to a float
/// beyond them.
#[track_caller]
fn near<'a>(other: &'a impl Operand, like: &Array) -> Result<Cow<'a, Array>> {
    let exact = other.compared(like.dtype())?;
    let far = other.as_array().is_none()
        && like.dtype().is_integral()
        && matches!(Number::known(&exact), Some(Number::Real(v)) if v.is_infinite());
    match far {
        true => other.operand(like.dtype()),
        false => Ok(exact),
    }
}

/// How close is close: see [`Array::isclose`]. A pair is (`rtol`, `atol`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Allowed difference relative to the other value; 1e-5 by default.
    pub rtol: f64,
    /// Allowed absolute difference; 1e-8 by default.
    pub atol: f64,
    /// Whether NaN is close to NaN; false by default.
    pub equal_nan: bool,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance {
            rtol: 1e-5,
            atol: 1e-8,
            equal_nan: false,
        }
    }
}

impl From<(f64, f64)> for Tolerance {
    fn from((rtol, atol): (f64, f64)) -> Self {
        Tolerance {
            rtol,
            atol,
            ..Tolerance::default()
        }
    }
}
