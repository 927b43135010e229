//! A model whose matrices several processes share: which part of them is whose.
//!
//! Heads and the elements between the products of a feed-forward layer are shared out: a process computes queries, keys, values and attention
//! of its heads, and its elements of the feed-forward layer. The products behind them give sums over all, so the processes add up what they
//! have, twice a layer. The last product is shared out by tokens of the vocabulary, and every process gets the logits of all, bit by bit the
//! same: so all choose the same token.

use std::ops::Range;

use super::config::Config;
use super::matrix::Matrix;
use super::weights::Weights;
use crate::distributed::Group;
use crate::ops::PadMode;
use crate::{Array, Error, Result};

/// The part of one process.
#[derive(Debug)]
pub(super) struct Share {
    group: Group,
    /// Heads of keys and values, and the heads of queries that go with them.
    pub(super) kv_heads: Range<i32>,
    pub(super) heads: Range<i32>,
    /// Elements between the products of a feed-forward layer.
    pub(super) hidden: Range<i32>,
    /// Tokens whose logits are computed here.
    pub(super) tokens: Range<i32>,
    vocabulary: i32,
}

impl Share {
    /// The part of this process. It is whole blocks of the packed matrices that are divided by columns.
    #[track_caller]
    pub(super) fn new(config: &Config, weights: &Weights, group: &Group) -> Result<Self> {
        let even = |what: &str, count: i32, unit: i32| {
            let (rank, size) = (i64::from(group.rank()), i64::from(group.size()));
            let units = i64::from(count / unit.max(1));
            if units < size || count % unit.max(1) != 0 {
                let expected = format!("at most {units} processes for the model's {count} {what}");
                return Err(Error::argument("group", expected, size));
            }
            let at = |rank: i64| (units * rank / size) as i32 * unit;
            Ok(at(rank)..at(rank + 1))
        };
        let block = (0..config.layers)
            .map(|n| weights.block(&format!("blk.{n}.ffn_down.weight")))
            .max();
        let kv_heads = even("heads of keys and values", config.kv_heads, 1)?;
        let group_of = config.heads / config.kv_heads;
        // As many logits in each process, which is what can be gathered; the last one has fewer.
        let (rank, size) = (group.rank(), group.size());
        let each = (config.vocabulary + size - 1) / size;
        let tokens = each * rank..(each * (rank + 1)).min(config.vocabulary);
        if tokens.is_empty() {
            let expected = format!("fewer processes for {} tokens", config.vocabulary);
            return Err(Error::argument("group", expected, size));
        }
        Ok(Share {
            group: group.clone(),
            heads: kv_heads.start * group_of..kv_heads.end * group_of,
            kv_heads,
            hidden: even(
                "elements of a feed-forward layer",
                config.hidden,
                block.unwrap_or(1),
            )?,
            tokens,
            vocabulary: config.vocabulary,
        })
    }

    /// What the model is for this process.
    pub(super) fn config(&self, whole: Config) -> Config {
        Config {
            heads: self.heads.end - self.heads.start,
            kv_heads: self.kv_heads.end - self.kv_heads.start,
            hidden: self.hidden.end - self.hidden.start,
            ..whole
        }
    }

    /// Whether this process adds what is to be added once.
    pub(super) fn is_first(&self) -> bool {
        self.group.rank() == 0
    }

    /// The sum of what the processes have.
    #[track_caller]
    pub(super) fn sum(&self, x: &Array) -> Result<Array> {
        self.group.all_sum(x)
    }

    /// The logits of all tokens, (rows, vocabulary), from those of this process's, (rows, tokens).
    #[track_caller]
    pub(super) fn gather(&self, logits: &Array) -> Result<Array> {
        let size = self.group.size();
        let each = (self.vocabulary + size - 1) / size;
        let (rows, own) = (logits.shape()[0], logits.shape()[1]);
        let logits = match each - own {
            0 => logits.clone(),
            missing => logits.pad([(0, 0), (0, missing)], PadMode::Constant(0.0))?,
        };
        let all = self.group.all_gather(&logits)?;
        let all = all.reshape((size, rows, each))?.transpose([1, 0, 2])?;
        all.reshape((rows, size * each))?
            .index((.., ..self.vocabulary))
    }
}

impl Matrix {
    /// The rows of a range as a matrix of their own. **Evaluates** it, so that the rest can go.
    #[track_caller]
    pub(super) fn row_range(&self, rows: &Range<i32>) -> Result<Matrix> {
        // Not a slice, which would keep the memory of the whole.
        let numbers = Array::arange(rows.clone())?;
        self.with_array(|_, a| a.take(&numbers, 0))
    }

    /// The columns of a range, likewise.
    ///
    /// # Errors
    /// [`Error::Shape`] where the range divides a block.
    #[track_caller]
    pub(super) fn column_range(&self, name: &str, columns: &Range<i32>) -> Result<Matrix> {
        let [_, all] = self.shape();
        let block = self.block();
        if columns.start % block != 0 || columns.end % block != 0 {
            return Err(Error::shape(format!(
                "`{name}`: expected parts of whole blocks of {block} columns, got columns {} to {} for this process",
                columns.start, columns.end
            )));
        }
        self.with_array(|width, a| {
            // Of bytes there are as many for each block.
            let at = |column: i32| (i64::from(column) * i64::from(width) / i64::from(all)) as i32;
            let part = a.index((.., at(columns.start)..at(columns.end)))?;
            part.contiguous()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dtype;
    use crate::io::GgufType;
    use crate::kernels::quant::{QuantFormat, QuantizedWeight};

    #[test]
    fn parts_of_packed_matrices() -> Result<()> {
        let whole = Array::linspace(-3.0..=5.0, 6 * 128, Dtype::Float32)?.reshape((6, 128))?;
        let quantized =
            |kind| QuantizedWeight::quantize(&whole, QuantFormat::Gguf(kind)).map(Matrix::Packed);
        for matrix in [
            Matrix::Dense(whole.clone()),
            quantized(GgufType::Q4_0)?,
            quantized(GgufType::Q8_0)?,
        ] {
            let numbers = |m: &Matrix| match m.to_dense()? {
                Matrix::Dense(a) => Ok(a),
                Matrix::Packed(_) => Err(Error::io("it is not dense".into())),
            };
            let all = numbers(&matrix)?;
            let same = |a: &Array, b: Array| {
                assert_eq!(a.shape(), b.shape());
                a.equal(b)?.all(..)?.item::<bool>()
            };
            assert!(same(
                &numbers(&matrix.row_range(&(1..4))?)?,
                all.index(1..4)?
            )?);
            let part = matrix.column_range("w", &(32..96))?;
            assert_eq!(part.shape(), [6, 64]);
            assert!(same(&numbers(&part)?, all.index((.., 32..96))?)?);
        }
        let refused = quantized(GgufType::Q4_0)?.column_range("w", &(0..48));
        let error = refused.map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains("`w`: expected parts of whole blocks of 32 columns"),
            "{error}"
        );
        Ok(())
    }
}
