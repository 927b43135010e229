//! Rows that no threadgroup holds in registers, in the way they go on a GPU: chunk by chunk, shared by several
//! threadgroups.

use zmlx::prelude::*;

use crate::cases::{Case, LOGITS, LONG, WIDE};
use crate::process;
use crate::report::{deep_in, swept};
use crate::values::one;

/// What a softmax of 16 bits computes once waits beside a row up to a length, on a CPU.
#[test]
fn rows_of_the_length_that_waits_and_longer() {
    const NAMES: [&str; 3] = [
        "softmax::softmax_lastdim",
        "attention::masked_softmax",
        "attention::scale_mask_softmax",
    ];
    deep_in(&[F16, BF16], &[F16, BF16], |report, entry, dtype| {
        if NAMES.contains(&entry.name) {
            for width in [8191, 8192, 8193] {
                let Some(case) = Case::new(entry, dtype, &[2], width, report.seed) else {
                    continue;
                };
                if let Err(e) = one(report, &case) {
                    report.check(&case, "runs", Err(e));
                }
            }
        }
        Ok(())
    });
}

/// How rows are shared out is settled once in a process.
#[test]
fn long_rows_as_on_a_gpu() {
    let environment = [("ZMLX_ROW_GROUPS", "gpu"), ("ZMLX_ENGINE", "cpu")];
    process::run("long_rows::in_the_way_of_gpus", &environment, 1);
}

#[test]
#[ignore = "run by long_rows_as_on_a_gpu"]
fn in_the_way_of_gpus() {
    assert!(std::env::var_os("ZMLX_ROW_GROUPS").is_some());
    swept(&[], |report, entry, dtype| {
        // Of whole blocks and not; a group for each chunk, and one for all chunks of a row.
        let shapes: &[(&[i32], i32)] = match dtype {
            F32 => &[(&[1], LONG), (&[16], LOGITS)],
            F16 => &[(&[2], LOGITS - 1)],
            _ => &[(&[3], LOGITS), (&[70], WIDE)],
        };
        for (leading, width) in shapes {
            let Some(case) = Case::new(entry, dtype, leading, *width, report.seed) else {
                continue;
            };
            if let Err(e) = one(report, &case) {
                report.check(&case, "runs", Err(e));
            }
        }
        Ok(())
    });
}
