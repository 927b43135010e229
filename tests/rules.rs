//! Axes of `vmap`, and rules of custom functions that do not keep their word.

mod common;

use common::f64s;
use zmlx::prelude::*;
use zmlx::{CustomFunction, Error, custom_function, jvp, vjp, vmap};

fn counted(shape: (i32, i32)) -> Array {
    let n = (shape.0 * shape.1) as usize;
    let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
    Array::from_slice(&values, shape).unwrap()
}

#[test]
fn negative_axes_count_from_the_last() {
    let (a, b) = (counted((3, 2)), counted((2, 3)));
    let f = |p: &[Array]| Ok(vec![(&p[0] + &p[1].sum(..)?)?]);
    let call = |axes: [Option<i32>; 2], out: &[Option<i32>]| {
        vmap(f)
            .in_axes(axes)
            .out_axes(out.iter().copied())
            .call([&a, &b])
    };
    // Column i of b sums to 3 + 2 i and goes to row i of a.
    let want: Vec<f64> = (0..6).map(|n| f64::from(n + 3 + 2 * (n / 2))).collect();
    for axes in [
        [Some(0), Some(1)],
        [Some(0), Some(-1)],
        [Some(-2), Some(-1)],
    ] {
        assert_eq!(f64s(&call(axes, &[]).unwrap()[0]), want);
    }
    // The result has two axes; the mapped one goes where it is told.
    for (out, shape) in [(0, [3, 2]), (1, [2, 3]), (-1, [2, 3]), (-2, [3, 2])] {
        let y = call([Some(0), Some(-1)], &[Some(out)]).unwrap();
        assert_eq!(y[0].shape(), shape, "{out}");
        let rows = if shape == [3, 2] {
            y[0].clone()
        } else {
            y[0].transpose(..).unwrap()
        };
        assert_eq!(f64s(&rows), want, "{out}");
    }
    for (axes, out) in [
        ([Some(2), Some(0)], vec![]),
        ([Some(-3), Some(0)], vec![]),
        ([Some(i32::MAX), Some(0)], vec![]),
        ([Some(i32::MIN), Some(0)], vec![]),
        ([None, None], vec![]),
        ([Some(0), Some(1)], vec![Some(2)]),
        ([Some(0), Some(1)], vec![Some(-3)]),
        ([Some(0), Some(1)], vec![Some(0), Some(0)]),
        // The output depends on what is mapped.
        ([Some(0), Some(1)], vec![None]),
    ] {
        let e = call(axes, &out).unwrap_err();
        assert!(matches!(e, Error::Argument { .. }), "{axes:?} {out:?}: {e}");
        assert!(e.to_string().contains("tests/rules.rs"), "{e}");
    }
    let e = call([Some(0), Some(0)], &[]).unwrap_err();
    assert!(matches!(e, Error::Shape { .. }), "{e}");
    let scalar = Array::from(1.0f32);
    let e = vmap(f).in_axes([Some(0), Some(0)]).call([&a, &scalar]);
    assert!(e.unwrap_err().to_string().contains("no axes"));
}

#[test]
fn outputs_that_are_not_mapped() {
    let (a, b) = (counted((3, 2)), counted((2, 3)));
    let f = |p: &[Array]| {
        Ok(vec![
            p[1].sum(..)?,
            p[0].square()?,
            p[1].clone(),
            p[0].clone(),
            Array::from(7.0f32),
        ])
    };
    let y = vmap(f)
        .in_axes([Some(0), None])
        .out_axes([None, Some(-1), None, Some(1), None])
        .call([&a, &b])
        .unwrap();
    assert_eq!(f64s(&y[0]), [15.0]);
    assert_eq!(f64s(&y[1]), [0.0, 4.0, 16.0, 1.0, 9.0, 25.0]);
    assert_eq!((y[2].shape(), f64s(&y[2])), ([2, 3].as_slice(), f64s(&b)));
    assert_eq!(f64s(&y[3]), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
    assert_eq!((y[4].ndim(), f64s(&y[4])), (0, vec![7.0]));
    // With an axis they are repeated.
    let y = vmap(f).in_axes([Some(0), None]).call([&a, &b]).unwrap();
    assert_eq!((f64s(&y[0]), f64s(&y[4])), (vec![15.0; 3], vec![7.0; 3]));
    // The same within a gradient.
    let g = zmlx::grad(|b: &Array| {
        let y = vmap(f)
            .in_axes([Some(0), None])
            .out_axes([None, Some(0), None, Some(0), None]);
        y.call([&a, b])?[0].square()
    });
    assert_eq!(f64s(&g(&b).unwrap()), [30.0; 6]);
}

fn double() -> CustomFunction {
    custom_function(|p: &[Array]| Ok(vec![(&p[0] * 2.0)?]))
}

#[test]
fn forward_rules_are_checked() {
    let x = Array::from_slice(&[1.0f32, 2.0, 3.0], 3).unwrap();
    let run = |f: &CustomFunction| jvp(|p| f.call(p), [&x], [&x]);
    let good = double().with_jvp(|_, t, _| Ok(vec![(&t[0] * 2.0)?]));
    assert_eq!(f64s(&run(&good).unwrap().1[0]), [2.0, 4.0, 6.0]);
    let none = double().with_jvp(|_, _, _| Ok(vec![]));
    let e = run(&none).unwrap_err();
    assert!(
        e.to_string()
            .contains("expected 1 tangents, one for each output, got 0"),
        "{e}"
    );
    let many = double().with_jvp(|_, t, _| Ok(vec![t[0].clone(), t[0].clone()]));
    assert!(run(&many).unwrap_err().to_string().contains("got 2"));
    let short = double().with_jvp(|_, t, _| Ok(vec![t[0].sum(..)?]));
    let e = run(&short).unwrap_err();
    assert!(matches!(e, Error::Shape { .. }), "{e}");
    let wide = double().with_jvp(|_, t, _| Ok(vec![t[0].astype(F16)?]));
    let e = run(&wide).unwrap_err();
    assert!(matches!(e, Error::Dtype { .. }), "{e}");
    // Tangents of another dtype are cast before the rule sees them.
    let half = x.astype(F16).unwrap();
    let (_, t) = jvp(|p| good.call(p), [&half], [&x]).unwrap();
    assert_eq!(t[0].dtype(), F16);
}

#[test]
fn reverse_rules_are_checked() {
    let x = Array::from_slice(&[1.0f32, 2.0, 3.0], 3).unwrap();
    let run = |f: &CustomFunction| vjp(|p| f.call(p), [&x], [&x]);
    for (what, rule) in [
        (
            "gradients",
            (|_| Ok(vec![])) as fn(&Array) -> zmlx::Result<Vec<Array>>,
        ),
        ("gradients", |c| Ok(vec![c.clone(), c.clone()])),
        ("shape", |c| Ok(vec![c.sum(..)?])),
        (
            "expected dtype float32 for the gradient of primal 0, got dtype float16",
            |c| Ok(vec![c.astype(F16)?]),
        ),
    ] {
        let f = double().with_vjp(move |_, c, _| rule(&c[0]));
        let e = run(&f).unwrap_err();
        assert!(e.to_string().contains(what), "{e}");
        assert!(e.to_string().contains("tests/rules.rs"), "{e}");
    }
}

#[test]
fn vectorization_rules_are_checked() {
    let x = counted((3, 2));
    type Rule = fn(&Array) -> zmlx::Result<(Vec<Array>, Vec<i32>)>;
    let run = |rule: Rule| {
        let f = double().with_vmap(move |inputs, axes| {
            assert_eq!(axes, [0]);
            rule(&inputs[0])
        });
        vmap(|p| f.call(p)).call([&x])
    };
    let y = run(|x| Ok((vec![(x * 2.0)?], vec![0]))).unwrap();
    assert_eq!(f64s(&y[0]), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
    let y = run(|x| Ok((vec![(x * 2.0)?.transpose(..)?], vec![1]))).unwrap();
    assert_eq!(f64s(&y[0]), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
    // Not mapped: the same for all.
    let y = run(|_| Ok((vec![Array::ones(2, F32)?], vec![-1]))).unwrap();
    assert_eq!(
        (y[0].shape(), f64s(&y[0])),
        ([3, 2].as_slice(), vec![1.0; 6])
    );
    for (what, rule) in [
        ("expected 1 outputs", (|_| Ok((vec![], vec![]))) as Rule),
        ("expected 1 output axes", |x| Ok((vec![x.clone()], vec![]))),
        ("expected shape (3,2)", |x| Ok((vec![x.sum(0)?], vec![0]))),
        ("expected shape (2,3)", |x| Ok((vec![x.clone()], vec![1]))),
        ("expected shape (2)", |x| Ok((vec![x.clone()], vec![-1]))),
        ("got dtype float16", |x| Ok((vec![x.astype(F16)?], vec![0]))),
        ("between 0 and 1", |x| Ok((vec![x.clone()], vec![2]))),
        ("between 0 and 1", |x| Ok((vec![x.clone()], vec![-2]))),
    ] {
        let e = run(rule).unwrap_err();
        assert!(e.to_string().contains(what), "{what}: {e}");
    }
}

/// MLX leaves out outputs that are a `stop_gradient`.
#[test]
fn each_output_has_its_cotangent() {
    let x = Array::from_slice(&[1.0f32, 2.0], 2).unwrap();
    let f = |p: &[Array]| Ok(vec![p[0].square()?.stop_gradient()?, (&p[0] * 3.0)?]);
    let c = [
        Array::from_slice(&[100.0f32, 100.0], 2).unwrap(),
        Array::ones(2, F32).unwrap(),
    ];
    let (y, g) = vjp(f, [&x], &c).unwrap();
    assert_eq!(f64s(&y[0]), [1.0, 4.0]);
    assert_eq!(f64s(&g[0]), [3.0, 3.0]);
    for given in [&c[..1], &[&c[..], &c[..1]].concat()[..]] {
        let e = vjp(f, [&x], given).unwrap_err();
        assert!(
            e.to_string().contains("expected 2, one for each output"),
            "{e}"
        );
    }
}
