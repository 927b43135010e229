//! Values and gradients by kernels, over all shapes.

use zmlx::kernels::{Entry, Kind, catalog};
use zmlx::prelude::*;
use zmlx::{Result, eval};

use crate::cases::{Case, normals, poison};
use crate::reference::{composite, exactly, gradients, of, pick, wide};
use crate::report::{Report, each};
use crate::tolerance::{Tolerance, numbers};

#[test]
fn values_and_gradients() {
    each(|report, entry, dtype| {
        for case in Case::chosen(entry, dtype, report.seed) {
            if let Err(e) = one(report, &case) {
                report.check(&case, "runs", Err(e));
            }
        }
        Ok(())
    });
}

pub fn one(report: &mut Report, case: &Case) -> Result<()> {
    let inputs = case.inputs()?;
    // Shapes and dtypes are known without computing anything.
    let planned = (case.entry.call)(&inputs)?;
    poison(&planned)?;
    let outputs = (case.entry.call)(&inputs)?;
    eval(&outputs)?;
    for y in &outputs {
        let wrong = y.dtype() != case.dtype;
        report.check(
            case,
            "dtype",
            Ok(wrong.then(|| format!("is {}", y.dtype()))),
        );
    }
    if case.width == 0 {
        return empty(report, case, &inputs, &outputs);
    }

    let which = case.differentiable();
    let (p, cotangents) = (pick(&inputs, &which), normals(&outputs, case.seed)?);
    let call = of(&case.entry.call, &inputs, &which);
    poison(&p)?;
    let got = gradients(&call, &p, &cotangents)?;
    for (gradient, p) in got.iter().zip(&p) {
        let wrong = gradient.dtype() != p.dtype();
        let text = format!("is {}", gradient.dtype());
        report.check(case, "gradient's dtype", Ok(wrong.then_some(text)));
    }

    let (want, want_gradients) = exactly(|| {
        let composite = composite(case, outputs.len());
        let inputs = wide(&inputs)?;
        let want = composite(&inputs)?;
        let f = of(&composite, &inputs, &which);
        let gradients = gradients(&f, &pick(&inputs, &which), &wide(&cotangents)?)?;
        Ok((want, gradients))
    })?;
    report.compare_exactly(case, "output", &inputs, &outputs, &want);
    let tolerance = Tolerance::kernel;
    report.compare_derivatives(
        case,
        "gradient",
        tolerance,
        &cotangents,
        &got,
        &want_gradients,
    );
    Ok(())
}

/// Rows without elements: the shapes are right and there are gradients; values are what the
/// composite gives, if it gives any.
fn empty(report: &mut Report, case: &Case, inputs: &[Array], outputs: &[Array]) -> Result<()> {
    let want = exactly(|| composite(case, outputs.len())(&wide(inputs)?));
    if let Ok(want) = want {
        report.compare_exactly(case, "output", inputs, outputs, &want);
    }
    for (y, want) in outputs.iter().zip(case.empty_shapes()?) {
        let wrong = y.shape() != want;
        let text = format!("is {:?}, expected {want:?}", y.shape());
        report.check(case, "shape", Ok(wrong.then_some(text)));
        numbers(y)?;
    }
    let which = case.differentiable();
    let call = of(&case.entry.call, inputs, &which);
    let p = pick(inputs, &which);
    let got = gradients(&call, &p, &normals(outputs, case.seed)?)?;
    for (gradient, p) in got.iter().zip(&p) {
        let wrong = gradient.shape() != p.shape();
        let text = format!("is {:?}", gradient.shape());
        report.check(case, "gradient's shape", Ok(wrong.then_some(text)));
    }
    Ok(())
}

/// The table describes the kernels: inputs as many as the function takes, a file that exists,
/// and MLX's own operation, where it is named, computes the same.
#[test]
fn rows_of_the_table() {
    each(|report, entry, dtype| {
        let file = crate::common::root().join("kernels").join(entry.file);
        let Some(case) = Case::new(entry, dtype, &[2, 3], 64, report.seed) else {
            return Ok(());
        };
        report.check(
            &case,
            "file",
            // Without a name it is made from a program.
            Ok((!entry.file.is_empty() && !file.is_file()).then(|| entry.file.into())),
        );
        let first = entry.inputs.first().is_none_or(|i| i.kind == Kind::Targets);
        report.check(&case, "first input", Ok(first.then(|| "no float".into())));
        let bytes = (entry.bytes)(6, 64, dtype_size(dtype));
        report.check(&case, "bytes", Ok((bytes == 0).then(|| "none".into())));
        if let (Some(mlx), F32) = (entry.mlx, dtype) {
            let inputs = case.inputs()?;
            let (want, again) = (mlx(&inputs)?, mlx(&inputs)?);
            // One that draws numbers of its own is there for benchmarks only.
            if numbers(&want[0])? == numbers(&again[0])? {
                let got = (entry.call)(&inputs)?;
                report.compare_exactly(&case, "MLX's", &inputs, &got, &want);
            }
        }
        Ok(())
    });
}

fn dtype_size(dtype: Dtype) -> usize {
    if dtype == F32 { 4 } else { 2 }
}

/// Functions whose inputs follow no rows: the table's call and composite, which only benchmarks and documents use, agree.
#[test]
fn rows_of_the_table_for_other_inputs() {
    crate::common::on_worker(|| -> Result<()> {
        let wanted = std::env::var("ZMLX_CATALOG").unwrap_or_default();
        let others = |e: &&Entry| e.inputs.iter().any(|i| !i.kind.follows_rows());
        for entry in catalog()
            .filter(others)
            .filter(|e| e.name.contains(&wanted))
        {
            let file = crate::common::root().join("kernels").join(entry.file);
            assert!(entry.file.is_empty() || file.is_file(), "{}", entry.name);
            assert!((entry.bytes)(6, 64, 4) > 0, "{}", entry.name);
            for dtype in crate::cases::DTYPES {
                let inputs = entry.inputs(&[3], 32, dtype, 7)?;
                let (got, want) = ((entry.call)(&inputs)?, (entry.composite)(&inputs)?);
                assert_eq!(got.len(), want.len(), "{}", entry.name);
                let unit = match dtype {
                    F32 if crate::common::factors_are_rounded() => 1e-2,
                    F32 => 1e-5,
                    // Composites round at each step.
                    F16 => 1e-2,
                    _ => 1e-1,
                };
                for (got, want) in got.iter().zip(&want) {
                    assert_eq!(got.shape(), want.shape(), "{}", entry.name);
                    let want = numbers(want)?;
                    let most = want.iter().fold(1.0f64, |most, w| most.max(w.abs()));
                    for (g, w) in numbers(got)?.iter().zip(&want) {
                        // Some codes are no numbers.
                        let good = (g - w).abs() <= unit * most || (g.is_nan() && w.is_nan());
                        assert!(good, "{} {dtype}: {g}, expected {w}", entry.name);
                    }
                }
            }
        }
        Ok(())
    })
    .unwrap();
}
