//! Gathers what must lie beside a program to run it on another machine: MLX's library with its neighbours, licence texts, and kernels that are
//! compiled ahead. Linux; on macOS it copies the same, which nobody has tried.
//!
//! ```sh
//! cargo build --release --examples
//! ZMLX_RECORD_KERNELS=kernels.jsonl target/release/examples/doctor
//! target/release/examples/ship --kernels kernels.jsonl --for x86-64-v3 target/release/examples/doctor app
//! app/bin/doctor
//! ```
//!
//! The folder may lie anywhere: nothing in it names a place outside. docs/DEPLOYING.md tells what the other machine must have.

mod gather;
mod licences;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zmlx::engine::{self, ahead};

const USAGE: &str = "\
usage: ship [options] PROGRAM FOLDER
  --mlx FILE        the library of MLX to ship; the one that this program runs with, unless it is named
  --kernels LIST    compiles the kernels of a list, which the program wrote with ZMLX_RECORD_KERNELS=LIST
  --for TARGET      for which machine, such as native, x86-64-v3 or sm_90; may be said several times (native)
  --manifest FILE   the Cargo.toml of the program, whose dependencies' licence texts are gathered (Cargo.toml, if it is there)
FOLDER must be empty or not there.";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Default)]
struct Options {
    program: PathBuf,
    folder: PathBuf,
    mlx: Option<PathBuf>,
    kernels: Option<PathBuf>,
    targets: Vec<ahead::Target>,
    manifest: Option<PathBuf>,
}

fn main() -> ExitCode {
    match options().and_then(|o| ship(&o)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ship: {e}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options> {
    let mut args = std::env::args().skip(1);
    let mut options = Options::default();
    let mut paths = Vec::new();
    while let Some(arg) = args.next() {
        if matches!(&*arg, "--help" | "-h") {
            println!("{USAGE}");
            std::process::exit(0);
        }
        let mut value = || args.next().ok_or(format!("`{arg}` needs a value\n{USAGE}"));
        match arg.as_str() {
            "--mlx" => options.mlx = Some(value()?.into()),
            "--kernels" => options.kernels = Some(value()?.into()),
            "--for" => options.targets.push(value()?.parse()?),
            "--manifest" => options.manifest = Some(value()?.into()),
            _ if arg.starts_with("--") => return Err(format!("`{arg}`?\n{USAGE}").into()),
            _ => paths.push(PathBuf::from(&arg)),
        }
    }
    let [program, folder] = &paths[..] else {
        return Err(USAGE.into());
    };
    if options.kernels.is_none() && !options.targets.is_empty() {
        return Err(format!("`--for` needs `--kernels`\n{USAGE}").into());
    }
    if options.targets.is_empty() {
        options.targets.push(ahead::Target::native());
    }
    (options.program, options.folder) = (program.clone(), folder.clone());
    Ok(options)
}

fn ship(options: &Options) -> Result<()> {
    let own = || engine::info().library;
    let Some(mlx) = options.mlx.clone().or_else(own) else {
        return Err("which library of MLX? Name it with --mlx".into());
    };
    let folder = &options.folder;
    let gathered = gather::gather(&options.program, &mlx, folder)?;
    let licences = folder.join("licenses");
    licences::of_packages(&gathered.package, &licences)?;
    let manifest = options.manifest.clone().unwrap_or("Cargo.toml".into());
    match manifest.is_file() {
        true => println!(
            "licence texts of {} crates",
            licences::of_crates(&manifest, &licences)?
        ),
        false => println!(
            "no licence texts of crates: there is no {}",
            manifest.display()
        ),
    }
    if let Some(list) = &options.kernels {
        let filled = ahead::fill(list, folder.join("lib/zmlx/kernels"), &options.targets)?;
        let names: Vec<String> = options.targets.iter().map(ToString::to_string).collect();
        let count = filled.compiled + filled.found;
        println!("kernels for {}: {count}", names.join(", "));
        if filled.left_out > 0 {
            println!(
                "kernels of the list that are for another engine: {}",
                filled.left_out
            );
        }
    }
    println!("{}: {} MB", folder.display(), bytes(folder)? / 1_000_000);
    println!("the other machine must have {}", gathered.system.join(", "));
    Ok(())
}

/// Bytes of all files below a folder.
fn bytes(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        sum += match entry.file_type()?.is_dir() {
            true => bytes(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(sum)
}
