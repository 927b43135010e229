//! Rules of custom functions.

use super::*;

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
