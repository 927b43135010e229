//! The safetensors format: named arrays and text metadata.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::ArrayMap;
use super::atomic::NewFile;
use super::check::{Source, byte_count, dims_of};
use super::lazy::Values;
use crate::array::pack;
use crate::bridge::io::{Sink, ffi};
use crate::bridge::owned::refused;
use crate::error::Lift;
use crate::{Array, Dtype, Error, Result};

/// The arrays and the metadata of a `.safetensors` file.
///
/// Float8 values come as uint8, as MLX has them. A byte of a bool other than 0 and 1 counts as true.
///
/// ```
/// use zmlx::{Array, io};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("model.safetensors");
/// let mut weights = zmlx::ArrayMap::default();
/// weights.arrays.insert("w".into(), Array::from_iter([1.0f32, 2.0])?);
/// io::save_safetensors(&path, &weights)?;
/// assert_eq!(io::load_safetensors(&path)?.get("w")?.to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] when there is no such file, it is damaged, or it holds a type
/// that MLX has not (float64 among them).
#[track_caller]
pub fn load_safetensors(path: impl AsRef<Path>) -> Result<ArrayMap> {
    load(Source::open(path.as_ref())?)
}

/// Saves arrays and metadata as a `.safetensors` file of exactly this name. **Evaluates** them.
///
/// ```
/// use zmlx::{Array, io};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("model.safetensors");
/// let mut weights = zmlx::ArrayMap::default();
/// weights.arrays.insert("w".into(), Array::from_iter([1.0f32, 2.0])?);
/// weights.metadata.insert("format".into(), "mlx".into());
/// io::save_safetensors(&path, &weights)?;
/// assert_eq!(io::load_safetensors(&path)?.metadata["format"], "mlx");
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Dtype`] for float64, which the format's readers in MLX do not take; [`Error::Io`] when
/// the file cannot be written. What was there before stays.
#[track_caller]
pub fn save_safetensors(path: impl AsRef<Path>, arrays: &ArrayMap) -> Result<()> {
    let content = content(arrays)?;
    let new = NewFile::beside(path.as_ref(), ".safetensors")?;
    ffi::save_safetensors(new.bytes(), &content).lift()?;
    new.publish()
}

/// The arrays and the metadata in the bytes of a `.safetensors` file. They are copied.
///
/// ```
/// use zmlx::{Array, io};
/// let mut weights = zmlx::ArrayMap::default();
/// weights.arrays.insert("w".into(), Array::from_iter([1.0f32, 2.0])?);
/// let bytes = io::safetensors_to_bytes(&weights)?;
/// let again = io::safetensors_from_bytes(&bytes)?;
/// assert_eq!(again.get("w")?.to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`load_safetensors`].
#[track_caller]
pub fn safetensors_from_bytes(bytes: &[u8]) -> Result<ArrayMap> {
    load(Source::memory(bytes))
}

/// The arrays and the metadata of a `.safetensors` file that somebody has in memory, such as one that is mapped there. The arrays lie
/// where the file has them, as [`Array::from_owned`] tells, and keep the owner alive.
///
/// Values are copied where they lie at an address that their type cannot have, and bools of other bytes than 0 and 1, which count as
/// true. A mapped file must not be written to while it is mapped: that is what makes mapping one `unsafe`.
///
/// ```
/// use zmlx::{Array, ArrayMap, io};
/// # fn main() -> zmlx::Result<()> {
/// let weights: ArrayMap = [("w".to_owned(), Array::ones(3, zmlx::Dtype::Float32)?)].into_iter().collect();
/// let file: Vec<u8> = io::safetensors_to_bytes(&weights)?;
/// let arrays = io::safetensors_from_owned(file)?;
/// assert_eq!(arrays.get("w")?.to_vec::<f32>()?, [1.0; 3]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`load_safetensors`].
#[track_caller]
pub fn safetensors_from_owned(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<ArrayMap> {
    let owner = Arc::new(owner);
    let file = (*owner).as_ref();
    let mut source = Source::memory(file);
    let header = header(&mut source)?;
    let start = source.position();
    let mut map = ArrayMap {
        metadata: header.metadata,
        ..ArrayMap::default()
    };
    for (name, entry) in header.entries {
        // The header was compared with the length of the file.
        let range = (start + entry.from) as usize..(start + entry.to) as usize;
        let bytes = file.get(range.clone()).unwrap_or_default();
        let owner = Part {
            owner: Arc::clone(&owner),
            range,
        };
        let array = match refused(bytes, entry.dtype) {
            None => Array::from_owned_bytes(owner, entry.dims, entry.dtype)?,
            Some(_) => Array::from_bytes(bytes, entry.dims, entry.dtype)?,
        };
        map.arrays.insert(name, array);
    }
    Ok(map)
}

/// Some of somebody's bytes.
pub(super) struct Part<O> {
    pub(super) owner: Arc<O>,
    pub(super) range: Range<usize>,
}

impl<O: AsRef<[u8]>> AsRef<[u8]> for Part<O> {
    fn as_ref(&self) -> &[u8] {
        let all = (*self.owner).as_ref();
        all.get(self.range.clone()).unwrap_or_default()
    }
}

/// The bytes of a `.safetensors` file with these arrays and metadata. **Evaluates** them.
///
/// ```
/// use zmlx::{Array, io};
/// let mut weights = zmlx::ArrayMap::default();
/// weights.arrays.insert("w".into(), Array::from_iter([1u8, 2])?);
/// assert!(io::safetensors_to_bytes(&weights)?.ends_with(&[1, 2]));
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`save_safetensors`].
#[track_caller]
pub fn safetensors_to_bytes(arrays: &ArrayMap) -> Result<Vec<u8>> {
    let content = content(arrays)?;
    let mut bytes = Sink::with_room(most_bytes(arrays));
    ffi::save_safetensors_bytes(&content, &mut bytes).lift()?;
    Ok(bytes.into_bytes())
}

/// No file of these is longer, so that it is written where it stays.
fn most_bytes(map: &ArrayMap) -> usize {
    // JSON may escape each byte of a text, and a shape has at most so many digits.
    let text = |t: &String| t.len().saturating_mul(6);
    let array = |(name, a): (&String, &Array)| text(name) + 160 + 12 * a.ndim() + a.nbytes();
    let pair = |(key, value): (&String, &String)| text(key) + text(value) + 8;
    let arrays = map.arrays.iter().map(array);
    64 + arrays.chain(map.metadata.iter().map(pair)).sum::<usize>()
}

#[track_caller]
fn load<R: Read>(mut source: Source<R>) -> Result<ArrayMap>
where
    Source<R>: Values,
{
    let header = header(&mut source)?;
    let start = source.position();
    let values = source.values()?;
    let mut map = ArrayMap {
        metadata: header.metadata,
        ..ArrayMap::default()
    };
    for (name, entry) in header.entries {
        let array = values.array(start + entry.from, false, entry.dtype, &entry.dims)?;
        map.arrays.insert(name, array);
    }
    Ok(map)
}

#[track_caller]
fn content(map: &ArrayMap) -> Result<ffi::Named> {
    if map.arrays.contains_key("__metadata__") {
        return Err(Error::argument(
            "arrays",
            "names",
            "`__metadata__`, which the format keeps for itself",
        ));
    }
    if let Some((name, _)) = map
        .arrays
        .iter()
        .find(|(_, a)| a.dtype() == crate::Dtype::Float64)
    {
        return Err(Error::dtype(format!(
            "`{name}`: float64 cannot be saved as safetensors"
        )));
    }
    let arrays: Vec<Array> = map.arrays.values().cloned().collect();
    crate::eval(&arrays)?;
    let entry = |(key, value): (&String, &String)| ffi::Entry {
        key: key.clone(),
        value: value.clone(),
    };
    Ok(ffi::Named {
        names: map.arrays.keys().cloned().collect(),
        arrays: pack(&arrays)?,
        metadata: map.metadata.iter().map(entry).collect(),
    })
}

/// The format's own limit.
const HEADER_LIMIT: u64 = 100_000_000;

/// What the file says of its arrays.
struct Header {
    entries: Vec<(String, Entry)>,
    metadata: BTreeMap<String, String>,
}

/// An array, and where its values lie.
struct Entry {
    dtype: Dtype,
    dims: Vec<i32>,
    from: u64,
    to: u64,
}

#[track_caller]
fn header<R: Read>(source: &mut Source<R>) -> Result<Header> {
    let len = source.u64()?;
    if !(2..HEADER_LIMIT).contains(&len) {
        return Err(source.bad(format_args!("its header would be {len} bytes long")));
    }
    let text = source.bytes(len)?;
    let members = match serde_json::from_slice(&text) {
        Ok(Members(members)) => members,
        Err(e) => return Err(source.bad(format_args!("its header: {e}"))),
    };
    let mut header = Header {
        entries: Vec::new(),
        metadata: BTreeMap::new(),
    };
    let mut names = HashSet::new();
    for (name, value) in members {
        if !names.insert(name.clone()) {
            return Err(source.bad(format_args!("`{name}` is there twice")));
        }
        if name == "__metadata__" {
            match metadata(&value) {
                Some(metadata) => header.metadata = metadata,
                None => return Err(source.bad("its metadata is not text")),
            }
            continue;
        }
        let Some(entry) = entry(&value) else {
            return Err(source.bad(format_args!(
                "`{name}` has no dtype, shape and place that fit each other and MLX"
            )));
        };
        header.entries.push((name, entry));
    }
    header.entries.sort_by_key(|(_, e)| (e.from, e.to));
    let mut end = 0;
    for (name, e) in &header.entries {
        if e.from < end && e.from < e.to {
            return Err(source.bad(format_args!("`{name}` overlaps another array")));
        }
        if e.to > source.left() {
            return Err(source.bad(format_args!("`{name}` is incomplete")));
        }
        end = end.max(e.to);
    }
    Ok(header)
}

/// The metadata, if all of it is text.
fn metadata(value: &RawValue) -> Option<BTreeMap<String, String>> {
    if value.get() == "null" {
        return Some(BTreeMap::new());
    }
    let Members(members) = serde_json::from_str(value.get()).ok()?;
    let mut all = BTreeMap::new();
    for (key, value) in members {
        let text = serde_json::from_str(value.get()).ok()?;
        // The same key twice: nobody knows which is meant.
        if all.insert(key, text).is_some() {
            return None;
        }
    }
    Some(all)
}

/// An array's entry, if it is sound.
fn entry(value: &RawValue) -> Option<Entry> {
    // Of two of the same name, readers take one or the other.
    let Members(fields) = serde_json::from_str(value.get()).ok()?;
    let field = |name: &str| {
        let mut found = fields.iter().filter(|(n, _)| n == name);
        let value = found.next()?;
        if found.next().is_some() {
            return None;
        }
        serde_json::from_str::<Value>(value.1.get()).ok()
    };
    let dtype = match field("dtype")?.as_str()? {
        "BOOL" => Dtype::Bool,
        "U8" | "F8_E4M3" | "F8_E8M0" => Dtype::Uint8,
        "U16" => Dtype::Uint16,
        "U32" => Dtype::Uint32,
        "U64" => Dtype::Uint64,
        "I8" => Dtype::Int8,
        "I16" => Dtype::Int16,
        "I32" => Dtype::Int32,
        "I64" => Dtype::Int64,
        "F16" => Dtype::Float16,
        "F32" => Dtype::Float32,
        "BF16" => Dtype::Bfloat16,
        "C64" => Dtype::Complex64,
        _ => return None,
    };
    let (dims, count) = dims_of(&numbers(&field("shape")?)?)?;
    let [from, to] = <[u64; 2]>::try_from(numbers(&field("data_offsets")?)?).ok()?;
    let bytes = byte_count(count, dtype.size() as u64)?;
    let entry = Entry {
        dtype,
        dims,
        from,
        to,
    };
    (to.checked_sub(from) == Some(bytes)).then_some(entry)
}

fn numbers(value: &Value) -> Option<Vec<u64>> {
    value.as_array()?.iter().map(Value::as_u64).collect()
}

/// The members of a JSON object in order, with repeated names.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        d.deserialize_map(Visitor)
    }
}
