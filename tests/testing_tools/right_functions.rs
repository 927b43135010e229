//! Right functions pass.

use rstest::rstest;
use zmlx::prelude::*;
use zmlx::testing::{self, Values, Which, assert_gradient_matches, assert_matches};
use zmlx::{Result, custom_function};

use crate::common::on_worker;
use crate::{FLOATS, elements, kernel, run, silu};

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
        // The largest, not the sum: a GPU adds up bfloat in bfloat, and what is left of a sum near 0 is rounding.
        let both = |[a, b]: &[Array; 2]| Ok((a.multiply(b)?, a.max(-1)?));
        let cases = || testing::shapes([(3, 4), (1, 1)]).inputs().dtypes(FLOATS);
        assert_matches(both, both, cases()).unwrap();
        assert_gradient_matches(both, both, cases().dtypes([F32])).unwrap();
        let e = elements(assert_matches(
            |[a, b]| Ok([a.multiply(b)?, a.max(-1)?]),
            |[a, b]| Ok([a.multiply(b)?, b.max(-1)?]),
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
        // MLX adds up the rows picked twice in the dtype itself, and on a GPU in any order.
        let cases = || cases().deterministic(false);
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
