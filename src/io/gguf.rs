//! The GGUF format: arrays, some of them quantized, and typed metadata.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::ArrayMap;
use super::atomic::replace;
use super::check::Source;
use super::gguf_check::check;
use super::safetensors::list;
use crate::array::pack;
use crate::bridge::io::ffi;
use crate::error::Lift;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

/// What a GGUF file holds.
#[derive(Clone, Debug, Default)]
pub struct Gguf {
    /// The arrays by name.
    pub arrays: BTreeMap<String, Array>,
    /// The values that describe the model.
    pub metadata: BTreeMap<String, GgufValue>,
}

impl Gguf {
    /// The arrays alone, as other formats give them.
    pub fn into_arrays(self) -> ArrayMap {
        self.arrays.into_iter().collect()
    }
}

/// One metadata value.
#[derive(Clone, Debug)]
pub enum GgufValue {
    /// A number or bool (no dimension), or several (one dimension).
    Array(Array),
    /// A text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
}

/// The content of a `.gguf` file.
///
/// Arrays of type Q4_0, Q4_1 and Q8_0 come as MLX's quantized triples `x.weight`, `x.scales`,
/// `x.biases` with groups of 32; Q2_K, Q4_K, Q6_K and BF16 come as float16. Values are read at once.
///
/// # Errors
/// [`Error::Io`] when there is no such file, it is damaged, or it holds types that MLX
/// does not read (other quantizations, float64 metadata, lists of lists).
#[track_caller]
pub fn load_gguf(path: impl AsRef<Path>) -> Result<Gguf> {
    let path = path.as_ref();
    check(&mut Source::open(path)?)?;
    let load = ffi::load_gguf(path.as_os_str().as_bytes(), current()).lift()?;
    let arrays = list(&load.arrays)?;
    let value = |e: ffi::GgufEntry| {
        let mut texts = e.texts;
        let value = match e.kind {
            1 => GgufValue::Array(Array::wrap(e.array)),
            2 => GgufValue::Text(texts.pop().unwrap_or_default()),
            _ => GgufValue::Texts(texts),
        };
        (e.key, value)
    };
    Ok(Gguf {
        arrays: load.names.into_iter().zip(arrays).collect(),
        metadata: load.metadata.into_iter().map(value).collect(),
    })
}

/// Saves a `.gguf` file of exactly this name. **Evaluates** the arrays.
///
/// # Errors
/// [`Error::Dtype`] for arrays other than float32, float16, int8, int16, int32; [`Error::Shape`] for
/// more than 8 dimensions, or more than one in metadata; [`Error::Io`] when the file cannot be
/// written. What was there before stays.
#[track_caller]
pub fn save_gguf(path: impl AsRef<Path>, content: &Gguf) -> Result<()> {
    let mut arrays = Vec::new();
    for (name, array) in &content.arrays {
        arrays.push(tensor(name, array)?);
    }
    let mut metadata = Vec::new();
    for (key, value) in &content.metadata {
        metadata.push(entry(key, value)?);
    }
    crate::eval(&arrays)?;
    let file = ffi::GgufFile {
        names: content.arrays.keys().cloned().collect(),
        arrays: pack(&arrays)?,
        metadata,
    };
    replace(path.as_ref(), ".gguf", |path| {
        ffi::save_gguf(path, &file).lift()
    })
}

#[track_caller]
fn tensor(name: &str, array: &Array) -> Result<Array> {
    use Dtype::{Float16, Float32, Int8, Int16, Int32};
    if !matches!(array.dtype(), Float32 | Float16 | Int8 | Int16 | Int32) {
        return Err(Error::dtype(format!(
            "`{name}`: GGUF holds float32, float16, int8, int16 and int32, not {}",
            array.dtype()
        )));
    }
    if array.ndim() > 8 {
        return Err(Error::shape(format!(
            "`{name}`: GGUF holds 8 dimensions at most, got shape {:?}",
            array.shape()
        )));
    }
    array.contiguous()
}

#[track_caller]
fn entry(key: &str, value: &GgufValue) -> Result<ffi::GgufEntry> {
    let mut entry = ffi::GgufEntry {
        key: key.into(),
        kind: 0,
        array: cxx::UniquePtr::null(),
        texts: Vec::new(),
    };
    match value {
        GgufValue::Array(array) => {
            if array.ndim() > 1 || array.size() == 0 {
                return Err(Error::shape(format!(
                    "`{key}`: expected a number or a list that is not empty, got shape {:?}",
                    array.shape()
                )));
            }
            // MLX reads the storage of what it is given as it is.
            let dense = array.contiguous()?;
            dense.eval()?;
            entry.kind = 1;
            entry.array = dense.into_raw();
        }
        GgufValue::Text(text) => {
            entry.kind = 2;
            entry.texts = vec![text.clone()];
        }
        GgufValue::Texts(texts) => {
            entry.kind = 3;
            entry.texts.clone_from(texts);
        }
    }
    Ok(entry)
}
