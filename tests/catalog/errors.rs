//! What a kernel refuses, and with which error; and dtypes that may be mixed.

use zmlx::kernels::Kind;
use zmlx::prelude::*;
use zmlx::{Result, with_device};

use crate::cases::{Case, DTYPES, deep, normals};
use crate::reference::{composite, exactly, gradients, of, pick, wide};
use crate::report::{deep_in, each_in};
use crate::tolerance::Tolerance;

/// Calls with one input changed; the outcome if it is not the error expected.
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
        Err(e) if expected(&e) => {
            // It names the line that called: the table's.
            let here = e.to_string();
            (!here.contains("src/kernels/")).then(|| format!("names no place: {here}"))
        }
        Err(e) => Some(format!("another error: {e:?}")),
    })
}

#[test]
fn other_dtypes() {
    each_in(&[F32], |report, entry, dtype| {
        let Some(case) = Case::new(entry, dtype, &[2, 3], 32, report.seed) else {
            return Ok(());
        };
        for (i, input) in entry.inputs.iter().enumerate() {
            let mut wrong = vec![Dtype::Float64, Dtype::Complex64];
            if input.kind == Kind::Targets {
                wrong.push(Dtype::Float32);
            } else if entry.name.starts_with("scan::") {
                // Running sums of integers are exact.
                wrong.push(Dtype::Bool);
            } else {
                wrong.extend([Dtype::Int32, Dtype::Uint8, Dtype::Bool]);
            }
            for dtype in wrong {
                let outcome = with_device(Device::CPU, || {
                    refused(
                        &case,
                        i,
                        |a| a.astype(dtype),
                        |e| matches!(e, Error::Dtype { .. }),
                    )
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
        let shared = |kind| matches!(kind, Kind::Weight | Kind::Table);
        for (i, input) in entry.inputs.iter().enumerate() {
            // Whether another input has the same leading axes, or the same width.
            let others = || entry.inputs.iter().enumerate().filter(|(j, _)| *j != i);
            let leading = shared(input.kind) || others().any(|(_, o)| !shared(o.kind));
            let last =
                input.kind == Kind::Targets || others().any(|(_, o)| o.kind != Kind::Targets);
            let mut check = |what: &str, change: fn(&Array) -> Result<Array>| {
                let outcome = refused(&case, i, change, shape);
                report.check(&case, &format!("`{}` {what}", input.name), outcome);
            };
            if last {
                check("of another last size", |a| a.index((Ellipsis, 0..1)));
            }
            if leading {
                check("of another first size", |a| a.index(0..1));
                check("with another axis", |a| {
                    a.expand_dims(0)?
                        .tile([&[2][..], &vec![1; a.ndim()]].concat())
                });
            }
        }
        if deep(entry) {
            let outcome = scalars(&case);
            report.check(&case, "scalars", outcome);
        }
        Ok(())
    });
}

/// A function over rows refuses scalars; one over elements takes them.
fn scalars(case: &Case) -> Result<Option<String>> {
    let inputs = case.inputs()?;
    let one = |a: &Array| Array::ones((), a.dtype());
    let inputs = inputs.iter().map(one).collect::<Result<Vec<_>>>()?;
    match (case.entry.call)(&inputs) {
        Err(Error::Shape { .. }) => Ok(None),
        Err(e) => Ok(Some(format!("another error: {e:?}"))),
        Ok(got) => {
            let want = exactly(|| composite(case, got.len())(&wide(&inputs)?))?;
            Tolerance::kernel(case, got[0].dtype()).compare(&got[0], &want[0])
        }
    }
}

/// Weights and tables may have another float dtype than the rows; their gradients have theirs.
#[test]
fn weights_of_another_dtype() {
    deep_in(&DTYPES, &[F32], |report, entry, dtype| {
        for weights in [F32, F16, BF16] {
            let Some(case) = Case::new(entry, dtype, &[5], 100, report.seed) else {
                continue;
            };
            let shared = |kind| matches!(kind, Kind::Weight | Kind::Table);
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
