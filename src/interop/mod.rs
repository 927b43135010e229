//! Values from and for other libraries, without a copy where that is possible.
//!
//! | with | to MLX | from MLX |
//! |---|---|---|
//! | vectors and other owners, mapped files | [`Array::from_vec`](crate::Array::from_vec), [`Array::from_owned`](crate::Array::from_owned), [`Array::from_owned_bytes`](crate::Array::from_owned_bytes) | [`Array::as_slice`](crate::Array::as_slice) |
//! | DLPack (NumPy, PyTorch, JAX and others in one process) | [`Array::from_dlpack`](crate::Array::from_dlpack) | [`Array::to_dlpack`](crate::Array::to_dlpack) |
//! | `ndarray` (feature `ndarray`) | `Array::try_from` | `Array::ndarray_view`, `Array::to_ndarray` |
//! | `safetensors` (feature `safetensors`) | `Array::try_from`, [`io::safetensors_from_owned`](crate::io::safetensors_from_owned) | `Array::tensor_view` |
//! | NumPy's files | [`io::load_npy`](crate::io::load_npy), `io::load_npz` (feature `npz`) | [`io::save_npy`](crate::io::save_npy), `io::save_npz` |
//!
//! Whether MLX uses foreign memory where it lies depends on its package: see [`Array::from_owned`](crate::Array::from_owned).

mod dlpack;
#[cfg(feature = "ndarray")]
mod ndarray;
#[cfg(feature = "safetensors")]
mod safetensors;

pub use crate::bridge::dlpack::{DLDataType, DLDevice, DLManagedTensor, DLTensor, DlTensor};
