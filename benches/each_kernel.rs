//! Runs each kernel of the catalog and its gradients once, at small and odd shapes: work for tools that watch a
//! GPU's memory and barriers (`scripts/check-cuda sanitize`).
//!
//! `cargo bench --bench each_kernel -- [TEXT in the kernels' names]`. It measures nothing, so how it is optimized matters little.

use std::process::ExitCode;

use zmlx::kernels::{Entry, catalog};
use zmlx::prelude::*;
use zmlx::{Result, eval, random, vjp};

/// Leading axes and widths: rows shorter than a simdgroup, with a ragged end, of whole 16-byte blocks, and longer
/// than a threadgroup takes at once.
const SHAPES: [(&[i32], i32); 5] = [
    (&[5], 7),
    (&[2, 3], 130),
    (&[3], 256),
    (&[2], 4099),
    (&[1], 70_001),
];

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let mut texts = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let only = texts.next().unwrap_or_default();
    println!("{}", zmlx::engine::info());
    let (mut launches, mut failed) = (0, 0);
    for entry in catalog().filter(|e| e.name.contains(&only)) {
        for dtype in [F32, BF16] {
            for (leading, width) in SHAPES {
                let width = entry.width(width);
                launches += 1;
                if let Err(e) = once(entry, leading, width, dtype) {
                    failed += 1;
                    println!("{} {leading:?} {width} {dtype:?}: {e}", entry.name);
                }
            }
        }
    }
    println!("{launches} cases, {failed} failed");
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Outputs and gradients, which have to be numbers.
fn once(entry: &Entry, leading: &[i32], width: i32, dtype: Dtype) -> Result<()> {
    let inputs = entry.inputs(leading, width, dtype, 0)?;
    let kinds = entry.inputs.iter().enumerate();
    let which: Vec<usize> = kinds
        .filter(|(_, i)| i.kind.differentiable())
        .map(|(i, _)| i)
        .collect();
    let mut all = (entry.call)(&inputs)?;
    eval(&all)?;
    let cotangents = all
        .iter()
        .map(|y| random::normal(y.shape())?.astype(y.dtype()))
        .collect::<Result<Vec<_>>>()?;
    let of_those = |some: &[Array]| {
        let mut arguments = inputs.clone();
        for (&i, a) in which.iter().zip(some) {
            arguments[i] = a.clone();
        }
        (entry.call)(&arguments)
    };
    let some: Vec<&Array> = which.iter().map(|&i| &inputs[i]).collect();
    all.extend(vjp(of_those, some, &cotangents)?.1);
    eval(&all)?;
    for a in &all {
        let values = a.astype(F32)?.to_vec::<f32>()?;
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::other(format!("{} at {at}", values[at])));
        }
    }
    Ok(())
}
