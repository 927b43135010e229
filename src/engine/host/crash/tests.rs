//! Kernels that end the process, each in a process of its own.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output},
};

use rstest::rstest;

use super::*;
use crate::{Array, Device, Dtype, MetalKernel, with_device};

fn line(kernel: &str) -> String {
    let mut text = Line::default();
    text.add("kernel ");
    text.add(kernel);
    text.add(" grid ");
    text.sizes([0, 10, u32::MAX]);
    text.add(" end\n");
    String::from_utf8(text.bytes[..text.len].to_vec()).unwrap()
}

#[test]
fn lines_are_written_without_memory() {
    assert_eq!(line("scale"), "kernel scale grid [0, 10, 4294967295] end\n");
    let long = line(&"k".repeat(600));
    assert!(long.ends_with(" end\n") && long.len() <= 512, "{long}");
}

/// Runs `ends_the_process` in a process of its own, as `how` says.
fn child(how: &str, more: &[(&str, &str)]) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--ignored"])
        .arg("engine::host::crash::tests::ends_the_process")
        .env("ZMLX_TEST_CRASH", how)
        .envs(more.iter().copied())
        .output()
        .unwrap()
}

/// What the kernels do, and how their threads run.
const BODIES: [(&str, &str); 3] = [
    (
        "loop",
        "out[i] = 1; if (x[0] == 1) out[-(long(x[0]) << 40)] = 1;",
    ),
    (
        "threads",
        "threadgroup_barrier(mem_flags::mem_none); out[i] = x[-(long(x[0]) << 40)];",
    ),
    ("abort", "out[i] = 1; if (x[0] == 1) gsignal(6);"),
];

extern "C" fn mine(_: c_int) {
    // SAFETY: both may be called in a handler, and the bytes are a literal's.
    unsafe {
        libc::write(2, c"the former handler\n".as_ptr().cast(), 19);
        libc::_exit(7);
    }
}

#[test]
#[ignore = "it ends the process; the other tests start it"]
fn ends_the_process() {
    let how = std::env::var("ZMLX_TEST_CRASH").unwrap();
    let (how, handled) = match how.strip_suffix("-handled") {
        Some(how) => (how, true),
        None => (how.as_str(), false),
    };
    if handled {
        // SAFETY: the handler does only what one may do.
        unsafe { libc::signal(libc::SIGSEGV, mine as *const () as usize) };
    }
    let launch = |body: &str, first: f32| {
        let source = format!("uint i = thread_position_in_grid.x; {body}");
        let kernel = MetalKernel::new("wild", ["x"], ["out"])
            // By a better known name it does not compile.
            .header("extern \"C\" int gsignal(int);")
            .source(source)
            .build()?;
        let x = Array::from_slice(&[first; 64], 64)?;
        let [y] = kernel
            .launch(&[&x])
            .output(64, Dtype::Float32)
            .grid(64)
            .threadgroup(32)
            .run::<1>()?;
        y.to_vec::<f32>()
    };
    if how == "outside" {
        // A fault that is no kernel's, after one has run well.
        let done = with_device(Device::CPU, || launch(BODIES[0].1, 0.0));
        done.unwrap();
        // SAFETY: it is not: the process is to die here.
        unsafe { ptr::with_exposed_provenance_mut::<u8>(8).write_volatile(1) };
    }
    let body = BODIES.iter().find(|(name, _)| *name == how).unwrap().1;
    let result = with_device(Device::CPU, || launch(body, 1.0));
    panic!("it lived: {result:?}");
}

#[rstest]
#[case("loop", libc::SIGSEGV, "SIGSEGV")]
#[case("threads", libc::SIGSEGV, "SIGSEGV")]
#[case("abort", libc::SIGABRT, "SIGABRT")]
fn a_crash_names_the_kernel(#[case] how: &str, #[case] signal: c_int, #[case] name: &str) {
    let said = format!("zmlx: {name} in kernel `wild`, grid [64, 1, 1], threadgroup [32, 1, 1]");
    for (threads, quiet) in [("1", "1"), ("4", "1"), ("1", "0")] {
        let more = [("ZMLX_NUM_THREADS", threads), ("ZMLX_CRASH_REPORT", quiet)];
        let output = child(how, &more);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(signal), "{error}");
        let times = error.matches(&said).count();
        assert_eq!(times, usize::from(quiet == "1"), "{error}");
    }
}

#[test]
fn a_former_handler_is_called() {
    let output = child("loop-handled", &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{error}");
    let (kernel, former) = (
        error.find("in kernel `wild`"),
        error.find("the former handler"),
    );
    assert!(kernel.is_some() && kernel < former, "{error}");
}

#[test]
fn other_crashes_are_not_blamed_on_kernels() {
    let output = child("outside", &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{error}");
    assert!(!error.contains("in kernel"), "{error}");
}
