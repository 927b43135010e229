//! Keys and values as attention over a cache takes them: floats, or codes of 8 and of 4 bits with scales.

use super::encode;
use crate::kernels::arguments::check_float;
use crate::transforms::rules::traced;
use crate::{Array, Dtype, Error, Result, ops};

/// Keys or values as whole numbers, with a scale for each group of neighbours of the last axis: what [`quantize_cache`] makes.
///
/// An element is its code times the scale of its group. Both arrays may be slices of larger ones, and are updated as any
/// array is; all axes but the last are those of the floats.
#[derive(Clone, Debug)]
pub struct QuantizedCache {
    /// int8, (..., D); or uint8, (..., D / 2), with two codes of 4 bits a byte, from which 8 is subtracted: element 2 i in the lower
    /// half of byte i, element 2 i + 1 in the upper half.
    pub codes: Array,
    /// (..., D / group), float32, float16 or bfloat16, where a group has 32 elements or a multiple of that.
    pub scales: Array,
}

/// Codes and scales of `x` for a cache.
///
/// `x`: (..., D), float32, float16 or bfloat16; `bits`: 8 or 4; `group`: 32, 64 or 128, which divides D. The scales have the dtype of `x`.
/// With 8 bits the largest element of a group, sign aside, gets the code 127 or -127, with 4 bits the code -8, as in GGUF's Q8_0 and Q4_0;
/// the others are rounded, so that 8 bits are off by half a scale at most. A group of zeros has the scale 0.
///
/// ```
/// use zmlx::{Array, Dtype, kernels::attention::quantize_cache};
/// # fn main() -> zmlx::Result<()> {
/// let keys = zmlx::random::normal((1, 2, 100, 64))?;
/// let cache = quantize_cache(&keys, 8, 32)?;
/// assert_eq!((cache.codes.dtype(), cache.scales.shape()), (Dtype::Int8, &[1, 2, 100, 2][..]));
/// let off = cache.dequantize(Dtype::Float32)?.subtract(&keys)?.abs()?.max(..)?;
/// assert!(off.item::<f32>()? < 0.03);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] for other bits or groups, [`Error::Shape`] where the group does not divide D, [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn quantize_cache(x: &Array, bits: i32, group: i32) -> Result<QuantizedCache> {
    check_float("x", x)?;
    if !matches!(bits, 4 | 8) {
        return Err(Error::argument("bits", "8 or 4", bits));
    }
    if !matches!(group, 32 | 64 | 128) {
        return Err(Error::argument("group", "32, 64 or 128", group));
    }
    let shape = x.shape();
    let Some((&width, leading)) = shape.split_last().filter(|(d, _)| *d % group == 0) else {
        return Err(Error::shape(format!(
            "`x`: expected a last axis of a multiple of {group}, got shape {shape:?}"
        )));
    };
    if !crate::stream::current().gpu && !traced(&[x]) {
        return encode::encode(x, bits, group);
    }
    let with = |last: &[i32]| [leading, last].concat();
    let groups = x
        .astype(Dtype::Float32)?
        .reshape(with(&[width / group, group]))?;
    let most = groups.abs()?.max(crate::keepdims(-1))?;
    let scales = match bits {
        8 => most.divide(127.0)?,
        // The sign of the largest, so that it gets the code that has no counterpart.
        _ => {
            let low = groups.min(crate::keepdims(-1))?;
            let negative = low.negative()?.greater_equal(&most)?;
            ops::where_(&negative, &most, most.negative()?)?.divide(8.0)?
        }
    };
    // What is divided by is what will be multiplied with.
    let scales = scales.astype(x.dtype())?;
    let wide = scales.astype(Dtype::Float32)?;
    let zero = wide.equal(0.0)?;
    let codes = groups.divide(&ops::where_(&zero, 1.0, wide)?)?.round(0)?;
    let scales = scales.squeeze(-1)?;
    let codes = match bits {
        8 => codes
            .clip(-127.0..=127.0)?
            .astype(Dtype::Int8)?
            .reshape(shape)?,
        _ => {
            let codes = codes.add(8.0)?.clip(0.0..=15.0)?.astype(Dtype::Uint8)?;
            let pairs = codes.reshape(with(&[width / 2, 2]))?;
            let at = |i: i32| pairs.take(&Array::scalar(i)?, -1);
            at(0)?.bitwise_or(&at(1)?.left_shift(Array::scalar(4u8)?)?)?
        }
    };
    Ok(QuantizedCache { codes, scales })
}

impl QuantizedCache {
    /// The elements, in a floating dtype.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Dtype`] for arrays that do not fit.
    #[track_caller]
    pub fn dequantize(&self, dtype: Dtype) -> Result<Array> {
        self.check("codes", "scales")?;
        dequantized(&self.codes, &self.scales)?.astype(dtype)
    }

    /// The shape of the floats.
    #[track_caller]
    fn check(&self, codes: &str, scales: &str) -> Result<Vec<i32>> {
        check_float(scales, &self.scales)?;
        let each = match self.codes.dtype() {
            Dtype::Int8 => 1,
            Dtype::Uint8 => 2,
            other => {
                return Err(Error::dtype(format!(
                    "`{codes}`: expected int8, or uint8 of two codes each, got {other}"
                )));
            }
        };
        let (all, some) = (self.codes.shape(), self.scales.shape());
        if let (Some((&last, leading)), Some((&groups, rest))) =
            (all.split_last(), some.split_last())
        {
            let Some(width) = last.checked_mul(each) else {
                return Err(Error::shape(format!(
                    "`{codes}`: expected fewer than 2^31 codes in a row, got shape {all:?}"
                )));
            };
            // Rows of no codes have no scales.
            let groups = if width == 0 { groups.max(1) } else { groups };
            if leading == rest && groups > 0 && width % groups == 0 && width / groups % 32 == 0 {
                return Ok([leading, &[width]].concat());
            }
        }
        Err(Error::shape(format!(
            "`{scales}`: expected the axes of `{codes}` {all:?} but the last, which has a scale for each 32 elements or a \
             multiple of that, got {some:?}"
        )))
    }
}

/// Codes times scales, in the scales' dtype, but in float32 for scales of 16 bits: the product may be more than these hold.
pub(super) fn dequantized(codes: &Array, scales: &Array) -> Result<Array> {
    let dtype = match scales.dtype() {
        Dtype::Float16 | Dtype::Bfloat16 => Dtype::Float32,
        other => other,
    };
    let scales = scales.astype(dtype)?;
    let values = match codes.dtype() {
        Dtype::Uint8 => {
            let low = codes.bitwise_and(Array::scalar(15u8)?)?;
            let high = codes.right_shift(Array::scalar(4u8)?)?;
            let pairs = ops::stack([&low, &high], -1)?;
            let last = codes.shape().last().copied().unwrap_or(0);
            let shape = [&codes.shape()[..codes.ndim() - 1], &[2 * last]].concat();
            pairs.reshape(shape)?.astype(dtype)?.subtract(8.0)?
        }
        _ => codes.astype(dtype)?,
    };
    if codes.size() == 0 {
        return Ok(values);
    }
    let groups = scales.shape().last().copied().unwrap_or(1);
    let shape = values.shape().to_vec();
    let width = shape.last().copied().unwrap_or(0);
    let split = [&shape[..shape.len() - 1], &[groups, width / groups]].concat();
    let values = values.reshape(split)?.multiply(&scales.expand_dims(-1)?)?;
    values.reshape(shape)
}

/// Keys or values: an array of floats or a [`QuantizedCache`].
#[derive(Clone, Copy, Debug)]
pub struct Cache<'a> {
    /// Floats or codes.
    pub(super) codes: &'a Array,
    pub(super) scales: Option<&'a Array>,
}

impl<'a> From<&'a Array> for Cache<'a> {
    fn from(floats: &'a Array) -> Self {
        Cache {
            codes: floats,
            scales: None,
        }
    }
}

impl<'a> From<&'a QuantizedCache> for Cache<'a> {
    fn from(cache: &'a QuantizedCache) -> Self {
        Cache {
            codes: &cache.codes,
            scales: Some(&cache.scales),
        }
    }
}

impl Cache<'_> {
    /// Bits of a code, 0 for floats.
    pub(super) fn format(&self) -> i32 {
        match (self.scales, self.codes.dtype()) {
            (None, _) => 0,
            (_, Dtype::Uint8) => 4,
            _ => 8,
        }
    }

    /// The shape of the floats.
    #[track_caller]
    pub(super) fn shape(&self, name: &str) -> Result<Vec<i32>> {
        match self.scales {
            None => {
                check_float(name, self.codes)?;
                Ok(self.codes.shape().to_vec())
            }
            Some(scales) => QuantizedCache {
                codes: self.codes.clone(),
                scales: scales.clone(),
            }
            .check(name, &format!("scales of {name}")),
        }
    }
}
