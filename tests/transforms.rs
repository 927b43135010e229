//! Function transforms: values against closed forms, and what errors and panics do.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use zmlx::{
    Array, Error, Result, checkpoint, compile, custom_function, eval, grad, jvp, keepdims,
    value_and_grad, value_and_grad_of, vjp, vmap,
};

fn array(values: &[f32]) -> Array {
    Array::from_slice(values, values.len()).unwrap()
}

fn close(got: &Array, want: &[f64], tol: f64) {
    let got = got.to_vec::<f32>().unwrap();
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!(
            (f64::from(*g) - w).abs() <= tol * (1.0 + w.abs()),
            "{got:?} against {want:?}"
        );
    }
}

const POINTS: [f32; 4] = [-1.5, -0.2, 0.7, 2.0];

fn of<F: Fn(f64) -> f64>(f: F) -> Vec<f64> {
    POINTS.iter().map(|&x| f(f64::from(x))).collect()
}

/// sum(x^2 e^x) has the gradient (x^2 + 2x) e^x and the second derivative (x^2 + 4x + 2) e^x.
fn square_exp(x: &Array) -> Result<Array> {
    x.square()?.multiply(&x.exp()?)?.sum(..)
}

#[test]
fn gradients_and_second_derivatives() {
    let x = array(&POINTS);
    close(
        &grad(square_exp)(&x).unwrap(),
        &of(|x| (x * x + 2.0 * x) * x.exp()),
        1e-5,
    );
    let second = grad(|x: &Array| grad(square_exp)(x)?.sum(..));
    close(
        &second(&x).unwrap(),
        &of(|x| (x * x + 4.0 * x + 2.0) * x.exp()),
        1e-5,
    );
    let (value, _) = value_and_grad(square_exp)(&x).unwrap();
    close(&value, &[of(|x| x * x * x.exp()).iter().sum()], 1e-5);
}

#[test]
fn gradients_of_chosen_inputs_keep_further_outputs() {
    let (a, b) = (array(&[1.0, 2.0]), array(&[3.0, 5.0]));
    let f = |p: &[Array]| Ok(vec![p[0].multiply(&p[1])?.sum(..)?, p[0].add(&p[1])?]);
    let (values, grads) = value_and_grad_of(f, &[1], [&a, &b]).unwrap();
    close(&values[1], &[4.0, 7.0], 0.0);
    assert_eq!(grads.len(), 1);
    close(&grads[0], &[1.0, 2.0], 0.0);
    let twice = value_and_grad_of(f, &[0, 7], [&a, &b]).unwrap_err();
    assert!(
        matches!(twice, Error::Argument { .. } | Error::Shape { .. }),
        "{twice}"
    );
}

#[test]
fn jvp_and_vjp_agree_with_the_closed_form() {
    let x = array(&POINTS);
    let v = array(&[1.0, -2.0, 0.5, 3.0]);
    let f = |p: &[Array]| Ok(vec![p[0].exp()?]);
    let want: Vec<f64> = POINTS
        .iter()
        .zip([1.0, -2.0, 0.5, 3.0])
        .map(|(&x, v)| f64::from(x).exp() * v)
        .collect();
    close(&jvp(f, [&x], [&v]).unwrap().1[0], &want, 1e-6);
    close(&vjp(f, [&x], [&v]).unwrap().1[0], &want, 1e-6);
}

/// An output that is returned twice counts twice.
#[test]
fn vjp_of_one_array_as_two_outputs() {
    let x = array(&POINTS);
    let (v, w) = (array(&[1.0, -2.0, 0.5, 3.0]), array(&[4.0, 0.0, -1.0, 2.0]));
    let twice = |p: &[Array]| {
        let y = p[0].square()?;
        Ok(vec![y.clone(), p[0].exp()?, y])
    };
    let zero = array(&[0.0; 4]);
    let sums = [5.0, -2.0, -0.5, 5.0];
    let want: Vec<f64> = POINTS
        .iter()
        .zip(sums)
        .map(|(&x, s)| 2.0 * f64::from(x) * s)
        .collect();
    close(
        &vjp(twice, [&x], [&v, &zero, &w]).unwrap().1[0],
        &want,
        1e-6,
    );
    // An input, too.
    let same = |p: &[Array]| Ok(vec![p[0].clone(), p[0].clone()]);
    close(&vjp(same, [&x], [&v, &w]).unwrap().1[0], &sums, 0.0);
    // The gradients of both terms of a sum are one array.
    let sum = |p: &[Array]| Ok(vec![(&p[0] + &p[1])?.square()?]);
    let both = |p: &[Array]| Ok(vjp(sum, &p[..2], &p[2..])?.1);
    let second = vjp(both, [&x, &x, &x], [&v, &w]).unwrap().1;
    let want: Vec<f64> = POINTS
        .iter()
        .zip(sums)
        .map(|(&x, s)| 4.0 * f64::from(x) * s)
        .collect();
    close(&second[2], &want, 1e-6);
}

#[test]
fn vmap_maps_the_axes_asked_for() {
    let m = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], (2, 3)).unwrap();
    let w = array(&[1.0, 10.0]);
    let f = |p: &[Array]| Ok(vec![p[0].multiply(&p[1])?.sum(..)?]);
    let y = vmap(f).in_axes([Some(1), None]).call([&m, &w]).unwrap();
    close(&y[0], &[41.0, 52.0, 63.0], 0.0);
    for (axes, what) in [
        (vec![Some(0)], "too few"),
        (vec![Some(5), None], "out of range"),
    ] {
        let e = vmap(f).in_axes(axes).call([&m, &w]).unwrap_err();
        assert!(matches!(e, Error::Argument { .. }), "{what}: {e}");
    }
}

#[test]
fn custom_rules_are_used() {
    let f = || custom_function(|p: &[Array]| Ok(vec![p[0].exp()?]));
    let x = array(&POINTS);
    let ones = array(&[1.0; 4]);
    // Deliberately not the true derivatives, so that it shows who was asked.
    let g = f()
        .with_vjp(|_, ct, _| Ok(vec![(&ct[0] * 3.0)?]))
        .with_jvp(|_, tangents, argnums| {
            assert_eq!(argnums, [0]);
            Ok(vec![(&tangents[0] * 5.0)?])
        })
        .with_vmap(|inputs, axes| Ok((vec![(&inputs[0] * 7.0)?], axes.to_vec())));
    let call = |p: &[Array]| g.call(p);
    close(&g.call1(&x).unwrap(), &of(f64::exp), 1e-6);
    close(&vjp(call, [&x], [&ones]).unwrap().1[0], &[3.0; 4], 0.0);
    close(&jvp(call, [&x], [&ones]).unwrap().1[0], &[5.0; 4], 0.0);
    close(&vmap(call).call([&x]).unwrap()[0], &of(|x| 7.0 * x), 1e-6);
    // Without rules MLX derives them from the body.
    let plain = f();
    let derived = vjp(|p: &[Array]| plain.call(p), [&x], [&ones]).unwrap().1;
    close(&derived[0], &of(f64::exp), 1e-6);
}

#[test]
fn a_wrong_rule_is_an_error_of_the_outer_call() {
    let x = array(&POINTS);
    let none = custom_function(|p: &[Array]| Ok(vec![p[0].exp()?])).with_vjp(|_, _, _| Ok(vec![]));
    let e = grad(|x: &Array| none.call1(x)?.sum(..))(&x).unwrap_err();
    assert!(
        matches!(&e, Error::Argument { argument, .. } if argument == "vjp"),
        "{e}"
    );
    let scalar = custom_function(|p: &[Array]| Ok(vec![p[0].exp()?]))
        .with_vjp(|_, _, _| Ok(vec![1.0.into()]));
    let e = grad(|x: &Array| scalar.call1(x)?.sum(..))(&x).unwrap_err();
    assert!(matches!(e, Error::Shape { .. }), "{e}");
}

#[derive(Debug, thiserror::Error, PartialEq)]
#[error("mine: {0}")]
struct Mine(i32);

fn mine(e: Error) -> Mine {
    match e {
        Error::Other(e) => *e.downcast::<Mine>().unwrap(),
        other => panic!("not the original error: {other}"),
    }
}

#[test]
fn errors_of_closures_come_back_unchanged() {
    let x = array(&POINTS);
    let fails = |_: &[Array]| Err::<Vec<Array>, _>(Error::other(Mine(7)));
    assert_eq!(mine(vjp(fails, [&x], [&x]).unwrap_err()), Mine(7));
    assert_eq!(mine(jvp(fails, [&x], [&x]).unwrap_err()), Mine(7));
    assert_eq!(mine(vmap(fails).call([&x]).unwrap_err()), Mine(7));
    assert_eq!(
        mine(compile(fails).unwrap().call([&x]).unwrap_err()),
        Mine(7)
    );
    assert_eq!(
        mine(checkpoint(fails).unwrap()(std::slice::from_ref(&x)).unwrap_err()),
        Mine(7)
    );
    assert_eq!(
        mine(custom_function(fails).call([&x]).unwrap_err()),
        Mine(7)
    );
    // Through two levels of transforms.
    let nested = grad(|x: &Array| grad(|_: &Array| Err(Error::other(Mine(8))))(x));
    assert_eq!(mine(nested(&x).unwrap_err()), Mine(8));
    // MLX works on afterwards.
    close(&grad(square_exp)(&array(&[0.0])).unwrap(), &[0.0], 0.0);
}

#[test]
fn panics_of_closures_are_resumed_in_the_outer_call() {
    let x = array(&POINTS);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _ = grad(|_: &Array| panic!("in a closure"))(&x);
    }));
    let message = caught.unwrap_err();
    assert_eq!(message.downcast_ref::<&str>(), Some(&"in a closure"));
    close(&grad(square_exp)(&array(&[0.0])).unwrap(), &[0.0], 0.0);
}

#[test]
fn closures_may_borrow() {
    let x = array(&POINTS);
    let scale = array(&[2.0; 4]);
    let calls = Cell::new(0);
    let g = grad(|x: &Array| {
        calls.set(calls.get() + 1);
        x.multiply(&scale)?.sum(..)
    });
    close(&g(&x).unwrap(), &[2.0; 4], 0.0);
    drop(g);
    assert_eq!(calls.get(), 1);
}

#[test]
fn compiled_functions_trace_once_a_shape() {
    let traces = Rc::new(Cell::new(0));
    let seen = Rc::clone(&traces);
    let f = compile(move |p: &[Array]| {
        seen.set(seen.get() + 1);
        let e = p[0].exp()?;
        Ok(vec![e.multiply(&p[0])?, e.sum(keepdims(..))?])
    })
    .unwrap();
    for _ in 0..3 {
        let y = f.call([&array(&POINTS)]).unwrap();
        close(&y[0], &of(|x| x * x.exp()), 1e-6);
    }
    assert_eq!(traces.get(), 1);
    f.call([&array(&[1.0])]).unwrap();
    assert_eq!(traces.get(), 2);
    // The closure goes with the compiled function.
    drop(f);
    assert_eq!(Rc::strong_count(&traces), 1);
}

#[test]
fn checkpoints_keep_the_gradient() {
    let x = array(&POINTS);
    let f = checkpoint(|p: &[Array]| Ok(vec![square_exp(&p[0])?])).unwrap();
    let g = grad(|x: &Array| Ok(f(std::slice::from_ref(x))?.remove(0)));
    close(&g(&x).unwrap(), &of(|x| (x * x + 2.0 * x) * x.exp()), 1e-5);
}

#[test]
fn exported_functions_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.mlxfn");
    let x = array(&POINTS);
    zmlx::export_function(&path, |p| Ok(vec![p[0].exp()?]), [&x], false).unwrap();
    let f = zmlx::import_function(&path).unwrap();
    let y = f.call([&x]).unwrap();
    eval(&y).unwrap();
    close(&y[0], &of(f64::exp), 1e-6);
    // MLX cannot write custom functions: their forward is written instead.
    let custom = custom_function(|p: &[Array]| Ok(vec![p[0].exp()?]));
    zmlx::export_function(&path, |p| custom.call(p), [&x], false).unwrap();
    let y = zmlx::import_function(&path).unwrap().call([&x]).unwrap();
    close(&y[0], &of(f64::exp), 1e-6);
    let e = zmlx::import_function(dir.path().join("missing"))
        .err()
        .unwrap();
    assert!(matches!(e, Error::Io { .. }), "{e}");
    let e = zmlx::export_function(&path, |_| Err(Error::other(Mine(3))), [&x], false).unwrap_err();
    assert_eq!(mine(e), Mine(3));
}

/// The axis that holds the mapped elements is found from both ends, in inputs and outputs.
#[test]
fn vmap_counts_negative_axes_from_the_last() {
    let a = Array::from_slice(&[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0], (3, 2)).unwrap();
    let b = Array::from_slice(&[0.0f32, 10.0, 20.0, 30.0, 40.0, 50.0], (2, 3)).unwrap();
    // Row i of `a` and the sum of column i of `b`: 30, 50, 70.
    let f = |p: &[Array]| Ok(vec![(&p[0] + &p[1].sum(..)?)?]);
    let want = [[30.0, 31.0], [52.0, 53.0], [74.0, 75.0]];
    for (one, other) in [(0, 1), (-2, -1), (0, -1), (-2, 1)] {
        let axes = [Some(one), Some(other)];
        for (out, flat) in [
            (0, want.concat()),
            (-2, want.concat()),
            (1, vec![30.0, 52.0, 74.0, 31.0, 53.0, 75.0]),
            (-1, vec![30.0, 52.0, 74.0, 31.0, 53.0, 75.0]),
        ] {
            let y = vmap(f).in_axes(axes).out_axes([Some(out)]);
            close(&y.call([&a, &b]).unwrap()[0], &flat, 0.0);
        }
    }
    for bad in [2, -3, i32::MIN, i32::MAX] {
        let e = vmap(f).in_axes([Some(bad), None]).call([&a, &b]);
        assert!(matches!(&e, Err(Error::Argument { argument, .. }) if argument == "in_axes"));
        let y = vmap(f).in_axes([Some(0), None]).out_axes([Some(bad)]);
        let e = y.call([&a, &b]);
        assert!(matches!(&e, Err(Error::Argument { argument, .. }) if argument == "out_axes"));
    }
    let scalar = vmap(f).in_axes([Some(0), Some(0)]).call([&a, &1.0.into()]);
    assert!(matches!(scalar, Err(Error::Argument { .. })));
    let lengths = vmap(f).in_axes([Some(0), Some(0)]).call([&a, &b]);
    assert!(matches!(lengths, Err(Error::Shape { .. })));
}

/// An output without the mapped axis is repeated along it, or given once where that is asked for.
#[test]
fn vmap_of_an_output_that_is_the_same_for_all() {
    let (a, b) = (array(&[1.0, 2.0, 3.0]), array(&[5.0, 6.0]));
    let f = |p: &[Array]| Ok(vec![(&p[0] * 2.0)?, (&p[1] + 1.0)?]);
    let both = || vmap(f).in_axes([Some(0), None]);
    let y = both().call([&a, &b]).unwrap();
    close(&y[0], &[2.0, 4.0, 6.0], 0.0);
    assert_eq!(y[1].shape(), [3, 2]);
    close(&y[1], &[6.0, 7.0, 6.0, 7.0, 6.0, 7.0], 0.0);
    let y = both().out_axes([Some(0), Some(-1)]).call([&a, &b]).unwrap();
    close(&y[1], &[6.0, 6.0, 6.0, 7.0, 7.0, 7.0], 0.0);
    let y = both().out_axes([Some(0), None]).call([&a, &b]).unwrap();
    close(&y[1], &[6.0, 7.0], 0.0);
    let e = both().out_axes([None, None]).call([&a, &b]).unwrap_err();
    assert!(
        matches!(&e, Error::Argument { argument, .. } if argument == "out_axes"),
        "{e}"
    );
}

/// Outputs and their axes.
type Lists = (Vec<Array>, Vec<i32>);
/// What is wrong with a rule, and the rule.
type Wrong<T> = (&'static str, fn(&Array) -> Result<T>);

/// What a rule gives is held to what the function gave.
#[test]
fn wrong_rules_are_refused() {
    let x = array(&POINTS);
    let f = || custom_function(|p: &[Array]| Ok(vec![p[0].exp()?]));
    let ones = array(&[1.0; 4]);

    let tangents: [Wrong<Vec<Array>>; 4] = [
        ("none", |_| Ok(vec![])),
        ("two", |t| Ok(vec![t.clone(), t.clone()])),
        ("another shape", |t| Ok(vec![t.sum(..)?])),
        ("another dtype", |t| {
            Ok(vec![t.astype(zmlx::Dtype::Float16)?])
        }),
    ];
    for (what, rule) in tangents {
        let g = f().with_jvp(move |_, t, _| rule(&t[0]));
        let e = jvp(|p: &[Array]| g.call(p), [&x], [&ones]).unwrap_err();
        let text = e.to_string();
        assert!(text.contains("`jvp`: expected"), "{what}: {text}");
    }

    let half = f().with_vjp(|_, ct, _| Ok(vec![ct[0].astype(zmlx::Dtype::Float16)?]));
    let e = vjp(|p: &[Array]| half.call(p), [&x], [&ones]).unwrap_err();
    assert!(matches!(e, Error::Dtype { .. }), "{e}");

    let mapped: [Wrong<Lists>; 7] = [
        ("no outputs", |_| Ok((vec![], vec![]))),
        ("no axes", |x| Ok((vec![x.clone()], vec![]))),
        ("an axis too far", |x| Ok((vec![x.clone()], vec![2]))),
        ("an axis below -1", |x| Ok((vec![x.clone()], vec![-2]))),
        ("half of the axis", |x| Ok((vec![x.index(0..2)?], vec![0]))),
        ("unmapped, yet with the axis", |x| {
            Ok((vec![x.clone()], vec![-1]))
        }),
        ("another dtype", |x| {
            Ok((vec![x.astype(zmlx::Dtype::Int32)?], vec![0]))
        }),
    ];
    for (what, rule) in mapped {
        let g = f().with_vmap(move |inputs, _| rule(&inputs[0]));
        let e = vmap(|p: &[Array]| g.call(p)).call([&x]).unwrap_err();
        let text = e.to_string();
        assert!(text.contains("`vmap`: expected"), "{what}: {text}");
    }
}

/// Integers have no gradient, so what a rule gives in its place is nobody's concern; the others' are.
#[test]
fn rules_may_give_anything_for_integers() {
    let (x, i) = (array(&POINTS), Array::from_slice(&[1, 0, 3, 2], 4).unwrap());
    let pick =
        custom_function(|p: &[Array]| Ok(vec![p[0].take(&p[1], 0)?])).with_vjp(|p, ct, _| {
            Ok(vec![
                ct[0].take(&p[1], 0)?,
                Array::zeros(4, zmlx::Dtype::Float32)?,
            ])
        });
    let g = array(&[1.0, 2.0, 3.0, 4.0]);
    let (_, grads) = vjp(|p: &[Array]| pick.call([&p[0], &i]), [&x], [&g]).unwrap();
    close(&grads[0], &[2.0, 1.0, 4.0, 3.0], 0.0);
}

/// The same function object serves calls of different shapes, each held to its own outputs.
#[test]
fn one_custom_function_serves_many_shapes() {
    let f = custom_function(|p: &[Array]| Ok(vec![p[0].exp()?]))
        .with_jvp(|p, t, _| Ok(vec![p[0].exp()?.multiply(&t[0])?]))
        .with_vmap(|inputs, axes| Ok((vec![inputs[0].exp()?], axes.to_vec())));
    for n in [1usize, 4, 7] {
        let x = Array::from_slice(&vec![0.5f32; n], n).unwrap();
        let (y, t) = jvp(|p: &[Array]| f.call(p), [&x], [&x]).unwrap();
        close(&y[0], &vec![0.5f64.exp(); n], 1e-6);
        close(&t[0], &vec![0.5 * 0.5f64.exp(); n], 1e-6);
        let y = vmap(|p: &[Array]| f.call(p)).call([&x]).unwrap();
        close(&y[0], &vec![0.5f64.exp(); n], 1e-6);
    }
}

#[test]
fn tangents_and_cotangents_have_to_fit() {
    let (x, two) = (array(&POINTS), array(&[1.0, 2.0]));
    let f = |p: &[Array]| Ok(vec![p[0].exp()?]);
    let count =
        |e: Error, name: &str| matches!(&e, Error::Argument { argument, .. } if argument == name);
    assert!(count(vjp(f, [&x], [&x, &x]).unwrap_err(), "cotangents"));
    assert!(count(jvp(f, [&x], [&x, &x]).unwrap_err(), "tangents"));
    assert!(count(
        jvp(f, [&x], [] as [&Array; 0]).unwrap_err(),
        "tangents"
    ));
    assert!(vjp(f, [&x], [] as [&Array; 0]).is_err());
    assert!(matches!(vjp(f, [&x], [&two]), Err(Error::Shape { .. })));
    assert!(matches!(jvp(f, [&x], [&two]), Err(Error::Shape { .. })));
    let complex = x.astype(zmlx::Dtype::Complex64).unwrap();
    assert!(matches!(jvp(f, [&x], [&complex]), Err(Error::Dtype { .. })));
    assert!(matches!(vjp(f, [&x], [&complex]), Err(Error::Dtype { .. })));
    // Another precision is converted, also on the way to a rule.
    let half = x.astype(zmlx::Dtype::Float16).unwrap();
    let own = custom_function(|p: &[Array]| Ok(vec![p[0].exp()?]))
        .with_vjp(|_, ct, y| Ok(vec![ct[0].multiply(&y[0])?]));
    let (y, dx) = vjp(|p: &[Array]| own.call(p), [&half], [&x]).unwrap();
    assert_eq!(dx[0].dtype(), zmlx::Dtype::Float16);
    let want = y[0]
        .astype(zmlx::Dtype::Float32)
        .unwrap()
        .multiply(&x)
        .unwrap();
    let want: Vec<f64> = want
        .to_vec::<f32>()
        .unwrap()
        .iter()
        .map(|&v| v.into())
        .collect();
    close(&dx[0].astype(zmlx::Dtype::Float32).unwrap(), &want, 2e-3);
    let (_, t) = jvp(f, [&half], [&x]).unwrap();
    assert_eq!(t[0].dtype(), zmlx::Dtype::Float16);
}
