//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use zmlx::prelude::*;

const HELP: &str = "\
bench_catalog [options]
  --engine cpu|cuda|metal   where to run (the default device)
  --kernel TEXT,...         only kernels whose name contains one of these (all)
  --shape 2048x4096,...     leading axes and the width of a row (2048x4096; 8192x4096 on a GPU)
  --dtype f32,f16,bf16      (f32)
  --grad                    outputs and gradients of all inputs, for random cotangents; bytes are those of
                            all these arrays once
  --batch N                 calls in one evaluation (a GPU: 30; a CPU: as many as last 0.1 ms)
  --time MS                 how long each contender is sampled (300)
  --fastest                 only the fastest tenth of the samples counts: for a machine that others use, too
  --alone                   without MLX's ways, which can take a hundred times as long
  --json FILE               a line for each contender: kernel, dtype, shape, engine, contender, us, gb_s, ...
  --csv FILE                a line for each kernel, dtype and shape, which docs/BENCHMARKS.md is made from
  --plot FILE               draws each kernel's share of a copy as SVG";

pub struct Options {
    pub device: Device,
    pub kernels: Vec<String>,
    pub shapes: Vec<(Vec<i32>, i32)>,
    pub dtypes: Vec<Dtype>,
    pub grad: bool,
    pub batch: Option<usize>,
    pub time: Duration,
    pub fastest: bool,
    pub alone: bool,
    pub json: Option<PathBuf>,
    pub csv: Option<PathBuf>,
    pub plot: Option<PathBuf>,
}

impl Options {
    /// `None` when there is nothing to do but to read what was printed.
    pub fn from_args() -> Option<Self> {
        match parse(std::env::args().skip(1)) {
            Ok(options) => options,
            Err(problem) => {
                eprintln!("{problem}\n\n{HELP}");
                std::process::exit(2)
            }
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut device = Device::default_device().map_err(|e| e.to_string())?;
    let mut shapes = Vec::new();
    let mut options = Options {
        device,
        kernels: Vec::new(),
        shapes: Vec::new(),
        dtypes: vec![F32],
        grad: false,
        batch: None,
        time: Duration::from_millis(300),
        fastest: false,
        alone: false,
        json: None,
        csv: None,
        plot: None,
    };
    while let Some(option) = args.next() {
        let mut value = || args.next().ok_or(format!("{option}: a value is missing"));
        match option.as_str() {
            "--engine" => device = engine(&value()?)?,
            "--kernel" => options.kernels = list(&value()?, |name| Ok(name.to_owned()))?,
            "--shape" => shapes = list(&value()?, shape)?,
            "--dtype" => options.dtypes = list(&value()?, dtype)?,
            "--grad" => options.grad = true,
            "--batch" => options.batch = Some(number(&value()?)? as usize),
            "--time" => options.time = Duration::from_millis(number(&value()?)?),
            "--fastest" => options.fastest = true,
            "--alone" => options.alone = true,
            "--csv" => options.csv = Some(value()?.into()),
            "--plot" => options.plot = Some(value()?.into()),
            "--json" => options.json = Some(value()?.into()),
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(None);
            }
            other => return Err(format!("unknown option {other}")),
        }
    }
    if shapes.is_empty() {
        let rows = if device == Device::CPU { 2048 } else { 8192 };
        shapes = vec![(vec![rows], 4096)];
    }
    Ok(Some(Options {
        device,
        shapes,
        ..options
    }))
}

impl Options {
    pub fn wants(&self, kernel: &str) -> bool {
        self.kernels.is_empty() || self.kernels.iter().any(|k| kernel.contains(k))
    }
}

fn engine(name: &str) -> Result<Device, String> {
    let info = zmlx::engine::info();
    match name {
        "cpu" => Ok(Device::CPU),
        "cuda" if info.cuda => Ok(Device::GPU),
        "metal" if info.metal => Ok(Device::GPU),
        "cuda" | "metal" => Err(format!("no {name} here:\n{info}")),
        other => Err(format!(
            "--engine: expected cpu, cuda or metal, got {other}"
        )),
    }
}

fn list<T>(text: &str, one: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(one).collect()
}

fn shape(text: &str) -> Result<(Vec<i32>, i32), String> {
    let sizes = text
        .split('x')
        .map(|n| n.parse::<i32>().ok().filter(|n| *n > 0));
    let sizes = sizes.collect::<Option<Vec<i32>>>();
    let split = sizes.and_then(|mut all| all.pop().map(|width| (all, width)));
    split.ok_or(format!(
        "--shape: expected numbers as in 2048x4096, got {text}"
    ))
}

fn dtype(name: &str) -> Result<Dtype, String> {
    match name {
        "f32" | "float32" => Ok(F32),
        "f16" | "float16" => Ok(F16),
        "bf16" | "bfloat16" => Ok(BF16),
        other => Err(format!("--dtype: expected f32, f16 or bf16, got {other}")),
    }
}

fn number(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|n| *n > 0);
    number.ok_or(format!("expected a number above 0, got {text}"))
}
