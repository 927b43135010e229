//! The safetensors format: named arrays and text metadata.

use std::collections::HashSet;
use std::fmt;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cxx::CxxVector;
use serde_json::Value;
use serde_json::value::RawValue;

use super::ArrayMap;
use super::atomic::replace;
use super::check::{Source, byte_count};
use crate::array::{pack, unpack};
use crate::bridge::array::ffi::Array as RawArray;
use crate::bridge::io::ffi;
use crate::error::Lift;
use crate::stream::current;
use crate::{Array, Error, Result};

/// The arrays and the metadata of a `.safetensors` file.
///
/// Float8 values come as uint8, as MLX has them.
///
/// # Errors
/// [`Error::Io`] when there is no such file, it is damaged, or it holds a type
/// that MLX has not (float64 among them).
#[track_caller]
pub fn load_safetensors(path: impl AsRef<Path>) -> Result<ArrayMap> {
    let path = path.as_ref();
    check(&mut Source::open(path)?)?;
    named(ffi::load_safetensors(path.as_os_str().as_bytes(), current()).lift()?)
}

/// Saves arrays and metadata as a `.safetensors` file of exactly this name. **Evaluates** them.
///
/// # Errors
/// [`Error::Dtype`] for float64, which the format's readers in MLX do not take; [`Error::Io`] when
/// the file cannot be written. What was there before stays.
#[track_caller]
pub fn save_safetensors(path: impl AsRef<Path>, arrays: &ArrayMap) -> Result<()> {
    let content = content(arrays)?;
    replace(path.as_ref(), ".safetensors", |file| {
        ffi::save_safetensors(file, &content).lift()
    })
}

/// The arrays and the metadata in the bytes of a `.safetensors` file. They are copied.
///
/// # Errors
/// As [`load_safetensors`].
#[track_caller]
pub fn safetensors_from_bytes(bytes: &[u8]) -> Result<ArrayMap> {
    check(&mut Source::memory(bytes))?;
    named(ffi::load_safetensors_bytes(bytes, current()).lift()?)
}

/// The bytes of a `.safetensors` file with these arrays and metadata. **Evaluates** them.
///
/// # Errors
/// As [`save_safetensors`].
#[track_caller]
pub fn safetensors_to_bytes(arrays: &ArrayMap) -> Result<Vec<u8>> {
    let bytes = ffi::save_safetensors_bytes(&content(arrays)?).lift()?;
    Ok(bytes.as_bytes().to_vec())
}

#[track_caller]
fn named(load: ffi::Named) -> Result<ArrayMap> {
    let arrays = list(&load.arrays)?;
    let metadata = load.metadata.into_iter().map(|e| (e.key, e.value));
    Ok(ArrayMap {
        arrays: load.names.into_iter().zip(arrays).collect(),
        metadata: metadata.collect(),
    })
}

#[track_caller]
pub(super) fn list(arrays: &cxx::UniquePtr<CxxVector<RawArray>>) -> Result<Vec<Array>> {
    arrays.as_ref().map_or_else(|| Ok(Vec::new()), unpack)
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

#[track_caller]
fn check<R: Read + Seek>(source: &mut Source<R>) -> Result<()> {
    let len = source.u64()?;
    if !(2..HEADER_LIMIT).contains(&len) {
        return Err(source.bad(format_args!("its header would be {len} bytes long")));
    }
    let header = source.bytes(len)?;
    let Members(members) =
        serde_json::from_slice(&header).map_err(|e| source.bad(format_args!("its header: {e}")))?;
    let mut names = HashSet::new();
    let mut spans = Vec::new();
    for (name, value) in &members {
        if !names.insert(name) {
            return Err(source.bad(format_args!("`{name}` is there twice")));
        }
        if name == "__metadata__" {
            if !is_text_map(value) {
                return Err(source.bad("its metadata is not text"));
            }
            continue;
        }
        let span = tensor(value).ok_or_else(|| {
            source.bad(format_args!(
                "`{name}` has no dtype, shape and place that fit each other and MLX"
            ))
        })?;
        spans.push((span, name));
    }
    spans.sort();
    let mut end = 0;
    for ((from, to), name) in spans {
        if from < end && from < to {
            return Err(source.bad(format_args!("`{name}` overlaps another array")));
        }
        if to > source.left() {
            return Err(source.bad(format_args!("`{name}` is incomplete")));
        }
        end = end.max(to);
    }
    Ok(())
}

fn is_text_map(value: &RawValue) -> bool {
    match serde_json::from_str::<Value>(value.get()) {
        Ok(Value::Null) => true,
        Ok(Value::Object(map)) => map.values().all(Value::is_string),
        _ => false,
    }
}

/// Where an array lies, if its entry is sound.
fn tensor(entry: &RawValue) -> Option<(u64, u64)> {
    // Twice the same key would be read differently here and in MLX.
    let Members(fields) = serde_json::from_str(entry.get()).ok()?;
    let field = |name: &str| {
        let mut found = fields.iter().filter(|(n, _)| n == name);
        let value = found.next()?;
        if found.next().is_some() {
            return None;
        }
        serde_json::from_str::<Value>(value.1.get()).ok()
    };
    let item = match field("dtype")?.as_str()? {
        "BOOL" | "I8" | "U8" | "F8_E4M3" | "F8_E8M0" => 1,
        "I16" | "U16" | "F16" | "BF16" => 2,
        "I32" | "U32" | "F32" => 4,
        "I64" | "U64" | "C64" => 8,
        _ => return None,
    };
    let shape = numbers(&field("shape")?)?;
    let [from, to] = <[u64; 2]>::try_from(numbers(&field("data_offsets")?)?).ok()?;
    let bytes = byte_count(shape, item)?;
    (to.checked_sub(from) == Some(bytes)).then_some((from, to))
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
