//! Results as a table for people and as lines of JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::measure::Time;
use crate::Dtype;
use crate::error::mismatch::shape_text;

/// One shape and dtype: what each contender took.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// What is compared; empty unless [named](super::Comparison::kernel).
    pub kernel: String,
    /// The case's shape.
    pub shape: Vec<i32>,
    /// The dtype of the inputs.
    pub dtype: Dtype,
    /// Bytes that one call must move: its inputs and outputs unless given.
    pub bytes: usize,
    /// What a copy of that many bytes (half read, half written), or of the size asked for, reached in the
    /// same run.
    pub copy_gb_s: Option<f64>,
    /// Where it ran, such as `cpu:0`.
    pub device: String,
    /// What runs custom kernels there: `host`, `metal` or `cuda`.
    pub engine: String,
    /// The version of MLX.
    pub mlx: String,
    /// The contenders in order.
    pub results: Vec<Entry>,
}

/// One contender in a row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What a call took, or why it failed.
    pub time: Result<Time, String>,
}

impl Entry {
    /// The median in microseconds.
    pub fn us(&self) -> Option<f64> {
        self.time.as_ref().ok().map(|t| t.median_us)
    }
}

impl Row {
    fn us(&self, contender: usize) -> Option<f64> {
        self.results.get(contender)?.us()
    }

    /// Gigabytes a second of a contender, from [`bytes`](Self::bytes).
    pub fn gb_s(&self, contender: usize) -> Option<f64> {
        Some(self.bytes as f64 / self.us(contender)? / 1e3)
    }

    /// A contender's rate as a share of the copy's.
    pub fn share_of_copy(&self, contender: usize) -> Option<f64> {
        Some(self.gb_s(contender)? / self.copy_gb_s?)
    }

    /// How many times as fast the first contender is as this one.
    pub fn speedup_over(&self, contender: usize) -> Option<f64> {
        Some(self.us(contender)? / self.us(0)?)
    }

    /// One JSON object a line for each contender.
    ///
    /// Fields: `kernel`, `dtype`, `shape`, `device`, `engine`, `mlx`, `contender`, `bytes`,
    /// `copy_gb_s`; then `us`, `mad_us`, `min_us`, `first_us`, `samples`, `batch`, `gb_s`,
    /// `share_of_copy`, `speedup_of_first`, or `error`.
    pub fn json_lines(&self) -> String {
        let mut text = String::new();
        for (i, entry) in self.results.iter().enumerate() {
            let mut line = json!({
                "kernel": self.kernel,
                "dtype": self.dtype.name(),
                "shape": self.shape,
                "device": self.device,
                "engine": self.engine,
                "mlx": self.mlx,
                "contender": entry.name,
                "bytes": self.bytes,
                "copy_gb_s": self.copy_gb_s,
            });
            let more = match &entry.time {
                Ok(t) => json!({
                    "us": t.median_us,
                    "mad_us": t.mad_us,
                    "min_us": t.min_us,
                    "first_us": t.first_us,
                    "samples": t.samples,
                    "batch": t.batch,
                    "gb_s": self.gb_s(i),
                    "share_of_copy": self.share_of_copy(i),
                    "speedup_of_first": self.speedup_over(i),
                }),
                Err(e) => json!({ "error": e }),
            };
            if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
                line.extend(more);
            }
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

/// The rows as a table. They should have the same contenders: the first row's name the columns.
///
/// For each contender: microseconds (median, and the median distance from it in percent), GB/s, the share
/// of a copy's GB/s and, from the second on, how many times as fast the first contender is. Errors
/// stand below their row.
pub fn table(rows: &[Row]) -> String {
    let Some(head) = rows.first() else {
        return String::new();
    };
    let mut text = format!(
        "{}, {} engine, MLX {}\n",
        head.device, head.engine, head.mlx
    );
    let named = rows.iter().any(|r| !r.kernel.is_empty());
    let width =
        |f: &dyn Fn(&Row) -> usize, least: usize| rows.iter().map(f).fold(least, usize::max);
    let kernel = width(&|r| r.kernel.chars().count(), 6);
    let shape = width(&|r| shape_text(&r.shape).chars().count(), 5);

    let mut top = String::new();
    if named {
        let _ = write!(top, "{:<kernel$}  ", "kernel");
    }
    let _ = write!(top, "{:<shape$}  {:<8}", "shape", "dtype");
    for (i, entry) in head.results.iter().enumerate() {
        let name = format!("{} us", entry.name);
        let _ = write!(top, " | {name:>14}    +-    GB/s  copy");
        if i > 0 {
            top.push_str("  speedup");
        }
    }
    let _ = writeln!(text, "{top} | {:>9}", "copy GB/s");

    for row in rows {
        if named {
            let _ = write!(text, "{:<kernel$}  ", row.kernel);
        }
        let dims = shape_text(&row.shape);
        let _ = write!(text, "{dims:<shape$}  {:<8}", row.dtype);
        for (i, entry) in row.results.iter().enumerate() {
            match &entry.time {
                Ok(t) => {
                    let percent = 100.0 * t.mad_us / t.median_us;
                    let _ = write!(
                        text,
                        " | {:>14.1} {percent:>4.0}% {:>7} {:>5}",
                        t.median_us,
                        number(row.gb_s(i)),
                        number(row.share_of_copy(i))
                    );
                }
                Err(_) => {
                    let _ = write!(text, " | {:>14} {:>5} {:>7} {:>5}", "error", "", "", "");
                }
            }
            if i > 0 {
                let times = row.speedup_over(i).map(|s| format!("{s:.2}x"));
                let _ = write!(text, "  {:>7}", times.unwrap_or_default());
            }
        }
        let _ = writeln!(text, " | {:>9}", number(row.copy_gb_s));
        for entry in &row.results {
            if let Err(e) = &entry.time {
                let _ = writeln!(text, "  {}: {}", entry.name, e.replace('\n', "\n    "));
            }
        }
    }
    text
}

/// What the columns of a [`table`] say.
pub(super) const LEGEND: &str = "\
us: median time of a call; +-: median distance from it; GB/s: bytes that a call must move in that time;
copy: its share of the copy GB/s of a plain copy; speedup: how many times as fast as the first
";

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |v| format!("{v:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(median_us: f64, mad_us: f64) -> Result<Time, String> {
        Ok(Time {
            median_us,
            mad_us,
            min_us: median_us - mad_us,
            first_us: 5000.0,
            samples: 100,
            batch: 4,
        })
    }

    fn rows() -> Vec<Row> {
        let row = |shape: &[i32], dtype, bytes, results: [Result<Time, String>; 2]| Row {
            kernel: "silu".into(),
            shape: shape.to_vec(),
            dtype,
            bytes,
            copy_gb_s: Some(20.0),
            device: "cpu:0".into(),
            engine: "host".into(),
            mlx: "0.32.4".into(),
            results: ["zmlx", "mlx"]
                .into_iter()
                .zip(results)
                .map(|(name, time)| Entry {
                    name: name.into(),
                    time,
                })
                .collect(),
        };
        let refused = Err("no such thing\nat all".to_owned());
        vec![
            row(
                &[4096, 4096],
                Dtype::Float32,
                134_217_728,
                [time(8000.0, 80.0), time(200_000.0, 1e4)],
            ),
            row(&[128], Dtype::Bfloat16, 512, [time(2.5, 0.1), refused]),
        ]
    }

    #[test]
    fn golden_table() {
        let want = "\
cpu:0, host engine, MLX 0.32.4
kernel  shape         dtype    |        zmlx us    +-    GB/s  copy |         mlx us    +-    GB/s  copy  speedup | copy GB/s
silu    (4096, 4096)  float32  |         8000.0    1%   16.78  0.84 |       200000.0    5%    0.67  0.03   25.00x |     20.00
silu    (128,)        bfloat16 |            2.5    4%    0.20  0.01 |          error                              |     20.00
  mlx: no such thing
    at all
";
        let got = table(&rows());
        assert_eq!(got, want, "\n{got}");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn json_has_a_line_for_each_contender() {
        let rows = rows();
        let text = rows[1].json_lines();
        let lines: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["contender"], "zmlx");
        assert_eq!(lines[0]["us"], 2.5);
        assert_eq!(lines[0]["gb_s"], 0.2048);
        assert_eq!(lines[0]["share_of_copy"], 0.01024);
        assert_eq!(lines[0]["shape"], json!([128]));
        assert_eq!(lines[1]["error"], "no such thing\nat all");
        assert_eq!(lines[1].get("us"), None);
        let first: Value =
            serde_json::from_str(rows[0].json_lines().lines().nth(1).unwrap()).unwrap();
        assert_eq!(first["speedup_of_first"], 25.0);
    }
}
