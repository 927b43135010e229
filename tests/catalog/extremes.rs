//! The overflow audit: every kernel at the largest and the smallest numbers of float16 and bfloat16, against its formula in
//! float64; views of every kernel; NaN in what all rows share.

use zmlx::kernels::{Entry, Kind, catalog};
use zmlx::prelude::*;
use zmlx::{Result, eval, ops};

use crate::cases::{Case, normals};
use crate::common::on_worker;
use crate::reference::{composite, exactly, gradients, of, pick, wide};
use crate::report::{Report, each_in};
use crate::tolerance::{Tolerance, numbers};

/// Rows of the audit: what their elements are, from the largest and the smallest number of the dtype, and a random one.
type Pattern = fn(largest: f32, least: f32, j: usize, random: f32) -> f32;

const PATTERNS: [(&str, Pattern); 7] = [
    ("the largest", |most, _, _, _| most),
    ("its negative", |most, _, _, _| -most),
    ("both and 0", |most, _, j, _| [most, 0.0, -most][j % 3]),
    ("one large", |most, _, j, v| if j == 5 { most } else { v }),
    (
        "one large negative",
        |most, _, j, v| if j == 0 { -most } else { v },
    ),
    ("the least", |_, least, _, _| least),
    ("both signs of it", |_, least, j, _| {
        [least, -least, 0.0][j % 3]
    }),
];

const WIDTH: i32 = 34;

/// The largest number that a kernel takes without overflow: all of float16, as arithmetic is in float32. Of bfloat16, whose range is
/// float32's, all, too, but where [`SQUARES`] says less.
fn largest(entry: &Entry, dtype: Dtype) -> f32 {
    if dtype == F16 {
        return 65504.0;
    }
    let limit = SQUARES.iter().find(|(name, _)| *name == entry.name);
    limit.map_or(3.3e38, |(_, limit)| *limit)
}

/// What multiplies elements with each other or adds a row up in float32, each with the largest number whose squares, products or sums
/// still are numbers there: 1e18, as 34 squares of it are 3.4e37, and for a mean a 34th of the largest.
const SQUARES: &[(&str, f32)] = &[
    ("softmax::softmax_grad", 1e18),
    ("norms::rmsnorm", 1e18),
    ("norms::rmsnorm_grad", 1e18),
    ("norms::rms_norm_no_weight", 1e18),
    ("norms::layer_norm_no_weight", 1e18),
    ("norms::layernorm", 1e18),
    ("norms::residual_rmsnorm", 1e18),
    ("norms::layer_norm_dropout", 1e18),
    ("reductions::mean_lastdim", 9e36),
    ("reductions::var_lastdim", 1e18),
    ("reductions::std_lastdim", 1e18),
    ("transformer::rmsnorm_residual", 1e18),
    ("transformer::fused_add_rmsnorm", 1e18),
    ("transformer::layernorm_residual", 1e18),
    ("transformer::fused_add_layernorm", 1e18),
    ("transformer::rms_norm_dropout", 1e18),
    ("vlsp::fused_recurrent_step", 1e18),
    ("vlsp::grpo_advantage_norm", 1e18),
    ("optimizers::adamw_step", 1e18),
];

/// The limits of norms are MLX's own: its operations lose such rows, too. If this fails MLX does better, and so should the kernel. (Means
/// and variances of the bindings are no such measure: they scale rows first.)
#[test]
fn mlx_ends_where_squares_do() {
    on_worker(|| -> Result<()> {
        let mut known = 0;
        for (name, limit) in SQUARES {
            let entry = catalog().find(|e| e.name == *name).expect(name);
            let skipped = name.ends_with("_grad") || name.starts_with("reductions::");
            let (Some(mlx), false) = (entry.mlx, skipped) else {
                continue;
            };
            let mut inputs = entry.inputs(&[1], WIDTH, F32, 7)?;
            let x = Array::arange(WIDTH)?.add(1)?.reshape((1, WIDTH))?;
            inputs[0] = x.astype(F32)?.multiply(30.0 / WIDTH as f32 * limit)?;
            let got = numbers(&mlx(&inputs)?[0])?;
            let want = exactly(|| numbers(&(entry.composite)(&wide(&inputs)?)?[0]))?;
            assert!(want.iter().all(|w| w.is_finite()), "{name}: {want:?}");
            let near = |(g, w): (&f64, &f64)| (g - w).abs() <= 0.5 * w.abs();
            let kept = got.iter().zip(&want).all(near);
            assert!(!kept, "{name}: MLX gives {got:?}");
            known += 1;
        }
        assert!(known >= 3, "{known}");
        Ok(())
    })
    .unwrap();
}

/// The least number: of float16 one without a leading bit, of bfloat16 one that has it, as GPUs drop others.
fn least(dtype: Dtype) -> f32 {
    if dtype == F16 { 6e-8 } else { 1.2e-38 }
}

/// Layer norms of a sum, of which the other addend is 0 here: beside the largest number float32 keeps too little of its spread, which is
/// all that they see.
const OF_SUMS: &[&str] = &[
    "transformer::layernorm_residual",
    "transformer::fused_add_layernorm",
];

#[test]
fn overflow_audit() {
    each_in(&[F16, BF16], |report, entry, dtype| {
        for (i, input) in entry.inputs.iter().enumerate() {
            if !matches!(input.kind, Kind::Rows | Kind::Numbers | Kind::DoubleRows) {
                continue;
            }
            let rows = PATTERNS.len() as i32;
            if let Some(case) = Case::new(entry, dtype, &[rows], WIDTH, report.seed) {
                audit(report, &case, i)?;
            }
        }
        Ok(())
    });
}

fn audit(report: &mut Report, case: &Case, i: usize) -> Result<()> {
    let mut inputs = case.inputs()?;
    let width = inputs[i].dim(-1)? as usize;
    let (most, least) = (largest(case.entry, case.dtype), least(case.dtype));
    let random = numbers(&inputs[i])?;
    let filled = random.iter().enumerate().map(|(at, v)| {
        let (row, j) = (at / width, at % width);
        PATTERNS[row].1(most, least, j, *v as f32)
    });
    let filled: Vec<f32> = filled.collect();
    inputs[i] = Array::from_slice(&filled, inputs[i].shape())?.astype(case.dtype)?;
    if OF_SUMS.contains(&case.entry.name) {
        inputs[1 - i] = inputs[1 - i].zeros_like()?;
    }
    let got = (case.entry.call)(&inputs)?;
    let want = exactly(|| composite(case, got.len())(&wide(&inputs)?))?;
    let name = case.entry.inputs[i].name;
    for (row, (what, _)) in PATTERNS.iter().enumerate() {
        for (got, want) in got.iter().zip(&want) {
            let (got, want) = (got.index(row as i32)?, exactly(|| want.index(row as i32))?);
            let outcome = in_range(case, &got, &want);
            report.check(case, &format!("`{name}`: {what},"), outcome);
        }
    }
    // Gradients in bfloat16, whose kernels are compiled anyway: no NaN where there is a derivative.
    if case.dtype != BF16 {
        return Ok(());
    }
    let which = case.differentiable();
    let cotangents = normals(&got, case.seed)?;
    let f = of(&case.entry.call, &inputs, &which);
    let slopes = gradients(&f, &pick(&inputs, &which), &cotangents)?;
    let Some(at) = which.iter().position(|w| *w == i) else {
        return Ok(());
    };
    let want = exactly(|| {
        let composite = composite(case, got.len());
        let inputs = wide(&inputs)?;
        let f = of(&composite, &inputs, &which);
        gradients(&f, &pick(&inputs, &which), &wide(&cotangents)?)
    })?;
    let pairs = numbers(&slopes[at])?.into_iter().zip(numbers(&want[at])?);
    let lost = pairs
        .enumerate()
        .find(|(_, (g, w))| w.is_finite() && g.is_nan());
    let text = lost.map(|(at, (_, w))| {
        let what = PATTERNS[at / width].0;
        format!("{what}, element {}: NaN, expected {w:e}", at % width)
    });
    report.check(case, &format!("`{name}`: gradient"), Ok(text));
    Ok(())
}

/// Compares with what is a number in float64, rounded to the dtype: what is beyond its range is infinite, and what is at its
/// end may be either. A formula that is infinite in float64 is no model, as no such result is: then it must only be no NaN.
/// Nor is one that is 0 beside the least numbers, which `exp(x) - 1` swallows.
fn in_range(case: &Case, got: &Array, want: &Array) -> Result<Option<String>> {
    let end = if got.dtype() == F16 { 65504.0 } else { 3.38e38 };
    let (found, exact) = (numbers(got)?, numbers(want)?);
    let model = found.iter().zip(&exact).map(|(&g, &w)| match w {
        w if w.is_nan() || w.is_infinite() && !g.is_nan() => g,
        0.0 if g.abs() <= 2.0 * f64::from(least(case.dtype)) => g,
        w if w.abs() > 1.01 * end => w.signum() * f64::INFINITY,
        w if w.abs() > 0.99 * end => g,
        w => w,
    });
    let model: Vec<f64> = model.collect();
    let model = exactly(|| Array::from_slice(&model, want.shape()))?;
    Tolerance::kernel(case, got.dtype()).compare(got, &model)
}

/// An array of the same shape in another layout.
type Layout = fn(&Array) -> Result<Array>;

/// Rows with others between them, and one row for all.
const VIEWS: [(&str, Layout); 2] = [
    ("every second row", |a| {
        let twice = ops::stack(&[a.clone(), a.full_like(7)?], 1)?.contiguous()?;
        twice.index((.., 0))
    }),
    ("one row for all", |a| {
        let one = a.index(0..1)?.contiguous()?;
        one.broadcast_to(a.shape())
    }),
];

/// Also in the kernels that do not stand for others; those that do are turned around in every way elsewhere.
#[test]
fn views_of_rows() {
    each_in(&[F32], |report, entry, dtype| {
        let Some(case) = Case::new(entry, dtype, &[4], 40, report.seed) else {
            return Ok(());
        };
        let inputs = case.inputs()?;
        for (name, view) in VIEWS {
            let mut seen = inputs.clone();
            for (a, input) in seen.iter_mut().zip(entry.inputs) {
                if input.kind.shape().contains("...") {
                    *a = view(a)?;
                }
            }
            eval(&seen)?;
            let dense: Result<Vec<Array>> = seen.iter().map(copied).collect();
            let (got, want) = ((entry.call)(&seen)?, (entry.call)(&dense?)?);
            report.compare(&case, &format!("{name},"), &got, &want);
        }
        Ok(())
    });
}

fn copied(a: &Array) -> Result<Array> {
    Array::from_bytes(&a.to_bytes()?, a.shape(), a.dtype())
}

/// NaN in what rows share, or in one number of a row, reaches what the formula says it reaches.
#[test]
fn nan_beside_the_rows() {
    each_in(&[F32], |report, entry, dtype| {
        let Some(case) = Case::new(entry, dtype, &[3], 40, report.seed) else {
            return Ok(());
        };
        for (i, input) in entry.inputs.iter().enumerate() {
            let rows = matches!(input.kind, Kind::Rows | Kind::DoubleRows);
            if rows || !input.kind.differentiable() {
                continue;
            }
            let mut inputs = case.inputs()?;
            let a = &inputs[i];
            let flat = a.reshape(-1)?;
            let first = Array::full(1, f32::NAN, a.dtype())?;
            let odd = ops::concatenate(&[first, flat.index(1..)?], 0)?;
            inputs[i] = odd.reshape(a.shape())?;
            let got = (entry.call)(&inputs)?;
            let want = exactly(|| composite(&case, got.len())(&wide(&inputs)?))?;
            for (got, want) in got.iter().zip(&want) {
                let pairs = numbers(got)?.into_iter().zip(numbers(want)?);
                let lost = pairs
                    .enumerate()
                    .find(|(_, (g, w))| g.is_nan() != w.is_nan());
                let text = lost.map(|(at, (g, w))| format!("element {at} is {g}, expected {w}"));
                report.check(&case, &format!("NaN in `{}`,", input.name), Ok(text));
            }
        }
        Ok(())
    });
}
