//! A matrix of weights in one of the forms that files hold.

use crate::io::GgufTensor;
use crate::kernels::matrix::{Way, linear};
use crate::kernels::quant::{
    Activations, QuantFormat, QuantizedMatmul, QuantizedWeight, quantized_matmul,
};
use crate::{Array, Dtype, Error, Result, ops};

/// A matrix (rows, columns) that vectors are multiplied with: `x w^T`.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Numbers as they are.
    Dense(Array),
    /// Packed numbers, as they lie in the file.
    Packed(QuantizedWeight),
}

/// In which numbers vectors are taken, and what follows a product.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Then<'a> {
    pub(super) activations: Activations,
    /// Who multiplies with matrices that are not packed.
    pub(super) way: Way,
    pub(super) bias: Option<&'a Array>,
    pub(super) residual: Option<&'a Array>,
}

impl Matrix {
    /// An array of a GGUF file.
    #[track_caller]
    pub(super) fn from_gguf(tensor: &GgufTensor) -> Result<Self> {
        match tensor.kind.dtype() {
            Some(_) => Ok(Matrix::Dense(tensor.data.clone())),
            None => Ok(Matrix::Packed(QuantizedWeight::from_gguf(tensor)?)),
        }
    }

    /// (rows, columns); a vector is one row.
    pub fn shape(&self) -> [i32; 2] {
        let shape = match self {
            Matrix::Dense(w) => w.shape(),
            Matrix::Packed(w) => w.shape(),
        };
        let columns = shape.last().copied().unwrap_or(1);
        [shape.iter().rev().skip(1).product(), columns]
    }

    /// Bytes that a product reads.
    pub fn nbytes(&self) -> usize {
        match self {
            Matrix::Dense(w) => w.nbytes(),
            Matrix::Packed(w) => w.nbytes(),
        }
    }

    /// Several matrices as one, their rows one after the other; none where they are packed in different ways.
    #[track_caller]
    pub(super) fn stacked(all: &[&Matrix]) -> Result<Option<Self>> {
        let blocks = |m: &&Matrix| match m {
            Matrix::Packed(w) => match w.format() {
                QuantFormat::Gguf(kind) => Some((kind, w.arrays().first()?.clone())),
                QuantFormat::Mlx(_) => None,
            },
            Matrix::Dense(_) => None,
        };
        let Some(parts) = all.iter().map(blocks).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let Some(&(kind, _)) = parts.first() else {
            return Ok(None);
        };
        if parts.iter().any(|(k, _)| *k != kind) {
            return Ok(None);
        }
        let blocks: Vec<Array> = parts.into_iter().map(|(_, b)| b).collect();
        let whole = ops::concatenate(&blocks, 0)?;
        whole.eval()?;
        Ok(Some(Matrix::Packed(QuantizedWeight::gguf(kind, &whole)?)))
    }

    /// How many columns are packed together.
    pub(super) fn block(&self) -> i32 {
        match self {
            Matrix::Dense(_) => 1,
            Matrix::Packed(w) => match w.format() {
                QuantFormat::Gguf(kind) => kind.block_elements() as i32,
                QuantFormat::Mlx(q) => q.group_size,
            },
        }
    }

    /// A matrix of what `f` makes of its array, of which it gets the width, too. **Evaluates** it.
    #[track_caller]
    pub(super) fn with_array(&self, f: impl FnOnce(i32, &Array) -> Result<Array>) -> Result<Self> {
        let width = |a: &Array| a.shape().last().copied().unwrap_or(1);
        let made = |a: &Array| {
            let made = f(width(a), a)?;
            made.eval()?;
            Ok::<_, Error>(made)
        };
        match self {
            Matrix::Dense(w) => Ok(Matrix::Dense(made(w)?)),
            Matrix::Packed(w) => match (w.format(), w.arrays()) {
                (QuantFormat::Gguf(kind), [blocks]) => {
                    Ok(Matrix::Packed(QuantizedWeight::gguf(kind, &made(blocks)?)?))
                }
                // Files have none in these formats.
                _ => Ok(Matrix::Dense(made(&w.dequantize(Dtype::Float32)?)?)),
            },
        }
    }

    /// The same matrix in float32, for MLX's own product.
    #[track_caller]
    pub(super) fn to_dense(&self) -> Result<Self> {
        let dense = match self {
            Matrix::Dense(w) => w.astype(Dtype::Float32)?,
            Matrix::Packed(w) => w.dequantize(Dtype::Float32)?,
        };
        dense.eval()?;
        Ok(Matrix::Dense(dense))
    }

    /// `x w^T` for `x` (.., columns): (.., rows), in the dtype of `x`.
    ///
    /// # Errors
    /// [`Error::Shape`] where the columns are others.
    #[track_caller]
    pub fn apply(&self, x: &Array) -> Result<Array> {
        self.apply_then(x, Then::default())
    }

    /// `x w^T`, plus a bias and a residual where there are any.
    #[track_caller]
    pub(super) fn apply_then(&self, x: &Array, then: Then<'_>) -> Result<Array> {
        let dense = match self {
            Matrix::Dense(w) => w,
            Matrix::Packed(w) => return with(quantized_matmul(x, w), then).call(),
        };
        let mut call = linear(x, dense).way(then.way);
        if let Some(bias) = then.bias {
            call = call.bias(bias);
        }
        if let Some(residual) = then.residual {
            call = call.residual(residual);
        }
        call.call()
    }

    /// `silu(x gate^T) (x up^T)` in one kernel; none where the matrices are not packed.
    #[track_caller]
    pub(super) fn swiglu(
        gate: &Matrix,
        up: &Matrix,
        x: &Array,
        activations: Activations,
    ) -> Result<Option<Array>> {
        match (gate, up) {
            (Matrix::Packed(gate), Matrix::Packed(up)) => {
                let call = quantized_matmul(x, gate).swiglu(up);
                call.activations(activations).call().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The rows of these numbers, (n, columns), in `dtype`.
    #[track_caller]
    pub(super) fn rows(&self, numbers: &Array, dtype: Dtype) -> Result<Array> {
        match self {
            Matrix::Dense(w) => w.take(numbers, 0)?.astype(dtype),
            Matrix::Packed(w) => match (w.format(), w.arrays()) {
                (QuantFormat::Gguf(kind), [blocks, ..]) => {
                    let rows = blocks.take(numbers, 0)?;
                    QuantizedWeight::gguf(kind, &rows)?.dequantize(dtype)
                }
                _ => w.dequantize(dtype)?.take(numbers, 0),
            },
        }
    }

    /// Refuses another shape than `(rows, columns)`.
    #[track_caller]
    pub(super) fn check(&self, name: &str, rows: i32, columns: i32) -> Result<()> {
        let got = self.shape();
        if got == [rows, columns] {
            return Ok(());
        }
        Err(Error::shape(format!(
            "`{name}`: expected shape [{rows}, {columns}], got {got:?}"
        )))
    }
}

fn with<'a>(call: QuantizedMatmul<'a>, then: Then<'a>) -> QuantizedMatmul<'a> {
    let mut call = call.activations(then.activations);
    if let Some(bias) = then.bias {
        call = call.bias(bias);
    }
    if let Some(residual) = then.residual {
        call = call.residual(residual);
    }
    call
}
