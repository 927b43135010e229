//! How long derivatives are: passes over the row and reductions, against what one writes by hand.

use std::fmt::Write as _;

use super::derive;
use super::op::Fused;
use super::program::{Program, Span};
use crate::api::{self, Pass};
use crate::elementwise;
use crate::rowwise::{MapReduce, map_reduce};

const SUM: &str = "a + b";

fn sum(update: &str) -> Pass<'_> {
    Pass {
        init: "0.0f",
        update,
        reduce: SUM,
    }
}

fn largest() -> Pass<'static> {
    Pass {
        init: "-INFINITY",
        update: "max(acc1, x)",
        reduce: "max(a, b)",
    }
}

/// The program as text, for whoever reads a failure.
fn show(p: &Program) -> String {
    let mut all = String::new();
    for i in &p.inputs {
        let row = if i.span == Span::Row { " (row)" } else { "" };
        let _ = write!(all, "{}{row}, ", i.name);
    }
    let _ = writeln!(all);
    for (r, level) in p.reductions.iter().zip(p.levels()) {
        let (name, fold, value) = (&r.name, &r.fold, r.value.to_msl());
        let _ = writeln!(all, "pass {level}: {name} = {fold:?} {value}");
    }
    for o in &p.outputs {
        let _ = writeln!(all, "{:?} {} = {}", o.span, o.name, o.value.to_msl());
    }
    all
}

/// Passes that reduce, and reductions.
fn length(p: &Program) -> (usize, usize) {
    let passes = p.levels().into_iter().max().unwrap_or(0);
    (passes, p.reductions.len())
}

#[test]
fn print() {
    let softmax = map_reduce("softmax")
        .pass1(largest())
        .pass2(sum("acc2 + exp(x - s1)"))
        .write("exp(x - s1) / s2")
        .build()
        .unwrap();
    let softmax0 = map_reduce("softmax0")
        .pass1(largest())
        .pass2(sum("acc2 + exp(x - s1)"))
        .write("exp(x - s1) * (1.0f / s2)")
        .build()
        .unwrap();
    let logsoftmax = map_reduce("logsoftmax")
        .pass1(largest())
        .pass2(sum("acc2 + exp(x - s1)"))
        .write("x - s1 - log(s2)")
        .build()
        .unwrap();
    let lse = map_reduce("lse")
        .pass1(largest())
        .pass2(sum("acc2 + exp(x - s1)"))
        .write_row("s1 + log(s2)")
        .build()
        .unwrap();
    let cross = map_reduce("cross")
        .inputs(["x", "t"])
        .pass1(largest())
        .pass2(sum("acc2 + exp(x - s1)"))
        .pass(sum("acc3 + t * x"))
        .write_row("s1 + log(s2) - s3")
        .build()
        .unwrap();
    let cross2 = map_reduce("cross2")
        .inputs(["x", "t"])
        .pass1(largest())
        .pass2(sum("acc2 + exp(x - s1)"))
        .pass(sum("acc3 + t * (s1 + log(s2) - x)"))
        .write_row("s3")
        .build()
        .unwrap();
    let rms = map_reduce("rms")
        .inputs(["x", "w"])
        .pass1(sum("acc1 + x * x"))
        .write("x * rsqrt(s1 / D + 1e-5f) * w")
        .build()
        .unwrap();
    let rms1 = map_reduce("rms1")
        .inputs(["x", "w"])
        .pass1(sum("acc1 + x * x"))
        .write("x * w / sqrt(s1 / D + 1e-5f)")
        .build()
        .unwrap();
    let rms0 = map_reduce("rms0")
        .inputs(["x"])
        .pass1(sum("acc1 + x * x"))
        .write("x * rsqrt(s1 / D + 1e-5f)")
        .build()
        .unwrap();
    let ln = map_reduce("ln")
        .inputs(["x", "w", "b"])
        .pass1(sum("acc1 + x"))
        .pass2(sum("acc2 + (x - s1 / D) * (x - s1 / D)"))
        .write("(x - s1 / D) * rsqrt(s2 / D + 1e-5f) * w + b")
        .build()
        .unwrap();
    let ln0 = map_reduce("ln0")
        .inputs(["x"])
        .pass1(sum("acc1 + x"))
        .pass2(sum("acc2 + (x - s1 / D) * (x - s1 / D)"))
        .write("(x - s1 / D) / sqrt(s2 / D + 1e-5f)")
        .build()
        .unwrap();
    let l2 = map_reduce("l2")
        .inputs(["x"])
        .pass1(sum("acc1 + x * x"))
        .write("x / max(sqrt(s1), 1e-6f)")
        .build()
        .unwrap();
    for op in [
        &softmax,
        &softmax0,
        &logsoftmax,
        &lse,
        &cross,
        &cross2,
        &rms,
        &rms1,
        &rms0,
        &ln,
        &ln0,
        &l2,
    ] {
        println!("== {}\n{}", op.name(), show(op.op.program()));
        println!(
            "-- plain\n{}",
            show(&derive::vjp(op.op.program(), "f").unwrap())
        );
        println!(
            "-- saved\n{}",
            show(&derive::vjp_of_saved(op.op.program(), "f").unwrap())
        );
    }
    let swiglu = elementwise::map("swiglu", ["a", "b"], "kk_silu(a) * b").unwrap();
    println!(
        "-- plain\n{}",
        show(&derive::vjp(swiglu.op.program(), "f").unwrap())
    );
    let _ = (
        length as fn(&Program) -> (usize, usize),
        api::reduce as fn(&str) -> api::ReduceBuilder,
        None::<Fused>,
        None::<MapReduce>,
    );
}
