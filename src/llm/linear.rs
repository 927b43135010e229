//! The products of a layer, whole or a process's part of them.

use std::ops::Range;

use super::matrix::{Matrix, Then};
use super::share::Share;
use crate::{Array, Result, ops};

/// A product, and a sum where the model has one.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) matrix: Matrix,
    pub(super) bias: Option<Array>,
}

impl Linear {
    #[track_caller]
    pub(super) fn apply(&self, x: &Array, then: Then<'_>) -> Result<Array> {
        let bias = self.bias.as_ref();
        self.matrix.apply_then(x, Then { bias, ..then })
    }
}

/// What makes queries, keys and values.
#[derive(Debug)]
pub(super) enum Projections {
    Each(Box<[Linear; 3]>),
    /// The rows of the three matrices one after the other.
    Together(Linear),
}

impl Projections {
    #[track_caller]
    pub(super) fn new(each: [Linear; 3]) -> Result<Self> {
        let matrices = [&each[0].matrix, &each[1].matrix, &each[2].matrix];
        let biases: Vec<&Array> = each.iter().filter_map(|l| l.bias.as_ref()).collect();
        let bias = match biases.len() {
            0 => None,
            3 => Some(ops::concatenate(&biases, 0)?),
            _ => return Ok(Projections::Each(Box::new(each))),
        };
        Ok(match Matrix::stacked(&matrices)? {
            Some(matrix) => Projections::Together(Linear { matrix, bias }),
            None => Projections::Each(Box::new(each)),
        })
    }

    /// Queries, keys, values: (T, elements) each.
    #[track_caller]
    pub(super) fn apply(
        &self,
        x: &Array,
        then: Then<'_>,
        wide: i32,
        narrow: i32,
    ) -> Result<[Array; 3]> {
        match self {
            Projections::Each(each) => {
                let [q, k, v] = &**each;
                Ok([q.apply(x, then)?, k.apply(x, then)?, v.apply(x, then)?])
            }
            Projections::Together(all) => {
                let y = all.apply(x, then)?;
                let part = |from: i32, count: i32| y.index((.., from..from + count));
                Ok([
                    part(0, wide)?,
                    part(wide, narrow)?,
                    part(wide + narrow, narrow)?,
                ])
            }
        }
    }

    pub(super) fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        let all = match self {
            Projections::Each(each) => &each[..],
            Projections::Together(one) => std::slice::from_ref(one),
        };
        all.iter().map(|l| &l.matrix)
    }

    pub(super) fn matrices_mut(&mut self) -> impl Iterator<Item = &mut Matrix> {
        let all = match self {
            Projections::Each(each) => &mut each[..],
            Projections::Together(one) => std::slice::from_mut(one),
        };
        all.iter_mut().map(|l| &mut l.matrix)
    }
}

/// Takes this process's parts of matrices, where several share a model.
pub(super) struct Parts<'a> {
    pub(super) share: Option<&'a Share>,
    /// The width of a head.
    pub(super) head: i32,
}

impl Parts<'_> {
    /// Of what makes heads: their rows.
    #[track_caller]
    pub(super) fn of_heads(
        &self,
        linear: Linear,
        heads: impl Fn(&Share) -> &Range<i32>,
    ) -> Result<Linear> {
        let Some(share) = self.share else {
            return Ok(linear);
        };
        let rows = self.rows(heads(share));
        let bias = match &linear.bias {
            Some(bias) => Some(bias.index(rows.clone())?),
            None => None,
        };
        let matrix = linear.matrix.row_range(&rows)?;
        Ok(Linear { matrix, bias })
    }

    /// Of what follows heads: their columns. One process has the bias.
    #[track_caller]
    pub(super) fn behind_heads(&self, name: &str, linear: Linear) -> Result<Linear> {
        let Some(share) = self.share else {
            return Ok(linear);
        };
        let matrix = linear.matrix.column_range(name, &self.rows(&share.heads))?;
        let bias = linear.bias.filter(|_| share.is_first());
        Ok(Linear { matrix, bias })
    }

    /// Of what makes the elements of a feed-forward layer.
    #[track_caller]
    pub(super) fn of_hidden(&self, matrix: Matrix) -> Result<Matrix> {
        match self.share {
            Some(share) => matrix.row_range(&share.hidden),
            None => Ok(matrix),
        }
    }

    /// Of what follows them.
    #[track_caller]
    pub(super) fn behind_hidden(&self, name: &str, matrix: Matrix) -> Result<Matrix> {
        match self.share {
            Some(share) => matrix.column_range(name, &share.hidden),
            None => Ok(matrix),
        }
    }

    /// Of what makes logits; a part of the tokens' vectors where those serve.
    #[track_caller]
    pub(super) fn of_tokens(
        &self,
        head: Option<Matrix>,
        embedding: &Matrix,
    ) -> Result<Option<Matrix>> {
        match self.share {
            Some(share) => {
                let whole = head.as_ref().unwrap_or(embedding);
                whole.row_range(&share.tokens).map(Some)
            }
            None => Ok(head),
        }
    }

    fn rows(&self, heads: &Range<i32>) -> Range<i32> {
        heads.start * self.head..heads.end * self.head
    }
}
