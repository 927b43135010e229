//! The exact values: composites in float64 on the CPU, and MLX's derivatives of them.

use zmlx::prelude::*;
use zmlx::{Result, eval, jvp, vjp};

use crate::cases::Case;
pub use crate::common::exactly;

/// A function of arrays, such as an entry's kernel or composite.
pub type Function<'a> = dyn Fn(&[Array]) -> Result<Vec<Array>> + 'a;

/// An entry's function of some of its inputs, with the others held.
pub fn of<'a>(
    f: &'a Function<'a>,
    inputs: &'a [Array],
    which: &'a [usize],
) -> impl Fn(&[Array]) -> Result<Vec<Array>> + 'a {
    move |p| {
        let mut all = inputs.to_vec();
        for (&i, a) in which.iter().zip(p) {
            all[i] = a.clone();
        }
        f(&all)
    }
}

/// Some of the arrays.
pub fn pick(arrays: &[Array], which: &[usize]) -> Vec<Array> {
    which.iter().map(|&i| arrays[i].clone()).collect()
}

/// Gradients with respect to `p`.
pub fn gradients(f: &Function, p: &[Array], cotangents: &[Array]) -> Result<Vec<Array>> {
    let gradients = vjp(f, p, cotangents)?.1;
    eval(&gradients)?;
    Ok(gradients)
}

/// Tangents of the outputs.
pub fn tangents(f: &Function, p: &[Array], tangents: &[Array]) -> Result<Vec<Array>> {
    let tangents = jvp(f, p, tangents)?.1;
    eval(&tangents)?;
    Ok(tangents)
}

/// Each as an array of its own.
fn apart(arrays: Vec<Array>) -> Result<Vec<Array>> {
    arrays.into_iter().map(|a| a * 1.0).collect()
}

/// The gradient of a projection of the gradients, with respect to `p` and to the cotangents.
pub fn second(
    f: &Function,
    p: &[Array],
    cotangents: &[Array],
    projection: &[Array],
) -> Result<Vec<Array>> {
    let first = |q: &[Array]| {
        let (p, cotangents) = q.split_at(p.len());
        // The gradients of a sum's terms are one array, and of an array that is several results MLX takes the first cotangent
        // alone.
        apart(vjp(f, p, cotangents)?.1)
    };
    gradients(&first, &[p, cotangents].concat(), projection)
}

/// The tangents' own, in the direction of the projection.
pub fn over_tangents(
    f: &Function,
    p: &[Array],
    directions: &[Array],
    projection: &[Array],
) -> Result<Vec<Array>> {
    let first = |p: &[Array]| Ok(jvp(f, p, directions)?.1);
    tangents(&first, p, projection)
}

/// The tangents' gradients.
pub fn gradients_over_tangents(
    f: &Function,
    p: &[Array],
    directions: &[Array],
    cotangents: &[Array],
) -> Result<Vec<Array>> {
    let first = |p: &[Array]| apart(jvp(f, p, directions)?.1);
    gradients(&first, p, cotangents)
}

/// The composite with as many outputs as the kernel has.
pub fn composite(case: &Case, outputs: usize) -> impl Fn(&[Array]) -> Result<Vec<Array>> {
    let composite = case.entry.composite;
    move |p| {
        let mut all = composite(p)?;
        all.truncate(outputs);
        Ok(all)
    }
}

/// The same values, floats as float64; to be called within [`exactly`].
pub fn wide(arrays: &[Array]) -> Result<Vec<Array>> {
    let made = arrays.iter().map(|a| match a.dtype() {
        F32 | F16 | BF16 => a.astype(F64),
        _ => Ok(a.clone()),
    });
    made.collect()
}
