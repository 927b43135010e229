//! Functions with a further axis.

use super::*;

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

/// Rules of a custom function under `vmap`: mapped with it, whichever of its inputs are, and in every nest.
#[test]
fn rules_are_mapped_with_the_function() {
    let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], (3, 2)).unwrap();
    let ones = x.ones_like().unwrap();
    let ten = of_rows(|x| 10.0 * x);
    // A tangent that is not that of the function tells who was asked.
    let pushed = Rc::new(
        custom_function(|p: &[Array]| Ok(vec![p[0].square()?])).with_jvp(
            |p: &[Array], t: &[Array], _: &[i32]| Ok(vec![(&p[0] * &t[0])?.multiply(10.0)?]),
        ),
    );
    let kept = Rc::clone(&pushed);
    let rows = move |p: &[Array]| vmap(|q: &[Array]| kept.call([&q[0]])).call([&p[0]]);
    close(&jvp(&rows, [&x], [&ones]).unwrap().1[0], &ten, 0.0);
    close(
        &jvp(
            |p| vmap(&rows).call([&p[0]]),
            [&x.expand_dims(-1).unwrap()],
            [&ones.expand_dims(-1).unwrap()],
        )
        .unwrap()
        .1[0],
        &ten,
        0.0,
    );

    let pulled = || {
        custom_function(|p: &[Array]| Ok(vec![(&p[0] * &p[1])?.square()?])).with_vjp(
            |p: &[Array], g: &[Array], _: &[Array]| {
                Ok(vec![(&g[0] * &p[0])?.multiply(10.0)?, (&g[0] * 7.0)?])
            },
        )
    };
    let scale = Array::from_slice(&[2.0f32, 3.0], 2).unwrap();
    for with_rule in [false, true] {
        let mut f = pulled();
        if with_rule {
            f = f.with_vmap(|p, axes| {
                assert_eq!(&axes[..2], [0, -1]);
                Ok((vec![(&p[0] * &p[1])?.square()?], vec![0]))
            });
        }
        let f = Rc::new(f);
        let mapped = |p: &[Array]| {
            let one = |q: &[Array]| f.call([&q[0], &q[1]]);
            vmap(one).in_axes([Some(0), None]).call([&p[0], &p[1]])
        };
        let (y, d) = vjp(mapped, [&x, &scale], [&ones]).unwrap();
        close(&y[0], &[4.0, 36.0, 36.0, 144.0, 100.0, 324.0], 0.0);
        close(&d[0], &ten, 0.0);
        // That of what all rows share is summed over them.
        close(&d[1], &[21.0, 21.0], 0.0);
    }
    // Along another axis, and twice.
    let f = Rc::new(pulled());
    let columns = |p: &[Array]| {
        let one = |q: &[Array]| f.call([&q[0], &q[1]]);
        let inner = |q: &[Array]| vmap(one).in_axes([Some(0), None]).call([&q[0], &q[1]]);
        vmap(inner)
            .in_axes([Some(1), Some(0)])
            .out_axes([Some(1)])
            .call([&p[0], &p[1]])
    };
    let (y, d) = vjp(columns, [&x, &scale], [&ones]).unwrap();
    close(&y[0], &[4.0, 36.0, 36.0, 144.0, 100.0, 324.0], 0.0);
    close(&d[0], &ten, 0.0);
    close(&d[1], &[21.0, 21.0], 0.0);
}

/// The values of the six numbers from 1 on.
fn of_rows(f: impl Fn(f64) -> f64) -> Vec<f64> {
    (1..7).map(|x| f(f64::from(x))).collect()
}
