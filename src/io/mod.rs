//! Saving and loading arrays: npy, npz (feature `npz`), safetensors, GGUF.
//!
//! Loading is lazy: an array's values are read when it is evaluated, from the file that was
//! open when it was loaded, which may be renamed, replaced or deleted meanwhile. When that file is
//! written to or cut short, whoever wants the values gets an [`Error::Io`](crate::Error::Io). (GGUF is read at once, but for what [`load_gguf_raw`] loads, and so is npz.)
//! A program that only sets the time of the file, such as `touch`, counts as one that writes to it: whether the values are still the
//! same could be told only by reading them all when the file is loaded. Another file under the same name, or none, changes nothing.
//! Headers are read and checked here, because MLX's readers trust much of them; a damaged file is
//! an [`Error::Io`](crate::Error::Io), and so is a path to anything but a file: folders, FIFOs, sockets, devices.
//!
//! Saving writes a new file beside the old one and renames it, so the old one is whole until
//! the new one is: an array may even be loaded from the file it is saved to. Through a link
//! the file that it leads to is replaced. Folders, FIFOs, sockets and devices are refused and stay.
//!
//! ```
//! use zmlx::{ArrayMap, io, random};
//! # fn main() -> zmlx::Result<()> {
//! # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
//! # let path = folder.path().join("model.safetensors");
//! let mut weights = ArrayMap::default();
//! weights.arrays.insert("w".into(), random::normal((4, 4))?);
//! weights.metadata.insert("format".into(), "mlx".into());
//! io::save_safetensors(&path, &weights)?;
//!
//! let shared = io::load_safetensors(&path)?.freeze()?; // Send + Sync
//! assert_eq!(shared.get("w")?.shape(), [4, 4]);
//! # Ok(())
//! # }
//! ```

mod atomic;
mod check;
mod gguf;
mod gguf_blocks;
mod gguf_header;
mod gguf_raw;
mod gguf_write;
mod lazy;
mod npy;
#[cfg(feature = "npz")]
mod npz;
pub(crate) mod place;
mod safetensors;

use std::collections::BTreeMap;

pub(crate) use self::atomic::NewFile;
pub use self::gguf::{Gguf, GgufValue, load_gguf, save_gguf};
pub use self::gguf_raw::{GgufRaw, GgufTensor, GgufType, load_gguf_raw};
pub use self::npy::{load_npy, npy_from_bytes, npy_to_bytes, save_npy};
#[cfg(feature = "npz")]
pub use self::npz::{Npz, load_npz, npz_from_bytes, npz_to_bytes, save_npz, save_npz_compressed};
pub use self::safetensors::{
    load_safetensors, safetensors_from_bytes, safetensors_from_owned, safetensors_to_bytes,
    save_safetensors,
};
use crate::{Array, FrozenMap, Result};

/// Named arrays, as files of weights hold them.
#[derive(Clone, Debug, Default)]
pub struct ArrayMap {
    /// The arrays by name.
    pub arrays: BTreeMap<String, Array>,
    /// Text that stands beside them in the file.
    pub metadata: BTreeMap<String, String>,
}

impl ArrayMap {
    /// The array called `name`.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let mut weights = zmlx::ArrayMap::default();
    /// weights.arrays.insert("w".into(), Array::from(1.0f32));
    /// assert_eq!(weights.get("w")?.item::<f32>()?, 1.0);
    /// assert!(weights.get("v").is_err());
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) when there is none.
    #[track_caller]
    pub fn get(&self, name: &str) -> Result<&Array> {
        match self.arrays.get(name) {
            Some(array) => Ok(array),
            None => Err(crate::error::no_array(name, self.arrays.keys())),
        }
    }

    /// The arrays as values for other threads. **Evaluates** them.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let mut weights = zmlx::ArrayMap::default();
    /// weights.arrays.insert("w".into(), Array::from(1.0f32));
    /// let shared = weights.freeze()?;
    /// let other = std::thread::spawn(move || shared.get("w")?.to_vec::<f32>());
    /// assert_eq!(other.join().expect("no panic")?, [1.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// What [`Array::freeze`] fails with.
    #[track_caller]
    pub fn freeze(&self) -> Result<FrozenMap> {
        let all: Vec<&Array> = self.arrays.values().collect();
        crate::eval(all)?;
        let mut arrays = BTreeMap::new();
        for (name, array) in &self.arrays {
            arrays.insert(name.clone(), array.freeze()?);
        }
        Ok(FrozenMap {
            arrays,
            metadata: self.metadata.clone(),
        })
    }
}

impl FromIterator<(String, Array)> for ArrayMap {
    fn from_iter<I: IntoIterator<Item = (String, Array)>>(arrays: I) -> Self {
        ArrayMap {
            arrays: arrays.into_iter().collect(),
            metadata: BTreeMap::new(),
        }
    }
}
