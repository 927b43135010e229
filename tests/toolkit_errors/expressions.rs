//! Expressions and reductions that say nothing, or too much.

use super::*;

#[test]
fn variables_and_names() {
    let text = message(elementwise::unary("f", "x * z"), expression);
    assert!(
        text.contains("undeclared variable `z`") && text.contains('^'),
        "{text}"
    );
    for text in ["1 / 0 * x", "(int)x / 0", "x + float(3 % 0)"] {
        let text = message(elementwise::unary("f", text), expression);
        assert!(text.contains("an integer divided by 0"), "{text}");
    }
    elementwise::unary("f", "x / 0").unwrap();
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
            .header("inline float mine(float v) { return v; }")
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

/// An update and a reduction that disagree give different values on different numbers of threads.
#[test]
fn updates_and_reductions_that_disagree() {
    let build = |init: &str, update: &str, reduce: &str| {
        api::map_reduce("fold")
            .pass1(Pass {
                init,
                update,
                reduce,
            })
            .pass2(Pass {
                init: "0.0f",
                update: "acc2",
                reduce: "a + b",
            })
            .write("s1")
            .build()
    };
    for (init, update, reduce) in [
        ("0.0f", "acc1 + x", "max(a, b)"),
        ("0.0f", "acc1 - x", "a - b"),
        ("-INFINITY", "max(acc1, x)", "min(a, b)"),
        ("-INFINITY", "max(acc1, x)", "a + b"),
        ("1.0f", "acc1 * x", "a + b"),
        // No identity: every thread begins with it.
        ("2.0f", "acc1 * x", "a * b"),
        ("0.0f", "(acc1 + x) / 2", "(a + b) / 2"),
        ("0.0f", "acc1 + (x - acc1) / (j + 1)", "(a + b) / 2"),
        ("0.0f", "acc1 + x * x", "sqrt(a * a + b * b)"),
        // Neighbours do not meet.
        ("0.0f", "acc1 != 0 ? acc1 : x", "a != 0 ? a : b"),
    ] {
        let text = message(build(init, update, reduce), argument);
        assert!(text.contains(update) && text.contains(reduce), "{text}");
    }
    for (init, update, reduce) in [
        ("0.0f", "acc1 + x * x", "a + b"),
        ("3.0f", "x + acc1", "b + a"),
        ("0.0f", "acc1 - x", "a + b"),
        ("0.0f", "max(acc1, x)", "a > b ? a : b"),
        ("1.0f", "acc1 * (1.0f + abs(x))", "a * b"),
        ("0.0f", "acc1 + x - acc1 * x", "a + b - a * b"),
        ("0.0f", "sqrt(acc1 * acc1 + x * x)", "sqrt(a * a + b * b)"),
        // Right for what is not negative, for which it is meant.
        ("0.0f", "min(acc1 + x, 1.0f)", "min(a + b, 1.0f)"),
        (
            "-INFINITY",
            "max(acc1, x) + log(exp(acc1 - max(acc1, x)) + exp(x - max(acc1, x)))",
            "max(a, b) + log(exp(a - max(a, b)) + exp(b - max(a, b)))",
        ),
        ("0.0f", "of_the_header(acc1, x)", "max(a, b)"),
    ] {
        if let Err(e) = build(init, update, reduce) {
            panic!("{update} / {reduce}: {e}");
        }
    }
    let text = message(
        api::reduce("total")
            .update("acc + v")
            .combine("a * b")
            .build(),
        argument,
    );
    assert!(text.contains("`total`") || text.contains("`s`"), "{text}");
}

#[test]
fn limits_of_expressions() {
    on_worker(|| -> Result<()> {
        let x = Expr::var("x");
        let mut long = x.clone();
        for _ in 0..100_000 {
            long = long + 1.0;
        }
        let text = message(elementwise::unary("long", &long), expression);
        assert!(text.contains("16384") && text.contains("100002"), "{text}");
        assert_eq!(long.derivative("x")?.simplify().to_msl(), "1.0f");

        // 2^40 factors as a text, 41 parts.
        let mut power = x.clone();
        for _ in 0..40 {
            power = &power * &power;
        }
        let op = elementwise::unary("power", &power)?;
        assert_eq!(op.call(&1.0.into())?.item::<f32>()?, 1.0);
        let slope = grad(|x| op.call(x))(&1.0.into())?.item::<f32>()?;
        assert!((slope - 2f32.powi(40)).abs() < 1e7, "{slope}");
        assert!(format!("{power}").len() < 20 << 20);

        // A long chain, with its gradient.
        let mut product = x.clone();
        for _ in 1..800 {
            product = product * &x;
        }
        let op = elementwise::unary("product", &product)?;
        let slope = grad(|x| op.call(x))(&1.0.into())?.item::<f32>()?;
        assert_eq!(slope, 800.0);

        message(elementwise::map::<0, _>("none", [], "1.0f"), argument);
        let deep = format!("{}x{}", "(".repeat(30_000), ")".repeat(30_000));
        let text = message(elementwise::unary("deep", &deep), expression);
        assert!(text.contains("200 levels"), "{text}");
        Ok(())
    })
    .unwrap();
}

/// Headers with copies of the library's functions, and with functions of the same names.
#[test]
fn headers_that_have_functions_of_the_library() {
    on_worker(|| -> Result<()> {
        let x = random::normal((8, 64))?;
        let own = "inline float kk_sigmoid(float x) { return 2.0f * x; }";
        let [all, none] = [zmlx::msl::DEFAULT_HEADER, ""];
        let silu = (&x * &x.sigmoid()?)?;
        for (header, expr, want) in [
            (all, "kk_silu(x)", &silu),
            (none, "kk_silu(x)", &silu),
            (own, "kk_sigmoid(x)", &(&x * 2.0f32)?),
            (
                "#define kk_sigmoid(v) ((v) * 2.0f)",
                "kk_sigmoid(x)",
                &(&x * 2.0f32)?,
            ),
            // A function of the library that is made from one of the author's.
            (
                "template <typename T> inline T kk_sigmoid(T x) { return T(1) / (T(1) + metal::exp(-x)); }",
                "kk_silu(x)",
                &silu,
            ),
        ] {
            let y = api::elementwise(expr)
                .name("with_header")
                .header(header)
                .build()?
                .call(&x)?;
            assert!(y.allclose(want, (1e-5, 1e-5))?.item::<bool>()?, "{expr}");
        }
        let op = autograd::nary_from_source("gate", ["a"], ["out"])
            .header(all)
            .forward("uint i = thread_position_in_grid.x; out[i] = a[i] * kk_sigmoid(a[i]);")
            .build()?;
        let y = op.call(&[&x])?.remove(0);
        assert!(y.allclose(&silu, (1e-5, 1e-5))?.item::<bool>()?);
        Ok(())
    })
    .unwrap();
}
