//! Starts the processes of a group.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::Rng;

/// Runs the ignored test `name` in so many processes at once, all of which must pass.
pub fn together(name: &str, count: usize) {
    // All of them draw the same random numbers.
    let seed = Rng::new().next().to_string();
    // A port may be taken by somebody else before the ring has it.
    for attempt in 0.. {
        let listeners: Vec<TcpListener> = (0..count)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let hosts: Vec<String> = listeners
            .iter()
            .map(|l| format!("[\"{}\"]", l.local_addr().unwrap()))
            .collect();
        drop(listeners);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hosts.json");
        std::fs::write(&file, format!("[{}]", hosts.join(","))).unwrap();
        let processes: Vec<_> = (0..count)
            .map(|rank| {
                Command::new(std::env::current_exe().unwrap())
                    .args([name, "--exact", "--ignored", "--nocapture"])
                    .env("MLX_RANK", rank.to_string())
                    .env("MLX_HOSTFILE", &file)
                    .env("ZMLX_TEST_SEED", &seed)
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let mut said = String::new();
        let mut passed = 0;
        for process in processes {
            let output = process.wait_with_output().unwrap();
            let out = String::from_utf8_lossy(&output.stdout).into_owned();
            passed += usize::from(output.status.success() && out.contains("ok. 1 passed"));
            said += &format!("{out}\n{}\n", String::from_utf8_lossy(&output.stderr));
        }
        if passed == count {
            return;
        }
        let taken = said.contains("address") || said.contains("bind") || said.contains("connect");
        assert!(
            attempt < 3 && taken,
            "{name}: {passed} of {count} passed\n{said}"
        );
    }
}
