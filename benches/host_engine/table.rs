//! The table of results and the verdict on the floors.

use zmlx::prelude::*;

use crate::{Best, DTYPES, SHAPES};

/// One kernel on one shape.
pub struct Row {
    pub name: &'static str,
    pub dtype: Dtype,
    pub shape: (i32, i32),
    pub bytes: f64,
    pub ours: Best,
    pub mlx: Best,
}

pub fn print(rows: &[Row], copy: f64, memcpy: f64) {
    println!(
        "copy, all cores: {copy:.1} GB/s (read + written); memcpy alone {memcpy:.1}; shares are of the first\n"
    );
    println!(
        "{:<8} {:<8} {:>9} | {:>9} {:>7} {:>6} | {:>9} {:>7} {:>6} | {:>7}",
        "kernel", "dtype", "shape", "us", "GB/s", "share", "MLX us", "GB/s", "share", "ratio"
    );
    for r in rows {
        let [a, b] = [r.ours, r.mlx].map(Best::seconds);
        let [ga, gb] = [a, b].map(|t| r.bytes / t / 1e9);
        println!(
            "{:<8} {:<8} {:>9} | {:>9.1} {:>7.2} {:>6.2} | {:>9.1} {:>7.2} {:>6.2} | {:>6.1}x",
            r.name,
            r.dtype.to_string(),
            format!("{}x{}", r.shape.0, r.shape.1),
            a * 1e6,
            ga,
            ga / copy,
            b * 1e6,
            gb,
            gb / copy,
            b / a
        );
    }
    println!();
    let mean = |rows: &[&Row], f: &dyn Fn(&Row) -> f64| {
        (rows.iter().map(|r| f(r).ln()).sum::<f64>() / rows.len().max(1) as f64).exp()
    };
    let ratio = |r: &Row| r.mlx.seconds() / r.ours.seconds();
    let share = |r: &Row| r.bytes / r.ours.seconds() / 1e9 / copy;
    for dtype in DTYPES {
        for shape in SHAPES {
            let part: Vec<&Row> = rows
                .iter()
                .filter(|r| (r.dtype, r.shape) == (dtype, shape))
                .collect();
            if part.is_empty() {
                continue;
            }
            println!(
                "geometric mean {dtype} {}x{}: share {:.2}, {:.1}x MLX",
                shape.0,
                shape.1,
                mean(&part, &share),
                mean(&part, &ratio)
            );
        }
    }
    let floor: Vec<&Row> = rows
        .iter()
        .filter(|r| (r.dtype, r.shape) == (F32, SHAPES[0]))
        .collect();
    let under: Vec<_> = floor
        .iter()
        .filter(|r| share(r) < 0.5)
        .map(|r| r.name)
        .collect();
    let slower: Vec<_> = floor
        .iter()
        .filter(|r| ratio(r) < 1.0)
        .map(|r| r.name)
        .collect();
    println!("\nfloors, float32 2048x4096:");
    println!(
        "  share of copy >= 0.5: {}",
        verdict(under.is_empty(), &under)
    );
    println!(
        "  10x MLX in the geometric mean: {}",
        verdict(mean(&floor, &ratio) >= 10.0, &[])
    );
    println!(
        "  no row slower than MLX: {}",
        verdict(slower.is_empty(), &slower)
    );
}

pub fn verdict(holds: bool, names: &[&str]) -> String {
    let holds = if holds { "holds" } else { "missed" };
    format!("{holds} {}", names.join(", "))
}
