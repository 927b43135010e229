//! Rotary position embedding.

use super::arguments::{check_float, check_shape, rows_of};
use super::catalog::{Entry, Kind, few_roundings, input};
use super::kernel::RowKernel;
use super::op::Op;
use crate::{Array, Dtype, Error, Result};

/// Rotates the pairs `(x[j], x[j + D / 2])` by the angles of their position (J. Su and others,
/// "RoFormer", 2021; the order of pairs is GPT-NeoX's).
///
/// `x`: (..., S, D) with an even D; `cos`, `sin`: (S, D / 2), the cosines and sines of the angles of
/// each position; each float32, float16 or bfloat16. The result is like `x`. Computed in float32.
///
/// Differentiable any number of times in all three.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0], (1, 2))?;
/// let (cos, sin) = (Array::from_slice(&[0.0f32], (1, 1))?, Array::from_slice(&[1.0f32], (1, 1))?);
/// let y = kernels::rope::apply_rope(&x, &cos, &sin)?;
/// assert_eq!(y.to_vec::<f32>()?, [-2.0, 1.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for fewer than two axes, an odd D or tables of another shape,
/// [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn apply_rope(x: &Array, cos: &Array, sin: &Array) -> Result<Array> {
    check_float("x", x)?;
    let &[.., steps, width] = x.shape() else {
        return Err(Error::shape(format!(
            "`x`: expected shape (..., S, D), got {:?}",
            x.shape()
        )));
    };
    if width % 2 != 0 {
        return Err(Error::shape(format!(
            "`x`: expected an even last axis, got shape {:?}",
            x.shape()
        )));
    }
    for (name, table) in [("cos", cos), ("sin", sin)] {
        check_float(name, table)?;
        check_shape(name, table, &[steps, width / 2])?;
    }
    ROPE.call1(Turn::Forward, &[x, cos, sin])
}

#[derive(Clone, Copy)]
enum Turn {
    Forward,
    Back,
}

static ROPE: Op<Turn> = Op {
    name: "apply_rope",
    rows: 1,
    visible: 1,
    forward: |turn, p| {
        let (rows, width) = rows_of("x", p[0])?;
        let kernel = match turn {
            Turn::Forward => &FORWARD,
            Turn::Back => &BACK,
        };
        let like = (p[0].shape(), p[0].dtype());
        Ok(kernel.launch(p, [like], rows, width / 2)?.into())
    },
    vjp: |turn, p, g, _| {
        let (other, sign) = match turn {
            Turn::Forward => (Turn::Back, 1.0),
            Turn::Back => (Turn::Forward, -1.0),
        };
        let dx = ROPE.call1(other, &[&g[0], &p[1], &p[2]])?;
        let table = (p[1].shape(), Dtype::Float32);
        let (steps, half) = rows_of("cos", &p[1])?;
        let [dcos, dsin] = TABLES.launch(&[&p[0], &g[0], &p[1]], [table; 2], steps, half)?;
        Ok(vec![
            dx,
            dcos.astype(p[1].dtype())?,
            (&dsin * sign)?.astype(p[2].dtype())?,
        ])
    },
    composite: |turn, p| {
        let halves = p[0].split(2, -1)?;
        let (a, b, cos) = (&halves[0], &halves[1], &p[1]);
        let sin = match turn {
            Turn::Forward => p[2].clone(),
            Turn::Back => p[2].negative()?,
        };
        let first = ((a * cos)? - (b * &sin)?)?;
        let second = ((a * &sin)? + (b * cos)?)?;
        Ok(vec![crate::ops::concatenate([first, second], -1)?])
    },
};

static FORWARD: RowKernel = RowKernel::new(
    "rope",
    &["x", "cosine", "sine"],
    &["out"],
    "const size_t at = row % cosine_shape[0] * (n / 2);\n\
     kk_rope_row(x + row * n, cosine + at, sine + at, 1.0f, out + row * n, n / 2, g)",
)
.reduces(0);
static BACK: RowKernel = RowKernel::new(
    "rope_back",
    &["x", "cosine", "sine"],
    &["out"],
    "const size_t at = row % cosine_shape[0] * (n / 2);\n\
     kk_rope_row(x + row * n, cosine + at, sine + at, -1.0f, out + row * n, n / 2, g)",
)
.reduces(0);
static TABLES: RowKernel = RowKernel::new(
    "rope_grad_tables",
    &["x", "dy", "cosine"],
    &["dcos", "dsin"],
    "size_t rows = 1;\n\
     for (int i = 0; i + 2 < x_ndim; ++i) rows *= x_shape[i];\n\
     const size_t half_n = n / 2, step = n * cosine_shape[0], at = row * half_n;\n\
     kk_sum_rows(rows, 0, 1, half_n, dcos + at, g, \
     kk_rope_position<false>(x + row * n, dy + row * n, half_n, step));\n\
     kk_sum_rows(rows, 0, 1, half_n, dsin + at, g, \
     kk_rope_position<true>(x + row * n, dy + row * n, half_n, step))",
)
.reduces(0);

pub(super) static TABLE: &[Entry] = &[Entry {
    name: "rope::apply_rope",
    formula: "[a cos - b sin, a sin + b cos], x = [a, b]",
    file: "rope.metal",
    inputs: &[
        input("x", Kind::Rows),
        input("cos", Kind::Table),
        input("sin", Kind::Table),
    ],
    call: |p| Ok(vec![apply_rope(&p[0], &p[1], &p[2])?]),
    composite: |p| (ROPE.composite)(&Turn::Forward, p),
    mlx: None,
    // With as many positions as rows.
    bytes: |rows, width, size| 3 * rows * width * size,
    roundings: few_roundings,
}];
