//! Mapped kernels against calling them for each element.

use zmlx::kernels::Kind;
use zmlx::prelude::*;
use zmlx::{Result, ops};

use crate::cases::{Case, normals};
use crate::reference::{Function, of, pick};
use crate::report::{Report, swept};

/// Elements along a mapped axis.
const SIZE: u64 = 3;

#[test]
fn mapped_over_axes() {
    swept(&[], |report, entry, dtype| {
        for (leading, width) in [
            (&[2i32] as &[i32], 33),
            (&[2], 1),
            (&[], 100),
            (&[2, 2], 32),
        ] {
            if let Some(case) = Case::new(entry, dtype, leading, width, report.seed) {
                one(report, &case)?;
            }
        }
        Ok(())
    });
}

fn one(report: &mut Report, case: &Case) -> Result<()> {
    let samples = (0..SIZE).map(|i| case.entry.inputs(&case.leading, case.width, case.dtype, i));
    let samples = samples.collect::<Result<Vec<_>>>()?;
    let shared = Kind::is_shared;
    let inputs = || case.entry.inputs.iter().enumerate();
    let rows: Vec<bool> = inputs().map(|(_, i)| !shared(i.kind)).collect();
    let last: Vec<bool> = inputs().map(|(i, _)| i + 1 == rows.len()).collect();
    let maps = [
        ("rows", rows.clone(), 0),
        ("all", vec![true; rows.len()], 0),
        ("first", inputs().map(|(i, _)| i == 0).collect(), 0),
        ("last", last, 0),
        ("axis 1", rows.clone(), 1),
        ("all, axis 1", vec![true; rows.len()], 1),
    ];
    // Values, and gradients with respect to all inputs that have one.
    let value: &Function = &case.entry.call;
    let gradient = |p: &[Array]| {
        let which = case.differentiable();
        let cotangents = normals(&(case.entry.call)(p)?, case.seed)?;
        gradients_lazily(value, p, &which, &cotangents)
    };
    let functions: [(&str, &Function); 2] = [("value", value), ("gradient", &gradient)];
    for (of_what, f) in functions {
        for (name, mapped, axis) in &maps {
            // An array of no axes has no second axis for the mapped one.
            if samples[0].iter().any(|a| (a.ndim() as i32) < *axis) {
                continue;
            }
            let what = format!("{of_what} mapped over {name},");
            let (got, want) = (
                vmapped(f, &samples, mapped, *axis)?,
                stacked(f, &samples, mapped)?,
            );
            report.compare(case, &what, &got, &want);
        }
        nested(report, case, of_what, f, &samples, &rows)?;
    }
    Ok(())
}

/// `gradients` without evaluation, which a mapped function must not ask for.
fn gradients_lazily(
    f: &Function,
    inputs: &[Array],
    which: &[usize],
    cotangents: &[Array],
) -> Result<Vec<Array>> {
    let f = of(f, inputs, which);
    Ok(zmlx::vjp(f, pick(inputs, which), cotangents)?.1)
}

fn vmapped(f: &Function, samples: &[Vec<Array>], mapped: &[bool], axis: i32) -> Result<Vec<Array>> {
    let inputs = mapped.iter().enumerate().map(|(i, &mapped)| {
        let column: Vec<Array> = samples.iter().map(|s| s[i].clone()).collect();
        if mapped {
            ops::stack(&column, axis)
        } else {
            Ok(column[0].clone())
        }
    });
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    let axes = mapped.iter().map(|&mapped| mapped.then_some(axis));
    zmlx::vmap(f).in_axes(axes).call(&inputs)
}

/// What mapping means.
fn stacked(f: &Function, samples: &[Vec<Array>], mapped: &[bool]) -> Result<Vec<Array>> {
    let each = samples.iter().map(|sample| {
        let pairs = sample.iter().zip(&samples[0]).zip(mapped);
        let inputs = pairs.map(|((own, first), &mapped)| if mapped { own } else { first });
        f(&inputs.cloned().collect::<Vec<_>>())
    });
    let each = each.collect::<Result<Vec<_>>>()?;
    let columns = (0..each[0].len()).map(|i| {
        let column: Vec<Array> = each.iter().map(|outputs| outputs[i].clone()).collect();
        ops::stack(&column, 0)
    });
    columns.collect()
}

/// A map of a map: the outer one over rows, the inner one over everything.
fn nested(
    report: &mut Report,
    case: &Case,
    of_what: &str,
    f: &Function,
    samples: &[Vec<Array>],
    rows: &[bool],
) -> Result<()> {
    let all = vec![true; rows.len()];
    let axes = || rows.iter().map(|&mapped| mapped.then_some(0));
    let inner = |p: &[Array]| zmlx::vmap(f).call(p);
    let stack = |samples: &[Vec<Array>]| -> Result<Vec<Array>> {
        let columns = (0..rows.len()).map(|i| {
            let column: Vec<Array> = samples.iter().map(|s| s[i].clone()).collect();
            ops::stack(&column, 0)
        });
        columns.collect()
    };
    let first = stack(samples)?;
    let second = samples.iter().rev().cloned().collect::<Vec<_>>();
    let both = [first.clone(), stack(&second)?];
    let inputs = rows.iter().enumerate().map(|(i, &mapped)| {
        if mapped {
            ops::stack(&[both[0][i].clone(), both[1][i].clone()], 0)
        } else {
            Ok(first[i].clone())
        }
    });
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    let got = zmlx::vmap(inner).in_axes(axes()).call(&inputs)?;
    // The second of the outer elements has its rows in reverse, and what is shared is not.
    let reversed: Vec<Vec<Array>> = samples
        .iter()
        .zip(&second)
        .map(|(own, other)| {
            let pairs = own.iter().zip(other).zip(rows);
            pairs
                .map(|((own, other), &mapped)| if mapped { other } else { own }.clone())
                .collect()
        })
        .collect();
    let parts = [stacked(f, samples, &all)?, stacked(f, &reversed, &all)?];
    let want = (0..parts[0].len())
        .map(|i| ops::stack(&[parts[0][i].clone(), parts[1][i].clone()], 0))
        .collect::<Result<Vec<_>>>()?;
    let what = format!("{of_what} mapped twice,");
    report.compare(case, &what, &got, &want);
    Ok(())
}
