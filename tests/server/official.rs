//! OpenAI's own client, in Python.

use std::process::Command;

use crate::setup::Server;

/// The interpreter that has the package, which `.ci/run` installs. It is a variable as the package is no part of this repository.
const PYTHON: &str = "ZMLX_OPENAI_PYTHON";

#[test]
fn the_official_client_is_served() {
    let Some(python) = std::env::var_os(PYTHON) else {
        println!("SKIPPED: {PYTHON} names no interpreter with the package `openai`");
        return;
    };
    let server = Server::usual();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/openai_client.py");
    let address = format!("http://{}", server.address);
    let output = Command::new(python)
        .args([script, &address, "tiny"])
        .output()
        .expect("the interpreter runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    assert!(said.contains("checks passed"), "{said}");
    println!("{said}");
}
