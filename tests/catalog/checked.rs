//! Kernels in checked mode: no access out of bounds, no element that nobody writes, and no text
//! that Metal's compiler would refuse.

use zmlx::prelude::*;
use zmlx::{Result, eval};

use crate::cases::{Case, normals};
use crate::process;
use crate::reference::{of, pick};
use crate::report::deep_in;

/// The mode of kernels that are statics comes from the environment, so the checks are a process; on the CPU,
/// since the mode is the host engine's.
#[test]
fn kernels_pass_the_checked_mode() {
    let environment = [("ZMLX_CHECKED", "1"), ("ZMLX_ENGINE", "cpu")];
    let err = process::run("checked::in_checked_mode", &environment, 1);
    // Elements that nobody wrote are no errors, but told.
    assert!(!err.contains("zmlx:"), "{err}");
}

#[test]
#[ignore = "run by kernels_pass_the_checked_mode"]
fn in_checked_mode() {
    assert!(std::env::var_os("ZMLX_CHECKED").is_some());
    // Few: each dtype and each way of passing an input is compiled.
    deep_in(&[F32, BF16], &[], |report, entry, dtype| {
        let shapes: &[(&[i32], i32)] = match dtype {
            F32 => &[(&[1], 2), (&[0], 33), (&[1], 0), (&[3, 3], 33), (&[9], 200)],
            _ => &[(&[3, 3], 33), (&[9], 200)],
        };
        for (leading, width) in shapes {
            let Some(case) = Case::new(entry, dtype, leading, *width, report.seed) else {
                continue;
            };
            let outcome = run(&case);
            report.check(&case, "checked", outcome.map(|()| None));
        }
        Ok(())
    });
}

fn run(case: &Case) -> Result<()> {
    let inputs = case.inputs()?;
    let which = case.differentiable();
    let outputs = (case.entry.call)(&inputs)?;
    eval(&outputs)?;
    let call = of(&case.entry.call, &inputs, &which);
    let cotangents = normals(&outputs, case.seed)?;
    eval(zmlx::vjp(call, pick(&inputs, &which), cotangents)?.1)
}
