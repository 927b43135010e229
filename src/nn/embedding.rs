//! Embeddings.

use super::init::Init;
use super::module::{Module, Visit, VisitMut};
use super::param::Param;
use super::weight::Weight;
use crate::{Array, Result};

/// A row of numbers for each token: integers of any shape become (..., width). As an output head it gives the products of a row
/// with the rows of all tokens.
///
/// ```
/// use zmlx::{Array, nn};
/// # fn main() -> zmlx::Result<()> {
/// let table = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let embedding = nn::Embedding::from_weight(table);
/// let x = embedding.forward(&Array::from_slice(&[1], 1)?)?;
/// assert_eq!(x.to_vec::<f32>()?, [3.0, 4.0]);
/// assert_eq!(embedding.as_head(&x)?.to_vec::<f32>()?, [11.0, 25.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    /// (tokens, width).
    pub weight: Weight,
}

impl Embedding {
    /// Normal numbers of variance `1 / width`.
    ///
    /// ```
    /// use zmlx::{Array, nn};
    /// let embedding = nn::Embedding::new(100, 16, &mut nn::Init::seed(7))?;
    /// let tokens = Array::from_iter([5, 99])?;
    /// assert_eq!(embedding.forward(&tokens)?.shape(), [2, 16]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a negative size.
    #[track_caller]
    pub fn new(tokens: i32, width: i32, init: &mut Init) -> Result<Self> {
        let deviation = f64::from(width.max(1)).sqrt().recip();
        let weight = Param::new(init.normal(&[tokens, width], deviation)?);
        Ok(Embedding {
            weight: Weight::Dense(weight),
        })
    }

    /// One with these rows, dense or quantized.
    pub fn from_weight(weight: impl Into<Weight>) -> Self {
        Embedding {
            weight: weight.into(),
        }
    }

    /// The rows of tokens.
    ///
    /// # Errors
    /// As [`Weight::rows`].
    #[track_caller]
    pub fn forward(&self, tokens: &Array) -> Result<Array> {
        self.weight.rows(tokens)
    }

    /// The products with the rows of all tokens: (..., width) becomes (..., tokens).
    ///
    /// # Errors
    /// As [`Weight::product`].
    #[track_caller]
    pub fn as_head(&self, x: &Array) -> Result<Array> {
        self.weight.product(x)
    }
}

impl Module for Embedding {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        to.flat(&self.weight);
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        to.flat(&mut self.weight);
    }
}
