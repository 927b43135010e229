//! Rotary position embedding as a layer.

use std::cell::RefCell;

use crate::kernels::rope::{Offset, rope, rope_tables};
use crate::{Array, Error, Result};

/// [`kernels::rope`](crate::kernels::rope) with tables of its own: rotates the first `dims` features of (batch, heads, positions,
/// features) by the angles of their positions.
///
/// The tables reach as far as was asked for so far and grow by doubling. They are no parameters: files do not have them.
///
/// ```
/// use zmlx::{Array, Dtype, nn};
/// # fn main() -> zmlx::Result<()> {
/// let rope = nn::Rope::new(8).base(500_000.0);
/// let x = Array::ones((1, 2, 3, 8), Dtype::Float32)?;
/// // The first position is not turned.
/// assert_eq!(rope.forward(&x, 0)?.index((0, 0, 0))?.to_vec::<f32>()?, [1.0; 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Rope {
    dims: i32,
    base: f64,
    scale: f64,
    traditional: bool,
    frequencies: Option<Vec<f32>>,
    tables: RefCell<Option<[Array; 2]>>,
}

impl Rope {
    /// Halves are paired, the base is 10000.
    pub fn new(dims: i32) -> Self {
        Rope {
            dims,
            base: 10_000.0,
            scale: 1.0,
            traditional: false,
            frequencies: None,
            tables: RefCell::default(),
        }
    }

    /// The base of the angles.
    pub fn base(mut self, base: f64) -> Self {
        self.base = base;
        self.changed()
    }

    /// A factor on the positions.
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self.changed()
    }

    /// Whether neighbours are paired in place of halves.
    pub fn traditional(mut self, traditional: bool) -> Self {
        self.traditional = traditional;
        self
    }

    /// The angle from one position to the next for each pair, `dims / 2` numbers, in place of what the base gives.
    ///
    /// ```
    /// use zmlx::nn;
    /// let rope = nn::Rope::new(4).frequencies(vec![1.0, 0.25]).scale(2.0).traditional(true);
    /// let [cos, sin] = rope.tables(3)?;
    /// assert!((sin.index((1, 1))?.item::<f32>()? - 0.5f32.sin()).abs() < 1e-6);
    /// assert_eq!(cos.index(0)?.to_vec::<f32>()?, [1.0, 1.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn frequencies(mut self, frequencies: Vec<f32>) -> Self {
        self.frequencies = Some(frequencies);
        self.changed()
    }

    /// How many features turn.
    pub fn dims(&self) -> i32 {
        self.dims
    }

    /// Whether neighbours are paired in place of halves.
    pub fn is_traditional(&self) -> bool {
        self.traditional
    }

    fn changed(mut self) -> Self {
        self.tables = RefCell::default();
        self
    }

    /// Turns `x`, (batch, heads, positions, features), whose first position is number `offset`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a negative offset or `dims` that are odd or more than the features, [`Error::Shape`] for too few axes,
    /// [`Error::Dtype`] unless float32, float16 or bfloat16.
    #[track_caller]
    pub fn forward(&self, x: &Array, offset: i32) -> Result<Array> {
        if offset < 0 {
            return Err(Error::argument("offset", "0 or more", offset));
        }
        let positions = match *x.shape() {
            [.., positions, _] => positions,
            ref shape => {
                return Err(Error::shape(format!(
                    "`x`: expected shape (..., positions, features), got {shape:?}"
                )));
            }
        };
        let last = i64::from(offset) + i64::from(positions);
        let [cos, sin] = self.tables_for(last)?;
        self.turn(x, &cos, &sin, Offset::Same(offset))
    }

    /// The same where each sequence of the batch has an offset of its own: integers, (batch,), all of them below `limit` less the
    /// positions of `x`. Where one is not, the result is NaN.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// let rope = nn::Rope::new(8);
    /// let x = Array::ones((2, 1, 1, 8), Dtype::Float32)?;
    /// let offsets = Array::from_iter([0, 5])?;
    /// let y = rope.forward_each(&x, &offsets, 16)?;
    /// assert!(y.index(1)?.allclose(&rope.forward(&x, 5)?.index(1)?, (1e-5, 1e-6))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and [`Error::Shape`] or [`Error::Dtype`] for other offsets.
    #[track_caller]
    pub fn forward_each(&self, x: &Array, offsets: &Array, limit: i32) -> Result<Array> {
        let [cos, sin] = self.tables_for(i64::from(limit))?;
        self.turn(x, &cos, &sin, Offset::Each(offsets))
    }

    /// The tables of cosines and sines for positions below `limit`, (at least `limit`, dims / 2), for kernels that take them.
    ///
    /// # Errors
    /// [`Error::Argument`] for `dims` that are odd, a base that is not above 0, or more than 2^30 positions.
    #[track_caller]
    pub fn tables(&self, limit: i32) -> Result<[Array; 2]> {
        self.tables_for(i64::from(limit))
    }

    #[track_caller]
    fn turn(&self, x: &Array, cos: &Array, sin: &Array, offset: Offset<'_>) -> Result<Array> {
        rope(x, cos, sin)
            .dims(self.dims)
            .traditional(self.traditional)
            .offset(offset)
            .call()
    }

    #[track_caller]
    fn tables_for(&self, limit: i64) -> Result<[Array; 2]> {
        if let Some([cos, sin]) = &*self.tables.borrow()
            && i64::from(cos.shape()[0]) >= limit
        {
            return Ok([cos.clone(), sin.clone()]);
        }
        if limit < 0 {
            return Err(Error::argument("limit", "0 positions or more", limit));
        }
        if limit > 1 << 30 {
            return Err(Error::argument("offset", "less than 2^30 positions", limit));
        }
        let positions = (limit as u32).next_power_of_two().max(256) as i32;
        let tables = rope_tables(positions, self.dims);
        let tables = tables.base(self.base).scale(self.scale);
        let tables = match &self.frequencies {
            None => tables.call()?,
            Some(frequencies) => {
                let frequencies = Array::from_slice(frequencies, frequencies.len())?;
                tables.frequencies(&frequencies).call()?
            }
        };
        // Now, as a transform may be under way, which must not find its own nodes in what stays.
        crate::eval(&tables)?;
        let copy = tables.clone();
        *self.tables.borrow_mut() = Some(tables);
        Ok(copy)
    }
}

super::module::no_parameters!(Rope);
