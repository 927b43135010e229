//! The checked mode: kernels with one fault each, and kernels without.

mod common;

use common::checked::{N, numbers, run};
use rstest::rstest;
use zmlx::engine::EngineError;
use zmlx::engine::error::Region;
use zmlx::prelude::*;
use zmlx::{Checked, MetalKernel};

fn kernel(header: &str, source: &str) -> MetalKernel {
    let kernel = MetalKernel::new("faulty", ["x", "small"], ["out"])
        .header(header)
        .source(source)
        .build()
        .unwrap();
    kernel.checked()
}

struct Expected {
    buffer: &'static str,
    index: i64,
    extent: u64,
    element: u32,
    thread: u32,
    region: Region,
    line: usize,
}

const fn expect(buffer: &'static str, index: i64, extent: u64, thread: u32) -> Expected {
    Expected {
        buffer,
        index,
        extent,
        element: 4,
        thread,
        region: Region::Source,
        line: 2,
    }
}

#[rstest]
#[case::read("out[i] = x[i + 1];", expect("x", 64, 64, 63))]
#[case::write("if (i == 5) out[i + 60] = x[i];", expect("out", 65, 64, 5))]
#[case::negative_index("out[i] = i == 7 ? x[-1] : 0.0f;", expect("x", -1, 64, 7))]
#[case::unsigned_wrap("out[i] = x[i - 1];", expect("x", 4294967295, 64, 0))]
#[case::constant("out[i] = small[i == 9 ? 4 : 0];", expect("small", 4, 4, 9))]
#[case::constant_table("out[i] = table[i == 3 ? 8 : 2];", expect("table", 8, 3, 3))]
#[case::threadgroup(
    "threadgroup float t[32]; t[l] = x[i]; threadgroup_barrier(mem_flags::mem_threadgroup);
     out[i] = t[l + (i == 40 ? 24 : 0)];",
    Expected { line: 3, ..expect("t", 32, 32, 40) }
)]
#[case::threadgroup_two_dimensions(
    "threadgroup float t[2][16]; t[l / 16][l % 16 + (i == 33 ? 15 : 0)] = x[i]; out[i] = 0;",
    expect("t", 16, 16, 33)
)]
#[case::vector_past_the_end(
    "out[i] = (*(const device float4*)(x + (i == 0 ? 61 : 0))).x;",
    Expected { element: 16, ..expect("x", 15, 16, 0) }
)]
#[case::row_pointer(
    "const device float* row = &x[i * 2];
     out[i] = row[1];",
    Expected { line: 3, ..expect("x", 65, 64, 32) }
)]
#[case::through_a_function(
    "out[i] = third(x + 60 + (i == 63 ? 2 : 1));",
    Expected { region: Region::Header, line: 3, ..expect("x", 64, 64, 63) }
)]
#[case::structure(
    "Holder h; h.p = x; out[i] = h.p[i == 11 ? 100 : 1];",
    expect("x", 100, 64, 11)
)]
#[case::arrow(
    "const device Pair* p = (const device Pair*)x;
     out[i] = p->a + (p + (i == 10 ? 32 : 1))->b;",
    Expected { line: 3, element: 8, ..expect("x", 32, 32, 10) }
)]
#[case::atomic(
    "device atomic_float* a = (device atomic_float*)out;
     atomic_fetch_add_explicit(&a[i == 12 ? 64 : i], 1.0f, memory_order_relaxed);",
    Expected { line: 3, ..expect("out", 64, 64, 12) }
)]
#[case::simdgroup_matrix(
    "simdgroup_float8x8 m; simdgroup_load(m, x + (i < 32 ? 0 : 2), 8);
     simdgroup_store(m, out, 8);",
    expect("x", 64, 64, 63)
)]
#[case::dereference(
    "device float* p = out; p += 63; if (i == 1) { ++p; *p = 1.0f; } out[i] = 0;",
    expect("out", 64, 64, 1)
)]
fn out_of_bounds(#[case] source: &str, #[case] want: Expected) {
    let header = "
        float third(const device float* p) {
            return p[2]; }
        constant float table[3] = {1, 2, 3};
        struct Holder { const device float* p; };
        struct Pair { float a; float b; };";
    let source = format!(
        "uint i = thread_position_in_grid.x, l = thread_position_in_threadgroup.x;
     {source}"
    );
    let kernel = kernel(header, &source);
    let error = run(&kernel).unwrap_err();
    let Error::Launch {
        kernel: name,
        message,
        ..
    } = &error
    else {
        panic!("not a launch error: {error:?}");
    };
    assert_eq!(name, "faulty");
    let report = kernel.checked_report().unwrap();
    let first = report.first.as_ref().unwrap();
    assert!(message.contains(&first.to_string()), "{message}");
    assert_eq!(first.buffer, want.buffer, "{first}");
    assert_eq!(first.index, want.index, "{first}");
    assert_eq!(first.extent, want.extent, "{first}");
    assert_eq!(first.element, want.element, "{first}");
    assert_eq!(first.thread, [want.thread, 0, 0], "{first}");
    let location = first.location.as_ref().unwrap();
    assert_eq!(
        (location.region, location.line),
        (want.region, want.line),
        "{first}"
    );
    // The kernel is as usable as before.
    assert!(run(&kernel).is_err());
}

#[test]
fn strided_offset() {
    let source = "uint i = thread_position_in_grid.x;
        out[i] = x[i * x_strides[0] + 1];";
    let kernel = MetalKernel::new("strided", ["x"], ["out"])
        .source(source)
        .ensure_row_contiguous(false)
        .checked(Checked::Strict)
        .build()
        .unwrap();
    let x = numbers(N).reshape([32, 2]).unwrap().transpose(..).unwrap();
    let [y] = kernel.launch(&[&x]).grid(N).run().unwrap();
    let message = y.eval().unwrap_err().to_string();
    assert!(
        message.contains("`x` was accessed at index 64"),
        "{message}"
    );
    assert!(message.contains("source line 2"), "{message}");
}

#[rstest]
#[case::threadgroup_for_device(
    "float first(const device float* p) { return p[0]; }",
    "threadgroup float t[4]; out[0] = first(t);",
    Region::Source,
    1,
    ""
)]
#[case::device_for_threadgroup(
    "float first(threadgroup float* p) { return p[0]; }",
    "out[0] = first(out);",
    Region::Source,
    1,
    ""
)]
#[case::thread_for_device(
    "float first(device float* p) { return p[0]; }",
    "float v = 1; out[0] = first(&v);",
    Region::Source,
    1,
    ""
)]
#[case::pointer_without_space("", "\nfloat* p = nullptr; out[0] = 1;", Region::Source, 2, "float*")]
#[case::parameter_without_space(
    "\nfloat sum(const float* p) { return *p; }",
    "out[0] = 1;",
    Region::Header,
    2,
    "must have an address space"
)]
#[case::double("", "double d = 1; out[0] = d;", Region::Source, 1, "no `double`")]
#[case::standard_library("", "out[0] = std::max(1.0f, 2.0f);", Region::Source, 1, "no `std::`")]
#[case::recursion(
    "float down(float n) {\n return n < 1 ? 0 : down(n - 1); }",
    "out[0] = down(3);",
    Region::Header,
    2,
    "no recursion"
)]
#[case::mutual_recursion(
    "float a(float n);\nfloat b(float n) { return a(n); }\nfloat a(float n) { return n > 0 ? b(n - 1) : 0; }",
    "out[0] = a(3);",
    Region::Header,
    2,
    "no recursion"
)]
#[case::constant_written(
    "",
    "\nsmall[0] = 1; out[0] = 1;",
    Region::Source,
    2,
    "read-only|const value"
)]
#[case::constant_table_written(
    "constant float table[2] = {1, 2};",
    "table[0] = 1; out[0] = 1;",
    Region::Source,
    1,
    "read-only|const value"
)]
#[case::input_written(
    "",
    "x[0] = 1; out[0] = 1;",
    Region::Source,
    1,
    "read-only|const value"
)]
#[case::bfloat_narrowing("", "bfloat b = 1.5f; out[0] = b;", Region::Source, 1, "bfloat")]
#[case::bfloat_from_half(
    "",
    "half h = 1.5h; bfloat b = h; out[0] = b;",
    Region::Source,
    1,
    "bfloat"
)]
#[case::half_from_bfloat(
    "",
    "bfloat b = bfloat(1.5f); half h = b; out[0] = h;",
    Region::Source,
    1,
    "half"
)]
fn refused(
    #[case] header: &str,
    #[case] source: &str,
    #[case] region: Region,
    #[case] line: usize,
    #[case] words: &str,
) {
    let error = run(&kernel(header, source)).unwrap_err();
    let Error::Kernel { problem, .. } = &error else {
        panic!("not refused: {error:?}");
    };
    let EngineError::Compile(error) = &**problem else {
        panic!("not a compile error: {problem}");
    };
    // Compilers choose different words.
    let says = words.split('|').any(|w| error.message.contains(w));
    assert!(says, "{error}");
    let location = error.location.as_ref().unwrap();
    assert_eq!(
        (location.region, location.line),
        (region, line),
        "{error}\n{}",
        error.output
    );
}

#[test]
fn unwritten_output() {
    let source = "uint i = thread_position_in_grid.x; if (i % 8 != 5) out[i] = x[i];";
    let kernel = kernel("", source);
    run(&kernel).unwrap();
    let report = kernel.checked_report().unwrap();
    assert_eq!((report.violations, report.launches), (0, 1));
    let [unwritten] = report.unwritten.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(unwritten.output, "out");
    assert_eq!(
        (unwritten.elements, unwritten.first, unwritten.of),
        (8, 5, 64)
    );
}

#[test]
fn a_filled_output_may_be_left_alone() {
    let source = "uint i = thread_position_in_grid.x; if (i % 8 != 5) out[i] = x[i];";
    let kernel = kernel("", source);
    let [y] = kernel
        .launch(&[&numbers(N), &numbers(4)])
        .output(N, Dtype::Float32)
        .grid(N)
        .init_value(7.0)
        .run()
        .unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap()[5], 7.0);
    assert!(kernel.checked_report().unwrap().unwritten.is_empty());
}

/// A written value that equals the pattern which marks untouched memory is no unwritten one.
#[test]
fn every_value_counts_as_written() {
    let kernel = MetalKernel::new("bytes", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = uchar(i);")
        .build()
        .unwrap()
        .checked();
    let [y] = kernel
        .launch(&[&numbers(1)])
        .output(256, Dtype::Uint8)
        .grid(256)
        .run()
        .unwrap();
    assert_eq!(y.to_vec::<u8>().unwrap(), (0..=255).collect::<Vec<u8>>());
    assert!(kernel.checked_report().unwrap().unwritten.is_empty());
}

#[test]
fn robust_launches_go_on() {
    let source = "uint i = thread_position_in_grid.x;
        out[i] = x[i + 2] + 1.0f;
        if (i < 3) out[i + 100] = 5.0f;
        if (i == 0) out[70] += 1.0f;";
    let kernel = kernel("", source).checked_robust();
    let got = run(&kernel).unwrap();
    assert_eq!(got[..2], [4.0, 5.0]);
    assert_eq!(got[61..], [65.0, 1.0, 1.0]);
    let report = kernel.checked_report().unwrap();
    assert_eq!(report.violations, 2 + 3 + 1);
    assert!(report.first.is_some());
    assert!(report.unwritten.is_empty());
}
