//! What a kernel refuses, and with which error; and dtypes that may be mixed.

use zmlx::kernels::Kind;
use zmlx::prelude::*;
use zmlx::{Result, with_device};

use crate::cases::{Case, normals};
use crate::reference::{composite, exactly, gradients, of, pick, wide};
use crate::report::{each_in, swept};
use crate::tolerance::Tolerance;

/// Calls with one input changed; the outcome if it is not the error expected: of this kind, with the name of an argument,
/// what was expected and what came, and the line that called.
fn refused(
    case: &Case,
    i: usize,
    change: impl Fn(&Array) -> Result<Array>,
    expected: fn(&Error) -> bool,
) -> Result<Option<String>> {
    let mut inputs = case.inputs()?;
    inputs[i] = change(&inputs[i])?;
    Ok(match (case.entry.call)(&inputs) {
        Ok(_) => Some("no error".into()),
        Err(e) => told(case, &e, expected),
    })
}

/// What is missing in an error.
fn told(case: &Case, e: &Error, expected: fn(&Error) -> bool) -> Option<String> {
    let text = e.to_string();
    let mut names = case.entry.inputs.iter();
    if !expected(e) {
        return Some(format!("another error: {e:?}"));
    }
    if !names.any(|i| text.contains(&format!("`{}`", i.name))) {
        return Some(format!("names no argument: {text}"));
    }
    for word in ["expected", "got"] {
        if !text.contains(word) {
            return Some(format!("does not tell what was {word}: {text}"));
        }
    }
    // The table's line.
    (!text.contains("src/kernels/")).then(|| format!("names no place: {text}"))
}

/// What the declaration says of an input.
struct Declared {
    /// Its shape has the row's width.
    width: bool,
    /// It has the leading axes.
    leading: bool,
    integers: bool,
    floats: bool,
    anything: bool,
}

fn declared(kind: Kind) -> Declared {
    let text = kind.shape();
    Declared {
        width: text.contains('D'),
        leading: text.contains("..."),
        integers: text.contains("integers"),
        floats: !text.contains("integers") || text.contains("also integers"),
        anything: text.contains("any dtype"),
    }
}

#[test]
fn other_dtypes() {
    each_in(&[F32], |report, entry, dtype| {
        let Some(case) = Case::new(entry, dtype, &[2, 3], 32, report.seed) else {
            return Ok(());
        };
        for (i, input) in entry.inputs.iter().enumerate() {
            let of = declared(input.kind);
            if of.anything {
                continue;
            }
            let mut wrong = vec![Dtype::Float64, Dtype::Complex64];
            if !of.floats {
                wrong.extend([F32, F16, BF16]);
            }
            if !of.integers {
                wrong.extend([Dtype::Int32, Dtype::Uint8, Dtype::Int64, Dtype::Bool]);
            }
            for dtype in wrong {
                let dtype_error: fn(&Error) -> bool = |e| matches!(e, Error::Dtype { .. });
                let outcome = with_device(Device::CPU, || {
                    let mut outcome = refused(&case, i, |a| a.astype(dtype), dtype_error)?;
                    // This argument, and what it was.
                    let mut inputs = case.inputs()?;
                    inputs[i] = inputs[i].astype(dtype)?;
                    if let Err(e) = (entry.call)(&inputs) {
                        let text = e.to_string();
                        let whole = text.contains(&format!("`{}`", input.name))
                            && text.contains(&dtype.to_string());
                        outcome = outcome.or((!whole).then_some(text));
                    }
                    Ok(outcome)
                });
                report.check(&case, &format!("`{}` as {dtype}", input.name), outcome);
            }
        }
        Ok(())
    });
}

#[test]
fn other_shapes() {
    each_in(&[F32], |report, entry, dtype| {
        let Some(case) = Case::new(entry, dtype, &[2, 3], 32, report.seed) else {
            return Ok(());
        };
        let shape = |e: &Error| matches!(e, Error::Shape { .. });
        for (i, input) in entry.inputs.iter().enumerate() {
            // Which broadcasts; its errors are in `attention`.
            if entry.inputs.iter().any(|i| i.kind == Kind::Mask) {
                continue;
            }
            let own = declared(input.kind);
            // Whether another input has the same leading axes, or the same width.
            let mut others = entry.inputs.iter().enumerate().filter(|(j, _)| *j != i);
            let (mut leading, mut width) = (!own.leading, false);
            others.by_ref().for_each(|(_, o)| {
                let other = declared(o.kind);
                leading |= other.leading;
                width |= own.width && other.width;
            });
            let mut check = |what: &str, change: fn(&Array) -> Result<Array>| {
                let outcome = refused(&case, i, change, shape);
                report.check(&case, &format!("`{}` {what}", input.name), outcome);
            };
            if width || !own.width && own.leading {
                check("of another last size", |a| a.index((Ellipsis, 0..2)));
            }
            if leading && (own.leading || own.width) {
                check("of twice the first size", |a| {
                    let mut times = vec![1; a.ndim()];
                    times[0] = 2;
                    a.tile(times)
                });
            }
            if leading {
                check("with another axis", |a| {
                    a.expand_dims(0)?
                        .tile([&[2][..], &vec![1; a.ndim()]].concat())
                });
            }
            if i > 0 && (own.leading || own.width) {
                check("without axes", |a| a.reshape(-1)?.index(0));
            }
        }
        let outcome = scalars(&case);
        report.check(&case, "scalars", outcome);
        let outcome = odd_width(&case);
        report.check(&case, "an odd width", outcome);
        Ok(())
    });
}

/// Where halves are taken, a row with one element more has none.
fn odd_width(case: &Case) -> Result<Option<String>> {
    let mut inputs = case.inputs()?;
    let mut halves = false;
    for (input, a) in case.entry.inputs.iter().zip(&mut inputs) {
        let rows = matches!(input.kind, Kind::Rows | Kind::DoubleRows);
        let table = case.entry.inputs.iter().any(|i| i.kind == Kind::Table);
        if rows && (table || input.kind == Kind::DoubleRows) {
            halves = true;
            *a = a.index((Ellipsis, 0..31))?;
        }
    }
    if !halves {
        return Ok(None);
    }
    Ok(match (case.entry.call)(&inputs) {
        Ok(_) => Some("no error".into()),
        Err(e) => told(case, &e, |e| matches!(e, Error::Shape { .. })),
    })
}

/// A function over rows refuses scalars; one over elements takes them.
fn scalars(case: &Case) -> Result<Option<String>> {
    let inputs = case.inputs()?;
    let one = |a: &Array| Array::ones((), a.dtype());
    let inputs = inputs.iter().map(one).collect::<Result<Vec<_>>>()?;
    match (case.entry.call)(&inputs) {
        Err(e) => Ok(told(case, &e, |e| matches!(e, Error::Shape { .. }))),
        Ok(got) => {
            let want = exactly(|| composite(case, got.len())(&wide(&inputs)?))?;
            Tolerance::kernel(case, got[0].dtype()).compare(&got[0], &want[0])
        }
    }
}

/// Weights and tables may have another float dtype than the rows; their gradients have theirs.
#[test]
fn weights_of_another_dtype() {
    swept(&[F32], |report, entry, dtype| {
        for weights in [F32, F16, BF16] {
            let Some(case) = Case::new(entry, dtype, &[5], 100, report.seed) else {
                continue;
            };
            let shared = Kind::is_shared;
            if weights == dtype || !entry.inputs.iter().any(|i| shared(i.kind)) {
                continue;
            }
            let mut inputs = case.inputs()?;
            for (a, input) in inputs.iter_mut().zip(entry.inputs) {
                if shared(input.kind) {
                    *a = a.astype(weights)?;
                }
            }
            let which = case.differentiable();
            let outputs = (entry.call)(&inputs)?;
            let cotangents = normals(&outputs, case.seed)?;
            let p = pick(&inputs, &which);
            let got = gradients(&of(&entry.call, &inputs, &which), &p, &cotangents)?;
            let (want, want_gradients) = exactly(|| {
                let f = composite(&case, outputs.len());
                let inputs = wide(&inputs)?;
                let p = pick(&inputs, &which);
                let f_of = of(&f, &inputs, &which);
                Ok((f(&inputs)?, gradients(&f_of, &p, &wide(&cotangents)?)?))
            })?;
            for (gradient, p) in got.iter().zip(&p) {
                let wrong = gradient.dtype() != p.dtype();
                let text = format!("is {}", gradient.dtype());
                report.check(&case, "gradient's dtype", Ok(wrong.then_some(text)));
            }
            let what = format!("with {weights} weights,");
            report.compare_exactly(&case, &format!("{what} output"), &inputs, &outputs, &want);
            let what = format!("{what} gradient");
            let tolerance = Tolerance::kernel;
            report.compare_derivatives(&case, &what, tolerance, &cotangents, &got, &want_gradients);
        }
        Ok(())
    });
}
