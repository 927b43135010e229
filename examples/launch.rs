//! Starts a program several times, as the processes of one group that are connected by MLX's ring.
//!
//! ```sh
//! cargo build --release --examples
//! cargo run --release --example launch -- -n 2 -- target/release/examples/data_parallel
//! ```
//!
//! Lines of the processes come with their rank in front. The first process that fails ends the others, and its status is the launcher's. For several
//! machines, `--hosts FILE` names a file with one `address:port` a line for each process, the same on all machines, and `--rank N` which of
//! the lines are this machine's, as in `--rank 0,1`; those processes start. With `--gpus N` in place of `-n N` each process has one of this
//! machine's NVIDIA GPUs to itself, and NCCL connects them.

use std::env;
use std::net::TcpListener;
use std::process::{Command, ExitCode};

use zmlx::distributed::{Ring, Said};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Options {
    ring: Ring,
    ranks: Vec<usize>,
    /// Where NCCL's processes meet, if each has a GPU.
    meet: Option<u16>,
    program: Vec<String>,
}

const USAGE: &str = "launch -n N -- PROGRAM [ARGUMENT ..], launch --gpus N -- PROGRAM, or launch --hosts FILE --rank N[,N..] -- PROGRAM [ARGUMENT ..]";

fn options() -> Result<Options> {
    let mut args = env::args().skip(1);
    let (mut count, mut file, mut ranks, mut meet) = (None, None, None, None);
    let mut program = Vec::new();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("`{arg}` needs a value: {USAGE}"));
        match arg.as_str() {
            "-n" => count = Some(value()?.parse::<usize>()?),
            "--gpus" => {
                count = Some(value()?.parse::<usize>()?);
                // A port that is free now.
                meet = Some(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
            }
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
        meet,
        program,
    })
}

/// The GPU of a process: one of those that this process may use.
fn gpu(rank: usize) -> String {
    let all = env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    let own = all.split(',').nth(rank).filter(|name| !name.is_empty());
    own.map_or(rank.to_string(), |name| name.trim().to_owned())
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    let program = &options.program;
    let size = options.ring.addresses().len();
    let ended = options.ring.run(options.ranks, Said::ByAll, |rank| {
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]);
        if let Some(port) = options.meet {
            command
                .env("MLX_WORLD_SIZE", size.to_string())
                .env("NCCL_HOST_IP", "127.0.0.1")
                .env("NCCL_PORT", port.to_string())
                .env("CUDA_VISIBLE_DEVICES", gpu(rank));
        }
        command
    })?;
    if !ended.success() {
        eprintln!("launch: {ended}");
    }
    let status = ended.code().unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}
