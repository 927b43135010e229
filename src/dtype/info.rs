//! What the types can hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Dtype;

/// What a floating-point type can hold, see [`Dtype::float_info`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatInfo {
    /// Bits of one number; of one part, for complex64.
    pub bits: u32,
    /// The lowest finite number.
    pub min: f64,
    /// The largest finite number.
    pub max: f64,
    /// From 1 to the next number.
    pub eps: f64,
    /// The smallest number with all its digits.
    pub smallest_normal: f64,
}

/// What an integer type can hold, see [`Dtype::int_info`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntInfo {
    /// Bits of one number.
    pub bits: u32,
    /// The lowest number.
    pub min: i64,
    /// The largest number.
    pub max: u64,
}

impl Dtype {
    /// The limits of a type of floats, or of the parts of complex64: MLX's `finfo`.
    ///
    /// ```
    /// use zmlx::Dtype;
    /// assert_eq!(Dtype::Float16.float_info().unwrap().max, 65504.0);
    /// assert_eq!(Dtype::Int8.float_info(), None);
    /// ```
    pub fn float_info(self) -> Option<FloatInfo> {
        // Significant bits, and the power of two of the largest binade.
        let (bits, digits, top) = match self {
            Dtype::Float16 => (16, 11, 15),
            Dtype::Bfloat16 => (16, 8, 127),
            Dtype::Float32 | Dtype::Complex64 => (32, 24, 127),
            Dtype::Float64 => (64, 53, 1023),
            _ => return None,
        };
        let two = |power: i32| 2.0f64.powi(power);
        let max = two(top) * (2.0 - two(1 - digits));
        Some(FloatInfo {
            bits,
            min: -max,
            max,
            eps: two(1 - digits),
            smallest_normal: two(1 - top),
        })
    }

    /// The limits of a type of integers: MLX's `iinfo`.
    ///
    /// ```
    /// use zmlx::Dtype;
    /// let info = Dtype::Int8.int_info().unwrap();
    /// assert_eq!((info.min, info.max), (-128, 127));
    /// assert_eq!(Dtype::Bool.int_info(), None);
    /// ```
    pub const fn int_info(self) -> Option<IntInfo> {
        let signed = match self {
            Dtype::Uint8 | Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64 => false,
            Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64 => true,
            _ => return None,
        };
        let bits = self.size() as u32 * 8;
        Some(IntInfo {
            bits,
            min: if signed { i64::MIN >> (64 - bits) } else { 0 },
            max: u64::MAX >> (64 - bits + signed as u32),
        })
    }
}

/// A text that is no dtype's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDtype(String);

impl fmt::Display for UnknownDtype {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names = Dtype::ALL.map(Dtype::name).join(", ");
        write!(f, "expected a dtype, one of {names}, got `{}`", self.0)
    }
}

impl std::error::Error for UnknownDtype {}

/// By MLX's name.
///
/// ```
/// use zmlx::Dtype;
/// assert_eq!("bfloat16".parse(), Ok(Dtype::Bfloat16));
/// assert!("bf16".parse::<Dtype>().unwrap_err().to_string().contains("got `bf16`"));
/// ```
impl FromStr for Dtype {
    type Err = UnknownDtype;

    fn from_str(name: &str) -> Result<Dtype, UnknownDtype> {
        Dtype::from_name(name).ok_or_else(|| UnknownDtype(name.to_owned()))
    }
}

/// As MLX's name.
impl Serialize for Dtype {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Dtype {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Dtype, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        name.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_types() {
        let float = |dtype: Dtype| dtype.float_info().unwrap();
        let f = float(Dtype::Float32);
        assert_eq!((f.max, f.min), (f32::MAX.into(), f32::MIN.into()));
        assert_eq!(
            (f.eps, f.smallest_normal),
            (f32::EPSILON.into(), f32::MIN_POSITIVE.into())
        );
        let f = float(Dtype::Float64);
        assert_eq!(
            (f.max, f.eps, f.smallest_normal),
            (f64::MAX, f64::EPSILON, f64::MIN_POSITIVE)
        );
        let f = float(Dtype::Float16);
        assert_eq!(
            (f.max, f.eps),
            (half::f16::MAX.into(), half::f16::EPSILON.into())
        );
        assert_eq!(f.smallest_normal, half::f16::MIN_POSITIVE.to_f64());
        let f = float(Dtype::Bfloat16);
        assert_eq!(
            (f.max, f.eps),
            (half::bf16::MAX.into(), half::bf16::EPSILON.into())
        );
        let int = |dtype: Dtype| dtype.int_info().map(|i| (i.min, i.max));
        assert_eq!(int(Dtype::Int64), Some((i64::MIN, i64::MAX as u64)));
        assert_eq!(int(Dtype::Uint64), Some((0, u64::MAX)));
        assert_eq!(int(Dtype::Int16), Some((i16::MIN.into(), i16::MAX as u64)));
        assert_eq!(int(Dtype::Uint32), Some((0, u32::MAX.into())));
        for dtype in Dtype::ALL {
            let kinds = [dtype.float_info().is_some(), dtype.int_info().is_some()];
            assert_eq!(
                kinds.iter().filter(|&&k| k).count(),
                usize::from(dtype != Dtype::Bool)
            );
        }
    }

    #[test]
    fn names_go_round() {
        for dtype in Dtype::ALL {
            assert_eq!(dtype.name().parse(), Ok(dtype));
            let text = serde_json::to_string(&dtype).unwrap();
            assert_eq!(text, format!("\"{dtype}\""));
            assert_eq!(serde_json::from_str::<Dtype>(&text).unwrap(), dtype);
        }
        assert!(serde_json::from_str::<Dtype>("\"float8\"").is_err());
    }
}
