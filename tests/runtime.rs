//! The self-tests of the runtime headers, compiled as kernels are.

mod common;

use std::process::Command;

use common::root;
use rstest::rstest;
use zmlx::engine::{EngineError, host, msl::MathMode};

/// `arguments` keep the accuracy test to a sample of all floats; the whole range takes minutes.
#[rstest]
#[case("integers", &[])]
#[case("math_accuracy", &["1999"])]
#[case("simdgroups", &[])]
#[case("small_floats", &[])]
#[case("vectors", &[])]
fn self_test(#[case] name: &str, #[case] arguments: &[&str]) {
    let (compiler, flags) = match host::compiler_command(MathMode::Safe) {
        Ok(command) => command,
        Err(EngineError::NoCompiler { tried, .. }) => {
            eprintln!("skipped: no C++ compiler (tried {tried})");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let root = root();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(name);
    let built = Command::new(compiler)
        // A program, not a library.
        .args(flags.iter().filter(|flag| *flag != "-shared"))
        .arg("-I")
        .arg(root.join("kernels/runtime"))
        .arg(root.join(format!("tests/runtime/{name}.cpp")))
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success(), "{name} does not compile\n{words}");
    let run = Command::new(&program).args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{name}: {}\n{words}", run.status);
}

/// A file that no case runs would pass unseen.
#[test]
fn every_file_is_run() {
    let text = include_str!("runtime.rs");
    for file in std::fs::read_dir(root().join("tests/runtime")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_test = path.extension().is_some_and(|e| e == "cpp");
        assert!(
            !is_test || text.contains(&format!("#[case(\"{name}\"")),
            "{name}"
        );
    }
}
