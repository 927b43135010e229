//! A matrix of weights in one of the forms that files hold.

use crate::ops::{Quantization, Quantized};
use crate::{Array, Dtype, Error, Result};

/// A matrix (rows, columns) that vectors are multiplied with: `x w^T`.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Numbers as they are.
    Dense(Array),
    /// MLX's groups of 32 with a scale and a bias each.
    Grouped(Quantized),
}

impl Matrix {
    /// From the parts that [`load_gguf`](crate::io::load_gguf) gives for a packed array.
    #[track_caller]
    pub(super) fn grouped(weight: Array, scales: Array, biases: Array) -> Result<Self> {
        let words = weight.shape().last().copied().unwrap_or(0);
        let groups = scales.shape().last().copied().unwrap_or(0).max(1);
        Ok(Matrix::Grouped(Quantized {
            weight,
            scales,
            biases: Some(biases),
            global_scale: None,
            // Words of 32 bits hold 32 numbers of as many bits as there are words a group.
            quantization: Quantization::affine(32, words / groups),
        }))
    }

    /// (rows, columns).
    #[track_caller]
    pub fn shape(&self) -> Result<[i32; 2]> {
        let (rows, columns) = match self {
            Matrix::Dense(w) => (w.dim(0)?, w.dim(-1)?),
            Matrix::Grouped(q) => (q.scales.dim(0)?, q.scales.dim(-1)? * 32),
        };
        Ok([rows, columns])
    }

    /// Bytes that a product reads.
    pub fn nbytes(&self) -> usize {
        match self {
            Matrix::Dense(w) => w.nbytes(),
            Matrix::Grouped(q) => {
                q.weight.nbytes() + q.scales.nbytes() + q.biases.as_ref().map_or(0, Array::nbytes)
            }
        }
    }

    /// The numbers in float32, (rows, columns).
    #[track_caller]
    pub fn numbers(&self) -> Result<Array> {
        match self {
            Matrix::Dense(w) => w.astype(Dtype::Float32),
            Matrix::Grouped(q) => {
                // In float32 throughout, as a sum in float16 would round.
                let mut q = q.clone();
                q.scales = q.scales.astype(Dtype::Float32)?;
                q.biases = match q.biases {
                    Some(biases) => Some(biases.astype(Dtype::Float32)?),
                    None => None,
                };
                q.dequantize()
            }
        }
    }

    /// The same matrix in float32, for MLX's own product.
    #[track_caller]
    pub(super) fn to_dense(&self) -> Result<Self> {
        let dense = self.numbers()?;
        dense.eval()?;
        Ok(Matrix::Dense(dense))
    }

    /// `x w^T` for `x` (.., columns): (.., rows), in the dtype of `x`.
    ///
    /// # Errors
    /// [`Error::Shape`] where the columns are others.
    #[track_caller]
    pub fn apply(&self, x: &Array) -> Result<Array> {
        match self {
            Matrix::Dense(w) => x.matmul(&w.transpose([1, 0])?),
            Matrix::Grouped(q) => x.quantized_matmul(q, true),
        }
    }

    /// The rows of these numbers, (n, columns), in `dtype`.
    #[track_caller]
    pub(super) fn rows(&self, numbers: &Array, dtype: Dtype) -> Result<Array> {
        let rows = match self {
            Matrix::Dense(w) => w.take(numbers, 0)?,
            Matrix::Grouped(q) => {
                let mut picked = q.clone();
                picked.weight = q.weight.take(numbers, 0)?;
                picked.scales = q.scales.take(numbers, 0)?.astype(Dtype::Float32)?;
                picked.biases = match &q.biases {
                    Some(biases) => Some(biases.take(numbers, 0)?.astype(Dtype::Float32)?),
                    None => None,
                };
                picked.dequantize()?
            }
        };
        rows.astype(dtype)
    }

    /// Refuses another shape than `(rows, columns)`.
    #[track_caller]
    pub(super) fn check(&self, name: &str, rows: i32, columns: i32) -> Result<()> {
        let got = self.shape()?;
        if got == [rows, columns] {
            return Ok(());
        }
        Err(Error::shape(format!(
            "`{name}`: expected shape [{rows}, {columns}], got {got:?}"
        )))
    }
}
