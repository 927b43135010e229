//! Rows that indices choose, and rows that are added up where indices say.

mod table;

pub(super) use table::TABLE;

use super::arguments::{check_float, check_integers};
use super::moving::{self, SHARE, gather, only, scatter, share, sizes};
use crate::array::IntoShape;
use crate::metal::{Made, build_once};
use crate::transforms::rules::{Rules, apply, each};
use crate::{Array, Error, MetalKernel, Result};

/// `src[indices[m]] + other[m]` for each m.
///
/// `src`: (N, D); `other`: (..., D); both float32, float16 or bfloat16; `indices`: (...), integers of any dtype. The result has the
/// shape of `other` and the dtype of `src`. Added in float32. An index from -N to -1 counts from the end, as in MLX; where
/// there is no such row the result is NaN, and nothing is read.
///
/// Differentiable any number of times in `src` and `other`: the gradient of `src` is [`fused_scatter_add`] of the cotangent, always
/// in the same order. An index without a row has no part in the gradient of `src`.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let src = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let other = Array::from_slice(&[10.0f32, 20.0, 30.0, 40.0], (2, 2))?;
/// let y = kernels::indexing::fused_gather_add(&src, &Array::from_slice(&[1, -2], 2)?, &other)?;
/// assert_eq!(y.to_vec::<f32>()?, [13.0, 24.0, 31.0, 42.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] where the shapes do not fit each other, [`Error::Dtype`] for other dtypes, [`Error::Argument`] for 2^31 indices
/// or more.
#[track_caller]
pub fn fused_gather_add(src: &Array, indices: &Array, other: &Array) -> Result<Array> {
    check_float("src", src)?;
    check_integers("indices", indices)?;
    check_float("other", other)?;
    let &[_, width] = src.shape() else {
        return Err(Error::shape(format!(
            "`src`: expected shape (N, D), got {:?}",
            src.shape()
        )));
    };
    let shape = [indices.shape(), &[width]].concat();
    super::arguments::check_shape("other", other, &shape)?;
    let count = super::arguments::count("indices", indices)?;
    let flat = indices.reshape(count)?;
    let rows = other.reshape((count, width))?;
    only(apply(&GatherAdd, &[src, &flat, &rows])?)?.reshape(shape)
}

/// Adds rows up: `out[n]` is the sum of the `updates[m]` whose index is n.
///
/// `indices`: (...), integers of any dtype; `updates`: (..., D), float32, float16 or bfloat16; `out_shape`: (N, D). The result has
/// that shape and the dtype of `updates`. An index from -N to -1 counts from the end, as in MLX; an update without a row is
/// left out, and nothing is written for it.
///
/// Added in float32 and rounded once, in the order of the updates, so the same call gives the same bits. `atomic(true)` adds in
/// the order in which threads come, which may differ from call to call.
///
/// Differentiable any number of times in `updates`.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let updates = Array::from_slice(&[1.0f32, 2.0, 3.0], (3, 1))?;
/// let indices = Array::from_slice(&[2u8, 0, 2], 3)?;
/// let y = kernels::indexing::fused_scatter_add(&indices, &updates, (4, 1)).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [2.0, 0.0, 4.0, 0.0]);
/// # Ok(())
/// # }
/// ```
pub fn fused_scatter_add<'a, S: IntoShape>(
    indices: &'a Array,
    updates: &'a Array,
    out_shape: S,
) -> FusedScatterAdd<'a, S> {
    FusedScatterAdd {
        indices,
        updates,
        out_shape,
        atomic: false,
    }
}

/// A call of [`fused_scatter_add`], ended by [`call`](FusedScatterAdd::call).
#[must_use = "nothing is computed before `call`"]
pub struct FusedScatterAdd<'a, S> {
    indices: &'a Array,
    updates: &'a Array,
    out_shape: S,
    atomic: bool,
}

impl<S: IntoShape> FusedScatterAdd<'_, S> {
    /// Whether the order of additions may differ from call to call (default false).
    ///
    /// ```
    /// use zmlx::{Array, kernels};
    /// let updates = Array::from_slice(&[1.0f32, 2.0], (2, 1))?;
    /// let indices = Array::from_iter([0, 0])?;
    /// let y = kernels::indexing::fused_scatter_add(&indices, &updates, (1, 1)).atomic(true).call()?;
    /// assert_eq!(y.item::<f32>()?, 3.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn atomic(mut self, yes: bool) -> Self {
        self.atomic = yes;
        self
    }

    /// The sums.
    ///
    /// # Errors
    /// [`Error::Shape`] where `out_shape` is not (N, D) or the shapes do not fit each other, [`Error::Dtype`] for other dtypes,
    /// [`Error::Argument`] for 2^31 indices or more, and for an N of 2^31 - 1.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let (indices, updates) = (self.indices, self.updates);
        let shape = self.out_shape.into_shape()?;
        check_integers("indices", indices)?;
        check_float("updates", updates)?;
        let &[rows, width] = shape.as_slice() else {
            return Err(Error::shape(format!(
                "`out_shape`: expected (N, D), got {shape:?}"
            )));
        };
        let expected = [indices.shape(), &[width]].concat();
        super::arguments::check_shape("updates", updates, &expected)?;
        let count = super::arguments::count("indices", indices)?;
        if rows == i32::MAX && updates.size() > 0 && !self.atomic {
            let expected = "fewer than 2^31 - 1 rows";
            return Err(Error::argument("out_shape", expected, rows));
        }
        let flat = indices.reshape(count)?;
        let updates = updates.reshape((count, width))?;
        moving::scatter(&updates, &flat, rows as usize, self.atomic)
    }
}

#[derive(Clone)]
struct GatherAdd;

impl Rules for GatherAdd {
    fn name(&self) -> &str {
        "fused_gather_add"
    }

    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        static MADE: Made<MetalKernel> = Made::new();
        let (src, other) = (inputs[0], inputs[2]);
        let (count, width) = sizes(other);
        if src.size() == 0 || count == 0 {
            // No index has a row.
            return Ok(vec![Array::full((count, width), f32::NAN, src.dtype())?]);
        }
        let names = ["src", "indices", "other"];
        let kernel = build_once(&MADE, "gather_add", &names, &["out"], || {
            format!(
                "const size_t rows = indices_shape[0], n = src_shape[1], known = src_shape[0];\n{SHARE}\
                 const size_t at = kk_row_of<true>(indices[row], known);\n\
                 kk_fetch_add<VEC>(src + (at < known ? at : 0) * n, at < known, other + row * n, out + row * n, from, to);"
            )
        })?;
        let shape = [count as i32, width as i32];
        let mut launch = kernel.launch(inputs);
        launch.set_output(&shape, src.dtype());
        // A CPU converts 16-bit numbers by blocks.
        let blocks = src.dtype().size() == 2;
        share(
            &mut launch,
            count,
            width,
            src.dtype(),
            other.dtype(),
            blocks,
        );
        let [out] = launch.add()?;
        Ok(vec![out])
    }

    fn vjp(&self, p: &[Array], g: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        let (rows, _) = sizes(&p[0]);
        Ok(vec![
            scatter(&g[0], &p[1], rows, false)?,
            p[1].zeros_like()?,
            g[0].astype(p[2].dtype())?,
        ])
    }

    fn jvp(&self, p: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let dtype = p[0].dtype();
        let fetched = match tangents[0] {
            Some(t) => Some(gather(t, &p[1])?),
            None => None,
        };
        let added = match tangents[2] {
            Some(t) => Some(t.astype(dtype)?),
            None => None,
        };
        Ok(vec![match (fetched, added) {
            (Some(a), Some(b)) => a.add(&b)?,
            (Some(t), None) | (None, Some(t)) => t,
            (None, None) => Array::zeros(p[2].shape(), dtype)?,
        }])
    }

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        each(inputs, axes, |one| apply(self, one))
    }
}
