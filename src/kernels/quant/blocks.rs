//! Codes of which each block has a scale.

use crate::kernels::arguments::check_float;
use crate::ops::PadMode;
use crate::{Array, Error, Result};

/// Elements as rows of a block each.
pub(super) struct Blocks {
    size: i32,
    count: i32,
    /// Elements that the last block lacks.
    missing: i32,
}

impl Blocks {
    #[track_caller]
    pub(super) fn new(size: i32, elements: usize) -> Result<Blocks> {
        if size < 1 {
            return Err(Error::argument("block_size", "a number from 1 on", size));
        }
        let count = elements.div_ceil(size as usize);
        let missing = count * size as usize - elements;
        let Ok(count) = i32::try_from(count) else {
            let expected = "a size that gives fewer than 2^31 blocks";
            return Err(Error::argument("block_size", expected, size));
        };
        Ok(Blocks {
            size,
            count,
            missing: missing as i32,
        })
    }

    /// The scales, one for each block.
    #[track_caller]
    pub(super) fn scales(&self, name: &str, scales: &Array) -> Result<Array> {
        check_float(name, scales)?;
        if scales.size() != self.count as usize {
            return Err(Error::shape(format!(
                "`{name}`: expected {} elements, one for each block of {}, got shape {:?}",
                self.count,
                self.size,
                scales.shape()
            )));
        }
        scales.reshape(-1)
    }

    #[track_caller]
    pub(super) fn rows(&self, x: &Array) -> Result<Array> {
        let x = match self.missing {
            0 => x.clone(),
            missing => x.reshape(-1)?.pad((0, missing), PadMode::Constant(0.0))?,
        };
        x.reshape((self.count, self.size))
    }

    /// The elements of `y`, without those that were missing, in the shape of `x`.
    #[track_caller]
    pub(super) fn shaped(&self, y: Array, x: &Array) -> Result<Array> {
        match self.missing {
            0 => y.reshape(x.shape()),
            _ => y.reshape(-1)?.index(..x.size() as i32)?.reshape(x.shape()),
        }
    }
}
