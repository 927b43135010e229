//! What is wrong with a description is said where it stands, with what to do.

mod common;

use common::{exactly, on_worker};
use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::{Error, Result, grad, jvp};

/// The message of a failure that is of the right kind and names this file.
#[track_caller]
fn message<T>(result: Result<T>, kind: fn(&Error) -> bool) -> String {
    let error = result.err().expect("an error");
    assert!(kind(&error), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("tests/toolkit_errors.rs"), "{text}");
    text
}

fn expression(e: &Error) -> bool {
    matches!(e, Error::Expression { .. })
}

fn argument(e: &Error) -> bool {
    matches!(e, Error::Argument { .. })
}

fn shape(e: &Error) -> bool {
    matches!(e, Error::Shape { .. })
}

fn dtype(e: &Error) -> bool {
    matches!(e, Error::Dtype { .. })
}

#[test]
fn variables_and_names() {
    let text = message(elementwise::unary("f", "x * z"), expression);
    assert!(
        text.contains("undeclared variable `z`") && text.contains('^'),
        "{text}"
    );
    let text = message(elementwise::binary("f", "a + c"), expression);
    assert!(text.contains('c'), "{text}");
    message(elementwise::unary("", "x"), argument);
    message(api::reduce("").update("acc + v").build(), argument);
    message(rowwise::map_reduce(" ").write("x").build(), argument);
    let text = message(elementwise::map("f", ["a", "a"], "a"), argument);
    assert!(text.contains("twice"), "{text}");
    for bad in ["1a", "float", "T", "zk_x", "D", ""] {
        message(elementwise::map("f", [bad], "1.0f"), argument);
    }
    let text = message(api::reduce("f").update("acc + v + w").build(), expression);
    assert!(text.contains("`w`"), "{text}");
    // An element's value does not exist once the row is reduced.
    message(
        api::reduce("f").update("acc + v").finalize("s + v").build(),
        expression,
    );
    message(api::reduce("f").build(), argument);
    let text = message(api::reduce("f").update("v * v").build(), argument);
    assert!(text.contains("`acc`"), "{text}");
    message(rowwise::map_reduce("f").build(), argument);
    let pass = Pass {
        init: "0.0f",
        update: "acc2 + x",
        reduce: "a + b",
    };
    let text = message(
        rowwise::map_reduce("f").pass2(pass).write("s2").build(),
        argument,
    );
    assert!(text.contains("`s1`"), "{text}");
    // Results of later passes.
    let pass = Pass {
        init: "0.0f",
        update: "acc1 + s2",
        reduce: "a + b",
    };
    message(
        rowwise::map_reduce("f").pass1(pass).write("s1").build(),
        expression,
    );
}

#[test]
fn derivatives() {
    let build = autograd::map_from_expr("f", ["a", "b"], "a * b")
        .vjp("c", "g")
        .build();
    let text = message(build, argument);
    assert!(text.contains("a, b") && text.contains("`c`"), "{text}");
    message(
        api::reduce("f").update("acc + v").vjp("x2", "g").build(),
        argument,
    );
    message(
        autograd::unary_from_expr("f", "x").vjp("g * z").build(),
        expression,
    );
    let text = message(
        autograd::unary_from_expr("f", "x")
            .vjp("g * s")
            .vjp_prelude("if (x) return")
            .build(),
        argument,
    );
    assert!(text.contains("vjp_prelude"), "{text}");
    on_worker(|| {
        let x: Array = 1.0.into();
        let op = elementwise::unary("f", "mine(x)").unwrap();
        let op = op
            .with_header("inline float mine(float v) { return v; }")
            .unwrap();
        assert_eq!(op.call(&x).unwrap().item::<f32>().unwrap(), 1.0);
        let text = grad(|x| op.call(x))(&x).unwrap_err().to_string();
        assert!(
            text.contains("explicit derivative") && text.contains("mine"),
            "{text}"
        );
        let text = jvp(|p| Ok(vec![op.call(&p[0])?]), [&x], [&x])
            .unwrap_err()
            .to_string();
        assert!(text.contains("mine"), "{text}");
        // With one it works, forwards too.
        let op = autograd::unary_from_expr("f", "mine(x)")
            .header("inline float mine(float v) { return v * v; }")
            .vjp("g * 2.0f * x")
            .build()
            .unwrap();
        assert_eq!(
            grad(|x| op.call(x))(&3.0.into())
                .unwrap()
                .item::<f32>()
                .unwrap(),
            6.0
        );
        let (_, t) = jvp(|p| Ok(vec![op.call(&p[0])?]), [&x], [&x]).unwrap();
        assert_eq!(t[0].item::<f32>().unwrap(), 2.0);
        // A function that nobody wrote.
        let op = elementwise::unary("f", "nobody(x)").unwrap();
        let text = op.call(&x).unwrap_err().to_string();
        assert!(text.contains("nobody"), "{text}");
    });
}

#[test]
fn threadgroups() {
    for bad in [0, -1, 3, 96, 1000, 2048] {
        let build = api::map_reduce("f").threadgroup(bad).write("x").build();
        let text = message(build, argument);
        assert!(text.contains("power of two"), "{text}");
    }
    for good in [1, 32, 1024] {
        api::reduce("f")
            .update("acc + v")
            .threadgroup(good)
            .build()
            .unwrap();
    }
}

#[test]
fn shapes_and_dtypes() {
    on_worker(|| {
        let op = elementwise::binary("f", "a + b").unwrap();
        let [a, b] = [(3, 4), (3, 5)].map(|s| Array::zeros(s, F32).unwrap());
        let text = message(op.call(&a, &b), shape);
        assert!(text.contains("[3, 4]") && text.contains("[3, 5]"), "{text}");
        // An array that no operation made: even to be refused, float64 needs the CPU.
        let a64 = exactly(|| a.astype(F64).unwrap());
        message(op.call(&a64, 1.0), dtype);
        message(op.call(&a.astype(C64).unwrap(), 1.0), dtype);
        message(op.clone().with_compute_dtype(F64), dtype);
        message(op.clone().with_output_dtype(C64), dtype);
        let map = elementwise::map("f", ["a", "b"], "a + b").unwrap();
        let text = message(map.call(&[&a]), argument);
        assert!(text.contains("2 arrays"), "{text}");
        let sum = api::reduce("f").update("acc + v").build().unwrap();
        message(sum.call(&1.0.into()), shape);
        message(sum.call(&a64), dtype);
        message(
            api::reduce("f")
                .update("acc + v")
                .compute_dtype(BOOL)
                .build(),
            dtype,
        );
        message(
            api::reduce("f").update("acc + v").output_dtype(F64).build(),
            dtype,
        );
    });
}

#[test]
fn raw_kernels() {
    message(
        autograd::nary_from_expr("f", ["x"], ["y"]).build(),
        argument,
    );
    let empty: [&str; 0] = [];
    message(
        autograd::nary_from_expr("f", empty, ["y"])
            .forward("y[0] = 1;")
            .build(),
        argument,
    );
    on_worker(|| {
        let double = autograd::nary_from_expr("double", ["x"], ["y"])
            .forward("uint i = thread_position_in_grid.x; y[i] = O(T(x[i]) * 2);");
        let op = double.build().unwrap();
        let x = Array::ones(3, F32).unwrap();
        let text = message(op.call(&[&x, &x]), argument);
        assert!(text.contains("1 arrays"), "{text}");
        let text = grad(|x| op.call(&[x])?[0].sum(..))(&x)
            .unwrap_err()
            .to_string();
        assert!(text.contains("backward"), "{text}");
    });
}
