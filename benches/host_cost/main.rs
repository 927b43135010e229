//! What building a node of the graph costs the host, beside the same calls from C++ in the same run.
//!
//! `cargo bench --bench host_cost` compiles `twin.cpp` with the system's C++ compiler (`CXX` names another) against the MLX of
//! this build, and lets it and this program build nodes in turns. A node is dropped at once and nothing is evaluated, but for
//! `item`, which reads a scalar. The table shows the median of the turns in nanoseconds, and the median of the turns' ratios.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use zmlx::prelude::*;

const TURNS: usize = 31;
const COUNT: u32 = 20_000;

/// The twin, which answers on its standard output.
struct Twin {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Twin {
    fn start(folder: &Path) -> Twin {
        let Some(include) = option_env!("ZMLX_MLX_INCLUDE").map(PathBuf::from) else {
            panic!("the twin needs MLX's headers, and this build has no MLX");
        };
        let lib = include.parent().expect("a folder").join("lib");
        let program = folder.join("twin");
        let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/host_cost/twin.cpp");
        let status = Command::new(&compiler)
            .args(["-std=c++20", "-O3", source, "-o"])
            .arg(&program)
            .arg("-I")
            .arg(&include)
            .arg("-L")
            .arg(&lib)
            .arg(format!("-Wl,-rpath,{}", lib.display()))
            .args(["-lmlx", "-pthread"])
            .status()
            .expect("a C++ compiler");
        assert!(status.success(), "the twin does not compile");
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the twin");
        Twin {
            ask: child.stdin.take().expect("a pipe"),
            answer: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    /// Nanoseconds of one operation.
    fn time(&mut self, name: &str) -> f64 {
        writeln!(self.ask, "{COUNT} {name}").expect("the twin reads");
        let mut line = String::new();
        self.answer.read_line(&mut line).expect("the twin answers");
        let total: f64 = line.trim().parse().expect("a number");
        total / f64::from(COUNT)
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn time(body: &dyn Fn()) -> f64 {
    let start = Instant::now();
    for _ in 0..COUNT {
        body();
    }
    start.elapsed().as_nanos() as f64 / f64::from(COUNT)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> zmlx::Result<()> {
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(()); // `cargo test --benches` measures nothing.
    }
    let folder = tempfile::tempdir().map_err(zmlx::Error::from_io)?;
    let mut twin = Twin::start(folder.path());
    let x = &Array::zeros((4, 6, 8), F32)?;
    let y = &Array::zeros((4, 6, 8), F32)?;
    let w = &Array::zeros((8, 16), F32)?;
    eval([x, y, w])?;
    macro_rules! operations {
        ($($name:literal $body:expr;)*) => {
            [$(($name, &(|| drop(black_box($body))) as &dyn Fn())),*]
        };
    }
    let operations = operations! {
        "add" x.add(y);
        "add a number" x.add(2.0);
        "exp" x.exp();
        "matmul" x.matmul(w);
        "reshape" x.reshape((24, 8));
        "transpose" x.transpose((0, 2, 1));
        "sum(-1)" x.sum(-1);
        "sum((0, 2))" x.sum((0, 2));
        "slice" x.slice([0, 1, 2], [4, 5, 8], [1, 1, 2]);
        "item" Array::from(1.0).item::<f32>();
    };
    println!("| operation | C++ (ns) | Rust (ns) | Rust / C++ |");
    println!("|---|---|---|---|");
    for (name, body) in operations {
        let (mut theirs, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for turn in 0..TURNS {
            // Each goes first in half of the turns.
            let (a, b) = match turn % 2 {
                0 => {
                    let a = twin.time(name);
                    (a, time(body))
                }
                _ => {
                    let b = time(body);
                    (twin.time(name), b)
                }
            };
            theirs.push(a);
            ours.push(b);
            ratios.push(b / a);
        }
        let (theirs, ours, ratio) = (median(theirs), median(ours), median(ratios));
        println!("| `{name}` | {theirs:.0} | {ours:.0} | {ratio:.2} |");
    }
    Ok(())
}
