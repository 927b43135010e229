//! The sum over all processes: its time by the size of the array.
//!
//! `cargo bench --bench all_reduce` measures a group of one process; started by the example `launch`, that of all:
//!
//! ```sh
//! cargo build --release --bench all_reduce --example launch      # says where the program is
//! target/release/examples/launch --gpus 2 -- target/release/deps/all_reduce-HASH
//! ```
//!
//! The least time of ten samples, each of a chain of sums; "a link" is what each process sends and receives in it, 2 (N - 1) / N of the array.

use std::time::Instant;

use zmlx::prelude::*;
use zmlx::{Result, distributed};

fn main() -> Result<()> {
    let group = distributed::init()?;
    if group.rank() == 0 {
        println!("{}", zmlx::engine::info());
        println!("{} processes, float32", group.size());
        println!("| bytes | us | GB/s of the array | GB/s a link |");
        println!("|---|---|---|---|");
    }
    for power in [12, 16, 20, 24, 26, 28] {
        let bytes = 1usize << power;
        let x = Array::ones(((bytes / 4) as i32,), F32)?;
        zmlx::eval([&x])?;
        let chain = if bytes > 1 << 22 { 5 } else { 50 };
        let mut least = f64::INFINITY;
        for _ in 0..10 {
            // All begin together.
            zmlx::eval([&group.all_sum(&Array::ones((1,), F32)?)?])?;
            let start = Instant::now();
            let mut y = x.clone();
            for _ in 0..chain {
                y = group.all_sum(&y)?;
            }
            zmlx::eval([&y])?;
            zmlx::synchronize()?;
            least = least.min(start.elapsed().as_secs_f64() / f64::from(chain));
        }
        if group.rank() == 0 {
            let size = f64::from(group.size());
            let rate = bytes as f64 / least / 1e9;
            println!(
                "| {bytes} | {:.1} | {rate:.1} | {:.1} |",
                least * 1e6,
                rate * 2.0 * (size - 1.0) / size
            );
        }
    }
    Ok(())
}
