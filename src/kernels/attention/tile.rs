//! The products of one tile.

use crate::kernels::arguments::{check_float, check_shape};
use crate::kernels::catalog::{
    Axes, Entry, Input, Kind, Other, few_roundings, floats, input, other,
};
use crate::kernels::recipe::Kernel;
use crate::{Array, Dtype, Error, Result};

/// The inner products of 16 queries with 16 keys, without a scale: `q k^T`, (16, 16) in float32.
///
/// `q`, `k`: (16, D), float32, float16 or bfloat16. Computed in float32, also where MLX's product rounds its factors.
/// Differentiable any number of times.
///
/// ```
/// use zmlx::{Array, Dtype, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let ones = Array::ones((16, 5), Dtype::Float16)?;
/// let scores = kernels::attention::attention_tile_proto(&ones, &ones)?;
/// assert_eq!((scores.shape(), scores.dtype()), (&[16, 16][..], Dtype::Float32));
/// assert_eq!(scores.index((3, 4))?.item::<f32>()?, 5.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] unless both are (16, D), [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn attention_tile_proto(q: &Array, k: &Array) -> Result<Array> {
    check_float("q", q)?;
    check_float("k", k)?;
    let &[16, width] = q.shape() else {
        let shape = q.shape();
        return Err(Error::shape(format!(
            "`q`: expected shape (16, D), got {shape:?}"
        )));
    };
    check_shape("k", k, &[16, width])?;
    let wide = |a: &Array, at: i32| {
        a.astype(Dtype::Float32)?
            .expand_dims(at)?
            .broadcast_to((16, 16, width))
    };
    TILE.call1(&[&wide(q, 1)?, &wide(k, 0)?], &[])
}

const INPUTS: &[Input] = &[input("q", Kind::Rows), input("k", Kind::Rows)];
static TILE: Kernel = Kernel::new(
    "attention::attention_tile_proto",
    INPUTS,
    &[],
    "sum(q * k)",
    "sum(q * k)",
);

static ROWS: Other = floats("(16, D)", &[Axes::Size(16), Axes::Width]);

pub(in crate::kernels) static TABLE: &[Entry] = &[Entry {
    name: "attention::attention_tile_proto",
    formula: "q k^T",
    file: "",
    inputs: &[other("q", &ROWS), other("k", &ROWS)],
    call: |p| Ok(vec![attention_tile_proto(&p[0], &p[1])?]),
    composite: |p| Ok(vec![p[0].matmul(&p[1].transpose(..)?)?]),
    mlx: None,
    bytes: |_, width, size| 32 * width * size + 1024,
    roundings: few_roundings,
}];
