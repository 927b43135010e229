//! Averages of many arrays, in few messages.

use super::Group;
use crate::ops::concatenate;
use crate::{Array, Error, Result};

/// Bytes of one message: large enough that the time of a message is that of its bytes, small enough that the first are on their way
/// while the last are computed.
const BUCKET: usize = 32 << 20;

impl Group {
    /// The means of the processes' arrays, such as gradients, each of its own shape and dtype: data-parallel training takes a step with them.
    ///
    /// Arrays of one dtype travel together, in messages of about 32 MiB.
    ///
    /// ```
    /// use zmlx::{Array, distributed};
    ///
    /// # fn main() -> zmlx::Result<()> {
    /// let group = distributed::init()?;
    /// let gradients = [Array::from_slice(&[1.0f32, 2.0], 2)?, Array::from(3.0f32)];
    /// let mean = group.average(&gradients)?;
    /// assert_eq!(mean[1].shape(), [] as [i32; 0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] for arrays that are not of floats; otherwise as [`all_sum`](Group::all_sum).
    #[track_caller]
    pub fn average(&self, arrays: &[Array]) -> Result<Vec<Array>> {
        if let Some(a) = arrays
            .iter()
            .find(|a| !(a.dtype().is_floating() || a.dtype() == crate::Dtype::Complex64))
        {
            return Err(Error::dtype(format!(
                "`arrays`: expected floats, got {}",
                a.dtype()
            )));
        }
        if self.size() == 1 {
            return Ok(arrays.to_vec());
        }
        let mut means: Vec<Option<Array>> = vec![None; arrays.len()];
        for bucket in buckets(arrays) {
            let flat: Vec<Array> = bucket
                .iter()
                .map(|&i| arrays[i].flatten(..))
                .collect::<Result<_>>()?;
            let mean = self.all_sum(&concatenate(&flat, 0)?)?.divide(self.size())?;
            let mut at = 0;
            for &i in &bucket {
                let next = at + arrays[i].size() as i32;
                means[i] = Some(mean.slice([at], [next], [1])?.reshape(arrays[i].shape())?);
                at = next;
            }
        }
        Ok(means.into_iter().flatten().collect())
    }
}

/// Places of arrays that travel together: of one dtype, each in the order given.
fn buckets(arrays: &[Array]) -> Vec<Vec<usize>> {
    let mut buckets: Vec<Vec<usize>> = Vec::new();
    // The last bucket of each dtype, which may take more, and its bytes.
    let mut open: Vec<(crate::Dtype, usize, usize)> = Vec::new();
    for (i, a) in arrays.iter().enumerate() {
        let bytes = a.size() * a.dtype().size();
        match open.iter_mut().find(|(dtype, ..)| *dtype == a.dtype()) {
            Some((_, bucket, held)) if *held + bytes <= BUCKET => {
                *held += bytes;
                buckets[*bucket].push(i);
            }
            found => {
                let fresh = (a.dtype(), buckets.len(), bytes);
                match found {
                    Some(place) => *place = fresh,
                    None => open.push(fresh),
                }
                buckets.push(vec![i]);
            }
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dtype;

    #[test]
    fn one_dtype_and_so_many_bytes_a_bucket() -> Result<()> {
        let large = Array::zeros(3 << 20, Dtype::Float32)?;
        let small = Array::zeros(10, Dtype::Float32)?;
        let half = Array::zeros(10, Dtype::Float16)?;
        let huge = Array::zeros(9 << 20, Dtype::Float32)?;
        let arrays =
            [&small, &half, &large, &large, &large, &half, &huge, &small].map(Clone::clone);
        assert_eq!(
            buckets(&arrays),
            [vec![0, 2, 3], vec![1, 5], vec![4], vec![6], vec![7]]
        );
        Ok(())
    }
}
