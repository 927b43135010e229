//! Starts a program several times, as the processes of one group that are connected by MLX's ring.
//!
//! ```sh
//! cargo build --release --examples
//! cargo run --release --example launch -- -n 2 -- target/release/examples/data_parallel
//! ```
//!
//! Lines of the processes come with their rank in front. The first process that fails ends the others, and its status is the launcher's. For several
//! machines, `--hosts FILE` names a file with one `address:port` a line for each process, the same on all machines, and `--rank N` which of
//! the lines are this machine's, as in `--rank 0,1`; those processes start.

use std::env;
use std::process::{Command, ExitCode};

use zmlx::distributed::{Ring, Said};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Options {
    ring: Ring,
    ranks: Vec<usize>,
    program: Vec<String>,
}

const USAGE: &str = "launch -n N -- PROGRAM [ARGUMENT ..], or launch --hosts FILE --rank N[,N..] -- PROGRAM [ARGUMENT ..]";

fn options() -> Result<Options> {
    let mut args = env::args().skip(1);
    let (mut count, mut file, mut ranks) = (None, None, None);
    let mut program = Vec::new();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("`{arg}` needs a value: {USAGE}"));
        match arg.as_str() {
            "-n" => count = Some(value()?.parse::<usize>()?),
            "--hosts" => file = Some(value()?),
            "--rank" => {
                let list = value()?;
                let all: std::result::Result<Vec<usize>, _> =
                    list.split(',').map(|n| n.trim().parse()).collect();
                ranks = Some(all.map_err(|e| format!("`--rank {list}`: {e}"))?);
            }
            "--" => program.extend(args.by_ref()),
            _ => return Err(format!("`{arg}` is not known: {USAGE}").into()),
        }
    }
    if program.is_empty() {
        return Err(USAGE.into());
    }
    let (ring, ranks) = match (count, file, ranks) {
        (Some(count), None, None) => (Ring::local(count)?, (0..count).collect()),
        (None, Some(file), Some(ranks)) => (Ring::read(file)?, ranks),
        _ => return Err(USAGE.into()),
    };
    Ok(Options {
        ring,
        ranks,
        program,
    })
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    let program = &options.program;
    let ended = options.ring.run(options.ranks, Said::ByAll, |_| {
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]);
        command
    })?;
    if !ended.success() {
        eprintln!("launch: {ended}");
    }
    let status = ended.code().unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}
