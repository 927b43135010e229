//! The arrays of a GGUF file as they lie there: packed ones stay packed.

use std::collections::BTreeMap;
use std::path::Path;

use super::check::Source;
use super::gguf_blocks::{Packing, TYPES, Type};
use super::lazy::Values;
use super::{GgufValue, gguf_header};
use crate::{Array, Dtype, Error, Result};

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        /// What the elements of an array in a GGUF file are.
        ///
        /// Types with `Q` are packed: elements of a row lie in blocks, with scales of their own. The names are those of ggml.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types)]
        #[non_exhaustive]
        pub enum GgufType {
            $($(#[$doc])* $name = $number,)*
        }

        impl GgufType {
            /// All types that are read.
            pub const ALL: &'static [GgufType] = &[$(GgufType::$name),*];
        }
    };
}

types! {
    /// float32.
    F32 = 0;
    /// float16.
    F16 = 1;
    /// 32 elements of 4 bits and a scale: 18 bytes.
    Q4_0 = 2;
    /// 32 elements of 4 bits, a scale and a minimum: 20 bytes.
    Q4_1 = 3;
    /// 32 elements of 5 bits and a scale: 22 bytes.
    Q5_0 = 6;
    /// 32 elements of 5 bits, a scale and a minimum: 24 bytes.
    Q5_1 = 7;
    /// 32 elements of 8 bits and a scale: 34 bytes.
    Q8_0 = 8;
    /// 256 elements of 2 bits in groups of 16 with scales and minima of 4 bits: 84 bytes.
    Q2_K = 10;
    /// 256 elements of 3 bits in groups of 16 with scales of 6 bits: 110 bytes.
    Q3_K = 11;
    /// 256 elements of 4 bits in groups of 32 with scales and minima of 6 bits: 144 bytes.
    Q4_K = 12;
    /// 256 elements of 5 bits in groups of 32 with scales and minima of 6 bits: 176 bytes.
    Q5_K = 13;
    /// 256 elements of 6 bits in groups of 16 with scales of 8 bits: 210 bytes.
    Q6_K = 14;
    /// int8.
    I8 = 24;
    /// int16.
    I16 = 25;
    /// int32.
    I32 = 26;
    /// int64.
    I64 = 27;
    /// float64.
    F64 = 28;
    /// bfloat16.
    BF16 = 30;
}

impl GgufType {
    fn entry(self) -> &'static Type {
        // Each type stands in the table; a test goes over all.
        let entry = TYPES.iter().find(|t| t.number == self as u32);
        entry.unwrap_or(&TYPES[0])
    }

    /// The name in GGUF's documentation.
    ///
    /// ```
    /// use zmlx::{Dtype, io};
    /// let q = io::GgufType::Q4_0;
    /// assert_eq!((q.name(), q.block_elements(), q.block_bytes()), ("Q4_0", 32, 18));
    /// assert_eq!(io::GgufType::F32.dtype(), Some(Dtype::Float32));
    /// ```
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Elements of a block: 1 for types that are not packed.
    pub fn block_elements(self) -> usize {
        self.entry().elements as usize
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.entry().bytes as usize
    }

    /// The dtype of a type that is not packed.
    pub fn dtype(self) -> Option<Dtype> {
        match self.entry().packing {
            Packing::Plain(dtype) => Some(dtype),
            _ => None,
        }
    }

    fn of(kind: &Type) -> Option<GgufType> {
        let all = GgufType::ALL.iter();
        all.copied().find(|t| *t as u32 == kind.number)
    }
}

/// An array of a GGUF file as it lies there.
#[derive(Clone, Debug)]
pub struct GgufTensor {
    /// What its elements are.
    pub kind: GgufType,
    /// Its shape in elements, the innermost axis last.
    pub shape: Vec<i32>,
    /// The elements: of this shape for types that are not packed. Blocks of packed ones are uint8, and the last axis has the bytes
    /// of a row.
    pub data: Array,
}

/// What a GGUF file holds, packed arrays as they lie there.
#[derive(Clone, Debug, Default)]
pub struct GgufRaw {
    /// The arrays by name.
    pub tensors: BTreeMap<String, GgufTensor>,
    /// The values that describe the model.
    pub metadata: BTreeMap<String, GgufValue>,
}

impl GgufRaw {
    /// The array called `name`.
    ///
    /// ```
    /// use zmlx::io;
    /// let file = io::GgufRaw::default();
    /// let error = file.get("w").err().expect("there is no array");
    /// assert!(error.to_string().contains("w"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] when there is none.
    #[track_caller]
    pub fn get(&self, name: &str) -> Result<&GgufTensor> {
        match self.tensors.get(name) {
            Some(tensor) => Ok(tensor),
            None => Err(crate::error::no_array(name, self.tensors.keys())),
        }
    }
}

/// The content of a `.gguf` file with packed arrays as they lie there, as the catalog's quantized products take them.
///
/// Names, sizes and places are checked at once, against each other and the length of the file. Values are read when they are
/// wanted, those of float64 at once.
///
/// ```
/// use zmlx::{Array, io};
/// # fn main() -> zmlx::Result<()> {
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("model.gguf");
/// let mut model = io::Gguf::default();
/// model.arrays.insert("w".into(), Array::from_slice(&[1.0f32, 2.0], (1, 2))?);
/// io::save_gguf(&path, &model)?;
///
/// let model = io::load_gguf_raw(&path)?;
/// let w = model.get("w")?;
/// assert_eq!((w.kind, &w.shape[..]), (io::GgufType::F32, &[1, 2][..]));
/// assert_eq!(w.data.to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Io`] when there is no such file, it is damaged or big-endian, or it holds what is not read: types that are none of
/// [`GgufType`], lists of lists, an alignment that is no uint32.
#[track_caller]
pub fn load_gguf_raw(path: impl AsRef<Path>) -> Result<GgufRaw> {
    let mut source = Source::open(path.as_ref())?;
    let header = gguf_header::read(&mut source)?;
    let values = source.values()?;
    let mut raw = GgufRaw {
        tensors: BTreeMap::new(),
        metadata: header.metadata,
    };
    for tensor in header.tensors {
        let Some(kind) = GgufType::of(&tensor.kind) else {
            let name = tensor.kind.name;
            return Err(Error::io(format!("`{}` is of type {name}", tensor.name)));
        };
        let data = match tensor.kind.packing {
            // A GPU's stream cannot read these.
            Packing::Plain(Dtype::Float64) => {
                values.now(tensor.at, Dtype::Float64, &tensor.dims)?
            }
            Packing::Plain(dtype) => values.array(tensor.at, false, dtype, &tensor.dims)?,
            _ => {
                let mut dims = tensor.dims.clone();
                if let Some(last) = dims.last_mut() {
                    // Packed rows take fewer bytes than two an element, whose number was checked.
                    let bytes = i64::from(*last) / tensor.kind.elements as i64;
                    let bytes = bytes * tensor.kind.bytes as i64;
                    *last = i32::try_from(bytes).map_err(|_| {
                        Error::io(format!("`{}` has rows of {bytes} bytes", tensor.name))
                    })?;
                }
                values.array(tensor.at, false, Dtype::Uint8, &dims)?
            }
        };
        let shape = tensor.dims;
        let entry = GgufTensor { kind, shape, data };
        raw.tensors.insert(tensor.name, entry);
    }
    Ok(raw)
}
