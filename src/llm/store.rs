//! Keys and values of one layer in pages.

use super::options::PageKind;
use super::paged::SLOTS;
use crate::kernels::attention::{Cache, QuantizedCache, quantize_cache};
use crate::kernels::rope::Slots;
use crate::{Array, Dtype, Error, Result, ops};

/// Keys and values: (pages, slots, kv_heads, width of a head) each.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Floats([Array; 2]),
    Codes {
        bits: i32,
        both: [QuantizedCache; 2],
    },
}

/// Numbers with one scale.
const GROUP: i32 = 32;

impl Store {
    /// One without a page.
    #[track_caller]
    pub(super) fn empty(kind: PageKind, heads: i32, width: i32, dtype: Dtype) -> Result<Self> {
        let zeros = |width, dtype| Array::zeros((0, SLOTS as i32, heads, width), dtype);
        let dtype = kind.floats(dtype);
        let Some(bits) = kind.bits() else {
            let empty = zeros(width, dtype)?;
            return Ok(Store::Floats([empty.clone(), empty]));
        };
        if width % GROUP != 0 {
            let expected = format!("floats for heads of {width} numbers");
            return Err(Error::argument("pages", expected, kind));
        }
        let codes = match bits {
            8 => zeros(width, Dtype::Int8)?,
            _ => zeros(width / 2, Dtype::Uint8)?,
        };
        let scales = zeros(width / GROUP, dtype)?;
        let empty = QuantizedCache { codes, scales };
        Ok(Store::Codes {
            bits,
            both: [empty.clone(), empty],
        })
    }

    /// Bytes of the keys, or values, of a head of a token.
    pub(super) fn row_bytes(kind: PageKind, width: usize, dtype: Dtype) -> usize {
        let size = kind.floats(dtype).size();
        match kind.bits() {
            None => width * size,
            Some(bits) => width * bits as usize / 8 + width / GROUP as usize * size,
        }
    }

    /// More pages. **Evaluates** all of them.
    #[track_caller]
    pub(super) fn grow(&mut self, pages: i32) -> Result<()> {
        for array in self.arrays_mut() {
            let shape = [&[pages], &array.shape()[1..]].concat();
            let room = Array::zeros(shape, array.dtype())?;
            *array = ops::concatenate([&*array, &room], 0)?;
            array.eval()?;
        }
        Ok(())
    }

    /// Puts the keys and values of tokens, (T, kv_heads, width of a head), into their slots. Arrays that nobody else holds are changed
    /// in place.
    #[track_caller]
    pub(super) fn write(&mut self, slots: &Slots, keys: &Array, values: &Array) -> Result<()> {
        match self {
            Store::Floats([k, v]) => {
                let new = [slots.write(k, keys)?, slots.write(v, values)?];
                *self = Store::Floats(new);
            }
            Store::Codes { bits, both: [k, v] } => {
                let bits = *bits;
                let written = |cache: &QuantizedCache, new: &Array| {
                    let new = quantize_cache(new, bits, GROUP)?;
                    Ok::<_, Error>(QuantizedCache {
                        codes: slots.write(&cache.codes, &new.codes)?,
                        scales: slots.write(&cache.scales, &new.scales)?,
                    })
                };
                let both = [written(k, keys)?, written(v, values)?];
                *self = Store::Codes { bits, both };
            }
        }
        Ok(())
    }

    /// Keys and values, as attention takes them.
    pub(super) fn caches(&self) -> [Cache<'_>; 2] {
        match self {
            Store::Floats([k, v]) => [k.into(), v.into()],
            Store::Codes { both: [k, v], .. } => [k.into(), v.into()],
        }
    }

    pub(super) fn arrays(&self) -> Vec<&Array> {
        match self {
            Store::Floats([k, v]) => vec![k, v],
            Store::Codes { both: [k, v], .. } => {
                vec![&k.codes, &k.scales, &v.codes, &v.scales]
            }
        }
    }

    fn arrays_mut(&mut self) -> Vec<&mut Array> {
        match self {
            Store::Floats([k, v]) => vec![k, v],
            Store::Codes { both: [k, v], .. } => {
                vec![&mut k.codes, &mut k.scales, &mut v.codes, &mut v.scales]
            }
        }
    }
}
