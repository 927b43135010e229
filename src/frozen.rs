//! Values that several threads may read at once.

use std::collections::BTreeMap;
use std::fmt;

use cxx::SharedPtr;

use crate::bridge::frozen::{ffi, view};
use crate::error::Lift;
use crate::{Array, ArrayMap, Dtype, Element, Error, Result};

/// An evaluated array that can be shared between threads; cheap to clone.
///
/// Arrays cannot leave their thread, because MLX changes the descriptor behind
/// a handle (status, event, buffer, inputs) whenever it evaluates or waits, without a
/// lock. A `Frozen` shares no descriptor, but only what nothing changes:
///
/// - shape, dtype and offset, written before the first clone exists;
/// - the buffer. MLX writes into a buffer that exists only when it can donate it
///   to an output. Arrays made by [`thaw`](Self::thaw), and the one that was frozen, hold
///   it as a buffer they do not own, and MLX donates owned ones only. If a view or
///   work under way could still reach it as an owned one, `freeze` copies.
/// - reference counts, which are atomic. The buffer is freed under the allocator's lock.
///
/// On CUDA a read by the host moves a buffer to unified memory, which writes to its
/// record. `freeze` does that move, so reads afterwards change nothing there either.
///
/// ```
/// use zmlx::Array;
/// # fn main() -> zmlx::Result<()> {
/// let weights = Array::from_slice(&[1.0f32, 2.0], 2)?.freeze()?;
/// let sums = std::thread::scope(|s| {
///     let a = s.spawn(|| weights.thaw()?.sum(..)?.item::<f32>());
///     let b = s.spawn(|| weights.thaw()?.square()?.sum(..)?.item::<f32>());
///     [a.join(), b.join()]
/// });
/// let sums: Vec<f32> = sums.into_iter().map(|r| r.unwrap()).collect::<Result<_, _>>()?;
/// assert_eq!(sums, [3.0, 5.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Frozen {
    raw: SharedPtr<ffi::Frozen>,
}

impl Frozen {
    fn get(&self) -> &ffi::Frozen {
        // `freeze` gave an object or an error, so the pointer is never null.
        &self.raw
    }

    /// The C++ handle itself.
    pub(crate) fn into_raw(self) -> SharedPtr<ffi::Frozen> {
        self.raw
    }

    /// An array over the same elements for the calling thread, without a copy.
    #[track_caller]
    pub fn thaw(&self) -> Result<Array> {
        ffi::thaw(self.get()).lift().map(Array::wrap)
    }

    /// The elements in row-major order, without a copy.
    ///
    /// # Errors
    /// [`Error::Dtype`] when `T` is another type.
    #[track_caller]
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        view(self.get())
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// [`Error::Dtype`] when `T` is another type.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.as_slice().map(<[T]>::to_vec)
    }

    /// Length of each dimension.
    pub fn shape(&self) -> &[i32] {
        ffi::frozen_dims(self.get())
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        ffi::frozen_dtype(self.get())
    }

    /// Number of elements.
    pub fn size(&self) -> usize {
        self.shape().iter().map(|&d| d as usize).product()
    }

    /// Bytes of all elements.
    pub fn nbytes(&self) -> usize {
        self.size() * self.dtype().size()
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frozen({}, {:?})", self.dtype(), self.shape())
    }
}

impl Array {
    /// This array's values as a [`Frozen`], for other threads. **Evaluates** the array.
    ///
    /// No copy is made of row-major values that no other array is a view of.
    ///
    /// # Errors
    /// [`Error::NotReady`] inside a function transformation; what the evaluation fails with.
    #[track_caller]
    pub fn freeze(&self) -> Result<Frozen> {
        if self.is_tracer() {
            return Err(Error::not_ready(
                "an array that a transformation traces has no values to freeze",
            ));
        }
        self.eval()?;
        if crate::stream::current().gpu {
            // A GPU's stream lets go of what it used a little after it says that it is done. Until then
            // the values would seem to have another owner.
            crate::synchronize()?;
        }
        let raw = if self.is_row_contiguous() {
            ffi::freeze(self.raw()).lift()?
        } else {
            let dense = self.contiguous()?;
            dense.eval()?;
            ffi::freeze(dense.raw()).lift()?
        };
        Ok(Frozen { raw })
    }
}

/// Named [`Frozen`] values: the weights of a model, shared between threads.
#[derive(Clone, Debug, Default)]
pub struct FrozenMap {
    /// The values by name.
    pub arrays: BTreeMap<String, Frozen>,
    /// What the file said beside them.
    pub metadata: BTreeMap<String, String>,
}

impl FrozenMap {
    /// The value called `name`.
    ///
    /// # Errors
    /// [`Error::Argument`] when there is none.
    #[track_caller]
    pub fn get(&self, name: &str) -> Result<&Frozen> {
        match self.arrays.get(name) {
            Some(array) => Ok(array),
            None => Err(crate::error::no_array(name, self.arrays.keys())),
        }
    }

    /// Arrays over the same values for the calling thread, without a copy.
    #[track_caller]
    pub fn thaw(&self) -> Result<ArrayMap> {
        let mut arrays = BTreeMap::new();
        for (name, frozen) in &self.arrays {
            arrays.insert(name.clone(), frozen.thaw()?);
        }
        Ok(ArrayMap {
            arrays,
            metadata: self.metadata.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    static_assertions::assert_impl_all!(super::Frozen: Send, Sync);
    static_assertions::assert_impl_all!(super::FrozenMap: Send, Sync);
}
