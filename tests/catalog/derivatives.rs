//! Forward-mode and second derivatives, and derivatives with respect to single inputs.

use zmlx::Result;
use zmlx::prelude::*;

use crate::cases::{Case, normals};
use crate::reference::{
    composite, exactly, gradients, gradients_over_tangents, of, over_tangents, pick, second,
    tangents, wide,
};
use crate::report::{Report, deep_in, swept};
use crate::tolerance::Tolerance;

#[test]
fn tangents_and_second_derivatives() {
    swept(&[F32], |report, entry, dtype| {
        for case in Case::some(entry, dtype, report.seed) {
            // Empty rows are in `values`.
            if case.width == 0 {
                continue;
            }
            let which = case.differentiable();
            if let Err(e) = one(report, &case, &which) {
                report.check(&case, "derivatives", Err(e));
            }
        }
        Ok(())
    });
}

/// Of kernels that stand for others, and in one dtype: which gradients are asked for is no matter of the formula or of the dtype.
#[test]
fn single_inputs() {
    deep_in(&[F32], &[], |report, entry, dtype| {
        let Some(case) = Case::new(entry, dtype, &[4], 100, report.seed) else {
            return Ok(());
        };
        for i in case.differentiable() {
            one(report, &case, &[i])?;
        }
        Ok(())
    });
}

fn one(report: &mut Report, case: &Case, which: &[usize]) -> Result<()> {
    let inputs = case.inputs()?;
    let outputs = (case.entry.call)(&inputs)?;
    let p = pick(&inputs, which);
    let (directions, projection) = (normals(&p, case.seed)?, normals(&p, case.seed + 1)?);
    let cotangents = normals(&outputs, case.seed + 2)?;

    let call = of(&case.entry.call, &inputs, which);
    let got = [
        tangents(&call, &p, &directions)?,
        gradients(&call, &p, &cotangents)?,
        second(&call, &p, &cotangents, &projection)?,
        over_tangents(&call, &p, &directions, &projection)?,
        gradients_over_tangents(&call, &p, &directions, &cotangents)?,
    ];
    let want = exactly(|| {
        let composite = composite(case, outputs.len());
        let inputs = wide(&inputs)?;
        let f = of(&composite, &inputs, which);
        let p = pick(&inputs, which);
        let cotangents = wide(&cotangents)?;
        Ok(vec![
            tangents(&f, &p, &wide(&directions)?)?,
            gradients(&f, &p, &cotangents)?,
            second(&f, &p, &cotangents, &wide(&projection)?)?,
        ])
    });
    let nested = exactly(|| {
        let composite = composite(case, outputs.len());
        let inputs = wide(&inputs)?;
        let f = of(&composite, &inputs, which);
        let (p, directions) = (wide(&p)?, wide(&directions)?);
        Ok(vec![
            over_tangents(&f, &p, &directions, &wide(&projection)?)?,
            gradients_over_tangents(&f, &p, &directions, &wide(&cotangents)?)?,
        ])
    });
    // MLX has no tangents of the tangents of a maximum.
    let known = |e: &zmlx::Error| e.to_string().contains("JVP with respect to indices");
    if let Err(e) = &nested {
        let none = case.leading.contains(&0) || known(e);
        report.check(case, "nested tangents", Ok((!none).then(|| e.to_string())));
    }
    // Not all of MLX's operations have derivatives where there are no rows.
    if want.is_err() && case.leading.contains(&0) {
        return Ok(());
    }
    let mut want = want?;
    want.extend(nested.unwrap_or_default());
    let names = [
        "tangent",
        "gradient",
        "second derivative",
        "tangent of tangents",
        "gradient of tangents",
    ];
    let factors = [directions, cotangents, projection].concat();
    for ((name, got), want) in names.iter().zip(&got).zip(&want) {
        let what = format!("{name} of {which:?},");
        report.compare_derivatives(case, &what, Tolerance::second, &factors, got, want);
    }
    Ok(())
}
