//! Runs captured kernel launches and compares their outputs.
//!
//! `cargo run --release --example replay -- DIR [DIR ...] [--engine cpu|cuda|metal] [--repeat N] [--shuffle SEED] [--passes N]
//! [--json FILE]`
//!
//! `--repeat` times each launch that often, five times without it. `--passes` goes through all folders that often, and `--shuffle`
//! takes them in another random order each time, so that launches meet each other's leftovers in memory.
//!
//! One line a launch; the exit code is 0 when all are ok. A launch that Metal's compiler refuses is
//! ok when it is refused here. docs/DEBUGGING.md says how to capture launches.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use zmlx::metal::capture::{Capture, Comparison, set_poison};
use zmlx::prelude::*;
use zmlx::{Result, with_device};

struct Options {
    dirs: Vec<PathBuf>,
    engine: &'static str,
    repeat: usize,
    passes: usize,
    shuffle: Option<u64>,
    json: Option<PathBuf>,
}

/// What became of one launch.
enum Outcome {
    Ok,
    Refused,
    Mismatch,
    CompileError(String),
    RunError(String),
}

struct Report {
    name: String,
    outcome: Outcome,
    comparison: Comparison,
    compile: Duration,
    run: Duration,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!(
                "{problem}\nusage: replay DIR [DIR ...] [--engine cpu|cuda|metal] [--repeat N] [--shuffle SEED] [--passes N] [--json FILE]"
            );
            return ExitCode::from(2);
        }
    };
    let device = if options.engine == "cpu" {
        Device::CPU
    } else {
        Device::GPU
    };
    match with_device(device, || replay(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        dirs: Vec::new(),
        engine: "cpu",
        repeat: 5,
        passes: 1,
        shuffle: None,
        json: None,
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: String| {
            text.parse::<u64>()
                .map_err(|_| format!("{arg}: not a number: {text}"))
        };
        match arg.as_str() {
            "--engine" => {
                let name = value()?;
                options.engine = ["cpu", "cuda", "metal"]
                    .into_iter()
                    .find(|e| *e == name)
                    .ok_or(format!("--engine: expected cpu, cuda or metal, got {name}"))?;
            }
            "--repeat" => options.repeat = number(value()?)? as usize,
            "--passes" => options.passes = number(value()?)? as usize,
            "--shuffle" => options.shuffle = Some(number(value()?)?),
            "--json" => options.json = Some(value()?.into()),
            flag if flag.starts_with("--") => return Err(format!("unknown option {flag}")),
            dir => options.dirs.push(dir.into()),
        }
    }
    if options.dirs.is_empty() {
        return Err("no folder given".into());
    }
    Ok(options)
}

/// True when all launches are ok.
fn replay(options: &Options) -> Result<bool> {
    set_poison(true)?;
    let mut json = match &options.json {
        Some(path) => Some(File::create(path).map_err(Error::other)?),
        None => None,
    };
    let (mut ok, mut worst) = (0, None);
    let mut counts = std::collections::BTreeMap::new();
    let mut dirs: Vec<&PathBuf> = Vec::new();
    for pass in 0..options.passes {
        let mut order: Vec<&PathBuf> = options.dirs.iter().collect();
        if let Some(seed) = options.shuffle {
            shuffle(&mut order, seed.wrapping_add(pass as u64));
        }
        dirs.extend(order);
    }
    for dir in &dirs {
        let report = one(dir, options.repeat);
        *counts.entry(report.word()).or_insert(0) += 1;
        ok += usize::from(report.is_ok());
        println!("{}", report.line(options.engine));
        if let Some(file) = &mut json {
            writeln!(file, "{}", report.json(options.engine)).map_err(Error::other)?;
        }
        if let Some(w) = &report.comparison.worst {
            let larger = |(_, a): &(String, f64)| w.absolute > *a;
            if worst.as_ref().is_none_or(larger) {
                worst = Some((report.name.clone(), w.absolute));
            }
        }
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    println!("{} launches: {}", dirs.len(), parts.join(", "));
    if let Some((name, error)) = worst {
        println!("largest absolute error {error:.3e} in {name}");
    }
    Ok(ok == dirs.len())
}

/// Puts `items` into an order that depends on the seed alone.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for left in (1..items.len()).rev() {
        // Splitmix64: neighbouring seeds give unrelated numbers.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        items.swap(left, (mixed % (left as u64 + 1)) as usize);
    }
}

fn one(dir: &std::path::Path, repeat: usize) -> Report {
    let mut report = Report {
        name: dir
            .file_name()
            .unwrap_or(dir.as_os_str())
            .to_string_lossy()
            .into_owned(),
        outcome: Outcome::Ok,
        comparison: Comparison::default(),
        compile: Duration::ZERO,
        run: Duration::ZERO,
    };
    let result = Capture::read(dir).and_then(|capture| {
        let launched = launch(&capture, repeat, &mut report);
        match (capture.should_be_refused(), launched) {
            (true, Err(Error::Kernel { .. } | Error::Argument { .. })) => Ok(Outcome::Refused),
            (true, Ok(_)) => Ok(Outcome::RunError("compiles, but Metal refuses it".into())),
            (_, other) => other,
        }
    });
    report.outcome = match result {
        Ok(outcome) => outcome,
        Err(e @ Error::Kernel { .. }) => Outcome::CompileError(e.to_string()),
        Err(e) => Outcome::RunError(e.to_string()),
    };
    report
}

fn launch(capture: &Capture, repeat: usize, report: &mut Report) -> Result<Outcome> {
    let inputs = capture.inputs()?;
    eval(&inputs)?;
    let start = Instant::now();
    let outputs = capture.launch(&inputs)?;
    report.compile = start.elapsed();
    report.comparison = capture.compare(&outputs)?;
    let mut times = Vec::new();
    for _ in 0..repeat {
        let start = Instant::now();
        eval(capture.launch(&inputs)?)?;
        times.push(start.elapsed());
    }
    times.sort();
    report.run = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(match report.comparison.is_ok() {
        true => Outcome::Ok,
        false => Outcome::Mismatch,
    })
}

impl Report {
    fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok | Outcome::Refused)
    }

    fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Refused => "ok (refused)",
            Outcome::Mismatch => "mismatch",
            Outcome::CompileError(_) => "compile error",
            Outcome::RunError(_) => "run error",
        }
    }

    fn line(&self, engine: &str) -> String {
        let mut line = format!(
            "{} {engine} {} compile {:.1} ms run {:.1} us",
            self.name,
            self.word(),
            self.compile.as_secs_f64() * 1e3,
            self.run.as_secs_f64() * 1e6
        );
        if let Some(w) = &self.comparison.worst {
            line += &format!(
                " error {:.2e} absolute {:.2e} relative at {}[{}]",
                w.absolute, w.relative, w.output, w.index
            );
        }
        if let Some(f) = &self.comparison.first {
            line += &format!(
                "; {} of {} wrong, first {}[{}]: got {}, want {}",
                self.comparison.mismatches,
                self.comparison.compared,
                f.output,
                f.index,
                f.got,
                f.want
            );
        }
        if let Outcome::CompileError(text) | Outcome::RunError(text) = &self.outcome {
            line += &format!("\n    {}", text.replace('\n', "\n    "));
        }
        line
    }

    fn json(&self, engine: &str) -> serde_json::Value {
        let worst = self.comparison.worst.as_ref();
        let message = match &self.outcome {
            Outcome::CompileError(text) | Outcome::RunError(text) => Some(text),
            _ => None,
        };
        json!({
            "name": self.name,
            "engine": engine,
            "outcome": self.word(),
            "mismatches": self.comparison.mismatches,
            "compared": self.comparison.compared,
            "absolute_error": worst.map(|w| w.absolute),
            "relative_error": worst.map(|w| w.relative),
            "output": worst.map(|w| &w.output),
            "index": worst.map(|w| w.index),
            "compile_ms": self.compile.as_secs_f64() * 1e3,
            "run_us": self.run.as_secs_f64() * 1e6,
            "message": message,
        })
    }
}
