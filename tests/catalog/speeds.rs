//! docs/BENCHMARKS.md is made from what `bench_catalog --csv` wrote.

use std::fmt::Write as _;

use crate::common::root;

/// Files below docs/bench with the machine's short name.
pub const MEASURED: [(&str, &str); 2] = [("cpu", "CPU"), ("h200", "H200")];

const HEAD: &str = "\
# Benchmarks of the catalog

One table for each machine, made by the command above it (in front of the options: `cargo run --release --example bench_catalog --`,
or the program carried to a machine with a GPU; see [CONTRIBUTING.md](../CONTRIBUTING.md#tests-on-a-gpu)). `us` is a call, \"of copy\" the share of the speed at which
a copy moves as many bytes in turns with the call, and x how many times as long MLX's best way takes: its own operation, a composite of its operations,
or either compiled. With `--fastest` only the fastest tenth of the samples counts, as others used the machine, too; without it these are medians.
Rows whose name ends in (grad) are a function's value and its gradients together, and their bytes are all these arrays once, so they
cannot reach 1: what the backward kernel needs it reads again. With more than 1 of a copy, a part stayed in the caches.

";

/// The lines of a file.
pub struct Speeds {
    about: Vec<String>,
    lines: Vec<[String; 7]>,
}

impl Speeds {
    pub fn read(name: &str) -> Speeds {
        let path = root().join(format!("docs/bench/{name}.csv"));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let about = text.lines().filter_map(|l| l.strip_prefix("# "));
        let cells = text.lines().filter(|l| !l.starts_with('#')).skip(1);
        let cells = cells.map(|l| l.split(',').map(str::to_owned).collect::<Vec<_>>());
        Speeds {
            about: about.map(str::to_owned).collect(),
            lines: cells.map(|c| c.try_into().expect("seven cells")).collect(),
        }
    }

    /// The shares of a copy of a function's values in the three dtypes, at the first shape.
    pub fn shares(&self, kernel: &str) -> String {
        let of = |dtype: &str| {
            let mut lines = self.lines.iter();
            let line = lines.find(|l| l[0] == kernel && l[1] == dtype)?;
            let share = line[4].parse::<f64>().ok()?;
            Some(format!("{share:.2}"))
        };
        let shares = ["float32", "float16", "bfloat16"].map(of);
        if shares.iter().all(Option::is_none) {
            return String::new();
        }
        shares.map(|s| s.unwrap_or("-".into())).join(" / ")
    }

    /// A table for each shape: a line for each function, with columns for dtypes.
    fn tables(&self, text: &mut String) {
        let mut shapes: Vec<&str> = Vec::new();
        let mut dtypes: Vec<&str> = Vec::new();
        for line in &self.lines {
            if !shapes.contains(&&*line[2]) {
                shapes.push(&line[2]);
            }
            if !dtypes.contains(&&*line[1]) {
                dtypes.push(&line[1]);
            }
        }
        for shape in shapes {
            let titles: Vec<String> = dtypes
                .iter()
                .map(|d| format!(" {d} us | of copy | x |"))
                .collect();
            let rule = "|---".repeat(1 + 3 * dtypes.len());
            let _ = writeln!(text, "| {shape} |{}\n{rule}|", titles.concat());
            let here = || self.lines.iter().filter(|l| l[2] == shape);
            let mut kernels: Vec<&str> = Vec::new();
            for line in here() {
                if !kernels.contains(&&*line[0]) {
                    kernels.push(&line[0]);
                }
            }
            for kernel in kernels {
                let _ = write!(text, "| `{kernel}` |");
                for dtype in &dtypes {
                    let line = here().find(|l| l[0] == kernel && l[1] == *dtype);
                    let cells = line.map_or(["", "", ""], |l| [&l[3], &l[4], &l[6]]);
                    let _ = write!(text, " {} | {} | {} |", cells[0], cells[1], cells[2]);
                }
                text.push('\n');
            }
            text.push('\n');
        }
    }
}

fn page() -> String {
    let mut text = format!("<!-- Made by `{COMMAND}`; do not edit. -->\n{HEAD}");
    for (file, title) in MEASURED {
        let speeds = Speeds::read(file);
        if speeds.lines.is_empty() {
            continue;
        }
        let _ = writeln!(text, "## {title}\n");
        for line in &speeds.about {
            let _ = writeln!(text, "    {line}");
        }
        let plot = format!("docs/bench/{file}.svg");
        if root().join(&plot).is_file() {
            let _ = writeln!(text, "\n![shares of a copy](bench/{file}.svg)");
        }
        text.push('\n');
        speeds.tables(&mut text);
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

const COMMAND: &str = "ZMLX_WRITE=1 cargo test --test catalog docs";

#[test]
fn docs_benchmarks_md_is_fresh() {
    let path = root().join("docs/BENCHMARKS.md");
    let text = page();
    if std::env::var_os("ZMLX_WRITE").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/BENCHMARKS.md is stale; `{COMMAND}` writes it"
    );
}
