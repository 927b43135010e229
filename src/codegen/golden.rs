//! The texts of generated kernels, as files: a change of the generator shows here.
//!
//! `ZMLX_GOLDEN=write cargo test --lib golden` writes the files anew.

use std::fmt::Write as _;
use std::path::Path;

use super::op::Operation;
use super::pattern::{Access, Form, Keeps, Pattern, Walk};
use super::program::{InputKind, Program, Span};
use super::text::text;
use crate::api::{self, Pass};
use crate::transforms::rules::Rules as _;
use crate::{autograd, elementwise, rowwise};

/// Compares with, or writes, `tests/golden/<name>.metal`.
#[track_caller]
fn golden(name: &str, kernels: &[(&str, &Program, Pattern)]) {
    let mut all = String::new();
    for (title, program, pattern) in kernels {
        let t = text(program, pattern);
        let (inputs, outputs) = (t.inputs.join(", "), t.outputs.join(", "));
        let _ = writeln!(all, "// {title}: ({inputs}) -> ({outputs})");
        let _ = writeln!(all, "{}{}", t.header, t.source);
    }
    // Cargo says it at run time, too, and so does whoever carries the tests to another machine.
    let root = std::env::var("CARGO_MANIFEST_DIR");
    let root = root.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_string());
    let path = Path::new(&root).join(format!("tests/golden/{name}.metal"));
    if std::env::var_os("ZMLX_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &all).unwrap();
        return;
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        all == want,
        "{name} differs from {} (ZMLX_GOLDEN=write accepts it):\n{all}",
        path.display()
    );
}

fn full(form: Form, program: &Program) -> Pattern {
    let accesses = program.used().into_iter().map(|used| match used {
        true => Access::Full,
        false => Access::Unused,
    });
    Pattern::new(form, accesses)
}

/// Forward and both derivatives, all arrays of one shape.
#[track_caller]
fn with_derivatives(name: &str, op: &Operation, form: Form) {
    let vjp = op.derived_vjp().unwrap().program().clone();
    let varied = vec![true; op.program().inputs.len()];
    let jvp = op.jvp_for(&varied).unwrap().program().clone();
    let all: Vec<(&str, &Program, Pattern)> =
        [("forward", op.program()), ("vjp", &vjp), ("jvp", &jvp)]
            .into_iter()
            .map(|(title, p)| (title, p, full(form, p)))
            .collect();
    golden(name, &all);
    assert_eq!(op.name(), name);
}

#[test]
fn unary() {
    let op = elementwise::unary("silu", "x * kk_sigmoid(x)").unwrap();
    with_derivatives("silu", &op.op, Form::Flat);
}

#[test]
fn broadcast() {
    let op = elementwise::map("affine", ["x", "w", "b"], "x * w + b").unwrap();
    let p = op.op.program();
    let accesses = [Access::Full, Access::Rows, Access::Value];
    golden(
        "affine",
        &[("strided", p, Pattern::new(Form::Strided, accesses))],
    );
}

/// A thread for each block of neighbours, as on GPUs.
#[test]
fn blocks() {
    let op = elementwise::map("blocks", ["x", "w", "b"], "kk_silu(x) * w + b * elem").unwrap();
    let p = op.op.program();
    let vjp = op.op.derived_vjp().unwrap().program().clone();
    let accesses = [Access::Full, Access::Value, Access::First];
    golden(
        "blocks",
        &[
            ("forward", p, Pattern::new(Form::Blocks, accesses)),
            ("vjp", &vjp, full(Form::Blocks, &vjp)),
        ],
    );
}

#[test]
fn explicit() {
    let op = autograd::unary_from_expr("exp", "metal::exp(x)").vjp("g * y");
    let op = op.build().unwrap();
    let p = op.op.explicit().unwrap().op().program().clone();
    golden("explicit_exp", &[("vjp", &p, full(Form::Flat, &p))]);
}

#[test]
fn softmax() {
    let op = super::lengths::powers("softmax")
        .write("exp(x - s1) / s2")
        .build()
        .unwrap();
    with_derivatives("softmax", &op.op, Form::Rows);
    let mut pieces = full(Form::Rows, op.op.program());
    pieces.walk = Walk::Pieces;
    golden("softmax_pieces", &[("forward", op.op.program(), pieces)]);
    // On a CPU: what two passes need waits in the output, or in an array where the output has 16 bits.
    let waits = |keeps| {
        let mut pattern = full(Form::Rows, op.op.program());
        (pattern.floats, pattern.keeps) = (true, keeps);
        pattern
    };
    let (output, aside) = (waits(Keeps::InOutput), waits(Keeps::Aside));
    golden(
        "softmax_kept",
        &[
            ("in the output", op.op.program(), output),
            ("aside", op.op.program(), aside),
        ],
    );
}

/// Blocks that a CPU reads as floats and writes from them, with a kept value, a sum over rows, and without rows.
#[test]
fn floats() {
    let op = rowwise::map_reduce("floats")
        .inputs(["x", "w"])
        .pass(rowwise::Pass {
            init: "0.0f",
            update: "acc + x * x",
            reduce: "a + b",
        })
        .write("x * rsqrt(s1 / D + 1e-6f) * w");
    let op = op.build().unwrap();
    let forward = op.op.program();
    let mut pattern = Pattern::new(Form::Rows, [Access::Full, Access::Shared]);
    (pattern.floats, pattern.ahead) = (true, true);
    let mut summed = forward.clone();
    summed.outputs[0].span = Span::Summed;
    let unary = elementwise::unary("floats_silu", "kk_silu(x) + elem").unwrap();
    let unary = unary.op.program();
    let [mut blocks, mut strided] = [Form::Blocks, Form::Strided].map(|f| full(f, unary));
    (blocks.floats, strided.floats) = (true, true);
    golden(
        "floats",
        &[
            ("rows", forward, pattern),
            ("summed", &summed, pattern),
            ("blocks", unary, blocks),
            ("strided", unary, strided),
        ],
    );
}

/// Rows in registers, whole and by pieces, as on GPUs, with a sum over rows.
#[test]
fn held() {
    let op = api::map_reduce("held").inputs(["x", "w"]).pass1(Pass {
        init: "0.0f",
        update: "acc1 + x * x",
        reduce: "a + b",
    });
    let op = op.write("x * rsqrt(s1 / D + 1e-6f) * w").build().unwrap();
    let mut p = op.op.program().clone();
    let walked = |walk| {
        let mut pattern = Pattern::new(Form::Rows, [Access::Full, Access::Shared]);
        pattern.walk = walk;
        pattern
    };
    let (whole, pieces) = (walked(Walk::Held), walked(Walk::Pieces));
    let forward = p.clone();
    p.outputs[0].span = Span::Summed;
    golden(
        "held",
        &[
            ("whole", &forward, whole),
            ("by pieces", &forward, pieces),
            ("summed, in memory", &p, walked(Walk::Loop)),
            ("summed, whole", &p, whole),
            ("summed, by pieces", &p, pieces),
        ],
    );
}

#[test]
fn reductions() {
    let op = api::reduce("entropy")
        .update("acc - v * log(v + 1e-8f)")
        .build()
        .unwrap();
    with_derivatives("entropy", &op.op, Form::Rows);
    let op = api::reduce("row_max")
        .init("-INFINITY")
        .update("max(acc, v)")
        .build()
        .unwrap();
    with_derivatives("row_max", &op.op, Form::Rows);
}

/// A logit of a label, and what the row shares at that place. No pass over the row is for them.
#[test]
fn places() {
    let make = |text: &str| {
        let op = rowwise::map_reduce("places")
            .index("label")
            .parameter("scale");
        let op = op.pass(rowwise::Pass {
            init: "0.0f",
            update: "acc + exp(x)",
            reduce: "a + b",
        });
        op.write_row(text).build().unwrap()
    };
    let access = |p: &Program| {
        let inputs = p.inputs.iter().map(|i| match (i.kind, i.span) {
            (InputKind::Parameter, _) => Access::Value,
            (_, Span::Row) => Access::Column,
            _ => Access::Full,
        });
        let used = inputs.zip(p.used());
        used.map(|(way, used)| if used { way } else { Access::Unused })
            .collect::<Vec<_>>()
    };
    let op = make("log(s1) - scale * at(x / s1, label)");
    let (p, vjp) = (op.op.program(), op.op.derived_vjp().unwrap().program());
    let patterns = [p, vjp].map(|p| Pattern::new(Form::Rows, access(p)));
    golden(
        "places",
        &[("forward", p, patterns[0]), ("vjp", vjp, patterns[1])],
    );
    let passes = |p: &Program| {
        let source = text(p, &Pattern::new(Form::Rows, access(p))).source;
        source.matches("for (uint j").count()
    };
    let plain = make("log(s1)");
    let plain_vjp = plain.op.derived_vjp().unwrap().program();
    assert_eq!(passes(p), passes(plain.op.program()));
    assert_eq!(passes(vjp), passes(plain_vjp));
}

#[test]
fn custom_folds() {
    let serial = api::reduce("horner")
        .update("acc * 0.5f + v")
        .build()
        .unwrap();
    let p = serial.op.program();
    let product = api::reduce("product")
        .init("1.0f")
        .update("acc * v")
        .combine("a * b");
    let product = product.build().unwrap();
    let q = product.op.program();
    golden(
        "custom_folds",
        &[
            ("in order", p, full(Form::Serial, p)),
            ("in parallel", q, full(Form::Rows, q)),
        ],
    );
}

/// What is computed before a loop stands in the loop by its name, also where one such value holds another.
#[test]
fn hoisted_values_are_used() {
    let op = rowwise::map_reduce("hoisted")
        .inputs(["x", "w"])
        .pass(rowwise::Pass {
            init: "0.0f",
            update: "acc + x * x",
            reduce: "a + b",
        })
        .write("x * rsqrt(s1 / D + 1e-6f) * w");
    let op = op.build().unwrap();
    let vjp = op.op.derived_vjp().unwrap().program().clone();
    let source = text(&vjp, &full(Form::Rows, &vjp)).source;
    for n in 0..2 {
        let name = format!("zk_h{n}");
        let times = source.matches(&name).count();
        assert!(times > 1, "{name} stands {times} times in\n{source}");
    }
}
