//! The same products with fewer of the processor's instructions: kernels have a body for each set of them, and a processor takes the best.

use std::process::Command;

/// Tests that come to all bodies: bytes with one row and with many, floats, codes.
const TESTS: [&str; 3] = [
    "rounded::the_largest_sums",
    "rounded::rows_do_not_depend_on_each_other",
    "products::rows_and_dtypes",
];

/// The sets that this processor has, by the compiler's names, the best one left out.
fn lesser() -> Vec<&'static str> {
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
    let mut all = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") {
            all.push("x86-64-v2");
        }
        if is_x86_feature_detected!("avx512vl") {
            all.push("x86-64-v3");
        }
        if is_x86_feature_detected!("avx512vnni") {
            all.push("x86-64-v4");
        }
    }
    all
}

#[test]
fn products_by_fewer_instructions() {
    let sets = lesser();
    if sets.is_empty() {
        println!(
            "skipped: this processor has no lesser set of instructions that kernels have a body for"
        );
    }
    for set in sets {
        let run = Command::new(std::env::current_exe().unwrap())
            .args(TESTS)
            .arg("--exact")
            .env("ZMLX_CXXFLAGS", format!("-march={set}"))
            .env("ZMLX_ENGINE", "cpu")
            .output()
            .unwrap();
        let said = [run.stdout, run.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
        let passed = format!("ok. {} passed", TESTS.len());
        assert!(
            run.status.success() && said[0].contains(&passed),
            "{set}: {}",
            said.concat()
        );
    }
}
