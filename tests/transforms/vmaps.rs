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
