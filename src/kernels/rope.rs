//! Rotary position embedding, and with it the update of key and value caches.

mod cache;
#[cfg(feature = "llm")]
mod joined;
mod rotate;
mod tables;

use self::rotate::{Form, ROTATE};
use super::arguments::{check_float, check_integers, check_shape, rows, signed};
use super::catalog::{Axes, Entry, Kind, Other, few_roundings, floats, input, other};
use crate::{Array, Error, Result};

#[cfg(feature = "llm")]
pub(crate) use cache::Slots;
pub(super) use cache::TABLE as CACHES;
pub use cache::{CacheUpdate, paged_rope_and_cache_update, rope_and_cache_update};
#[cfg(feature = "llm")]
pub(crate) use joined::turned_apart;
pub use tables::{RopeTables, rope_tables};

/// Rotates the pairs `(x[j], x[j + D / 2])` by the angles of their position (J. Su and others,
/// "RoFormer", 2021; the order of pairs is GPT-NeoX's).
///
/// `x`: (..., S, D); `cos`, `sin`: (T, D / 2) with T of S or more, the cosines and sines of the angles of
/// each position, as [`rope_tables`] gives them; each float32, float16 or bfloat16. The result is like `x`.
/// Computed in float32. Options: [`offset`](Rope::offset), [`traditional`](Rope::traditional), [`dims`](Rope::dims).
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
#[track_caller]
pub fn apply_rope(x: &Array, cos: &Array, sin: &Array) -> Result<Array> {
    rope(x, cos, sin).call()
}

/// [`apply_rope`] with options.
///
/// ```
/// use zmlx::{Array, kernels::rope::{rope, rope_tables}};
/// let [cos, sin] = rope_tables(8, 2).call()?;
/// let x = Array::from_slice(&[1.0f32, 0.0, 9.0], (1, 1, 3))?;
/// // The first two elements, at position 2: by two radians.
/// let y = rope(&x, &cos, &sin).dims(2).traditional(true).offset(2).call()?;
/// let want = Array::from_slice(&[-0.416147f32, 0.909297, 9.0], (1, 1, 3))?;
/// assert!(y.allclose(&want, (1e-5, 1e-6))?.item::<bool>()?);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn rope<'a>(x: &'a Array, cos: &'a Array, sin: &'a Array) -> Rope<'a> {
    Rope {
        x,
        cos,
        sin,
        traditional: false,
        dims: None,
        offset: Offset::Same(0),
        kv_heads: None,
    }
}

/// [`apply_rope`] of neighbours: the pairs are `(x[2 i], x[2 i + 1])`, as in the article.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (1, 4))?;
/// let (cos, sin) = (Array::from_slice(&[0.0f32, 1.0], (1, 2))?, Array::from_slice(&[1.0f32, 0.0], (1, 2))?);
/// let y = kernels::rope::apply_rope_interleaved(&x, &cos, &sin)?;
/// assert_eq!(y.to_vec::<f32>()?, [-2.0, 1.0, 3.0, 4.0]);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn apply_rope_interleaved(x: &Array, cos: &Array, sin: &Array) -> Result<Array> {
    rope(x, cos, sin).traditional(true).call()
}

/// [`apply_rope`] where the heads stand behind the positions: `x` is (..., S, H, D).
///
/// `n_kv_heads`, the number of heads of keys that the H heads of queries share, changes nothing: it has to divide H.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (1, 1, 2, 2))?;
/// let (cos, sin) = (Array::from_slice(&[0.0f32], (1, 1))?, Array::from_slice(&[1.0f32], (1, 1))?);
/// let y = kernels::rope::apply_gqa_rope(&x, &cos, &sin, 1)?;
/// assert_eq!(y.to_vec::<f32>()?, [-2.0, 1.0, -4.0, 3.0]);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn apply_gqa_rope(x: &Array, cos: &Array, sin: &Array, n_kv_heads: i32) -> Result<Array> {
    rope(x, cos, sin).gqa(n_kv_heads).call()
}

/// The place of the first position in the tables.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Offset<'a> {
    /// One for all. Out of range it is an [`Error::Argument`].
    Same(i32),
    /// Integers, (B,), one for each index of the first axis. Where one leaves the range, the results are NaN.
    Each(&'a Array),
}

impl From<i32> for Offset<'_> {
    fn from(offset: i32) -> Self {
        Offset::Same(offset)
    }
}

impl<'a> From<&'a Array> for Offset<'a> {
    fn from(offsets: &'a Array) -> Self {
        Offset::Each(offsets)
    }
}

/// A call of [`rope`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct Rope<'a> {
    x: &'a Array,
    cos: &'a Array,
    sin: &'a Array,
    traditional: bool,
    dims: Option<i32>,
    offset: Offset<'a>,
    kv_heads: Option<i32>,
}

impl<'a> Rope<'a> {
    /// Where in the tables the first position stands: a number, or an array of one for each index of the first axis of `x`
    /// (default 0). An array's offset that leaves the tables gives NaN for the positions that are not there.
    pub fn offset(mut self, offset: impl Into<Offset<'a>>) -> Self {
        self.offset = offset.into();
        self
    }

    /// Heads stand behind the positions, as in [`apply_gqa_rope`].
    ///
    /// ```
    /// use zmlx::kernels::rope::{rope, rope_tables};
    /// # use zmlx::prelude::*;
    /// let [cos, sin] = rope_tables(3, 4).call()?;
    /// let x = Array::ones((2, 3, 6, 4), F32)?; // six heads behind three positions
    /// let y = rope(&x, &cos, &sin).gqa(2).call()?;
    /// assert_eq!(y.index((0, 0))?.to_vec::<f32>()?, [1.0; 24]); // position 0 turns nothing
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn gqa(mut self, n_kv_heads: i32) -> Self {
        self.kv_heads = Some(n_kv_heads);
        self
    }

    /// Whether pairs are neighbours in place of halves.
    pub fn traditional(mut self, traditional: bool) -> Self {
        self.traditional = traditional;
        self
    }

    /// How many of the D elements turn, from the first on; the others stay as they are (default D). The tables are
    /// (T, dims / 2).
    pub fn dims(mut self, dims: i32) -> Self {
        self.dims = Some(dims);
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for too few axes, an odd D, tables or offsets of another shape, [`Error::Dtype`] for another dtype,
    /// [`Error::Argument`] for `dims` that are odd or no part of D, a number as an offset that leaves the tables, and heads that
    /// `n_kv_heads` does not divide.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let Rope { x, cos, sin, .. } = self;
        check_float("x", x)?;
        let heads = self.kv_heads.is_some();
        let (leading, steps, width) = match (x.shape(), heads) {
            (&[ref leading @ .., steps, width], false) => (leading, steps, width),
            (&[ref leading @ .., steps, _, width], true) => (leading, steps, width),
            (shape, _) => {
                let axes = if heads { "S, H, D" } else { "S, D" };
                return Err(Error::shape(format!(
                    "`x`: expected shape (..., {axes}), got {shape:?}"
                )));
            }
        };
        if let Some(kv_heads) = self.kv_heads {
            let all = x.shape()[x.ndim() - 2];
            if kv_heads < 1 || all % kv_heads != 0 {
                let expected = format!("a divisor of {all} heads");
                return Err(Error::argument("n_kv_heads", expected, kv_heads));
            }
        }
        let pairs = pairs_of("x", x, width, self.dims)?;
        check_tables(cos, sin, steps, pairs)?;
        let form = Form {
            pairs: self.traditional,
            heads,
            // Rows of a batch's position: those of the axes between.
            more: rows("x", leading.get(1..).unwrap_or_default())?,
        };
        match self.offset {
            Offset::Same(first) => {
                let last = cos.shape()[0] - steps;
                if !(0..=last).contains(&first) {
                    let expected = format!("a number from 0 to {last}");
                    return Err(Error::argument("offset", expected, first));
                }
                if (first, last) == (0, 0) {
                    return ROTATE.call1(form, &[x, cos, sin]);
                }
                let those = |t: &Array| t.index(first..first + steps);
                ROTATE.call1(form, &[x, &those(cos)?, &those(sin)?])
            }
            Offset::Each(offsets) => {
                let Some(&batch) = leading.first() else {
                    return Err(Error::shape(format!(
                        "`x`: expected a first axis with an index for each of `offset`, got shape {:?}",
                        x.shape()
                    )));
                };
                check_integers("offset", offsets)?;
                check_shape("offset", offsets, &[batch])?;
                let from = signed(offsets)?.reshape((batch, 1))?;
                let at = from.add(Array::arange(steps)?)?.reshape(-1i32)?;
                let rows = Rows::at(&at, cos.shape()[0], None)?;
                ROTATE.call1(form, &[x, &rows.of(cos)?, &rows.of(sin)?])
            }
        }
    }
}

/// How many pairs turn.
#[track_caller]
fn pairs_of(name: &str, x: &Array, width: i32, dims: Option<i32>) -> Result<i32> {
    match dims {
        None if width % 2 != 0 => Err(Error::shape(format!(
            "`{name}`: expected an even last axis, got shape {:?}",
            x.shape()
        ))),
        None => Ok(width / 2),
        Some(dims) if dims < 0 || dims > width || dims % 2 != 0 => {
            let expected = format!("an even number from 0 to {width}");
            Err(Error::argument("dims", expected, dims))
        }
        Some(dims) => Ok(dims / 2),
    }
}

/// Tables of at least so many positions.
#[track_caller]
fn check_tables(cos: &Array, sin: &Array, least: i32, pairs: i32) -> Result<()> {
    check_float("cos", cos)?;
    check_float("sin", sin)?;
    match *cos.shape() {
        [positions, width] if positions >= least && width == pairs => {
            check_shape("sin", sin, cos.shape())
        }
        _ => Err(Error::shape(format!(
            "`cos`: expected shape (at least {least}, {pairs}), got {:?}",
            cos.shape()
        ))),
    }
}

/// Rows of tables at positions that only the evaluation knows.
struct Rows {
    at: Array,
    there: Array,
}

impl Rows {
    /// Positions from 0 to below `limit` are there, if they are `also`.
    fn at(positions: &Array, limit: i32, also: Option<&Array>) -> Result<Rows> {
        let mut there = positions
            .greater_equal(0)?
            .logical_and(positions.less(limit)?)?;
        if let Some(also) = also {
            there = there.logical_and(also)?;
        }
        Ok(Rows {
            at: positions.clip(0..=(limit - 1).max(0))?,
            there: there.expand_dims(-1)?,
        })
    }

    fn of(&self, table: &Array) -> Result<Array> {
        crate::ops::where_(&self.there, table.take(&self.at, 0)?, f32::NAN)
    }
}

pub(super) static TABLE: &[Entry] = &[
    Entry {
        name: "rope::apply_rope",
        formula: "[a cos - b sin, a sin + b cos], x = [a, b]",
        file: "rope.metal",
        inputs: &[
            input("x", Kind::Rows),
            input("cos", Kind::Table),
            input("sin", Kind::Table),
        ],
        call: |p| Ok(vec![apply_rope(&p[0], &p[1], &p[2])?]),
        composite: |p| (ROTATE.composite)(&Form::of(false, p[0].shape()), p),
        mlx: None,
        // With as many positions as rows.
        bytes: |rows, width, size| 3 * rows * width * size,
        roundings: few_roundings,
    },
    Entry {
        name: "rope::apply_rope_interleaved",
        formula: "a cos - b sin and a sin + b cos for neighbours a, b",
        file: "rope.metal",
        inputs: &[
            input("x", Kind::Rows),
            input("cos", Kind::Table),
            input("sin", Kind::Table),
        ],
        call: |p| Ok(vec![apply_rope_interleaved(&p[0], &p[1], &p[2])?]),
        composite: |p| (ROTATE.composite)(&Form::of(true, p[0].shape()), p),
        mlx: None,
        bytes: |rows, width, size| 3 * rows * width * size,
        roundings: few_roundings,
    },
    Entry {
        name: "rope::apply_gqa_rope",
        formula: "[a cos - b sin, a sin + b cos], x = [a, b]",
        file: "rope.metal",
        inputs: &[
            other("x", &HEADS),
            input("cos", Kind::Table),
            input("sin", Kind::Table),
        ],
        call: |p| Ok(vec![apply_gqa_rope(&p[0], &p[1], &p[2], 1)?]),
        composite: |p| {
            let form = Form {
                heads: true,
                ..Form::of(false, p[0].shape())
            };
            (ROTATE.composite)(&form, p)
        },
        mlx: None,
        bytes: |rows, width, size| 9 * rows * width * size,
        roundings: few_roundings,
    },
];

/// Four heads.
static HEADS: Other = floats(
    "(..., S, H, D)",
    &[Axes::Leading, Axes::Size(4), Axes::Width],
);
