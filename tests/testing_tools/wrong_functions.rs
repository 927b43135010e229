//! Wrong functions are found, and the report says where.

use rstest::rstest;
use zmlx::custom_function;
use zmlx::prelude::*;
use zmlx::testing::{self, Against, What, Which, assert_gradient_matches, assert_matches};

use crate::common::on_worker;
use crate::{FLOATS, elements, kernel, mismatch, run};

#[test]
fn one_wrong_element_is_named() {
    on_worker(|| {
        let k = kernel("tt_one", "out[i] = T(i == 47u ? v + 0.5f : v);");
        let cases = testing::shapes([(4, 20)]).seed(7);
        let found = mismatch(assert_matches(|x| run(&k, x), |x| Ok(x.clone()), cases));
        assert_eq!((found.dtype, found.seed), (F32, 7));
        assert_eq!(found.shapes, [[4, 20]]);
        let text = found.to_string();
        let What::Elements(e) = found.what else {
            panic!("{text}")
        };
        assert_eq!((e.of, e.against), (Which::Output(0), Against::Reference));
        assert_eq!((&e.index[..], &e.first[..]), (&[2, 7][..], &[2, 7][..]));
        assert_eq!((e.wrong, e.total), (1, 80));
        assert!((e.error - 0.5).abs() < 1e-6 && (e.got - e.want - 0.5).abs() < 1e-6);
        for part in ["1 of 80", "[2, 7]", "float32 (4, 20)", "ZMLX_TEST_SEED=7"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    });
}

#[rstest]
#[case::one(())]
#[case::few((10,))]
#[case::page((1000,))]
#[case::large((300, 1000))]
fn unwritten_elements_show(
    #[case] shape: impl testing::OneShape + Send + 'static,
    #[values(F32, F16, I32, BOOL)] dtype: Dtype,
) {
    on_worker(move || {
        // Every thread writes the first half only; of a single element, nothing.
        let k = MetalKernel::new("tt_hole", ["x"], ["out"])
            .source("uint i = thread_position_in_grid.x; if (i < uint(HALF)) out[i] = T(0);")
            .build()
            .unwrap();
        let zeros = |x: &Array| {
            let half = (x.size() / 2) as i32;
            let flat = x.reshape((x.size(),))?;
            let [y] = k
                .launch(&[&flat])
                .template("T", x.dtype())
                .template("HALF", half)
                .run()?;
            y.reshape(x.shape())
        };
        let shape = shape.into_shape().unwrap();
        // Other things in the allocator's cache must not get in the way.
        for fill in [0.0f32, 1.0] {
            let old: Vec<_> = (0..9)
                .map(|_| Array::full(&shape[..], fill, dtype).unwrap())
                .collect();
            zmlx::eval(&old).unwrap();
        }
        let cases = || testing::shapes([&shape[..]]).dtypes([dtype]);
        let e = elements(assert_matches(zeros, |x| x.zeros_like(), cases()));
        assert_eq!(e.against, Against::SecondRun);
        let total = e.total.max(1);
        assert_eq!(e.wrong, total - total / 2, "{e}");
        if dtype.is_floating() {
            assert!(e.got.is_nan(), "{e}");
            let once = cases().deterministic(false);
            let e = elements(assert_matches(zeros, |x| x.zeros_like(), once));
            assert_eq!(e.against, Against::Reference);
            assert!(e.error.is_infinite(), "{e}");
        }
    });
}

#[test]
fn wrong_kinds_are_named() {
    on_worker(|| {
        let cases = || testing::shapes([(2, 3)]).dtypes([F16]);
        let found = mismatch(assert_matches(|x| x.astype(F32), |x| x.abs(), cases()));
        assert!(
            matches!(
                found.what,
                What::Dtype {
                    got: F32,
                    want: F16,
                    ..
                }
            ),
            "{found}"
        );
        assert_matches(
            |x| x.astype(F32),
            |x| Ok(x.clone()),
            cases().check_dtype(false),
        )
        .unwrap();

        let found = mismatch(assert_matches(|x| x.sum(-1), |x| x.sum(0), cases()));
        assert_eq!(
            found.to_string().lines().next(),
            Some("output 0: got shape (2,), expected (3,)")
        );

        let found = mismatch(assert_matches(
            |x| Ok([x.clone(), x.clone()]),
            |x| Ok(x.clone()),
            cases(),
        ));
        assert!(
            matches!(found.what, What::Count { got: 2, want: 1 }),
            "{found}"
        );

        let found = mismatch(assert_matches(|x| x.reshape((7,)), |x| x.abs(), cases()));
        assert!(matches!(found.what, What::Failed(_)), "{found}");
        let found = mismatch(assert_matches(|x| x.abs(), |x| x.reshape((7,)), cases()));
        assert!(matches!(found.what, What::ReferenceFailed(_)), "{found}");

        // An error without a line of the author's says where the comparison was asked for.
        let raw = autograd::nary_from_expr("raw", ["a"], ["out"])
            .forward("uint i = thread_position_in_grid.x; out[i] = a[i];")
            .build()
            .unwrap();
        let found = mismatch(assert_gradient_matches(
            |x| Ok(raw.call(&[x])?.remove(0)),
            |x| x * 1.0f32,
            cases(),
        ));
        let text = found.to_string();
        assert!(
            text.contains("tests/testing_tools/wrong_functions.rs:") && !text.contains("src/"),
            "{text}"
        );
    });
}

#[test]
fn nan_and_infinity_must_stand_where_they_stand() {
    on_worker(|| {
        // Square roots of negative numbers and quotients by zero.
        let cases = || testing::shapes([(40,), (400,)]).dtypes(FLOATS);
        let special = |x: &Array| x.sqrt()?.divide(x.zeros_like()?);
        assert_matches(special, special, cases()).unwrap();
        let inverse = |x: &Array| x.reciprocal();
        assert_matches(inverse, inverse, cases().specials(true)).unwrap();

        let e = elements(assert_matches(|x| x.abs()?.sqrt(), |x| x.sqrt(), cases()));
        assert!(e.want.is_nan() && e.error.is_infinite(), "{e}");
        let infinite = |x: &Array| x.abs()?.divide(x.zeros_like()?);
        let e = elements(assert_matches(
            |x| infinite(x)?.negative(),
            infinite,
            testing::shapes([(3,)]),
        ));
        assert_eq!((e.got, e.want), (f64::NEG_INFINITY, f64::INFINITY));
        let e = elements(assert_matches(
            |x| x.nan_to_num(0.0, None, None),
            |x| Ok(x.clone()),
            testing::shapes([(100,)]).specials(true),
        ));
        assert!(!e.want.is_finite(), "{e}");
    });
}

#[test]
fn what_overflows_the_dtype_is_infinite_in_the_reference_too() {
    on_worker(|| {
        let cases = testing::shapes([(200,)]).dtypes([F16]).range(10.0, 12.0);
        assert_matches(|x| x.exp()?.square(), |x| x.exp()?.square(), cases).unwrap();
    });
}

#[test]
fn tolerances_are_by_dtype() {
    on_worker(|| {
        let scaled = |by: f32| move |x: &Array| (x.astype(F32)? * by)?.astype(x.dtype());
        let check = |dtype, by, rtol: Option<f64>| {
            let cases = testing::shapes([(1000,)]).dtypes([dtype]).range(1.0, 2.0);
            let cases = match rtol {
                Some(rtol) => cases.tolerance(dtype, rtol, 0.0),
                None => cases,
            };
            assert_matches(scaled(by), |x| Ok(x.clone()), cases).is_ok()
        };
        assert!(check(F32, 1.000_005, None));
        assert!(!check(F32, 1.000_05, None));
        assert!(check(F32, 1.000_05, Some(1e-4)));
        assert!(!check(F32, 1.000_005, Some(1e-6)));
        assert!(!check(F16, 1.005, None));
        assert!(check(F16, 1.005, Some(1e-2)));
        assert!(check(BF16, 1.001, None));
        assert!(!check(BF16, 1.05, None));
        // Of another dtype: does not count.
        let cases = testing::shapes([(9,)]).tolerance(F16, 10.0, 10.0);
        elements(assert_matches(|x| x + 1.0, |x| Ok(x.clone()), cases));
    });
}

#[test]
fn wrong_gradients_are_found() {
    on_worker(|| {
        let cases = || testing::shapes([(5, 6)]).dtypes([F32]);
        // Right for a cotangent of ones, for a sum; wrong for a random one.
        let ignores = custom_function(|p| Ok(vec![p[0].square()?]))
            .with_vjp(|p, _, _| Ok(vec![(&p[0] * 2.0)?]));
        let e = elements(assert_gradient_matches(
            |x| ignores.call1(x),
            |x| x.square(),
            cases(),
        ));
        assert_eq!((e.of, e.against), (Which::Gradient(0), Against::Reference));

        // The reference itself is wrong: MLX sees no slope.
        let stopped = |x: &Array| x.square()?.stop_gradient();
        let e = elements(assert_gradient_matches(stopped, stopped, cases()));
        assert_eq!(e.against, Against::Differences);
        assert_gradient_matches(stopped, stopped, cases().differences(0)).unwrap();

        let wide = custom_function(|p| Ok(vec![p[0].square()?]))
            .with_vjp(|p, g, _| Ok(vec![(&p[0] * 2.0)?.multiply(&g[0])?.astype(F32)?]));
        let half = cases().dtypes([F16]);
        // A rule that gives another dtype is refused before anything is compared.
        let refused = assert_gradient_matches(|x| wide.call1(x), |x| x.square(), half);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("expected dtype float16"), "{refused}");

        let none = assert_gradient_matches(|x| x.abs(), |x| x.abs(), cases().dtypes([I32]));
        assert!(matches!(none, Err(Error::Argument { .. })), "{none:?}");
    });
}
