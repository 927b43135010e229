//! Inputs that are views: transposed, every second element, one row for all, behind an offset of rows or of
//! one element.

use zmlx::prelude::*;
use zmlx::{Result, eval, ops};

use crate::cases::{Case, DTYPES, WIDE, normals};
use crate::reference::{gradients, of, pick};
use crate::report::deep_in;

/// An array of the same shape in another memory layout.
type Layout = fn(&Array) -> Result<Array>;

const LAYOUTS: [(&str, Layout); 5] = [
    ("transposed", |a| {
        let order: Vec<i32> = (0..a.ndim() as i32).rev().collect();
        let turned = a.transpose(order.clone())?.contiguous()?;
        turned.transpose(order)
    }),
    ("stepped", |a| {
        let twice = ops::stack(&[a.clone(), a.full_like(7)?], -1)?.contiguous()?;
        twice.index((Ellipsis, 0))
    }),
    ("broadcast", |a| {
        let one = a.index(0..1)?.contiguous()?;
        one.broadcast_to(a.shape())
    }),
    ("offset", |a| {
        let more = ops::concatenate(&[a.full_like(7)?, a.clone()], 0)?.contiguous()?;
        more.index(a.shape()[0]..)
    }),
    // Dense, but no load of several elements fits.
    ("beside a block", |a| {
        let flat = ops::concatenate(&[Array::zeros(3, a.dtype())?, a.reshape(-1)?], 0)?;
        flat.index(3..)?.reshape(a.shape())
    }),
];

#[test]
fn views_of_other_layouts() {
    deep_in(&DTYPES, &[], |report, entry, dtype| {
        for width in [3, 100, 520, WIDE] {
            let Some(case) = Case::new(entry, dtype, &[2, 3], width, report.seed) else {
                continue;
            };
            let inputs = case.inputs()?;
            for (name, layout) in LAYOUTS {
                // An array without axes has one layout.
                let layout = |a: &Array| match a.ndim() {
                    0 => Ok(a.clone()),
                    _ => layout(a),
                };
                let seen = inputs.iter().map(layout).collect::<Result<Vec<_>>>()?;
                eval(&seen)?;
                let dense = seen.iter().map(copied).collect::<Result<Vec<_>>>()?;
                let (got, want) = ((case.entry.call)(&seen)?, (case.entry.call)(&dense)?);
                report.compare(&case, &format!("{name}, output"), &got, &want);

                let which = case.differentiable();
                let cotangents = normals(&got, case.seed)?;
                let turned = cotangents.iter().map(layout).collect::<Result<Vec<_>>>()?;
                let straight = turned.iter().map(copied).collect::<Result<Vec<_>>>()?;
                let gradient = |inputs: &[Array], cotangents: &[Array]| {
                    let f = of(&case.entry.call, inputs, &which);
                    gradients(&f, &pick(inputs, &which), cotangents)
                };
                let (got, want) = (gradient(&seen, &turned)?, gradient(&dense, &straight)?);
                report.compare(&case, &format!("{name}, gradient"), &got, &want);
            }
        }
        Ok(())
    });
}

/// A copy that was read back and made anew.
fn copied(a: &Array) -> Result<Array> {
    Array::from_bytes(&a.to_bytes()?, a.shape(), a.dtype())
}
