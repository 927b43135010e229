//! Labels and other indices, and the value at a place of the row.

use rstest::rstest;
use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::rowwise::{MapReduce, MapReduceBuilder};
use zmlx::{Result, grad, jvp, value_and_grad_of, vmap};

use crate::common::{Rng, exactly, on_worker};
use crate::toolkit::{check, normal};

const MOST: Pass<'_> = Pass {
    init: "-INFINITY",
    update: "max(acc1, x)",
    reduce: "max(a, b)",
};
const TOTAL: Pass<'_> = Pass {
    init: "0.0f",
    update: "acc2 + exp(x - s1)",
    reduce: "a + b",
};
const SUM: Pass<'_> = Pass {
    init: "0.0f",
    update: "acc + x * x",
    reduce: "a + b",
};

fn labelled() -> MapReduceBuilder {
    rowwise::map_reduce("labelled").index("label")
}

fn cross_entropy() -> MapReduce {
    let two = labelled().pass(MOST).pass(TOTAL);
    two.write_row("s1 + log(s2) - at(x, label)")
        .build()
        .unwrap()
}

/// The element of each row at its label.
fn chosen(x: &Array, label: &Array) -> Result<Array> {
    let index = label.astype(I64)?.expand_dims(-1)?;
    x.take_along_axis(&index, -1)?.squeeze(-1)
}

fn cross_entropy64(x: &Array, label: &Array) -> Result<Array> {
    x.logsumexp(-1)? - chosen(x, label)?
}

fn labels(rng: &mut Rng, rows: usize, below: usize) -> Array {
    let all: Vec<i32> = (0..rows)
        .map(|_| (rng.next() % below as u64) as i32)
        .collect();
    Array::from_slice(&all, rows).unwrap()
}

#[rstest]
fn labels_of_every_dtype(
    #[values(
        Dtype::Int8,
        Dtype::Int16,
        Dtype::Int32,
        Dtype::Int64,
        Dtype::Uint8,
        Dtype::Uint16,
        Dtype::Uint32,
        Dtype::Uint64
    )]
    dtype: Dtype,
) {
    on_worker(move || -> Result<()> {
        let mut rng = Rng::new();
        let op = cross_entropy();
        for n in [1, 33, 100] {
            let x = normal(&mut rng, &[5, n]);
            let c = normal(&mut rng, &[5]);
            let label = labels(&mut rng, 5, n).astype(dtype)?;
            let [x64, c64] = exactly(|| [&x, &c].map(|a| a.astype(F64).unwrap()));
            let y = op.call_all(&[&x, &label])?.remove(0);
            check(
                &y,
                &exactly(|| cross_entropy64(&x64, &label))?,
                2e-6,
                "value",
            );
            let got = grad(|x| (op.call_all(&[x, &label])?.remove(0) * &c)?.sum(..))(&x)?;
            let want = exactly(|| grad(|x| (cross_entropy64(x, &label)? * &c64)?.sum(..))(&x64))?;
            check(&got, &want, 2e-6, "gradient");
        }
        Ok(())
    })
    .unwrap();
}

/// Second derivatives, tangents, and labels that are mapped with their rows.
#[test]
fn transforms_of_places() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let op = cross_entropy();
        let x = normal(&mut rng, &[4, 20]);
        let c = normal(&mut rng, &[4, 20]);
        let label = labels(&mut rng, 4, 20);
        let [x64, c64] = exactly(|| [&x, &c].map(|a| a.astype(F64).unwrap()));
        let first = |x: &Array| grad(|x| op.call_all(&[x, &label])?.remove(0).square()?.sum(..))(x);
        let got = grad(|x| (first(x)? * &c)?.sum(..))(&x)?;
        let want = exactly(|| {
            let first = |x: &Array| grad(|x| cross_entropy64(x, &label)?.square()?.sum(..))(x);
            grad(|x| (first(x)? * &c64)?.sum(..))(&x64)
        })?;
        check(&got, &want, 1e-5, "second derivative");
        let (_, t) = jvp(|p| op.call_all(&[&p[0], &label]), [&x], [&c])?;
        let (_, u) = exactly(|| {
            jvp(
                |p| Ok(vec![cross_entropy64(&p[0], &label)?]),
                [&x64],
                [&c64],
            )
        })?;
        check(&t[0], &u[0], 1e-5, "tangent");
        let got = vmap(|p: &[Array]| op.call_all(p)).call([&x, &label])?;
        check(&got[0], &op.call_all(&[&x, &label])?[0], 1e-6, "mapped");
        let slope = |p: &[Array]| {
            Ok(vec![grad(|x| op.call_all(&[x, &p[1]])?.remove(0).sum(..))(
                &p[0],
            )?])
        };
        let got = vmap(slope).call([&x, &label])?;
        let want = grad(|x| op.call_all(&[x, &label])?.remove(0).sum(..))(&x)?;
        check(&got[0], &want, 1e-6, "mapped gradient");
        Ok(())
    })
    .unwrap();
}

/// A place of an expression of elements, of what the row shares, and of reductions; within a reduction; twice.
#[test]
fn places_of_expressions() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let op = rowwise::map_reduce("expressions")
            .inputs(["x", "w"])
            .index("label")
            .pass(SUM)
            .pass(Pass {
                init: "0.0f",
                update: "acc + w * sin(x - at(x * w, label))",
                reduce: "a + b",
            })
            .write_row("at(x * s1 + w, label) * s2 + at(at(x, label), 0)")
            .write("x * at(exp(w), label) + at(x, D > 3 ? 3 : 0)")
            .build()?
            .checked()?;
        let x = (normal(&mut rng, &[3, 17]) * 0.3)?;
        let w = normal(&mut rng, &[17]);
        let label = labels(&mut rng, 3, 17);
        let op64 = |p: &[Array]| -> Result<Vec<Array>> {
            let (x, w) = (&p[0], &p[1].broadcast_to(p[0].shape())?);
            let at = |a: &Array| chosen(a, &label);
            let s1 = x.square()?.sum(-1)?;
            let inner = (x - at(&(x * w)?)?.expand_dims(-1)?)?;
            let s2 = (w * inner.sin()?)?.sum(-1)?;
            let row = (((at(x)? * s1)? + at(w)?)? * s2)? + at(x)?;
            let third = x.index((.., 3..4))?;
            let elements = (x * at(&w.exp()?)?.expand_dims(-1)?)? + third;
            Ok(vec![row?, elements?])
        };
        let p64 = exactly(|| [&x, &w].map(|a| a.astype(F64).unwrap()));
        let got = op.call_all(&[&x, &w, &label])?;
        let want = exactly(|| op64(&p64))?;
        check(&got[0], &want[0], 1e-5, "row");
        check(&got[1], &want[1], 1e-5, "elements");
        let loss = |y: Vec<Array>| {
            let c = Array::from_slice(&[1.0f32, -0.5, 2.0], 3)?.astype(y[0].dtype())?;
            Ok(vec![((&y[0] * c)?.sum(..)? + y[1].square()?.sum(..)?)?])
        };
        let f = |p: &[Array]| op.call_all(&[&p[0], &p[1], &label]);
        let (_, got) = value_and_grad_of(|p| loss(f(p)?), &[0, 1], [&x, &w])?;
        let (_, want) = exactly(|| value_and_grad_of(|p| loss(op64(p)?), &[0, 1], &p64))?;
        check(&got[0], &want[0], 1e-4, "gradient of x");
        check(&got[1], &want[1], 1e-4, "gradient of w");
        let (_, t) = jvp(f, [&x, &w], [&x, &w])?;
        let (_, u) = exactly(|| jvp(op64, &p64, &p64))?;
        check(&t[0], &u[0], 1e-4, "tangent of the row");
        check(&t[1], &u[1], 1e-4, "tangent of elements");
        Ok(())
    })
    .unwrap();
}

/// Nothing is read outside of the row, and nothing wraps into it.
#[test]
fn places_outside() {
    on_worker(|| -> Result<()> {
        let x = normal(&mut Rng::new(), &[6, 5]);
        let numbers = |y: &Array| y.to_vec::<f32>();
        let plain = numbers(&x)?;
        let op = labelled()
            .write_row("at(x, label)")
            .write_row("at(x, label, -7)")
            .write_row("label == -100 ? 0.0f : at(x, label + 1, INFINITY)")
            .write_row("label < 0 ? 1 : 0")
            .build()?
            .checked()?;
        let label = Array::from_slice(&[4i64, 5, -1, -100, i64::MIN, i64::MAX], 6)?;
        let y = op.call_all(&[&x, &label])?;
        let first = numbers(&y[0])?;
        assert_eq!(first[0], plain[4]);
        assert!(first[1..].iter().all(|v| v.is_nan()), "{first:?}");
        assert_eq!(numbers(&y[1])?, [plain[4], -7.0, -7.0, -7.0, -7.0, -7.0]);
        let inf = f32::INFINITY;
        assert_eq!(numbers(&y[2])?[..5], [inf, inf, plain[10], 0.0, inf]);
        assert_eq!(numbers(&y[3])?, [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);

        // What a long does not hold is the lowest: no place, and none of an author's numbers.
        let high = |n: u64| u64::MAX - n;
        let wraps = [0, 1 << 63, high(0), high(99), (1 << 63) + 2, 3];
        let label = Array::from_slice(&wraps, 6)?;
        let y = op.call_all(&[&x, &label])?;
        let inside = [plain[0], -7.0, -7.0, -7.0, -7.0, plain[28]];
        assert_eq!(numbers(&y[1])?, inside);
        let skipped = numbers(&y[2])?;
        assert_eq!(skipped[3], inf, "2^64 - 100 is not -100");

        // The gradient of what is not read is 0, also where the slope is infinite elsewhere.
        let log = labelled()
            .write_row("at(log(x), label, 0)")
            .build()?
            .checked()?;
        let x = Array::from_slice(&[0.0f32, 2.0, 0.0, 2.0], (2, 2))?;
        let label = Array::from_slice(&[1u64, u64::MAX], 2)?;
        let got = grad(|x| log.call_all(&[x, &label])?.remove(0).sum(..))(&x)?;
        assert_eq!(numbers(&got)?, [0.0, 0.5, 0.0, 0.0]);
        Ok(())
    })
    .unwrap();
}

/// Integers of a place stay exact, beside labels of floats' rows, too.
#[test]
fn places_of_integers() {
    on_worker(|| -> Result<()> {
        let op = labelled().write_row("at(x, label, 0)").build()?;
        let big = (1i64 << 53) + 1;
        let x = Array::from_slice(&[big, 5, -big, 7], (2, 2))?;
        let label = Array::from_slice(&[0u8, 2], 2)?;
        assert_eq!(op.call_all(&[&x, &label])?[0].to_vec::<i64>()?, [big, 0]);
        let top = u64::MAX - 1;
        let x = Array::from_slice(&[1, top, 3, 4], (2, 2))?;
        let label = Array::from_slice(&[1i32, -1], 2)?;
        assert_eq!(op.call_all(&[&x, &label])?[0].to_vec::<u64>()?, [top, 0]);
        let below = labelled()
            .write_row("label < 0 ? 9 : at(x, label, 0)")
            .build()?;
        assert_eq!(below.call_all(&[&x, &label])?[0].to_vec::<u64>()?, [top, 9]);
        // An index above what a float holds.
        let far = rowwise::map_reduce("far").index("label");
        let far = far.write_row("label == 16777217 ? 1 : 0").build()?;
        let x = Array::zeros((2, 1), F32)?;
        let label = Array::from_slice(&[16_777_216i32, 16_777_217], 2)?;
        assert_eq!(far.call_all(&[&x, &label])?[0].to_vec::<f32>()?, [0.0, 1.0]);
        Ok(())
    })
    .unwrap();
}

/// An integer for each element, in expressions of elements.
#[test]
fn indices_of_elements() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[3, 40]);
        let op = rowwise::map_reduce("masked")
            .index_of_elements("part")
            .pass(Pass {
                init: "0.0f",
                update: "acc + (part == row ? x : 0)",
                reduce: "a + b",
            })
            .write("part == row ? x - s1 : x")
            .build()?;
        let part: Vec<u16> = (0..120).map(|_| (rng.next() % 4) as u16).collect();
        let part = Array::from_slice(&part, (3, 40))?;
        let rows = Array::from_slice(&[0i32, 1, 2], (3, 1))?;
        let mask = part.astype(I32)?.equal(&rows)?.astype(F32)?;
        let want = |x: &Array| -> Result<Array> {
            let sum = (x * &mask)?.sum(keepdims(-1))?;
            x - (&mask * sum)?
        };
        let y = op.call_all(&[&x, &part])?.remove(0);
        check(&y, &want(&x)?, 1e-5, "value");
        let got = grad(|x| op.call_all(&[x, &part])?.remove(0).square()?.sum(..))(&x)?;
        check(
            &got,
            &grad(|x| want(x)?.square()?.sum(..))(&x)?,
            1e-4,
            "gradient",
        );
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_refused() {
    on_worker(|| -> Result<()> {
        let refused = |text: &str, part: &str| {
            let error = labelled().pass(SUM).write_row(text).build().unwrap_err();
            assert!(
                matches!(error, Error::Expression { .. }),
                "{text}: {error:?}"
            );
            assert!(error.to_string().contains(part), "{text}: {error}");
        };
        refused("at(x, s1)", "integer as the index");
        refused("at(x, 1.0f)", "integer as the index");
        refused("at(x, int(x))", "same along the row");
        refused("at(x, int(j))", "same along the row");
        refused("at(x, label, s1)", "a number");
        refused("at(x)", "got 1 arguments");
        refused("x + s1", "undeclared variable `x`");
        refused("at(x, label) + x", "`at`");
        refused("at(z, label)", "undeclared variable `z`");

        let op = labelled().write_row("at(x, label)").build()?;
        let x = Array::zeros((3, 5), F32)?;
        for dtype in [F32, F16, BF16] {
            let label = Array::zeros(3, dtype)?;
            let error = op.call_all(&[&x, &label]).unwrap_err();
            assert!(matches!(error, Error::Dtype { .. }), "{error:?}");
            let text = error.to_string();
            assert!(
                text.contains("`label`") && text.contains("integers"),
                "{text}"
            );
        }
        let error = op.call_all(&[&x, &Array::zeros(4, I32)?]).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error:?}");
        assert!(error.to_string().contains("`label`"), "{error}");
        let twice = rowwise::map_reduce("twice").index("x").write("x").build();
        assert!(matches!(twice, Err(Error::Argument { .. })));
        // A function of the author's of this name is that one.
        let own = labelled()
            .header("inline float at(float a, float b) { return a + b; }")
            .write("at(x, 2.0f)")
            .build()?;
        let y = own.call_all(&[&x, &Array::zeros(3, I32)?])?.remove(0);
        assert_eq!(y.to_vec::<f32>()?, [2.0; 15]);
        Ok(())
    })
    .unwrap();
}
