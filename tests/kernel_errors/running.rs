//! Launches that are ended.

use super::*;

/// The host engine's: on a GPU such a kernel may hang. Threads that have returned are not waited for.
#[rstest]
#[case::branches(
    "if (t < 4) {\n threadgroup_barrier(mem_flags::mem_threadgroup);\n } else {\n threadgroup_barrier(mem_flags::mem_threadgroup); }",
    Some("some at source line 3 and some at source line 5")
)]
#[case::simdgroups(
    "if (t < 32) threadgroup_barrier(mem_flags::mem_none);\n s[t] = t;\n sync_all();",
    Some("some at source line 2 and some at header line 2")
)]
#[case::uneven_rounds(
    "for (uint i = t; i < 100; i += 64) threadgroup_barrier(mem_flags::mem_none);\n sync_all();",
    Some("source line 2 and some at header line 2")
)]
#[case::in_step(
    "for (uint i = 0; i < 5; ++i) { s[t] = i; sync_all(); } sync_all();",
    None
)]
#[case::returned(
    "if (t > 40) return; sync_all(); if (t > 10) { return; } sync_all();",
    None
)]
fn a_divergent_barrier_is_an_error(#[case] body: &str, #[case] message: Option<&str>) {
    let k = MetalKernel::new("divergent", ["x"], ["out"])
        .header("inline void sync_all() {\n  threadgroup_barrier(mem_flags::mem_threadgroup); }\n")
        .source(format!(
            "threadgroup uint s[64]; uint t = thread_position_in_threadgroup.x; s[t] = 0; out[t] = x[0];\n{body}"
        ))
        .build()
        .unwrap();
    let launch = || {
        k.launch(&[&nine()])
            .output(64, F32)
            .grid(64)
            .threadgroup(64)
            .run()
            .unwrap()
    };
    let [y] = with_device(Device::CPU, launch);
    match (y.to_vec::<f32>(), message) {
        (Ok(values), None) => assert_eq!(values, [1.0; 64]),
        (Err(e), Some(message)) => {
            assert!(
                matches!(&e, Error::Launch { kernel, .. } if kernel == "divergent"),
                "{e}"
            );
            assert!(e.to_string().contains(message), "{e}");
        }
        (result, _) => panic!("{result:?}"),
    }
}

#[test]
fn an_endless_kernel_ends_in_an_error() {
    let k = MetalKernel::new("endless", ["x"], ["out"])
        .source("int n = 0; while (true) { if (x[0] == 2) break; ++n; } out[0] = n;")
        .build()
        .unwrap();
    // The limit is read when the process first needs it.
    let child = std::env::var_os("ZMLX_KERNEL_TIMEOUT");
    if child.is_none() {
        let test = "running::an_endless_kernel_ends_in_an_error";
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env("ZMLX_KERNEL_TIMEOUT", "1")
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(run.status.success() && out.contains("1 passed"), "{out}");
        return;
    }
    let stuck = MetalKernel::new("endless", ["x"], ["out"])
        .header("#define UNTIL(c) while (!(c))\n#define AGAIN do { ++n; UNTIL(x[0] == 2); } while (true)\n")
        .source("int n = 0; if (x[1] == 1) AGAIN; out[0] = n;")
        .build()
        .unwrap();
    for k in [k, stuck] {
        // Time is up on the host engine only; a GPU would hang.
        let launch = || k.launch(&[&nine()]).output(1, F32).grid(1).run().unwrap();
        let [y] = with_device(Device::CPU, launch);
        let e = y.eval().unwrap_err();
        assert!(
            matches!(&e, Error::Launch { kernel, .. } if kernel == "endless"),
            "{e}"
        );
    }
    // The stream works on.
    let [y] = copy().launch(&[&nine()]).run().unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [1.0; 9]);
}
