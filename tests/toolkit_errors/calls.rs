//! Launches and operations of Metal text.

use super::*;

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
        message(op.clone().compute_dtype(F64), dtype);
        message(op.clone().output_dtype(C64), dtype);
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
        autograd::nary_from_source("f", ["x"], ["y"]).build(),
        argument,
    );
    let empty: [&str; 0] = [];
    message(
        autograd::nary_from_source("f", empty, ["y"])
            .forward("y[0] = 1;")
            .build(),
        argument,
    );
    on_worker(|| {
        let double = autograd::nary_from_source("double", ["x"], ["y"])
            .forward("uint i = thread_position_in_grid.x; y[i] = O(T(x[i]) * 2);");
        let op = double.build().unwrap();
        let x = Array::ones(3, F32).unwrap();
        let text = message(op.call(&[&x, &x]), argument);
        assert!(
            text.contains("expected 1 array for `double` (x), got 2"),
            "{text}"
        );
        let text = grad(|x| op.call(&[x])?[0].sum(..))(&x)
            .unwrap_err()
            .to_string();
        assert!(text.contains("backward"), "{text}");
    });
}

/// What no thread writes is refused where the kernel is described.
#[test]
fn gradients_and_outputs_that_are_never_written() {
    let nary = |forward: &str, backward: &str| {
        autograd::nary_from_source("gate", ["a", "b"], ["low", "high"])
            .forward(forward)
            .backward(backward)
            .build()
    };
    let at = "uint i = thread_position_in_grid.x; ";
    let forward = format!("{at}low[i] = a[i] * b[i]; high[i] = a[i];");
    let backward = format!("{at}da[i] = cotan_low[i]; // db[i] = 0");
    let text = message(nary(&forward, &backward), argument);
    assert!(
        text.contains("`gate_vjp`") && text.contains("`db`"),
        "{text}"
    );
    let backward = format!("{at}da[i] = cotan_low[i] + db[i];");
    let text = message(nary(&forward, &backward), argument);
    assert!(text.contains("only reads `db`"), "{text}");
    let text = message(nary(&format!("{at}high[i] = a[i];"), &backward), argument);
    assert!(text.contains("`gate`") && text.contains("`low`"), "{text}");
}

/// Each thread reads the same element of all inputs, so they have one shape, or the author says how.
#[test]
fn raw_operations_of_several_shapes() {
    on_worker(|| -> Result<()> {
        let source =
            "uint i = thread_position_in_grid.x; out[i] = a[i] * b[i % b_shape[b_ndim - 1]];";
        let op = |shapes: bool| {
            let op = autograd::nary_from_source("times", ["a", "b"], ["out"]).forward(source);
            let op = match shapes {
                true => op.output_shapes(|p| Ok(vec![(p[0].shape().to_vec(), p[0].dtype())])),
                false => op,
            };
            op.build()
        };
        let (a, b) = (Array::ones((6, 40), F32)?, Array::full(40, 3.0f32, F32)?);
        let text = message(op(false)?.call(&[&a, &b]), shape);
        for part in ["`b` of `times`", "[6, 40]", "[40]", "output_shapes"] {
            assert!(text.contains(part), "{text}");
        }
        let text = message(op(false)?.call(&[&b, &a]), shape);
        assert!(text.contains("[6, 40]"), "{text}");
        let y = op(true)?.call(&[&a, &b])?.remove(0);
        assert_eq!(y.to_vec::<f32>()?, [3.0; 240]);
        let y = op(false)?.call(&[&a, &a])?.remove(0);
        assert_eq!(y.to_vec::<f32>()?, [1.0; 240]);
        // A promise of one shape is kept, too.
        let op = autograd::nary_from_source("same", ["a"], ["out"])
            .forward("uint i = thread_position_in_grid.x; out[i] = a[i];")
            .output_shapes(|_| Ok(vec![(vec![3], F32)]))
            .elementwise()
            .build()?;
        message(op.call(&[&a]), shape);
        Ok(())
    })
    .unwrap();
}
