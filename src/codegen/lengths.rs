//! How long derivatives are: passes over a row and reductions, against what one writes by hand.

use std::fmt::Write as _;

use super::derive;
use super::program::{Program, Span};
use crate::elementwise;
use crate::rowwise::{MapReduce, MapReduceBuilder, Pass, map_reduce};

fn sum(update: &str) -> Pass<'_> {
    Pass {
        init: "0.0f",
        update,
        reduce: "a + b",
    }
}

/// The largest element and the sum of powers below it.
pub(super) fn powers(name: &str) -> MapReduceBuilder {
    map_reduce(name)
        .pass1(Pass {
            init: "-INFINITY",
            update: "max(acc1, x)",
            reduce: "max(a, b)",
        })
        .pass2(sum("acc2 + exp(x - s1)"))
}

/// The mean and the sum of squares of what differs from it.
fn centred(name: &str, result: &str) -> MapReduce {
    map_reduce(name)
        .inputs(["x", "w", "b"])
        .pass1(sum("acc1 + x"))
        .pass2(sum("acc2 + (x - s1 / D) * (x - s1 / D)"))
        .write(result)
        .build()
        .unwrap()
}

fn squares(name: &str, result: &str) -> MapReduce {
    map_reduce(name)
        .inputs(["x", "w"])
        .pass1(sum("acc1 + x * x"))
        .write(result)
        .build()
        .unwrap()
}

/// The program as text, for whoever reads a failure.
fn show(p: &Program) -> String {
    let mut all = String::new();
    for i in &p.inputs {
        let row = if i.span == Span::Row { " (a row)" } else { "" };
        let _ = write!(all, "{}{row}, ", i.name);
    }
    let _ = writeln!(all);
    for (r, level) in p.reductions.iter().zip(p.levels()) {
        let (name, fold, value) = (&r.name, &r.fold, r.value.to_msl());
        let _ = writeln!(all, "pass {level}: {name} = {fold:?} of {value}");
    }
    for o in &p.outputs {
        let _ = writeln!(all, "{:?} {} = {}", o.span, o.name, o.value.to_msl());
    }
    all
}

/// What a derivative may cost: passes that reduce, and reductions.
type Length = (usize, usize);

#[track_caller]
fn check(op: &MapReduce, alone: Length, saved: Length, reads: &[&str]) {
    let (forward, name) = (op.op.program(), op.name());
    let length = |p: &Program| {
        (
            p.levels().into_iter().max().unwrap_or(0),
            p.reductions.len(),
        )
    };
    let p = derive::vjp(forward, name).unwrap();
    assert_eq!(length(&p), alone, "{name} alone\n{}", show(&p));
    let p = derive::vjp_of_saved(forward, name).unwrap();
    assert_eq!(length(&p), saved, "{name}, saved\n{}", show(&p));
    let rows: Vec<&str> = p
        .inputs
        .iter()
        .filter(|i| forward.reductions.iter().any(|r| r.name == i.name))
        .map(|i| i.name.as_str())
        .collect();
    assert_eq!(rows, reads, "{name}\n{}", show(&p));
}

#[test]
fn softmax_and_its_kind() {
    let op = powers("softmax").write("exp(x - s1) / s2").build().unwrap();
    check(&op, (2, 3), (1, 1), &["s1", "s2"]);
    let op = powers("log_softmax")
        .write("x - s1 - log(s2)")
        .build()
        .unwrap();
    check(&op, (2, 3), (1, 1), &["s1", "s2"]);
    let op = powers("logsumexp")
        .write_row("s1 + log(s2)")
        .build()
        .unwrap();
    check(&op, (2, 2), (0, 0), &["s1", "s2"]);
    let op = powers("cross_entropy")
        .inputs(["x", "t"])
        .pass(sum("acc3 + t * x"))
        .write_row("s1 + log(s2) - s3")
        .build()
        .unwrap();
    check(&op, (2, 2), (0, 0), &["s1", "s2"]);
    // Labels whose sum is not known to be one.
    let op = powers("weighted_cross_entropy")
        .inputs(["x", "t"])
        .pass(sum("acc3 + t * (s1 + log(s2) - x)"))
        .write_row("s3")
        .build()
        .unwrap();
    check(&op, (2, 3), (1, 1), &["s1", "s2"]);
}

#[test]
fn norms() {
    for result in [
        "x * rsqrt(s1 / D + 1e-5f) * w",
        "x * w / sqrt(s1 / D + 1e-5f)",
        "x * (1.0f / sqrt(s1 / D + 1e-5f)) * w",
    ] {
        check(&squares("rms_norm", result), (1, 2), (1, 1), &["s1"]);
    }
    check(
        &squares("l2_norm", "w * x / max(sqrt(s1), 1e-6f)"),
        (1, 2),
        (1, 1),
        &["s1"],
    );
    for result in [
        "(x - s1 / D) * rsqrt(s2 / D + 1e-5f) * w + b",
        "(x - s1 / D) / sqrt(s2 / D + 1e-5f) * w + b",
        "w * ((x - s1 / D) * rsqrt(s2 / D + 1e-5f)) + b",
    ] {
        check(
            &centred("layer_norm", result),
            (2, 4),
            (1, 2),
            &["s1", "s2"],
        );
    }
}

/// Sums of what differs from the mean are not taken apart: the mean may be far from zero.
#[test]
fn digits_of_differences() {
    let op = centred("layer_norm", "(x - s1 / D) * rsqrt(s2 / D + 1e-5f) * w + b");
    let p = derive::vjp_of_saved(op.op.program(), "layer_norm").unwrap();
    let texts: Vec<String> = p.reductions.iter().map(|r| r.value.to_msl()).collect();
    assert_eq!(texts, ["(x - s1 / D) * w * g", "w * g"]);
}

#[test]
fn elements_need_no_reduction() {
    let op = elementwise::map("swiglu", ["a", "b"], "kk_silu(a) * b").unwrap();
    let p = derive::vjp(op.op.program(), "swiglu").unwrap();
    assert!(p.reductions.is_empty(), "{}", show(&p));
    assert!(op.op.saving().is_none());
}

/// What calls save, and when they do not.
#[test]
fn saved_values() {
    let op = powers("softmax").write("exp(x - s1) / s2").build().unwrap();
    let saving = op.op.saving().unwrap().program().clone();
    let hidden: Vec<String> = saving.outputs[1..]
        .iter()
        .map(|o| o.value.to_msl())
        .collect();
    assert_eq!(hidden, ["s1", "s2"]);
    assert!(saving.outputs[1..].iter().all(|o| o.span == Span::Row));
    // The author's gradients read what they mention.
    let op = powers("softmax").write("exp(x - s1) / s2");
    let op = op.vjp("x", "g * y - s2 * 0.0f").build().unwrap();
    let saving = op.op.saving().unwrap().program().clone();
    let hidden: Vec<String> = saving.outputs[1..]
        .iter()
        .map(|o| o.value.to_msl())
        .collect();
    assert_eq!(hidden, ["s2"]);
    // Nothing where nothing is needed, where a program says so, and where the arithmetic is not float32.
    let mean = map_reduce("mean").pass(sum("acc + x")).write_row("s1 / D");
    assert!(mean.build().unwrap().op.saving().is_none());
    let without = powers("softmax").write("exp(x - s1) / s2").build().unwrap();
    let without = {
        let mut program = without.op.program().clone();
        program.saves = false;
        without.op.with_program(program).unwrap()
    };
    assert!(without.saving().is_none());
    let half = powers("softmax").write("exp(x - s1) / s2");
    let half = half.compute_dtype(crate::Dtype::Float16).build().unwrap();
    assert!(half.op.saving().is_none());
}

/// Forward, what the largest element does goes away as well.
#[test]
fn tangents() {
    let length = |op: &MapReduce| {
        let p = derive::jvp(op.op.program(), op.name(), &[true]).unwrap();
        let passes = p.levels().into_iter().max().unwrap_or(0);
        (passes, p.reductions.len(), show(&p))
    };
    for (result, want) in [("exp(x - s1) / s2", (2, 3)), ("x - s1 - log(s2)", (2, 3))] {
        let op = powers("softmax").write(result).build().unwrap();
        let (passes, reductions, text) = length(&op);
        assert_eq!((passes, reductions), want, "{text}");
    }
    let op = powers("logsumexp")
        .write_row("s1 + log(s2)")
        .build()
        .unwrap();
    let (passes, reductions, text) = length(&op);
    assert_eq!((passes, reductions), (2, 3), "{text}");
}
