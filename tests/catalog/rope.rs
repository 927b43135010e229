//! Rotations with their options, against loops in float64.

use zmlx::kernels::rope::{rope, rope_tables};
use zmlx::prelude::*;
use zmlx::{Result, jvp, ops, vjp, vmap};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

/// What a test asks for.
#[derive(Clone, Copy, Debug)]
struct Form {
    traditional: bool,
    heads: bool,
    dims: Option<i32>,
    offset: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Nothing,
    Same,
    Each,
}

struct Case {
    form: Form,
    x: Array,
    cos: Array,
    sin: Array,
    /// The offsets, one an index of the first axis, as an array and as numbers.
    each: Array,
    offsets: Vec<i64>,
}

fn random(rng: &mut Rng, shape: &[i32], dtype: Dtype) -> Result<Array> {
    let n = shape.iter().product::<i32>() as usize;
    Array::from_slice(&rng.normals(n), shape)?.astype(dtype)
}

impl Case {
    fn new(rng: &mut Rng, form: Form, shape: &[i32], dtype: Dtype) -> Result<Case> {
        let width = shape[shape.len() - 1];
        let steps = shape[shape.len() - if form.heads { 3 } else { 2 }];
        let pairs = form.dims.unwrap_or(width) / 2;
        let more = if matches!(form.offset, At::Nothing) {
            0
        } else {
            4
        };
        let batch = shape[0] as usize;
        let offsets: Vec<i64> = match form.offset {
            At::Nothing => vec![0; batch],
            At::Same => vec![3; batch],
            // All within the tables, the ends included.
            At::Each => (0..batch)
                .map(|b| [4, 0, rng.below(5) as i64][b % 3])
                .collect(),
        };
        Ok(Case {
            form,
            x: random(rng, shape, dtype)?,
            cos: random(rng, &[steps + more, pairs], F32)?,
            sin: random(rng, &[steps + more, pairs], F32)?,
            each: Array::from_slice(&offsets, batch)?,
            offsets,
        })
    }

    fn call(&self, x: &Array, cos: &Array, sin: &Array) -> Result<Array> {
        let Form {
            traditional,
            heads,
            dims,
            offset,
        } = self.form;
        let mut call = match (heads, traditional) {
            (true, _) => rope(x, cos, sin).gqa(1).traditional(traditional),
            (_, true) => rope(x, cos, sin).traditional(true),
            _ => rope(x, cos, sin),
        };
        if let Some(dims) = dims {
            call = call.dims(dims);
        }
        match offset {
            At::Nothing => call,
            At::Same => call.offset(self.offsets[0] as i32),
            At::Each => call.offset(&self.each),
        }
        .call()
    }

    /// For each pair of each row: the indices of its elements in `x` and of its table entry.
    fn pairs(&self) -> Vec<[usize; 3]> {
        let shape: Vec<usize> = self.x.shape().iter().map(|&n| n as usize).collect();
        let (n, width) = (shape.len(), shape[shape.len() - 1]);
        let heads = if self.form.heads { shape[n - 2] } else { 1 };
        let steps = shape[n - 2 - usize::from(self.form.heads)];
        let half = self.cos.shape()[1] as usize;
        let rows: usize = shape[..n - 1].iter().product();
        let mut all = Vec::new();
        for row in 0..rows {
            let batch = row / (rows / shape[0]);
            let at = (row / heads % steps) as i64 + self.offsets[batch];
            for i in 0..half {
                let (a, b) = if self.form.traditional {
                    (2 * i, 2 * i + 1)
                } else {
                    (i, i + half)
                };
                all.push([row * width + a, row * width + b, at as usize * half + i]);
            }
        }
        all
    }

    fn turned(&self, x: &[f64], sign: f64) -> Result<Vec<f64>> {
        let (c, s) = (numbers(&self.cos)?, numbers(&self.sin)?);
        let mut y = x.to_vec();
        for [a, b, t] in self.pairs() {
            y[a] = x[a] * c[t] - sign * x[b] * s[t];
            y[b] = sign * x[a] * s[t] + x[b] * c[t];
        }
        Ok(y)
    }

    /// Gradients of the tables.
    fn of_tables(&self, x: &[f64], g: &[f64]) -> [Vec<f64>; 2] {
        let (mut dc, mut ds) = (vec![0.0; self.cos.size()], vec![0.0; self.cos.size()]);
        for [a, b, t] in self.pairs() {
            dc[t] += x[a] * g[a] + x[b] * g[b];
            ds[t] += x[a] * g[b] - x[b] * g[a];
        }
        [dc, ds]
    }
}

#[track_caller]
fn close(what: &str, got: &Array, want: &[f64], unit: f64) -> Result<()> {
    let got = numbers(got)?;
    assert_eq!(got.len(), want.len(), "{what}");
    let most = want.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        // Written so that a NaN is not good.
        let good = (g - w).abs() <= unit * most;
        assert!(good, "{what}: element {i} is {g}, expected {w}");
    }
    Ok(())
}

fn forms() -> Vec<Form> {
    let mut all = Vec::new();
    for traditional in [false, true] {
        for heads in [false, true] {
            for dims in [None, Some(6)] {
                for offset in [At::Nothing, At::Same, At::Each] {
                    all.push(Form {
                        traditional,
                        heads,
                        dims,
                        offset,
                    });
                }
            }
        }
    }
    all
}

#[test]
fn rope_with_all_options() {
    on_worker(|| {
        let mut rng = Rng::new();
        for form in forms() {
            for (shape, dtype) in [
                (&[3, 5, 2, 10] as &[i32], F32),
                (&[2, 3, 1, 72], F32),
                (&[3, 5, 2, 32], BF16),
            ] {
                let case = Case::new(&mut rng, form, shape, dtype).unwrap();
                one(&mut rng, &case).unwrap();
            }
        }
    });
}

fn one(rng: &mut Rng, case: &Case) -> Result<()> {
    let Case {
        form, x, cos, sin, ..
    } = case;
    let what = format!("{form:?} of {:?} {}", x.shape(), x.dtype());
    let unit = if x.dtype() == F32 { 1e-6 } else { 1.0 / 200.0 };
    let y = case.call(x, cos, sin)?;
    assert_eq!((y.shape(), y.dtype()), (x.shape(), x.dtype()), "{what}");
    let numbers_of_x = numbers(x)?;
    close(&what, &y, &case.turned(&numbers_of_x, 1.0)?, unit)?;

    let f = |p: &[Array]| Ok(vec![case.call(&p[0], &p[1], &p[2])?]);
    let p = [x.clone(), cos.clone(), sin.clone()];
    let g = random(rng, x.shape(), x.dtype())?;
    let numbers_of_g = numbers(&g)?;
    let (_, gradients) = vjp(f, &p, [&g])?;
    close(
        &format!("{what}, dx"),
        &gradients[0],
        &case.turned(&numbers_of_g, -1.0)?,
        unit,
    )?;
    let tables = case.of_tables(&numbers_of_x, &numbers_of_g);
    for (got, want) in gradients[1..].iter().zip(&tables) {
        close(&format!("{what}, tables"), got, want, 1e-5)?;
    }
    if x.dtype() != F32 || x.shape()[3] > 10 {
        return Ok(());
    }

    // It is linear in x: the tangent turns as x does.
    let t = random(rng, x.shape(), F32)?;
    let (_, tangents) = jvp(
        |p: &[Array]| Ok(vec![case.call(&p[0], cos, sin)?]),
        [x],
        [&t],
    )?;
    close(
        &format!("{what}, tangent"),
        &tangents[0],
        &case.turned(&numbers(&t)?, 1.0)?,
        unit,
    )?;
    // The projection of dx on t is that of g on the turned t, so its gradient of the tables is theirs at t.
    let projected = |q: &[Array]| {
        let (_, d) = vjp(
            |p: &[Array]| Ok(vec![case.call(&p[0], &q[0], &q[1])?]),
            [x],
            [&g],
        )?;
        Ok(vec![d[0].multiply(&t)?.sum(..)?])
    };
    let (_, second) = vjp(projected, [cos, sin], [&Array::from(1.0f32)])?;
    for (got, want) in second
        .iter()
        .zip(&case.of_tables(&numbers(&t)?, &numbers_of_g))
    {
        close(&format!("{what}, second"), got, want, 1e-5)?;
    }
    // Mapped over a further axis, and over the tables alone.
    let xs = random(rng, &[&[2][..], x.shape()].concat(), F32)?;
    let mapped = vmap(|p: &[Array]| Ok(vec![case.call(&p[0], cos, sin)?])).call([&xs])?;
    let each = (0..2)
        .map(|i| case.call(&xs.index(i)?, cos, sin))
        .collect::<Result<Vec<_>>>()?;
    close(
        &format!("{what}, mapped"),
        &mapped[0],
        &numbers(&ops::stack(&each, 0)?)?,
        unit,
    )?;
    let tables = ops::stack([cos, &cos.negative()?], 0)?;
    let mapped = vmap(|p: &[Array]| Ok(vec![case.call(x, &p[0], sin)?])).call([&tables])?;
    let each = [
        case.call(x, cos, sin)?,
        case.call(x, &cos.negative()?, sin)?,
    ];
    close(
        &format!("{what}, mapped tables"),
        &mapped[0],
        &numbers(&ops::stack(&each, 0)?)?,
        unit,
    )
}

#[test]
fn rope_offsets_out_of_range_are_nan() {
    on_worker(|| -> Result<()> {
        let x = Array::ones((4, 2, 3, 4), F32)?;
        let [cos, sin] = rope_tables(5, 4).call()?;
        for dtype in [Dtype::Int32, Dtype::Int64] {
            let offsets = Array::from_slice(&[-1, 4, 2, i32::MAX], 4)?.astype(dtype)?;
            let y = rope(&x, &cos, &sin).offset(&offsets).call()?;
            let nan = numbers(&y.index((.., 0, .., 0))?)?;
            let nan: Vec<bool> = nan.iter().map(|v| v.is_nan()).collect();
            let (t, f) = (true, false);
            assert_eq!(nan, [t, f, f, f, t, t, f, f, f, t, t, t]);
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn rope_tables_are_exact_and_differentiable() {
    on_worker(|| -> Result<()> {
        let [cos, sin] = rope_tables(100_000, 6).base(500.0).scale(0.5).call()?;
        let at = 99_999.0 * 0.5 * 500f64.powf(-2.0 / 6.0);
        assert!((f64::from(cos.index((99_999, 1))?.item::<f32>()?) - at.cos()).abs() < 1e-7);
        assert!((f64::from(sin.index((99_999, 1))?.item::<f32>()?) - at.sin()).abs() < 1e-7);
        let frequencies = Array::from_slice(&[0.5f32, 2.0], 2)?;
        let f = |p: &[Array]| {
            Ok(rope_tables(3, 4)
                .scale(2.0)
                .frequencies(&p[0])
                .call()?
                .into())
        };
        let (y, d) = vjp(
            f,
            [&frequencies],
            [&Array::zeros((3, 2), F32)?, &Array::ones((3, 2), F32)?],
        )?;
        close(
            "cos",
            &y[0],
            &[1.0, 1.0, 1f64.cos(), 4f64.cos(), 2f64.cos(), 8f64.cos()],
            1e-6,
        )?;
        let want = [
            2.0 * 1f64.cos() + 4.0 * 2f64.cos(),
            2.0 * 4f64.cos() + 4.0 * 8f64.cos(),
        ];
        close("frequencies", &d[0], &want, 1e-6)
    })
    .unwrap();
}

#[test]
fn rope_refuses() {
    on_worker(|| -> Result<()> {
        let x = Array::ones((2, 3, 4, 6), F32)?;
        let [cos, sin] = rope_tables(8, 6).call()?;
        let ints = |n: i32| Array::zeros(n, Dtype::Int32);
        let shape = |r: Result<Array>, name: &str| match r {
            Err(e @ Error::Shape { .. }) => assert!(e.to_string().contains(name), "{e}"),
            other => panic!("{name}: {other:?}"),
        };
        let argument = |r: Result<Array>, name: &str| match r {
            Err(e @ Error::Argument { .. }) => assert!(e.to_string().contains(name), "{e}"),
            other => panic!("{name}: {other:?}"),
        };
        let row = Array::ones(6, F32)?;
        shape(rope(&row, &cos, &sin).call(), "`x`");
        shape(
            rope(&Array::ones((3, 6), F32)?, &cos, &sin).gqa(1).call(),
            "`x`",
        );
        shape(rope(&Array::ones((3, 5), F32)?, &cos, &sin).call(), "`x`");
        shape(rope(&Array::ones((9, 6), F32)?, &cos, &sin).call(), "`cos`");
        shape(rope(&x, &row, &sin).traditional(true).call(), "`cos`");
        shape(
            rope(&x, &cos, &sin.index(0..7)?).traditional(true).call(),
            "`sin`",
        );
        shape(rope(&x, &cos, &sin).dims(4).call(), "`cos`");
        shape(rope(&x, &cos, &sin).offset(&ints(3)?).call(), "`offset`");
        argument(rope(&x, &cos, &sin).dims(3).call(), "dims");
        argument(rope(&x, &cos, &sin).dims(8).call(), "dims");
        argument(rope(&x, &cos, &sin).offset(5).call(), "offset");
        argument(rope(&x, &cos, &sin).offset(-1).call(), "offset");
        argument(rope(&x, &cos, &sin).gqa(3).call(), "n_kv_heads");
        argument(rope(&x, &cos, &sin).gqa(0).call(), "n_kv_heads");
        let floats = rope(&x, &cos, &sin).offset(&Array::zeros(2, F32)?).call();
        assert!(matches!(floats, Err(Error::Dtype { .. })), "{floats:?}");
        assert!(matches!(
            rope_tables(-1, 4).call(),
            Err(Error::Argument { .. })
        ));
        assert!(matches!(
            rope_tables(1, 3).call(),
            Err(Error::Argument { .. })
        ));
        assert!(matches!(
            rope_tables(1, 2).base(0.0).call(),
            Err(Error::Argument { .. })
        ));
        Ok(())
    })
    .unwrap();
}
