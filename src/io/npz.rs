//! NumPy's format for several arrays: a ZIP file with a `.npy` file for each.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::ArrayMap;
use super::atomic::NewFile;
use super::check::Source;
use super::npy;
use super::place::{self, named};
use super::safetensors::Part;
use crate::bridge::owned::refused;
use crate::{Array, Error, Result};

/// What a `.npz` file holds: arrays by name, in the order of the file.
///
/// ```
/// use zmlx::{Array, io::Npz};
/// let all = Npz::unnamed([Array::from(1.5f32), Array::from(2)]);
/// assert_eq!(all.get("arr_1")?.item::<i32>()?, 2);
/// assert_eq!(all.into_arrays().get("arr_0")?.item::<f32>()?, 1.5);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Npz {
    /// The arrays with their names.
    pub arrays: Vec<(String, Array)>,
}

impl Npz {
    /// Arrays with the names that `np.savez` gives arrays without names: `arr_0`, `arr_1` and so on.
    pub fn unnamed(arrays: impl IntoIterator<Item = Array>) -> Self {
        let names = (0..).map(|i| format!("arr_{i}"));
        names.zip(arrays).collect()
    }

    /// The array called `name`.
    ///
    /// # Errors
    /// [`Error::Argument`] when there is none.
    #[track_caller]
    pub fn get(&self, name: &str) -> Result<&Array> {
        match self.arrays.iter().find(|(n, _)| n == name) {
            Some((_, array)) => Ok(array),
            None => {
                let names: Vec<String> = self.arrays.iter().map(|(n, _)| n.clone()).collect();
                Err(crate::error::no_array(name, names.iter()))
            }
        }
    }

    /// The arrays by name, as other formats give them.
    pub fn into_arrays(self) -> ArrayMap {
        self.arrays.into_iter().collect()
    }
}

impl FromIterator<(String, Array)> for Npz {
    fn from_iter<I: IntoIterator<Item = (String, Array)>>(arrays: I) -> Self {
        let arrays = arrays.into_iter().collect();
        Npz { arrays }
    }
}

impl From<ArrayMap> for Npz {
    /// The arrays in alphabetical order. The format has no metadata.
    fn from(map: ArrayMap) -> Self {
        map.arrays.into_iter().collect()
    }
}

/// The arrays in a `.npz` file, compressed or not. They are read at once. Feature `npz`.
///
/// ```
/// use zmlx::{Array, io};
/// # fn main() -> zmlx::Result<()> {
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("data.npz");
/// let x = Array::from_slice(&[1.0f32, 2.0], 2)?;
/// let content = io::Npz::from_iter([("x".to_owned(), x), ("flag".to_owned(), true.into())]);
/// io::save_npz(&path, &content)?; // np.load(path)["x"]
///
/// let back = io::load_npz(&path)?;
/// assert_eq!(back.arrays[1].0, "flag");
/// assert_eq!(back.get("x")?.to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Io`] when there is no such file, it is damaged (checksums are compared) or encrypted, or it holds what is no array that MLX
/// can hold.
#[track_caller]
pub fn load_npz(path: impl AsRef<Path>) -> Result<Npz> {
    let name = path.as_ref().display().to_string();
    let (file, meta) = named(&name, place::open(path.as_ref()))?;
    read(BufReader::new(file), meta.len(), &name)
}

/// The arrays in the bytes of a `.npz` file. Feature `npz`.
///
/// ```
/// use zmlx::io::{Npz, npz_from_bytes, npz_to_bytes};
/// let bytes = npz_to_bytes(&Npz::unnamed([zmlx::Array::from(1.5f32)]))?;
/// assert_eq!(npz_from_bytes(&bytes)?.get("arr_0")?.item::<f32>()?, 1.5);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`load_npz`].
#[track_caller]
pub fn npz_from_bytes(bytes: &[u8]) -> Result<Npz> {
    read(Cursor::new(bytes), bytes.len() as u64, "bytes in memory")
}

/// Saves arrays as a `.npz` file of exactly this name, as `np.savez` does. **Evaluates** them. Feature `npz`.
///
/// ```
/// use zmlx::io::{self, Npz};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("data.npz");
/// io::save_npz(&path, &Npz::unnamed([zmlx::Array::from(1.5f32)]))?;
/// assert_eq!(io::load_npz(&path)?.get("arr_0")?.item::<f32>()?, 1.5);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] for a name that is empty, too long or there twice; [`Error::Io`] when the file cannot be written. What was there
/// before stays.
#[track_caller]
pub fn save_npz(path: impl AsRef<Path>, content: &Npz) -> Result<()> {
    save(path.as_ref(), content, CompressionMethod::Stored)
}

/// Saves arrays as a compressed `.npz` file of exactly this name, as `np.savez_compressed` does. **Evaluates** them. Feature `npz`.
///
/// ```
/// use zmlx::io::{self, Npz};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("data.npz");
/// io::save_npz_compressed(&path, &Npz::unnamed([zmlx::Array::from(1.5f32)]))?;
/// assert_eq!(io::load_npz(&path)?.get("arr_0")?.item::<f32>()?, 1.5);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`save_npz`].
#[track_caller]
pub fn save_npz_compressed(path: impl AsRef<Path>, content: &Npz) -> Result<()> {
    save(path.as_ref(), content, CompressionMethod::Deflated)
}

/// The bytes of a `.npz` file with these arrays. **Evaluates** them. Feature `npz`.
///
/// ```
/// use zmlx::io::{Npz, npz_from_bytes, npz_to_bytes};
/// let bytes = npz_to_bytes(&Npz::unnamed([zmlx::Array::from(1.5f32)]))?;
/// assert_eq!(npz_from_bytes(&bytes)?.get("arr_0")?.item::<f32>()?, 1.5);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`save_npz`].
#[track_caller]
pub fn npz_to_bytes(content: &Npz) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    write(
        &mut bytes,
        content,
        CompressionMethod::Stored,
        "bytes in memory",
    )?;
    Ok(bytes.into_inner())
}

#[track_caller]
fn save(path: &Path, content: &Npz, how: CompressionMethod) -> Result<()> {
    let new = NewFile::beside(path, ".npz")?;
    let name = path.display().to_string();
    let file = named(&name, File::options().write(true).open(new.path()))?;
    write(BufWriter::new(file), content, how, &name)?;
    new.publish()
}

#[track_caller]
fn write<W: Write + Seek>(to: W, content: &Npz, how: CompressionMethod, file: &str) -> Result<()> {
    let mut names = HashSet::new();
    for (name, _) in &content.arrays {
        // The format counts the bytes of a name, with its ending, in 16 bits.
        if name.is_empty() || name.len() > usize::from(u16::MAX) - ENDING.len() {
            let got = format_args!("{} bytes", name.len()).to_string();
            return Err(Error::argument("content", "names of 1 to 65531 bytes", got));
        }
        if !names.insert(name) {
            let got = format_args!("`{name}` twice").to_string();
            return Err(Error::argument("content", "each name once", got));
        }
    }
    let arrays: Vec<&Array> = content.arrays.iter().map(|(_, a)| a).collect();
    crate::eval(arrays)?;
    let mut zip = ZipWriter::new(to);
    for (name, array) in &content.arrays {
        let bytes = super::npy_to_bytes(array)?;
        let options = SimpleFileOptions::default()
            .compression_method(how)
            .large_file(bytes.len() as u64 >= u64::from(u32::MAX));
        zipped(file, zip.start_file(format!("{name}{ENDING}"), options))?;
        named(file, zip.write_all(&bytes))?;
    }
    let mut to = zipped(file, zip.finish())?;
    named(file, to.flush())
}

/// What follows a name.
const ENDING: &str = ".npy";

/// How many bytes a compressed byte can stand for.
const DEFLATE_LIMIT: u64 = 1032;

#[track_caller]
fn read<R: Read + Seek>(from: R, len: u64, file: &str) -> Result<Npz> {
    let mut zip = zipped(file, ZipArchive::new(from))?;
    let bad = |name: &str, what: &str| -> String {
        format!("{file}: `{name}` {what}; an incomplete or damaged file?")
    };
    // What members say of their sizes is believed only as far as so long a file can hold.
    let mut left = len.saturating_mul(DEFLATE_LIMIT);
    let mut content = Npz::default();
    for i in 0..zip.len() {
        let mut member = zipped(file, zip.by_index(i))?;
        let Ok(full) = String::from_utf8(member.name_raw().to_vec()) else {
            return Err(Error::io(bad("a member", "has a name that is not UTF-8")));
        };
        let Some(name) = full.strip_suffix(ENDING) else {
            return Err(Error::io(bad(&full, "is no array, which ends in `.npy`")));
        };
        let size = member.size();
        left = match left.checked_sub(size) {
            Some(left) => left,
            None => {
                return Err(Error::io(bad(
                    name,
                    "would be larger than the file can hold",
                )));
            }
        };
        let mut bytes = Vec::new();
        let room = usize::try_from(size).map(|n| bytes.try_reserve_exact(n));
        if !matches!(room, Ok(Ok(()))) {
            return Err(Error::io(bad(name, "is too large for this machine")));
        }
        // One more, so that the end is seen and the checksum compared.
        let got = (&mut member)
            .take(size.saturating_add(1))
            .read_to_end(&mut bytes);
        if named(file, got)? as u64 != size {
            return Err(Error::io(bad(
                name,
                "has another length than the file says",
            )));
        }
        content
            .arrays
            .push((name.to_owned(), array(bytes, &format!("{file}: `{name}`"))?));
    }
    // Of members with one name the library knows the last only.
    let start = zip.central_directory_start();
    if named(file, members(zip.into_inner(), start))? != content.arrays.len() {
        return Err(Error::io(format!(
            "{file}: two of its arrays have one name"
        )));
    }
    Ok(content)
}

/// How many members the directory of a ZIP file lists. Each has a record of 46 bytes with a mark in front, and behind it its name, further
/// data and a comment, whose lengths stand in the record.
fn members(mut from: impl Read + Seek, start: u64) -> std::io::Result<usize> {
    from.seek(SeekFrom::Start(start))?;
    let mut from = BufReader::new(from);
    let (mut count, mut record) = (0, [0; 46]);
    while from.read_exact(&mut record).is_ok() && record.starts_with(b"PK\x01\x02") {
        let lengths = record[28..34].chunks(2);
        let behind: i64 = lengths
            .map(|n| i64::from(n[0]) | i64::from(n[1]) << 8)
            .sum();
        from.seek_relative(behind)?;
        count += 1;
    }
    Ok(count)
}

/// The array in the bytes of a `.npy` file, which it keeps where that is possible.
#[track_caller]
fn array(bytes: Vec<u8>, name: &str) -> Result<Array> {
    let mut source = Source::memory(&bytes).called(name);
    let header = npy::header(&mut source)?;
    let count: usize = header.dims.iter().map(|&d| d as usize).product();
    let start = source.position() as usize;
    let range = start..start + count * header.dtype.size();
    if header.swapped || header.columns || refused(&bytes[range.clone()], header.dtype).is_some() {
        return npy::array(Source::memory(&bytes).called(name));
    }
    let owner = Arc::new(bytes);
    Array::from_owned_bytes(Part { owner, range }, header.dims, header.dtype)
}

/// What the ZIP library says, as an error that names the file.
#[track_caller]
fn zipped<T>(file: &str, answer: zip::result::ZipResult<T>) -> Result<T> {
    match answer {
        Ok(value) => Ok(value),
        Err(e) => Err(Error::io(format!("{file}: {e}"))),
    }
}
