//! Which Metal files compile as the header of a kernel.
//!
//! `cargo run --example try_metal -- [-I DIR]... [--given NAME]... [--checked] FILE...`
//!
//! Each file becomes the header of a small kernel, with the files that it includes in quotes put in its place, each
//! once: they are looked for beside the file that names them and in each DIR. `--given` ends the paths of
//! files to leave out, as what they define is there already: MLX puts `utils.h` and what it includes before each kernel.
//! One line a file; the exit code is 0 when all compile. Kernels in such files are not compiled, as nothing can launch
//! them: what is tried is what a kernel may call.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zmlx::prelude::*;
use zmlx::{Error, Result, with_device};

#[derive(Default)]
struct Options {
    folders: Vec<PathBuf>,
    given: Vec<String>,
    checked: bool,
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-I" => options.folders.extend(arguments.next().map(PathBuf::from)),
            "--given" => options.given.extend(arguments.next()),
            "--checked" => options.checked = true,
            _ => options.files.push(argument.into()),
        }
    }
    if options.files.is_empty() {
        eprintln!("usage: try_metal [-I DIR]... [--given NAME]... [--checked] FILE...");
        return ExitCode::from(2);
    }
    let mut good = 0;
    for file in &options.files {
        let outcome = match whole(file, &options, &mut HashSet::new()) {
            Ok(header) => with_device(Device::CPU, || attempt(&header, options.checked)),
            Err(problem) => {
                println!("{}: {problem}", file.display());
                continue;
            }
        };
        match outcome {
            Ok(()) => {
                good += 1;
                println!("{}: ok", file.display());
            }
            Err(error) => println!("{}: {}", file.display(), brief(&error)),
        }
    }
    println!("{good} of {} compile", options.files.len());
    match good == options.files.len() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Launches a kernel that has `header` and does not use it.
fn attempt(header: &str, checked: bool) -> Result<()> {
    let kernel = MetalKernel::new("attempt", ["try_x"], ["try_out"])
        .header(header)
        .source("try_out[0] = try_x[0];")
        .build()?;
    let kernel = if checked { kernel.checked() } else { kernel };
    let x = Array::from_slice(&[1.0f32; 8], 8)?;
    let [y] = kernel.launch(&[&x]).output(1, F32).grid(1).run()?;
    y.eval()
}

/// The text of `file` with what it includes, each file once.
fn whole(
    file: &Path,
    options: &Options,
    seen: &mut HashSet<PathBuf>,
) -> std::result::Result<String, String> {
    let path = file.canonicalize().map_err(|e| e.to_string())?;
    if !seen.insert(path.clone()) {
        return Ok(String::new());
    }
    let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
    let mut out = String::new();
    for line in text.lines() {
        let directive = line.trim_start().strip_prefix('#').map(str::trim_start);
        let name = directive
            .and_then(|rest| rest.strip_prefix("include"))
            .and_then(|rest| rest.trim_start().strip_prefix('"'))
            .and_then(|rest| rest.split('"').next());
        match (name, directive) {
            (Some(name), _) => {
                if !options
                    .given
                    .iter()
                    .any(|given| name.ends_with(given.as_str()))
                {
                    out += &whole(&find(name, &path, options)?, options, seen)?;
                }
            }
            (None, Some(rest)) if rest.starts_with("pragma once") => {}
            _ => out += line,
        }
        out.push('\n');
    }
    Ok(out)
}

fn find(name: &str, from: &Path, options: &Options) -> std::result::Result<PathBuf, String> {
    from.parent()
        .into_iter()
        .chain(options.folders.iter().map(PathBuf::as_path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("includes {name}, which is not there (-I)"))
}

/// What is wrong and with which line.
fn brief(error: &Error) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().take(3).map(str::trim).collect();
    lines.join(" | ")
}
