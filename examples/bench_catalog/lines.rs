//! Files with a line for each measurement.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use zmlx::bench::Row;
use zmlx::{Error, Result};

use crate::report::over_best;

/// The file of JSON lines, if one is asked for.
pub struct Json(Option<BufWriter<File>>);

impl Json {
    pub fn create(path: Option<&Path>) -> Result<Self> {
        let file = path.map(File::create).transpose().map_err(Error::other)?;
        Ok(Json(file.map(BufWriter::new)))
    }

    pub fn add(&mut self, row: &Row) -> Result<()> {
        if let Some(file) = &mut self.0 {
            file.write_all(row.json_lines().as_bytes())
                .map_err(Error::other)?;
            file.flush().map_err(Error::other)?;
        }
        Ok(())
    }
}

/// The file that docs/BENCHMARKS.md is made from: what stands before the first comma begins with `#` in lines about the machine.
pub struct Csv(Option<BufWriter<File>>);

impl Csv {
    pub fn create(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Csv(None));
        };
        let mut file = BufWriter::new(File::create(path).map_err(Error::other)?);
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let lines = [
            format!("# {}", machine()),
            format!("# bench_catalog {}", arguments.join(" ")),
            "kernel,dtype,shape,us,share of copy,copy GB/s,times MLX's best way".to_owned(),
        ];
        for line in lines {
            writeln!(file, "{line}").map_err(Error::other)?;
        }
        Ok(Csv(Some(file)))
    }

    pub fn add(&mut self, row: &Row) -> Result<()> {
        let (Some(file), Some(us)) = (&mut self.0, row.results[0].us()) else {
            return Ok(());
        };
        let shape: Vec<String> = row.shape.iter().map(i32::to_string).collect();
        let number = |n: Option<f64>, digits| n.map_or(String::new(), |n| format!("{n:.digits$}"));
        let cells = [
            row.kernel.clone(),
            row.dtype.to_string(),
            shape.join("x"),
            format!("{us:.1}"),
            number(row.share_of_copy(0), 3),
            number(row.copy_gb_s, 1),
            number(over_best(row), 2),
        ];
        writeln!(file, "{}", cells.join(",")).map_err(Error::other)?;
        file.flush().map_err(Error::other)
    }
}

/// The processor, and what computes.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name"));
    let model = model.map_or("", |m| m.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let engine = zmlx::engine::info().to_string();
    let engine: Vec<&str> = engine.lines().map(str::trim).collect();
    format!("{model}, {cores} cores; {}", engine.join("; "))
}
