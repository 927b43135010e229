//! Kernels that do not end by themselves.

use std::time::Duration;

use rstest::rstest;

use super::super::*;
use super::{FLOATS, kernel, named, over, run};
use crate::engine::error::LaunchError;

#[rstest]
#[case("out[0] = 0; while (true) { if (inp[0] > 5) break; }")]
#[case(
    "threadgroup float s[4]; for (uint i = 3; i >= 0; --i) { s[i & 3] = 1; threadgroup_barrier(mem_flags::mem_threadgroup); }"
)]
#[case("for (;;) { if (simd_sum(inp[0]) < 0) break; }")]
#[case(
    "float s = 0; uint step = uint(inp[0]) - 1; for (uint i = 0; i < 9; i += step) s += i; out[0] = s;"
)]
#[case(
    "float s = 0; for (int i = 0; i < 9; i += int(inp[0]) - 1) { s += inp[0]; simdgroup_barrier(mem_flags::mem_none); } out[0] = s;"
)]
#[case("int n = 0; do n += int(inp[0]) - 1; while (n < 5); out[0] = n;")]
#[case("int n = 0; for (int i = 0; i < 5; ++i) if (inp[0] > 0) { i = 0; n++; } out[0] = n;")]
#[case("int n = 0; for (uint i = uint(inp[0]) - 1; i < 9; i *= 2) n++; out[0] = n;")]
#[case("int n = 0; RETRY(inp[0] == 1, n++) out[0] = n;")]
fn endless_loops_end(#[case] body: &str) {
    let limit = Duration::from_millis(200);
    let args = LaunchArgs {
        timeout: Some(limit),
        ..over([4096, 1, 1], [64, 1, 1])
    };
    let header = "#define RETRY(c, s) do { s; } while (c);\n";
    let error = run(&kernel(header, FLOATS, body), &mut [1.0], 1, args).unwrap_err();
    assert_eq!(
        error,
        LaunchError::Timeout {
            kernel: "test".into(),
            limit
        }
    );
    // The same stacks serve the next launch.
    let text = kernel(
        "",
        FLOATS,
        "threadgroup_barrier(mem_flags::mem_none); out[thread_position_in_grid.x] = 1;",
    );
    assert_eq!(
        run(&text, &mut [1.0], 64, over([64, 1, 1], [64, 1, 1])).unwrap(),
        [1.0; 64]
    );
}

/// Loops that ask nothing: those that count, those that no pass sees, and many threads that end.
#[rstest]
#[case::counted("for (long j = 0; j < 1000000000000l; ++j) out[j % 2] += j;", 1, 1)]
#[case::counted_in_registers(
    "float s = inp[0]; for (long j = 0; j < 1000000000000l; ++j) s = metal::sin(s + j); out[0] = s;",
    8,
    8
)]
#[case::nested(
    "for (uint i = 0; i < 4000000000u; ++i) for (uint j = 0; j < 4000000000u; ++j) out[j % 2] += i;",
    1,
    1
)]
#[case::jump("again: out[0] += 1; goto again;", 64, 32)]
#[case::word("W (true) { out[0] += 1; }", 64, 32)]
#[case::hidden("FOREVER(out[0] += 1)", 64, 32)]
#[case::body("while (true) BODY", 64, 32)]
#[case::beside_a_barrier(
    "threadgroup_barrier(mem_flags::mem_none); for (long j = 0; j < 1000000000000l; ++j) out[j % 2] += j;",
    64,
    64
)]
#[case::jump_between_barriers(
    "again: threadgroup_barrier(mem_flags::mem_none); out[0] += 1; goto again;",
    64,
    64
)]
#[case::grid(
    "uint i = thread_position_in_grid.x; float s = i; for (int j = 0; j < 1000; ++j) s = metal::sin(s); if (s > 2) out[0] = s;",
    u32::MAX / 4,
    1
)]
#[case::grid_of_groups(
    "uint i = thread_position_in_threadgroup.x; float s = i; for (int j = 0; j < 1000; ++j) s = metal::sin(s); if (s > 2) out[0] = s;",
    u32::MAX,
    64
)]
#[case::grid_with_barriers(
    "threadgroup_barrier(mem_flags::mem_none); if (thread_position_in_threadgroup.x > 99) out[0] = 1;",
    u32::MAX,
    64
)]
fn whatever_does_not_end_is_ended(
    #[case] body: &str,
    #[case] grid: u32,
    #[case] threadgroup: u32,
    #[values(false, true)] checked: bool,
) {
    // Metal has no `goto`, and the checked mode says so.
    if checked && body.contains("goto") {
        return;
    }
    const HEADER: &str =
        "#define W while\n#define FOREVER(x) for (;;) { x; }\n#define BODY { out[0] += 1; }\n";
    let limit = Duration::from_millis(150);
    let options = CompileOptions {
        checked,
        ..named("long")
    };
    let kernel = compile(&kernel(HEADER, FLOATS, body), &options).unwrap();
    let mut data = [[1.0f32; 2]; 2];
    let buffers = data.each_mut().map(|d| Buffer {
        data: d.as_mut_ptr().cast(),
        len: 8,
        before: 0,
    });
    let args = LaunchArgs {
        timeout: Some(limit),
        ..LaunchArgs::new(&buffers, [grid, 1, 1], [threadgroup, 1, 1])
    };
    let start = std::time::Instant::now();
    // SAFETY: both buffers outlive the call, and the kernel stays within them.
    let error = unsafe { kernel.launch(&args) }.unwrap_err();
    assert_eq!(
        error,
        LaunchError::Timeout {
            kernel: "long".into(),
            limit
        }
    );
    // The machine may be busy, but this is no matter of minutes.
    assert!(start.elapsed() < Duration::from_secs(20));
}
