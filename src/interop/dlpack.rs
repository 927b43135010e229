//! Arrays as DLPack's tensors.

use crate::bridge::dlpack::{self, DlTensor};
use crate::{Array, Error, Result};

impl Array {
    /// This array's values as a tensor for another library in this process. **Evaluates** the array.
    ///
    /// The tensor lies in the main memory and is row-major. It shares the values as [`freeze`](Self::freeze) does, so it may leave the
    /// thread, and whoever takes it must not write to it.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::from_vec(vec![1.0f32, 2.0], 2)?;
    /// let tensor = x.to_dlpack()?;
    /// assert_eq!(tensor.shape(), [2]);
    /// let pointer = tensor.into_raw(); // for a capsule called "dltensor"
    /// # // SAFETY: it has just been made.
    /// # drop(unsafe { zmlx::interop::DlTensor::from_raw(pointer) });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`freeze`](Self::freeze).
    #[track_caller]
    pub fn to_dlpack(&self) -> Result<DlTensor> {
        dlpack::export(self.freeze()?.into_raw())
    }

    /// An array over the elements of a tensor that another library has handed over. It is given back when nothing uses it any more.
    ///
    /// Nothing is copied where [`from_owned`](Self::from_owned) copies nothing; other layouts than row-major become views.
    /// A byte of a bool other than 0 and 1 counts as true; such a tensor is copied.
    ///
    /// ```
    /// use zmlx::{Array, interop::DlTensor};
    /// # fn main() -> zmlx::Result<()> {
    /// let pointer = Array::from_vec(vec![1i32, 2, 3, 4], (2, 2))?.to_dlpack()?.into_raw();
    /// // SAFETY: the pointer comes from `into_raw`, and nobody else has it.
    /// let tensor = unsafe { DlTensor::from_raw(pointer) }?;
    /// assert_eq!(Array::from_dlpack(tensor)?.sum(..)?.item::<i32>()?, 10);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] for a type that MLX has not; [`Error::Shape`] for lengths that it cannot count; [`Error::Argument`] for a tensor
    /// outside of the main memory, or at an address that its elements cannot have.
    #[track_caller]
    pub fn from_dlpack(tensor: DlTensor) -> Result<Array> {
        let dtype = tensor.dtype()?;
        if tensor.shape().contains(&0) {
            let dims = tensor.shape().iter().map(|&d| i32::try_from(d).ok());
            return match dims.collect::<Option<Vec<i32>>>() {
                Some(dims) => Array::empty(&dims, dtype),
                None => Err(Error::shape(format!(
                    "`tensor`: expected lengths that MLX can count, got {:?}",
                    tensor.shape()
                ))),
            };
        }
        let imported = dlpack::import(tensor, dtype)?;
        let memory = Array::wrap(imported.memory);
        let memory = match memory.dtype() == dtype {
            true => memory,
            // Bytes of bools.
            false => memory.not_equal(0)?,
        };
        match imported.layout {
            Some(layout) => memory.as_strided(layout.dims, &layout.strides, layout.first),
            None => Ok(memory),
        }
    }
}
