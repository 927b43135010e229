//! What the list of all kernels is made of. Each family brings its own rows: see `TABLE` in its file.

use crate::{Array, Dtype, Result, random};

/// A function of arrays.
pub type Function = fn(&[Array]) -> Result<Vec<Array>>;

/// A kernel of the catalog.
pub struct Entry {
    /// Path of the function below `zmlx::kernels`.
    pub name: &'static str,
    /// What it computes.
    pub formula: &'static str,
    /// The file below `kernels/` with its Metal functions.
    pub file: &'static str,
    /// What it takes.
    pub inputs: &'static [Input],
    /// Calls it, with some choice of its other arguments.
    pub call: Function,
    /// The same by MLX's operations in the inputs' dtype. Outputs beyond those of `call` are
    /// no results.
    pub composite: Function,
    /// MLX's own operation, where there is one.
    pub mlx: Option<Function>,
    /// The fewest bytes read and written, for rows of a width and a dtype's size.
    pub bytes: fn(rows: usize, width: usize, size: usize) -> usize,
    /// By how many roundings of float32, relative to the largest value, a result in rows of a
    /// width may be off: 16 unless there is a reason.
    pub roundings: fn(width: usize) -> f64,
}

/// [`Entry::roundings`] of a kernel that adds a row's elements in many sums side by side.
pub(super) fn few_roundings(_width: usize) -> f64 {
    16.0
}

/// An input of a kernel over rows of a width D.
pub struct Input {
    /// Name of the argument.
    pub name: &'static str,
    /// What it is like.
    pub kind: Kind,
}

/// Shape and values of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// (..., D), normal.
    Rows,
    /// The same; the function also takes integers and truth values.
    Numbers,
    /// (..., 2 D), normal.
    DoubleRows,
    /// (D,), normal, shared by all rows.
    Weight,
    /// (2 D,), normal, shared by all rows.
    DoubleWeight,
    /// One number, shared by all rows.
    Scalar,
    /// (...), int32 below D.
    Targets,
    /// (...), normal, one number a row.
    Scalars,
    /// What broadcasts to (..., D), any dtype: other than 0 where an element counts.
    Mask,
    /// (S, D / 2), in [-1, 1], where S is the axis before the last of the rows.
    Table,
}

impl Kind {
    /// What the documentation says of the shape.
    pub fn shape(self) -> &'static str {
        match self {
            Kind::Rows => "(..., D)",
            Kind::Numbers => "(..., D), also integers",
            Kind::Mask => "broadcasts to (..., D), any dtype",
            Kind::DoubleRows => "(..., 2 D)",
            Kind::Weight => "(D,)",
            Kind::DoubleWeight => "(2 D,)",
            Kind::Scalar => "one number",
            Kind::Targets => "(...), integers",
            Kind::Scalars => "(...)",
            Kind::Table => "(S, D / 2)",
        }
    }

    /// Whether there is a gradient with respect to it.
    pub fn differentiable(self) -> bool {
        !matches!(self, Kind::Targets | Kind::Mask)
    }

    /// Whether all rows, or all batches of them, have the same one.
    pub fn is_shared(self) -> bool {
        matches!(
            self,
            Kind::Weight | Kind::DoubleWeight | Kind::Scalar | Kind::Table
        )
    }
}

/// An input by the name of its argument.
pub(super) const fn input(name: &'static str, kind: Kind) -> Input {
    Input { name, kind }
}

impl Entry {
    /// Random inputs for rows of `width` with leading axes `leading`.
    ///
    /// # Errors
    /// Those of the operations that make them.
    pub fn inputs(
        &self,
        leading: &[i32],
        width: i32,
        dtype: Dtype,
        seed: u64,
    ) -> Result<Vec<Array>> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (i, input) in self.inputs.iter().enumerate() {
            let key = random::key(seed.wrapping_mul(64).wrapping_add(i as u64))?;
            let draw = random::with_key(&key);
            let rows = |last: i32| [leading, &[last]].concat();
            inputs.push(match input.kind {
                Kind::Rows | Kind::Numbers => draw.normal(rows(width))?.astype(dtype)?,
                // Of three in four elements, and of the first of each row.
                Kind::Mask => {
                    let first = Array::arange(width)?.equal(0)?;
                    draw.bernoulli(0.75, rows(width))?.logical_or(&first)?
                }
                Kind::DoubleRows => draw.normal(rows(2 * width))?.astype(dtype)?,
                Kind::Weight => draw.normal(width)?.astype(dtype)?,
                Kind::DoubleWeight => draw.normal(2 * width)?.astype(dtype)?,
                Kind::Scalar => draw.normal(())?.astype(dtype)?,
                Kind::Targets => draw.randint(0, width.max(1), leading)?,
                Kind::Scalars => draw.normal(leading)?.astype(dtype)?,
                Kind::Table => {
                    let steps = leading.last().copied().unwrap_or(1);
                    draw.normal((steps, width / 2))?.sin()?.astype(dtype)?
                }
            });
        }
        Ok(inputs)
    }
}
