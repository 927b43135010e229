//! Starts a program several times on this machine, as the processes of one group that are connected by MLX's ring.
//!
//! ```sh
//! cargo build --release --examples
//! cargo run --release --example launch -- -n 2 -- target/release/examples/data_parallel
//! ```
//!
//! Lines of the processes come with their rank in front. The first process that fails ends the others, and its status is the launcher's. For several
//! machines, `--hosts FILE` names a file with one `address:port` a line, the same on all of them, and `--rank N` which of
//! the lines this machine is; then one process starts.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Options {
    hosts: Vec<String>,
    ranks: Vec<usize>,
    program: Vec<String>,
}

const USAGE: &str = "launch -n N -- PROGRAM [ARGUMENT ..], or launch --hosts FILE --rank N -- PROGRAM [ARGUMENT ..]";

fn options() -> Result<Options> {
    let mut args = env::args().skip(1);
    let (mut count, mut file, mut rank) = (None, None, None);
    let mut program = Vec::new();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("`{arg}` needs a value: {USAGE}"));
        match arg.as_str() {
            "-n" => count = Some(value()?.parse::<usize>()?),
            "--hosts" => file = Some(value()?),
            "--rank" => rank = Some(value()?.parse::<usize>()?),
            "--" => program.extend(args.by_ref()),
            _ => return Err(format!("`{arg}` is not known: {USAGE}").into()),
        }
    }
    if program.is_empty() {
        return Err(USAGE.into());
    }
    let (hosts, ranks) = match (count, file, rank) {
        (Some(count @ 1..), None, None) => (free_ports(count)?, (0..count).collect()),
        (None, Some(file), Some(rank)) => {
            let text = fs::read_to_string(&file)?;
            let hosts: Vec<String> = text.split_whitespace().map(Into::into).collect();
            if rank >= hosts.len() {
                return Err(format!("`--rank {rank}`: {file} has {} lines", hosts.len()).into());
            }
            (hosts, vec![rank])
        }
        _ => return Err(USAGE.into()),
    };
    Ok(Options {
        hosts,
        ranks,
        program,
    })
}

/// Addresses of this machine that nobody listens on at the moment.
fn free_ports(count: usize) -> Result<Vec<String>> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<std::io::Result<_>>()?;
    listeners
        .iter()
        .map(|l| Ok(l.local_addr()?.to_string()))
        .collect()
}

/// Prints what comes, line by line, behind the rank.
fn pass_on(
    rank: usize,
    from: impl Read + Send + 'static,
    to_error: bool,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(|line| line.ok()) {
            match to_error {
                true => eprintln!("[{rank}] {line}"),
                false => println!("[{rank}] {line}"),
            }
        }
    })
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    let mut file = tempfile::NamedTempFile::new()?;
    let lists: Vec<[&String; 1]> = options.hosts.iter().map(|host| [host]).collect();
    serde_json::to_writer(&mut file, &lists)?;

    let mut children: Vec<(usize, Child)> = Vec::new();
    let mut pipes = Vec::new();
    for &rank in &options.ranks {
        let mut child = Command::new(&options.program[0])
            .args(&options.program[1..])
            .env("MLX_RANK", rank.to_string())
            .env("MLX_HOSTFILE", file.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("`{}`: {e}", options.program[0]))?;
        pipes.extend(child.stdout.take().map(|pipe| pass_on(rank, pipe, false)));
        pipes.extend(child.stderr.take().map(|pipe| pass_on(rank, pipe, true)));
        children.push((rank, child));
    }
    let mut status = 0;
    while !children.is_empty() && status == 0 {
        thread::sleep(Duration::from_millis(20));
        let mut running = Vec::new();
        for (rank, mut child) in children {
            match child.try_wait()? {
                None => running.push((rank, child)),
                Some(ended) if ended.success() => {}
                Some(ended) => {
                    eprintln!("[{rank}] {ended}");
                    status = ended.code().unwrap_or(1);
                }
            }
        }
        children = running;
    }
    for (_, mut child) in children {
        // One that has just ended cannot be ended.
        let _ = child.kill();
        child.wait()?;
    }
    for pipe in pipes {
        let _ = pipe.join();
    }
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}
