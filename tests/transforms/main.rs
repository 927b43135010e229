//! Function transforms: values against closed forms, and what errors and panics do.

mod derivatives;
mod rules;
mod vmaps;

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
