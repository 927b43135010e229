//! The comparisons find what is wrong and name it, and pass what is right.

mod common;

use std::cell::RefCell;

use common::on_worker;
use rstest::rstest;
use zmlx::prelude::*;
use zmlx::testing::{
    self, Against, Elements, Layout, Mismatch, Values, What, Which, assert_gradient_matches,
    assert_matches,
};
use zmlx::{Result, custom_function};

const FLOATS: [Dtype; 3] = [F32, F16, BF16];

fn silu(x: &Array) -> Result<Array> {
    x.multiply(&x.sigmoid()?)
}

/// A kernel of one input whose body has the element's index `i` and value `v`.
fn kernel(name: &str, body: &str) -> MetalKernel {
    MetalKernel::new(name, ["x"], ["out"])
        .source(format!(
            "uint i = thread_position_in_grid.x; float v = float(x[i]); {body}"
        ))
        .build()
        .unwrap()
}

fn run(kernel: &MetalKernel, x: &Array) -> Result<Array> {
    if x.ndim() == 0 {
        // Kernels get these by reference, not as a pointer.
        return run(kernel, &x.reshape(1)?)?.reshape(());
    }
    let [y] = kernel.launch(&[x]).template("T", x.dtype()).run()?;
    Ok(y)
}

/// The report of a comparison that must fail.
#[track_caller]
fn mismatch(result: Result<()>) -> Mismatch {
    match result {
        Err(Error::Mismatch { found, at }) => {
            assert!(at.file().ends_with("testing_tools.rs"), "{at}");
            *found
        }
        other => panic!("expected a mismatch, got {other:?}"),
    }
}

#[track_caller]
fn elements(result: Result<()>) -> Elements {
    match mismatch(result).what {
        What::Elements(e) => e,
        other => panic!("expected elements, got {other:?}"),
    }
}

#[test]
fn right_values_pass() {
    on_worker(|| {
        let k = kernel("tt_silu", "out[i] = T(v / (1.0f + metal::exp(-v)));");
        let shapes = testing::shapes(((), (1,), (0,), (3, 0, 2), (128,), (7, 33), (2, 3, 65)));
        let cases = shapes.dtypes(FLOATS).strided(true);
        assert_matches(|x| run(&k, x), silu, cases).unwrap();
    });
}

#[test]
fn right_gradients_pass() {
    on_worker(|| {
        let forward = kernel("tt_silu", "out[i] = T(v / (1.0f + metal::exp(-v)));");
        let backward = MetalKernel::new("tt_silu_back", ["x", "g"], ["dx"])
            .source(
                "uint i = thread_position_in_grid.x; float v = x[i], s = 1.0f / (1.0f + metal::exp(-v));
                 dx[i] = T(float(g[i]) * s * (1.0f + v * (1.0f - s)));",
            )
            .build()
            .unwrap();
        let op = custom_function(move |p| Ok(vec![run(&forward, &p[0])?])).with_vjp(
            move |primals, g, _| {
                let x = primals[0].reshape(-1)?;
                let launch = [&x, &g[0].reshape(-1)?];
                let [dx] = backward.launch(&launch).template("T", x.dtype()).run()?;
                Ok(vec![dx.reshape(primals[0].shape())?])
            },
        );
        let cases = testing::shapes(((), (0,), (5,), (7, 33)));
        let cases = cases.dtypes(FLOATS).strided(true);
        assert_gradient_matches(|x| op.call1(x), silu, cases).unwrap();
    });
}

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
        let found = mismatch(assert_gradient_matches(
            |x| wide.call1(x),
            |x| x.square(),
            half,
        ));
        assert!(matches!(
            found.what,
            What::Dtype {
                of: Which::Gradient(0),
                got: F32,
                want: F16
            }
        ));

        let none = assert_gradient_matches(|x| x.abs(), |x| x.abs(), cases().dtypes([I32]));
        assert!(matches!(none, Err(Error::Argument { .. })), "{none:?}");
    });
}

/// The defaults must not cry wolf: MLX's own operations in float32 are right.
#[rstest]
#[case::exp(|x: &Array| x.exp(), Values::Normal)]
#[case::tanh(|x: &Array| x.tanh(), Values::Normal)]
#[case::erf(|x: &Array| x.erf(), Values::Normal)]
#[case::sin(|x: &Array| x.sin(), Values::Uniform(-3.0, 3.0))]
#[case::log(|x: &Array| x.log(), Values::Positive)]
#[case::rsqrt(|x: &Array| x.rsqrt(), Values::Positive)]
#[case::softmax(|x: &Array| x.softmax(-1), Values::Normal)]
#[case::logsumexp(|x: &Array| x.logsumexp(-1), Values::Normal)]
#[case::mean(|x: &Array| x.mean(..), Values::Normal)]
#[case::norm(|x: &Array| zmlx::fast::rms_norm(x, None, 1e-5), Values::Normal)]
#[case::abs(|x: &Array| x.abs(), Values::Normal)]
fn right_functions_pass(#[case] f: fn(&Array) -> Result<Array>, #[case] values: Values) {
    on_worker(move || {
        let cases = || {
            testing::shapes([(9, 33), (1, 1)])
                .values(values)
                .strided(true)
        };
        assert_matches(f, f, cases()).unwrap();
        assert_gradient_matches(f, f, cases().differences(8)).unwrap();
    });
}

#[test]
fn kinks_do_not_fail_differences() {
    on_worker(|| {
        let relu = |x: &Array| x.maximum(0.0);
        let cases = testing::shapes([(64,)]).values(Values::Integers(-2, 3));
        assert_gradient_matches(relu, relu, cases.differences(20)).unwrap();
    });
}

#[test]
fn several_inputs_and_outputs() {
    on_worker(|| {
        let both = |[a, b]: &[Array; 2]| Ok((a.multiply(b)?, a.sum(-1)?));
        let cases = || testing::shapes([(3, 4), (1, 1)]).inputs().dtypes(FLOATS);
        assert_matches(both, both, cases()).unwrap();
        assert_gradient_matches(both, both, cases().dtypes([F32])).unwrap();
        let e = elements(assert_matches(
            |[a, b]| Ok([a.multiply(b)?, a.sum(-1)?]),
            |[a, b]| Ok([a.multiply(b)?, b.sum(-1)?]),
            testing::shapes([(3, 4)]).inputs(),
        ));
        assert_eq!(e.of, Which::Output(1));

        // Rows picked by integers: no gradient for those.
        let pick = |[x, rows]: &[Array; 2]| x.take(rows, 0);
        let cases = || {
            testing::shapes([(6, 4)])
                .input_shapes(|s| [s.to_vec(), vec![9]])
                .input_dtype(1, U32)
                .input_values(1, Values::Integers(0, 6))
                .dtypes(FLOATS)
        };
        assert_matches(pick, pick, cases()).unwrap();
        // MLX adds up the rows picked twice in the dtype itself.
        assert_gradient_matches(pick, pick, cases().dtypes([F32])).unwrap();
        let e = elements(assert_gradient_matches(
            |[x, rows]| x.take(rows, 0)? * 2.0,
            pick,
            cases(),
        ));
        assert_eq!(e.of, Which::Gradient(0));

        // A constant has no gradient to be wrong.
        let one_sided = |[a, b]: &[Array; 2]| a.multiply(&b.stop_gradient()?);
        let product = |[a, b]: &[Array; 2]| a.multiply(b);
        let cases = || testing::shapes([(8,)]).inputs();
        assert_gradient_matches(one_sided, product, cases().constant(1)).unwrap();
        let e = elements(assert_gradient_matches(one_sided, product, cases()));
        assert_eq!(e.of, Which::Gradient(1));
    });
}

#[test]
fn integers_are_compared_exactly() {
    on_worker(|| {
        let all = [BOOL, U8, U16, U32, U64, I8, I16, I32, I64];
        let cases = || testing::shapes([(50,)]).dtypes(all).range(0.0, 100.0);
        assert_matches(|x| x.maximum(x), |x| Ok(x.clone()), cases()).unwrap();
        let wide = || testing::shapes([(50,)]).dtypes([I64]).range(1e17, 9e17);
        let e = elements(assert_matches(|x| x + 1, |x| Ok(x.clone()), wide()));
        assert_eq!(e.error, 1.0);
    });
}

#[test]
fn complex_numbers() {
    on_worker(|| {
        let cases = || testing::shapes([(20,)]).dtypes([C64]);
        assert_matches(|x| x.square(), |x| x.multiply(x), cases()).unwrap();
        elements(assert_matches(
            |x| x.conjugate(),
            |x| Ok(x.clone()),
            cases(),
        ));
    });
}

#[test]
fn a_seed_repeats_the_inputs() {
    on_worker(|| {
        let inputs = |seed: Option<u64>| {
            let seen = RefCell::new(Vec::new());
            let cases = testing::shapes([(3, 5), (1, 2)])
                .dtypes(FLOATS)
                .strided(true);
            let cases = match seed {
                Some(seed) => cases.seed(seed),
                None => cases,
            };
            let look = |x: &Array| {
                seen.borrow_mut().push(x.to_bytes()?);
                Ok(x.clone())
            };
            assert_matches(look, |x| Ok(x.clone()), cases).unwrap();
            seen.into_inner()
        };
        assert_eq!(inputs(Some(5)), inputs(Some(5)));
        assert_ne!(inputs(Some(5)), inputs(Some(6)));
        if std::env::var_os("ZMLX_TEST_SEED").is_none() {
            assert_ne!(inputs(None), inputs(None));
        }
    });
}

#[test]
fn strided_inputs_are_strided() {
    on_worker(|| {
        let seen = RefCell::new(Vec::new());
        let look = |x: &Array| {
            seen.borrow_mut().push(x.strides().to_vec());
            Ok(x.clone())
        };
        let cases = testing::shapes([(3, 5)]).strided(true).deterministic(false);
        assert_matches(look, |x| Ok(x.clone()), cases).unwrap();
        assert_eq!(seen.into_inner(), [[5, 1], [1, 3], [10, 2]]);

        // A function that takes the memory for row-major is found out.
        let flat = |x: &Array| x.transpose(..)?.reshape((3, 5));
        let cases = testing::shapes([(3, 5)]).strided(true);
        let found = mismatch(assert_matches(
            |x| {
                if x.strides()[1] == 1 {
                    Ok(x.clone())
                } else {
                    flat(x)
                }
            },
            |x| Ok(x.clone()),
            cases,
        ));
        assert_eq!(found.layout, Layout::Transposed);
    });
}

#[test]
fn values_are_what_they_say() {
    on_worker(|| {
        let x = Values::Uniform(2.0, 3.0).array((1000,), F32, 1).unwrap();
        let x = x.to_vec::<f32>().unwrap();
        assert!(x.iter().all(|v| (2.0..=3.0).contains(v)));
        let x = Values::Positive.array((1000,), F32, 1).unwrap();
        assert!(x.to_vec::<f32>().unwrap().iter().all(|&v| v > 0.0));
        let x = Values::Normal
            .array((10_000,), F32, 1)
            .unwrap()
            .to_vec::<f32>()
            .unwrap();
        let mean = x.iter().sum::<f32>() / 1e4;
        let var = x.iter().map(|v| v * v).sum::<f32>() / 1e4;
        // Five standard errors.
        assert!(
            mean.abs() < 0.05 && (var - 1.0).abs() < 0.08,
            "{mean} {var}"
        );
        assert!(Values::Integers(3, 3).array((1,), I32, 1).is_err());
        assert!(Values::Uniform(1.0, 0.0).array((1,), F32, 1).is_err());
    });
}
