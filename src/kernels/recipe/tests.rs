//! What the recipe makes of texts that the catalog has no example of.

use std::slice::from_ref;

use super::Kernel;
use crate::kernels::catalog::{Input, Kind, input};
use crate::{
    Array, Device, Dtype, Error, Result, grad, jvp, keepdims, ops, random, vjp, with_device, worker,
};

fn on_worker(body: impl FnOnce() -> Result<()> + Send + 'static) {
    let pool = worker::shared().expect("threads");
    pool.run(|| with_device(Device::CPU, body)).wait().unwrap();
}

#[track_caller]
fn close(got: &Array, want: &Array) {
    assert_eq!(got.shape(), want.shape());
    let close = got.allclose(want, (1e-5, 1e-5)).unwrap();
    assert!(close.item::<bool>().unwrap(), "{got}, expected {want}");
}

const LABELLED: &[Input] = &[input("x", Kind::Rows), input("label", Kind::Targets)];

#[test]
fn several_results_of_rows_and_elements() {
    static KERNEL: Kernel = Kernel::new(
        "tests::centred",
        &[input("x", Kind::Rows)],
        &["scale"],
        "m = mean(x); d = x - m; d * scale, m, max(abs(d))",
        "(x - mean(x)) * scale, sum(x) / D, max(abs(x - mean(x)))",
    );
    on_worker(|| {
        let x = random::normal((3, 4, 50))?;
        let got: [Array; 3] = KERNEL.call(&[&x], &[3.0])?;
        for (got, want) in got.iter().zip(KERNEL.reference(from_ref(&x), &[3.0])?) {
            close(got, &want);
        }
        let loss =
            |all: &[Array]| (all[0].square()?.sum(..)? + (&all[1] * &all[2])?.sum(..)?)?.sum(..);
        let got = grad(|x| loss(&KERNEL.call::<3>(&[x], &[3.0])?))(&x)?;
        let want = grad(|x| loss(&KERNEL.reference(from_ref(x), &[3.0])?))(&x)?;
        close(&got, &want);
        assert_eq!(KERNEL.bytes(12, 50, 4), 4 * (2 * 12 * 50 + 2 * 12));
        // Of a number of results that is not the program's there are none.
        let error = KERNEL.call::<2>(&[&x], &[3.0]).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
        Ok(())
    });
}

#[test]
fn values_at_targets() {
    static KERNEL: Kernel = Kernel::new(
        "tests::picked",
        LABELLED,
        &[],
        "log(sum(exp(x - at(x, label))))",
        "log(sum(exp(x))) - at(x, label)",
    );
    on_worker(|| {
        let x = random::normal((5, 7))?;
        let label = random::randint(0, 7, 5)?;
        close(
            &KERNEL.call1(&[&x, &label], &[])?,
            &KERNEL.reference(&[x.clone(), label.clone()], &[])?[0],
        );
        let got = grad(|x| KERNEL.call1(&[x, &label], &[])?.sum(..))(&x)?;
        let want = grad(|x| KERNEL.reference(&[x.clone(), label.clone()], &[])?[0].sum(..))(&x)?;
        close(&got, &want);

        let error = KERNEL
            .call1(&[&x, &label.astype(Dtype::Float32)?], &[])
            .unwrap_err();
        assert!(matches!(error, Error::Dtype { .. }), "{error}");
        let error = KERNEL
            .call1(&[&x, &label.expand_dims(0)?], &[])
            .unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
        Ok(())
    });
}

/// The halves of `x` change places, as in a rotation, with weights and a row function in between.
const TURNED: &[Input] = &[
    input("x", Kind::DoubleRows),
    input("w", Kind::DoubleWeight),
    input("y", Kind::Rows),
];
static TURN: Kernel = Kernel::new(
    "tests::turned",
    TURNED,
    &["scale"],
    "a = first(x) * second(w) + y * scale;
     b = second(x) * first(w) - sum(first(x) * y) * first(x);
     join(a, exp(-b * b)), sum(first(x) * second(x)), second(x) + y",
    "y",
);

/// The same by MLX's operations.
fn turned(p: &[Array]) -> Result<Vec<Array>> {
    let x = p[0].split(2, -1)?;
    let w = p[1].split(2, -1)?;
    let (first, second) = (&x[0], &x[1]);
    let a = ((first * &w[1])? + (&p[2] * 3.0)?)?;
    let sum = (first * &p[2])?.sum(keepdims(-1))?;
    let b = ((second * &w[0])? - (sum * first)?)?;
    let b = b.square()?.negative()?.exp()?;
    Ok(vec![
        ops::concatenate(&[a, b], -1)?,
        (first * second)?.sum(-1)?,
        (second + &p[2])?,
    ])
}

fn turn(p: &[Array]) -> Result<Vec<Array>> {
    let made: [Array; 3] = TURN.call(&[&p[0], &p[1], &p[2]], &[3.0])?;
    Ok(made.into())
}

fn wide(all: &[Array]) -> Result<Vec<Array>> {
    all.iter().map(|a| a.astype(Dtype::Float64)).collect()
}

fn normals(like: &[Array]) -> Result<Vec<Array>> {
    let draw = |a: &Array| (random::normal(a.shape())? * 0.5)?.astype(a.dtype());
    let made = like.iter().map(draw).collect::<Result<Vec<_>>>()?;
    crate::eval(&made)?;
    Ok(made)
}

/// Differs by roundings only: of sums as long as a row, or as there are rows.
#[track_caller]
fn near(got: &[Array], want: &[Array], unit: f64, what: &str) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.shape(), want.shape(), "{what} {i}");
        let values = |a: &Array| a.astype(Dtype::Float64).unwrap().to_vec::<f64>().unwrap();
        let (got, want) = (values(got), values(want));
        let most = want.iter().fold(1.0f64, |most, w| most.max(w.abs()));
        for (k, (g, w)) in got.iter().zip(&want).enumerate() {
            assert!(
                (g - w).abs() <= unit * most,
                "{what} {i}, element {k}: {g}, expected {w}"
            );
        }
    }
}

/// Values and derivatives of first and second order, for rows and widths that fill blocks and that do not.
#[test]
fn results_of_two_halves() {
    on_worker(|| {
        for (rows, n, dtype, unit) in [
            (3, 5, Dtype::Float32, 2e-5),
            (1, 1, Dtype::Float32, 2e-5),
            (2, 1, Dtype::Float32, 2e-5),
            (40, 64, Dtype::Float32, 2e-5),
            (4, 1000, Dtype::Float32, 1e-4),
            (3, 40, Dtype::Bfloat16, 2e-2),
        ] {
            let what = format!("{rows} x {n} {dtype}");
            let shapes = [vec![rows, 2 * n], vec![2 * n], vec![rows, n]];
            let like = shapes.map(|s| Array::zeros(s, dtype));
            let p = normals(&like.into_iter().collect::<Result<Vec<_>>>()?)?;
            let got = turn(&p)?;
            near(&got, &turned(&wide(&p)?)?, unit, &what);

            let (g, t) = (normals(&got)?, normals(&p)?);
            let got = vjp(turn, &p, &g)?.1;
            let want = vjp(turned, wide(&p)?, wide(&g)?)?.1;
            assert!(got.iter().zip(&p).all(|(d, p)| d.dtype() == p.dtype()));
            near(&got, &want, 4.0 * unit, &format!("{what}, gradient"));
            let got = jvp(turn, &p, &t)?.1;
            let want = jvp(turned, wide(&p)?, wide(&t)?)?.1;
            near(&got, &want, 4.0 * unit, &format!("{what}, tangent"));
            if dtype != Dtype::Float32 {
                continue;
            }
            let of =
                |f: fn(&[Array]) -> Result<Vec<Array>>, p: &[Array], g: &[Array], t: &[Array]| {
                    vjp(|p: &[Array]| Ok(vjp(f, p, g)?.1), p, t)
                };
            let got = of(turn, &p, &g, &t)?.1;
            let want = of(turned, &wide(&p)?, &wide(&g)?, &wide(&t)?)?.1;
            near(
                &got,
                &want,
                16.0 * unit,
                &format!("{what}, second derivative"),
            );
        }
        // No rows, and rows of nothing.
        for (rows, n) in [(0, 4), (3, 0)] {
            let shapes = [vec![rows, 2 * n], vec![2 * n], vec![rows, n]];
            let p = shapes.map(|s| Array::zeros(s, Dtype::Float32));
            let p = p.into_iter().collect::<Result<Vec<_>>>()?;
            let got = turn(&p)?;
            assert_eq!(got[0].shape(), [rows, 2 * n]);
            assert_eq!(got[1].shape(), [rows]);
            let slopes = vjp(turn, &p, &normals(&got)?)?.1;
            near(&slopes, &p, 0.0, "empty");
        }
        Ok(())
    });
}

/// Maps over each input and over all, over either axis, and views that are not contiguous.
#[test]
fn halves_of_mapped_and_of_strided_arrays() {
    on_worker(|| {
        let shapes = [vec![4, 3, 10], vec![4, 10], vec![4, 3, 5]];
        let like = shapes.map(|s| Array::zeros(s, Dtype::Float32));
        let all = normals(&like.into_iter().collect::<Result<Vec<_>>>()?)?;
        let cotangents = |p: &[Array]| -> Result<Vec<Array>> {
            turn(p)?.iter().map(|y| y.full_like(0.5)).collect()
        };
        let both = |p: &[Array]| {
            let mut made = turn(p)?;
            made.extend(vjp(turn, p, cotangents(p)?)?.1);
            Ok(made)
        };
        for mask in 1..8 {
            let axes: Vec<Option<i32>> =
                (0..3).map(|i| (mask >> i & 1 == 1).then_some(0)).collect();
            let at = |k: i32| -> Result<Vec<Array>> {
                let own = all.iter().zip(&axes);
                own.map(|(a, axis)| a.index(if axis.is_some() { k } else { 0 }))
                    .collect()
            };
            let mapped = all.iter().zip(&axes);
            let mapped = mapped.map(|(a, axis)| match axis {
                Some(_) => Ok(a.clone()),
                None => a.index(0),
            });
            let mapped = mapped.collect::<Result<Vec<_>>>()?;
            let got = crate::vmap(both).in_axes(axes.clone()).call(&mapped)?;
            for k in 0..4 {
                let want = both(&at(k)?)?;
                let got = got.iter().map(|a| a.index(k)).collect::<Result<Vec<_>>>()?;
                near(&got, &want, 2e-6, &format!("mapped {axes:?}, {k}"));
            }
        }
        let dense = all.iter().map(|a| a.index(0)).collect::<Result<Vec<_>>>()?;
        let turned = |a: &Array| match a.ndim() {
            1 => ops::stack(&[a.clone(), a.clone()], -1)?
                .contiguous()?
                .index((crate::Ellipsis, 0)),
            _ => a.transpose([1, 0])?.contiguous()?.transpose([1, 0]),
        };
        let views = dense.iter().map(turned).collect::<Result<Vec<_>>>()?;
        near(&both(&views)?, &both(&dense)?, 2e-6, "views");
        Ok(())
    });
}

#[test]
fn wrong_halves() {
    on_worker(|| {
        let x = Array::ones((2, 4), Dtype::Float32)?;
        for (program, part) in [
            ("x * 2", "expected `first(x)` or `second(x)`"),
            ("first(x, x)", "rows of two halves"),
            ("first(second(x))", "rows of two halves"),
            ("join(first(x), second(x)) * 2", "a whole result"),
            ("join(first(x), second(x), first(x))", "two halves"),
        ] {
            const ONE: &[Input] = &[input("x", Kind::DoubleRows)];
            let kernel = Kernel::new("tests::wrong", ONE, &[], program, "x");
            let error = kernel.call1(&[&x], &[]).unwrap_err().to_string();
            assert!(error.contains(part), "{program}: {error}");
        }
        Ok(())
    });
}

#[test]
fn wrong_programs() {
    on_worker(|| {
        for (program, part) in [
            ("x +", "expected a value"),
            ("sum(x, x)", "takes 1 argument"),
            ("y", "undeclared variable `y`"),
            ("x = 1; x", "has a meaning already"),
            ("at(x, x)", "expected an integer as the index"),
        ] {
            let kernel = Kernel::new("tests::wrong", LABELLED, &[], program, "x");
            let ones = Array::ones((2, 2), Dtype::Float32)?;
            let label = Array::zeros(2, Dtype::Int32)?;
            let error = kernel.call1(&[&ones, &label], &[]).unwrap_err().to_string();
            assert!(error.contains(part), "{program}: {error}");
        }
        Ok(())
    });
}
