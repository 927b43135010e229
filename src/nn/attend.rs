//! The one place where layers compute attention.

use super::products::by_kernels;
use crate::kernels::attention::scaled_dot_product_attention;
use crate::{Array, Result, fast};

/// Which keys a query sees.
pub(super) enum Mask<'a> {
    /// All.
    None,
    /// Those up to its own, where the last query is aligned with the last key.
    Causal,
    /// Where an array of bools says so, or with numbers added to the scores.
    Array(&'a Array),
}

/// `softmax(scale q k^T + mask) v` of (batch, heads, positions, features): by the catalog's choice on a CPU, where MLX's operation is
/// products of one number at a time, and by MLX's operation on a GPU.
#[track_caller]
pub(super) fn attend(q: &Array, k: &Array, v: &Array, scale: f32, mask: Mask<'_>) -> Result<Array> {
    let same = q.dtype() == k.dtype() && q.dtype() == v.dtype() && k.shape() == v.shape();
    if same && by_kernels(&[q]) {
        let call = scaled_dot_product_attention(q, k, v).scale(scale);
        return match mask {
            Mask::None => call.call(),
            Mask::Causal => call.causal().call(),
            Mask::Array(mask) => call.mask(mask).call(),
        };
    }
    let call = fast::scaled_dot_product_attention(q, k, v, scale);
    match mask {
        Mask::None => call.call(),
        Mask::Causal => call.causal().call(),
        Mask::Array(mask) => call.mask(mask).call(),
    }
}
