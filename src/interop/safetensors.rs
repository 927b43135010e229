//! Tensors of the crate `safetensors`.

use safetensors::Dtype as StDtype;
use safetensors::tensor::TensorView;

use crate::bridge::element::view_bytes;
use crate::{Array, Dtype, Error, Result};

impl Array {
    /// An evaluated array as the crate `safetensors` writes it, without a copy. Does not evaluate. Feature `safetensors`.
    ///
    /// ```
    /// use zmlx::Array;
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::from_vec(vec![1.0f32, 2.0], 2)?;
    /// let file = safetensors::serialize([("x", x.tensor_view()?)], None).map_err(zmlx::Error::other)?;
    /// let tensors = safetensors::SafeTensors::deserialize(&file).map_err(zmlx::Error::other)?;
    /// let y = Array::try_from(tensors.tensor("x").map_err(zmlx::Error::other)?)?;
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotReady`] when the array is not evaluated or its storage is strided.
    #[track_caller]
    pub fn tensor_view(&self) -> Result<TensorView<'_>> {
        let dtype = match self.dtype() {
            Dtype::Bool => StDtype::BOOL,
            Dtype::Uint8 => StDtype::U8,
            Dtype::Uint16 => StDtype::U16,
            Dtype::Uint32 => StDtype::U32,
            Dtype::Uint64 => StDtype::U64,
            Dtype::Int8 => StDtype::I8,
            Dtype::Int16 => StDtype::I16,
            Dtype::Int32 => StDtype::I32,
            Dtype::Int64 => StDtype::I64,
            Dtype::Float16 => StDtype::F16,
            Dtype::Float32 => StDtype::F32,
            Dtype::Float64 => StDtype::F64,
            Dtype::Bfloat16 => StDtype::BF16,
            Dtype::Complex64 => StDtype::C64,
        };
        let dims = self.shape().iter().map(|&d| d as usize).collect();
        match TensorView::new(dtype, dims, view_bytes(self.raw())?) {
            Ok(view) => Ok(view),
            Err(e) => Err(Error::argument("array", "one that safetensors takes", e)),
        }
    }
}

/// A copy of the values, as a view belongs to others. [`io::safetensors_from_owned`](crate::io::safetensors_from_owned) takes whole
/// files without copies.
///
/// # Errors
/// [`Error::Dtype`] for a type that MLX has not. Float8 values come as uint8, as MLX has them.
impl TryFrom<&TensorView<'_>> for Array {
    type Error = Error;

    #[track_caller]
    fn try_from(view: &TensorView<'_>) -> Result<Array> {
        let dtype = match view.dtype() {
            StDtype::BOOL => Dtype::Bool,
            StDtype::U8 | StDtype::F8_E4M3 | StDtype::F8_E8M0 => Dtype::Uint8,
            StDtype::U16 => Dtype::Uint16,
            StDtype::U32 => Dtype::Uint32,
            StDtype::U64 => Dtype::Uint64,
            StDtype::I8 => Dtype::Int8,
            StDtype::I16 => Dtype::Int16,
            StDtype::I32 => Dtype::Int32,
            StDtype::I64 => Dtype::Int64,
            StDtype::F16 => Dtype::Float16,
            StDtype::F32 => Dtype::Float32,
            StDtype::F64 => Dtype::Float64,
            StDtype::BF16 => Dtype::Bfloat16,
            StDtype::C64 => Dtype::Complex64,
            other => {
                return Err(Error::dtype(format!(
                    "`view`: expected a type that MLX has, got safetensors' {other:?}"
                )));
            }
        };
        Array::from_bytes(view.data(), view.shape(), dtype)
    }
}

/// As for a reference.
impl TryFrom<TensorView<'_>> for Array {
    type Error = Error;

    #[track_caller]
    fn try_from(view: TensorView<'_>) -> Result<Array> {
        Array::try_from(&view)
    }
}
