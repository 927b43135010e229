//! Gradients, products with Jacobians, and what has to fit.

use super::*;

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

/// What an inner transform computes, and what stands behind it, is seen by the outer one: kernels as well as custom rules.
#[test]
fn transforms_within_transforms() {
    use zmlx::kernels::activations::{exp, silu};
    let x = array(&POINTS);
    let ones = x.ones_like().unwrap();
    let s = |x: f64| 1.0 / (1.0 + (-x).exp());
    let first = move |x: f64| s(x) * (1.0 + x * (1.0 - s(x)));
    let second = move |x: f64| s(x) * (1.0 - s(x)) * (2.0 + x * (1.0 - 2.0 * s(x)));

    let tangent = |x: &Array| Ok(jvp(|p| Ok(vec![silu(&p[0])?]), [x], [&ones])?.1.remove(0));
    close(&tangent(&x).unwrap(), &of(first), 1e-5);
    let over = grad(|x: &Array| tangent(x)?.sum(..));
    close(&over(&x).unwrap(), &of(second), 1e-5);
    let twice = jvp(|p| Ok(vec![tangent(&p[0])?]), [&x], [&ones]).unwrap();
    close(&twice.1[0], &of(second), 1e-5);

    // Behind an inner gradient or tangent, kernels are seen as before.
    let behind = |x: &Array| (tangent(x)? * exp(x)?)?.sum(..);
    close(
        &grad(behind)(&x).unwrap(),
        &of(|x| (second(x) + first(x)) * x.exp()),
        1e-5,
    );
    let slope = grad(|x: &Array| silu(x)?.sum(..));
    let behind = |p: &[Array]| Ok(vec![(slope(&p[0])? * exp(&p[0])?)?]);
    let got = jvp(behind, [&x], [&ones]).unwrap();
    close(&got.1[0], &of(|x| (second(x) + first(x)) * x.exp()), 1e-5);

    // A rule of the user's own that calls a kernel.
    let own = Rc::new(
        custom_function(|p: &[Array]| Ok(vec![p[0].exp()?]))
            .with_jvp(|p: &[Array], t: &[Array], _: &[i32]| Ok(vec![(exp(&p[0])? * &t[0])?])),
    );
    let tangent = |x: &Array| Ok(jvp(|p| own.call([&p[0]]), [x], [&ones])?.1.remove(0));
    let over = grad(|x: &Array| tangent(x)?.sum(..));
    close(&over(&x).unwrap(), &of(f64::exp), 1e-5);
    // In a compiled function, too.
    let kept = Rc::clone(&own);
    let compiled = compile(move |p: &[Array]| {
        let ones = p[0].ones_like()?;
        let tangent = |x: &Array| Ok(jvp(|p| kept.call([&p[0]]), [x], [&ones])?.1.remove(0));
        let slope = grad(|x: &Array| tangent(x)?.sum(..))(&p[0])?;
        Ok(vec![(slope + silu(&p[0])?)?])
    })
    .unwrap();
    close(
        &compiled.call([&x]).unwrap()[0],
        &of(|x| x.exp() + x * s(x)),
        1e-5,
    );
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
fn checkpoints_keep_the_gradient() {
    let x = array(&POINTS);
    let f = checkpoint(|p: &[Array]| Ok(vec![square_exp(&p[0])?])).unwrap();
    let g = grad(|x: &Array| Ok(f(std::slice::from_ref(x))?.remove(0)));
    close(&g(&x).unwrap(), &of(|x| (x * x + 2.0 * x) * x.exp()), 1e-5);
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
