//! Sums of products by Einstein's convention.

use super::done;
use crate::array::refs;
use crate::bridge::ops::matrix::ffi;
use crate::error::Lift;
use crate::stream::current;
use crate::{Array, Error, Result};

/// Sum of products by Einstein's convention: `einsum("ij,jk->ik", [&a, &b])`.
///
/// ```
/// use zmlx::{Array, ops};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// assert_eq!(ops::einsum("ii->i", [&x])?.to_vec::<f32>()?, [1.0, 4.0]);
/// assert_eq!(ops::einsum("ij->", [&x])?.item::<f32>()?, 10.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] or [`Error::Shape`] when subscripts and operands do not fit.
#[track_caller]
pub fn einsum<A: AsRef<Array>>(subscripts: &str, operands: impl AsRef<[A]>) -> Result<Array> {
    let operands = operands.as_ref();
    check_subscripts(subscripts, operands)?;
    done(ffi::einsum(subscripts, &refs(operands), current()))
}

/// The order of contractions that [`einsum`] would choose, with its cost.
///
/// ```
/// use zmlx::{Array, Dtype, ops};
/// # fn main() -> zmlx::Result<()> {
/// let a = |n, m| Array::zeros((n, m), Dtype::Float32);
/// let path = ops::einsum_path("ij,jk,kl->il", [a(2, 50)?, a(50, 3)?, a(3, 4)?])?;
/// assert_eq!(path.steps, [vec![0, 1], vec![0, 1]]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`einsum`].
#[track_caller]
pub fn einsum_path<A: AsRef<Array>>(
    subscripts: &str,
    operands: impl AsRef<[A]>,
) -> Result<EinsumPath> {
    let operands = operands.as_ref();
    check_subscripts(subscripts, operands)?;
    let mut flat = Vec::new();
    let text = ffi::einsum_path(subscripts, &refs(operands), &mut flat).lift()?;
    let mut flat = flat.into_iter().map(|n| n as usize);
    let mut steps = Vec::new();
    while let Some(count) = flat.next() {
        steps.push(flat.by_ref().take(count).collect());
    }
    Ok(EinsumPath { steps, text })
}

/// An order of contractions; made by [`einsum_path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EinsumPath {
    /// For each contraction which operands it takes, as places in the list of those that are left. They leave the
    /// list, and the result comes at its end.
    pub steps: Vec<Vec<usize>>,
    /// The steps with their costs, for people.
    pub text: String,
}

impl std::fmt::Display for EinsumPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// MLX takes letters for the axes of an ellipsis from those that are left of 52.
#[track_caller]
fn check_subscripts<A: AsRef<Array>>(subscripts: &str, operands: &[A]) -> Result<()> {
    let known = |c: char| c.is_ascii_alphabetic() || ",->. ".contains(c);
    if let Some(c) = subscripts.chars().find(|&c| !known(c)) {
        return Err(Error::argument(
            "subscripts",
            "letters, commas, `...` and `->`",
            format_args!("{c:?}"),
        ));
    }
    let text = subscripts.replace(' ', "");
    let (inputs, output) = text
        .split_once("->")
        .map_or((text.as_str(), None), |(i, o)| (i, Some(o)));
    if let Some(c) = output
        .unwrap_or("")
        .chars()
        .find(|&c| c != '.' && !inputs.contains(c))
    {
        return Err(Error::argument(
            "subscripts",
            "letters of the output that an input has",
            format_args!("{c:?} in {subscripts:?}"),
        ));
    }
    let count = inputs.split(',').count();
    if count != operands.len() {
        return Err(Error::argument(
            "operands",
            format_args!("{count} arrays for {subscripts:?}"),
            operands.len(),
        ));
    }
    let used: std::collections::BTreeSet<char> = subscripts.chars().collect();
    let deepest = operands.iter().map(|a| a.as_ref().ndim()).max();
    if used.len() + deepest.unwrap_or(0) > 52 {
        return Err(Error::argument(
            "subscripts",
            "52 letters and axes at most",
            format_args!("{subscripts:?}"),
        ));
    }
    Ok(())
}
