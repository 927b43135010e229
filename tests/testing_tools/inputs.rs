//! What functions are compared on.

use std::cell::RefCell;

use zmlx::prelude::*;
use zmlx::testing::{self, Layout, Values, assert_matches};

use crate::common::on_worker;
use crate::{FLOATS, elements, mismatch};

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

/// Cases that test nothing are mistakes.
#[test]
fn there_has_to_be_something_to_test() {
    on_worker(|| {
        let told = |cases: testing::Cases, word: &str| {
            let same = |x: &Array| Ok(x.clone());
            let text = assert_matches(same, same, cases).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
            assert_eq!(
                text.matches("tests/testing_tools/inputs.rs").count(),
                1,
                "{text}"
            );
        };
        told(testing::shapes(Vec::<(i32,)>::new()), "`shapes`");
        told(testing::shapes([(3,)]).dtypes([]), "`dtypes`");
        told(testing::shapes([(3,)]).constant(7), "below 1, got 7");
        told(testing::shapes([(3,)]).constant(1 << 45), "below 1");
        told(
            testing::shapes([(3,)]).input_dtype(usize::MAX, I32),
            "below 1",
        );
        told(testing::shapes([(3,)]).range(5.0, -5.0), "-5");
        told(testing::shapes([(-3,)]), "-3");
        let integers = testing::shapes([(3,)]).dtypes([I32]);
        let same = |x: &Array| Ok(x.clone());
        let text = testing::assert_gradient_matches(same, same, integers)
            .unwrap_err()
            .to_string();
        assert!(text.contains("tests/testing_tools/inputs.rs"), "{text}");
    });
}
