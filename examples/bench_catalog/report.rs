//! The table and its totals.

use zmlx::bench::Row;
use zmlx::prelude::*;

/// The columns of MLX: title, and the contenders of which the fastest counts.
const COLUMNS: [(&str, &[&str]); 3] = [
    ("MLX op", &["MLX op"]),
    ("composite", &["composite"]),
    ("compiled", &["MLX op, compiled", "composite, compiled"]),
];

pub fn head(row: &Row) -> String {
    let Row {
        device,
        engine,
        mlx,
        ..
    } = row;
    let mut text = format!(
        "{device}, {engine} engine, MLX {mlx}; medians; x: times as long as zmlx\n\n\
         {:<38} {:<8} {:>13} {:>10} {:>5} {:>8} {:>5}",
        "kernel", "dtype", "shape", "zmlx us", "+-", "GB/s", "share"
    );
    for (title, _) in COLUMNS {
        text += &format!(" | {title:>10} {:>7}", "x");
    }
    text + &format!(" | {:>9}", "copy GB/s")
}

pub fn line(row: &Row) -> String {
    let shape: Vec<String> = row.shape.iter().map(i32::to_string).collect();
    let (kernel, dtype, shape) = (&row.kernel, row.dtype.to_string(), shape.join("x"));
    let mut text = format!("{kernel:<38} {dtype:<8} {shape:>13}");
    match &row.results[0].time {
        Ok(t) => {
            let off = 100.0 * t.mad_us / t.median_us;
            let (gb_s, share) = (row.gb_s(0), share(row));
            let gb_s = gb_s.unwrap_or(f64::NAN);
            text += &format!(
                " {:>10.1} {off:>4.0}% {gb_s:>8.2} {share:>5.2}",
                t.median_us
            );
        }
        Err(e) => text += &format!(" {}", e.lines().next().unwrap_or("failed")),
    }
    for (_, names) in COLUMNS {
        text += &match (fastest(row, names), ratio(row, names)) {
            (Some(us), Some(ratio)) => format!(" | {us:>10.1} {ratio:>6.1}x"),
            (Some(us), None) => format!(" | {us:>10.1} {:>7}", ""),
            _ => format!(" | {:>10} {:>7}", "-", ""),
        };
    }
    text += &format!(" | {:>9.1}", row.copy_gb_s.unwrap_or(f64::NAN));
    for failed in &row.results[1..] {
        if let Err(e) = &failed.time {
            text += &format!(
                "\n  {}: {}",
                failed.name,
                e.lines().next().unwrap_or("failed")
            );
        }
    }
    text
}

fn share(row: &Row) -> f64 {
    row.share_of_copy(0).unwrap_or(0.0)
}

fn fastest(row: &Row, names: &[&str]) -> Option<f64> {
    let those = row
        .results
        .iter()
        .filter(|r| names.contains(&r.name.as_str()));
    those.filter_map(|r| r.us()).min_by(f64::total_cmp)
}

fn ratio(row: &Row, names: &[&str]) -> Option<f64> {
    Some(fastest(row, names)? / row.results[0].us()?)
}

/// How many times as long MLX's best way takes.
pub fn over_best(row: &Row) -> Option<f64> {
    let all: Vec<&str> = row.results[1..].iter().map(|r| r.name.as_str()).collect();
    ratio(row, &all)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), v| (sum + v.ln(), n + 1));
    (sum / f64::from(n.max(1))).exp()
}

/// Geometric means by dtype and shape, and whether the floors hold.
pub fn totals(rows: &[Row]) {
    println!();
    let mut groups: Vec<(Dtype, &[i32])> = rows.iter().map(|r| (r.dtype, &r.shape[..])).collect();
    groups.dedup();
    for (dtype, shape) in groups {
        let part = || {
            rows.iter()
                .filter(|r| (r.dtype, &r.shape[..]) == (dtype, shape))
        };
        println!(
            "geometric mean, {dtype} {shape:?}: share of copy {:.2}, {:.1}x MLX's best",
            mean(part().map(share)),
            mean(part().filter_map(over_best))
        );
    }
    for (dtype, least) in [(F32, 0.6), (F16, 0.45), (BF16, 0.45)] {
        floors(rows, dtype, least);
    }
}

/// What the CPU's kernels have to reach at 2048x4096, and which do not.
fn floors(rows: &[Row], dtype: Dtype, least: f64) {
    let here = |r: &&Row| r.engine == "host" && r.dtype == dtype && r.shape == [2048, 4096];
    let values = |r: &&Row| !r.kernel.contains(' ');
    let rows: Vec<&Row> = rows.iter().filter(here).filter(values).collect();
    if rows.is_empty() {
        return;
    }
    let names = |bad: &dyn Fn(&Row) -> bool| {
        let bad: Vec<&str> = rows.iter().filter(|r| bad(r)).map(|r| &*r.kernel).collect();
        match bad.is_empty() {
            true => "holds".to_owned(),
            false => format!("missed by {}", bad.join(", ")),
        }
    };
    println!("\nfloors of the CPU, {dtype} 2048x4096:");
    println!("  share of copy {least}: {}", names(&|r| share(r) < least));
    if rows.iter().any(|r| over_best(r).is_some()) {
        let slower = |r: &Row| over_best(r).is_some_and(|times| times < 1.0);
        println!("  none slower than MLX's best: {}", names(&slower));
        let times = mean(rows.iter().filter_map(|r| over_best(r)));
        let verdict = if times >= 15.0 { "holds" } else { "missed" };
        println!("  15x MLX's best in the geometric mean: {verdict} ({times:.1}x)");
    }
}
