//! Tests in a process of their own, for what a process settles once, by its environment.

use std::process::Command;

/// Runs the ignored tests whose names contain `filter`, of which all `count` must pass. Gives what they said
/// on the error stream.
pub fn run(filter: &str, environment: &[(&str, &str)], count: usize) -> String {
    let run = Command::new(std::env::current_exe().unwrap())
        .args([filter, "--ignored", "--nocapture"])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "{out}\n{err}");
    let passed = format!("ok. {count} passed");
    assert!(out.contains(&passed), "{out}\n{err}");
    err.into_owned()
}
