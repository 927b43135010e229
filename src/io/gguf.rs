//! The GGUF format: arrays, some of them quantized, and typed metadata.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use super::check::Source;
use super::gguf_blocks::Packing;
use super::lazy::Values;
use super::{ArrayMap, gguf_blocks, gguf_header, gguf_write};
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
    ///
    /// ```
    /// use zmlx::{Array, io};
    /// let mut model = io::Gguf::default();
    /// model.arrays.insert("w".into(), Array::from(1.0f32));
    /// assert_eq!(model.into_arrays().get("w")?.item::<f32>()?, 1.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
/// `x.biases` with groups of 32, scales and biases in float16; Q5_0, Q5_1 and Q2_K to Q6_K come as float16;
/// F16, BF16, F32, F64, I8, I16, I32 and I64 as they are. Metadata has the dtype that it has in
/// the file. Values are read at once.
/// [`load_gguf_raw`](super::load_gguf_raw) leaves packed arrays as they lie in the file.
///
/// ```
/// use zmlx::{Array, io};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("model.gguf");
/// let mut model = io::Gguf::default();
/// model.arrays.insert("w".into(), Array::from_iter([1.0f32, 2.0])?);
/// model.metadata.insert("name".into(), io::GgufValue::Text("small".into()));
/// io::save_gguf(&path, &model)?;
/// let again = io::load_gguf(&path)?;
/// assert_eq!(again.arrays["w"].to_vec::<f32>()?, [1.0, 2.0]);
/// assert!(matches!(&again.metadata["name"], io::GgufValue::Text(t) if t == "small"));
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] when there is no such file, it is damaged or big-endian, or it holds what is not read:
/// other types of arrays, lists of lists, an alignment that is no uint32, blocks with values beyond float16.
#[track_caller]
pub fn load_gguf(path: impl AsRef<Path>) -> Result<Gguf> {
    let mut source = Source::open(path.as_ref())?;
    let header = gguf_header::read(&mut source)?;
    let values = source.values()?;
    let mut gguf = Gguf {
        arrays: BTreeMap::new(),
        metadata: header.metadata,
    };
    for tensor in header.tensors {
        match tensor.kind.packing {
            Packing::Plain(dtype) => {
                let array = values.now(tensor.at, dtype, &tensor.dims)?;
                put(&mut gguf, path.as_ref(), tensor.name, array)?;
            }
            Packing::Values(decode) => {
                let data = values.bytes(tensor.at, tensor.bytes)?;
                let Some(all) = gguf_blocks::values(tensor.kind, decode, &data) else {
                    return Err(beyond(path.as_ref(), &tensor.name));
                };
                let array = Array::from_slice(&all, &tensor.dims)?;
                put(&mut gguf, path.as_ref(), tensor.name, array)?;
            }
            Packing::Triple(bits) => {
                let data = values.bytes(tensor.at, tensor.bytes)?;
                let Some(all) = gguf_blocks::triple(tensor.kind, &data) else {
                    return Err(beyond(path.as_ref(), &tensor.name));
                };
                let dims = |per: u32| {
                    let (last, before) = tensor.dims.split_last().unwrap_or((&0, &[]));
                    [before, &[last / per as i32]].concat()
                };
                let weights = Array::from_bytes(&all.weights, dims(32 / bits), Dtype::Uint32)?;
                let scales = Array::from_slice(&all.scales, dims(32))?;
                let biases = Array::from_slice(&all.biases, dims(32))?;
                let stem = tensor.name.strip_suffix(".weight");
                let stem = stem.unwrap_or(&tensor.name).to_owned();
                put(&mut gguf, path.as_ref(), tensor.name, weights)?;
                put(&mut gguf, path.as_ref(), format!("{stem}.scales"), scales)?;
                put(&mut gguf, path.as_ref(), format!("{stem}.biases"), biases)?;
            }
        }
    }
    Ok(gguf)
}

#[track_caller]
fn put(gguf: &mut Gguf, path: &Path, name: String, array: Array) -> Result<()> {
    match gguf.arrays.entry(name) {
        Entry::Vacant(place) => {
            place.insert(array);
            Ok(())
        }
        // The scales of a packed array may have the name of another one.
        Entry::Occupied(there) => Err(Error::io(format!(
            "{}: two arrays would be called `{}`",
            path.display(),
            there.key()
        ))),
    }
}

#[track_caller]
fn beyond(path: &Path, name: &str) -> Error {
    Error::io(format!(
        "{}: `{name}` has values that float16 does not hold",
        path.display()
    ))
}

/// Saves a `.gguf` file of exactly this name. **Evaluates** the arrays.
///
/// ```
/// use zmlx::{Array, io};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("model.gguf");
/// let mut model = io::Gguf::default();
/// model.arrays.insert("w".into(), Array::from_iter([1.0f32, 2.0])?);
/// io::save_gguf(&path, &model)?;
/// assert!(path.is_file());
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Dtype`] for arrays of unsigned integers, bools and complex numbers, and for metadata in float16,
/// bfloat16 and complex64; [`Error::Shape`] for more than 8 dimensions, or more than one in metadata;
/// [`Error::Argument`] for `general.alignment` in the metadata that is no uint32 power of two; [`Error::Io`] when the file cannot be
/// written. What was there before stays.
#[track_caller]
pub fn save_gguf(path: impl AsRef<Path>, content: &Gguf) -> Result<()> {
    gguf_write::write(path.as_ref(), content)
}
