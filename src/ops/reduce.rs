//! Reductions over axes.

use super::macros::reduction;
use crate::bridge::ops::reduce::ffi;

reduction! {
    /// Sum over `axes`: `..` for all, a number, several, or [`keepdims`](crate::keepdims) of those.
    ///
    /// ```
    /// use zmlx::{Array, keepdims};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::from_slice(&[1, 2, 3, 4, 5, 6], (2, 3))?;
    /// assert_eq!(x.sum(..)?.item::<i32>()?, 21);
    /// assert_eq!(x.sum(-1)?.to_vec::<i32>()?, [6, 15]);
    /// assert_eq!(x.sum(keepdims(0))?.shape(), [1, 3]);
    /// # Ok(())
    /// # }
    /// ```
    sum;
}
