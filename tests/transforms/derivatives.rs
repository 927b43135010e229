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
