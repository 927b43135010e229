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
