//! Element-wise operations against f64 closed forms on fresh random inputs.

mod support;

use rstest::rstest;
use support::*;
use zmlx::ops::{Tolerance, where_};
use zmlx::prelude::*;

type Unary = fn(&Array) -> zmlx::Result<Array>;
type Binary = fn(&Array, &Array) -> zmlx::Result<Array>;

/// Abramowitz and Stegun give too few digits: the series and the continued fraction of erf.
fn erf(x: f64) -> f64 {
    let (mut sum, mut term) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    (sum * 2.0 / std::f64::consts::PI.sqrt()).clamp(-1.0, 1.0)
}

#[rstest]
#[case::abs(Array::abs, f64::abs, -9.0, 9.0, 0.0)]
#[case::positive(Array::positive, |x: f64| x, -9.0, 9.0, 0.0)]
#[case::negative(Array::negative, |x: f64| -x, -9.0, 9.0, 0.0)]
#[case::sign(Array::sign, f64::signum, -9.0, 9.0, 0.0)]
#[case::reciprocal(Array::reciprocal, |x: f64| 1.0 / x, 0.1, 9.0, 1e-6)]
#[case::floor(Array::floor, f64::floor, -9.0, 9.0, 0.0)]
#[case::ceil(Array::ceil, f64::ceil, -9.0, 9.0, 0.0)]
#[case::trunc(Array::trunc, f64::trunc, -9.0, 9.0, 0.0)]
#[case::square(Array::square, |x: f64| x * x, -9.0, 9.0, 1e-6)]
#[case::sqrt(Array::sqrt, f64::sqrt, 0.0, 9.0, 1e-6)]
#[case::rsqrt(Array::rsqrt, |x: f64| 1.0 / x.sqrt(), 0.1, 9.0, 1e-6)]
#[case::exp(Array::exp, f64::exp, -9.0, 9.0, 3e-6)]
#[case::expm1(Array::expm1, f64::exp_m1, -3.0, 3.0, 3e-6)]
#[case::log(Array::log, f64::ln, 0.1, 99.0, 3e-6)]
#[case::log2(Array::log2, f64::log2, 0.1, 99.0, 3e-6)]
#[case::log10(Array::log10, f64::log10, 0.1, 99.0, 3e-6)]
#[case::log1p(Array::log1p, f64::ln_1p, -0.9, 9.0, 3e-6)]
#[case::sin(Array::sin, f64::sin, -9.0, 9.0, 3e-6)]
#[case::cos(Array::cos, f64::cos, -9.0, 9.0, 3e-6)]
#[case::tan(Array::tan, f64::tan, -1.4, 1.4, 3e-6)]
#[case::arcsin(Array::arcsin, f64::asin, -1.0, 1.0, 3e-6)]
#[case::arccos(Array::arccos, f64::acos, -1.0, 1.0, 3e-6)]
#[case::arctan(Array::arctan, f64::atan, -9.0, 9.0, 3e-6)]
#[case::sinh(Array::sinh, f64::sinh, -4.0, 4.0, 3e-6)]
#[case::cosh(Array::cosh, f64::cosh, -4.0, 4.0, 3e-6)]
#[case::tanh(Array::tanh, f64::tanh, -4.0, 4.0, 3e-6)]
#[case::arcsinh(Array::arcsinh, f64::asinh, -9.0, 9.0, 3e-6)]
#[case::arccosh(Array::arccosh, f64::acosh, 1.01, 9.0, 1e-5)]
#[case::arctanh(Array::arctanh, f64::atanh, -0.9, 0.9, 3e-6)]
#[case::degrees(Array::degrees, f64::to_degrees, -9.0, 9.0, 1e-6)]
#[case::radians(Array::radians, f64::to_radians, -900.0, 900.0, 1e-6)]
#[case::sigmoid(Array::sigmoid, |x: f64| 1.0 / (1.0 + (-x).exp()), -9.0, 9.0, 3e-6)]
#[case::erf(Array::erf, erf, -3.0, 3.0, 3e-6)]
#[case::erfinv(|x: &Array| x.erfinv()?.erf(), |x: f64| x, -0.95, 0.95, 1e-5)]
#[case::round(|x: &Array| x.round(0), f64::round_ties_even, -9.0, 9.0, 0.0)]
#[case::round_places(|x: &Array| x.round(2), |x: f64| (x * 100.0).round_ties_even() / 100.0, -3.0, 3.0, 1.1e-2)]
fn unary(
    #[case] op: Unary,
    #[case] want: fn(f64) -> f64,
    #[case] low: f64,
    #[case] high: f64,
    #[case] tol: f64,
    #[values(F32, F16, BF16)] dtype: Dtype,
) {
    on_worker(move || {
        let x = Rng::new().array(&[7, 11], low, high).astype(dtype).unwrap();
        let y = op(&x).unwrap();
        assert_eq!((y.shape(), y.dtype()), (x.shape(), dtype));
        // Steps between neighbours of the type.
        let eps = match dtype {
            F16 => 2f64.powi(-10),
            BF16 => 2f64.powi(-7),
            _ => 0.0,
        };
        let tol = if tol == 0.0 { 0.0 } else { tol + 3.0 * eps };
        let want: Vec<f64> = f32s(&x).iter().map(|&v| want(f64::from(v))).collect();
        close(&f32s(&y), &want, tol);
    })
}

#[rstest]
#[case::add(|a: &Array, b: &Array| a.add(b), |a: f64, b: f64| a + b)]
#[case::subtract(|a: &Array, b: &Array| a.subtract(b), |a: f64, b: f64| a - b)]
#[case::multiply(|a: &Array, b: &Array| a.multiply(b), |a: f64, b: f64| a * b)]
#[case::divide(|a: &Array, b: &Array| a.divide(b), |a: f64, b: f64| a / b)]
#[case::power(|a: &Array, b: &Array| a.power(b), f64::powf)]
#[case::maximum(|a: &Array, b: &Array| a.maximum(b), f64::max)]
#[case::minimum(|a: &Array, b: &Array| a.minimum(b), f64::min)]
#[case::logaddexp(|a: &Array, b: &Array| a.logaddexp(b), |a: f64, b: f64| (a.exp() + b.exp()).ln())]
#[case::arctan2(|a: &Array, b: &Array| a.arctan2(b), f64::atan2)]
#[case::floor_divide(|a: &Array, b: &Array| a.floor_divide(b), |a: f64, b: f64| (a / b).floor())]
#[case::equal(|a: &Array, b: &Array| a.equal(b), |a: f64, b: f64| f64::from(a == b))]
#[case::not_equal(|a: &Array, b: &Array| a.not_equal(b), |a: f64, b: f64| f64::from(a != b))]
#[case::greater(|a: &Array, b: &Array| a.greater(b), |a: f64, b: f64| f64::from(a > b))]
#[case::greater_equal(|a: &Array, b: &Array| a.greater_equal(b), |a: f64, b: f64| f64::from(a >= b))]
#[case::less(|a: &Array, b: &Array| a.less(b), |a: f64, b: f64| f64::from(a < b))]
#[case::less_equal(|a: &Array, b: &Array| a.less_equal(b), |a: f64, b: f64| f64::from(a <= b))]
fn binary(#[case] op: Binary, #[case] want: fn(f64, f64) -> f64) {
    on_worker(move || {
        let mut rng = Rng::new();
        let (a, b) = (rng.array(&[5, 6], 0.2, 4.0), rng.array(&[6], 0.2, 4.0));
        let y = op(&a, &b).unwrap();
        let (x, z) = (f32s(&a), f32s(&b));
        let want: Vec<f64> = (0..30)
            .map(|i| want(f64::from(x[i]), f64::from(z[i % 6])))
            .collect();
        close(&f32s(&y), &want, 3e-6);
    })
}

/// Floored division, and 0 for a divisor of 0.
fn floored(a: i32, b: i32) -> (i32, i32) {
    if b == 0 {
        return (0, 0);
    }
    let q = (f64::from(a) / f64::from(b)).floor() as i32;
    (q, a - b * q)
}

#[rstest]
#[case::and(|a: &Array, b: &Array| a.bitwise_and(b), |a: i32, b: i32| a & b, -99)]
#[case::or(|a: &Array, b: &Array| a.bitwise_or(b), |a: i32, b: i32| a | b, -99)]
#[case::xor(|a: &Array, b: &Array| a.bitwise_xor(b), |a: i32, b: i32| a ^ b, -99)]
#[case::left(|a: &Array, b: &Array| a.left_shift(b), |a: i32, b: i32| a << b, 0)]
#[case::right(|a: &Array, b: &Array| a.right_shift(b), |a: i32, b: i32| a >> b, 0)]
#[case::quotient(|a: &Array, b: &Array| a.floor_divide(b), |a, b| floored(a, b).0, -4)]
#[case::remainder(|a: &Array, b: &Array| a.remainder(b), |a, b| floored(a, b).1, -4)]
#[case::divmod(|a: &Array, b: &Array| Ok(a.divmod(b)?.0), |a, b| floored(a, b).0, -4)]
#[case::modulo(|a: &Array, b: &Array| Ok(a.divmod(b)?.1), |a, b| floored(a, b).1, -4)]
fn integers(
    #[case] op: Binary,
    #[case] want: fn(i32, i32) -> i32,
    #[case] low: i64,
    #[values(false, true)] lazy: bool,
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let (a, b) = (rng.ints(200, -1000, 1000), rng.ints(200, low, 8));
        let (x, mut y) = (arr(&a), arr(&b));
        if lazy {
            y = y.add(0).unwrap();
        }
        let got = i32s(&op(&x, &y).unwrap());
        for i in 0..200 {
            assert_eq!(got[i], want(a[i], b[i]), "{} {}", a[i], b[i]);
        }
    })
}

#[rstest]
#[case(I8)]
#[case(I16)]
#[case(I32)]
#[case(I64)]
fn division_that_traps(#[case] dtype: Dtype, #[values(false, true)] lazy: bool) {
    on_worker(move || {
        let least: i64 = -(1 << (dtype.size() * 8 - 2)) * 2;
        let a = arr(&[least, least, 5, -7]).astype(dtype).unwrap();
        let mut b = arr(&[-1i64, 0, 0, -1]).astype(dtype).unwrap();
        if lazy {
            b = b.multiply(1).unwrap();
        } else {
            b.eval().unwrap();
        }
        let to64 = |a: &Array| a.astype(I64).unwrap().to_vec::<i64>().unwrap();
        let (q, r) = a.divmod(&b).unwrap();
        assert_eq!(to64(&q), [least, 0, 0, 7]);
        assert_eq!(to64(&r), [0; 4]);
        assert_eq!(to64(&a.floor_divide(&b).unwrap()), [least, 0, 0, 7]);
        assert_eq!(to64(&(&a % &b).unwrap()), [0; 4]);
        assert_eq!(i32s(&(arr(&[7u8]) % arr(&[0u8])).unwrap()), [0]);
    })
}

#[rstest]
#[case::isnan(Array::isnan, [true, false, false, false])]
#[case::isinf(Array::isinf, [false, true, true, false])]
#[case::isfinite(Array::isfinite, [false, false, false, true])]
#[case::isposinf(Array::isposinf, [false, true, false, false])]
#[case::isneginf(Array::isneginf, [false, false, true, false])]
#[case::logical_not(Array::logical_not, [false, false, false, true])]
fn predicates(#[case] op: Unary, #[case] want: [bool; 4]) {
    on_worker(move || {
        let x = arr(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0]);
        assert_eq!(op(&x).unwrap().to_vec::<bool>().unwrap(), want);
    })
}

#[rstest]
#[case::and(|a: &Array, b: &Array| a.logical_and(b), [false, false, false, true])]
#[case::or(|a: &Array, b: &Array| a.logical_or(b), [false, true, true, true])]
#[case::xor(|a: &Array, b: &Array| a.logical_xor(b), [false, true, true, false])]
fn logic(#[case] op: Binary, #[case] want: [bool; 4]) {
    on_worker(move || {
        let y = op(&arr(&[0, 0, 2, 3]), &arr(&[0, 1, 0, 4])).unwrap();
        assert_eq!(y.to_vec::<bool>().unwrap(), want);
    })
}

#[test]
fn choices() {
    on_worker(move || {
        let x = arr(&[-2.0f32, 0.5, f32::NAN, f32::INFINITY]);
        let finite = x.nan_to_num(9.0, Some(7.0), None).unwrap();
        assert_eq!(f32s(&finite), [-2.0, 0.5, 9.0, 7.0]);
        assert_eq!(f32s(&x.nan_to_num(0.0, None, None).unwrap())[3], f32::MAX);
        assert_eq!(f32s(&finite.clip(0.0..=8.0).unwrap()), [0.0, 0.5, 8.0, 7.0]);
        assert_eq!(f32s(&finite.clip(1.0..).unwrap()), [1.0, 1.0, 9.0, 7.0]);
        let high = arr(&[0.0f32, 1.0, 2.0, 3.0]);
        assert_eq!(f32s(&finite.clip(..=&high).unwrap()), [-2.0, 0.5, 2.0, 3.0]);
        let mask = finite.greater(1.0).unwrap();
        assert_eq!(
            f32s(&where_(&mask, &finite, 0.0).unwrap()),
            [0.0, 0.0, 9.0, 7.0]
        );
        assert_eq!(
            f32s(&where_(&mask, 1.0, &finite).unwrap()),
            [-2.0, 0.5, 1.0, 1.0]
        );
        assert_eq!(i32s(&where_(&mask, 1, 2).unwrap()), [2, 2, 1, 1]);
        let half = finite.astype(F16).unwrap();
        assert_eq!(where_(&mask, 0.0, &half).unwrap().dtype(), F16);
    })
}

#[test]
fn closeness() {
    on_worker(move || {
        let (a, b) = (arr(&[1.0f32, f32::NAN]), arr(&[1.001f32, f32::NAN]));
        let yes = |a: Array| a.to_vec::<bool>().unwrap();
        assert_eq!(yes(a.isclose(&b, (0.0, 0.01)).unwrap()), [true, false]);
        let loose = Tolerance {
            equal_nan: true,
            ..(0.01, 0.0).into()
        };
        assert_eq!(yes(a.allclose(&b, loose).unwrap()), [true]);
        assert_eq!(yes(a.allclose(&b, Tolerance::default()).unwrap()), [false]);
        assert_eq!(yes(a.array_equal(&a, false).unwrap()), [false]);
        assert_eq!(yes(a.array_equal(&a, true).unwrap()), [true]);
    })
}

#[test]
fn operators() {
    on_worker(move || {
        let (a, b) = (arr(&[6, 3]), arr(&[4, 5]));
        let c = || a.clone();
        for (got, want) in [
            (&a + &b, [10, 8]),
            (c() + &b, [10, 8]),
            (&a - b.clone(), [2, -2]),
            (c() * b.clone(), [24, 15]),
            (&a % &b, [2, 3]),
            (&a & &b, [4, 1]),
            (&a | &b, [6, 7]),
            (&a ^ &b, [2, 6]),
            (&a << 1, [12, 6]),
            (&a >> 1, [3, 1]),
            (10 - &a, [4, 7]),
            (10 - c(), [4, 7]),
            (-&a, [-6, -3]),
            (!&a, [-7, -4]),
            (&a * 2 + &b, [16, 11]),
            (&a - (&a * &b), [-18, -12]),
            (c() * 2 + b.clone(), [16, 11]),
        ] {
            assert_eq!(got.unwrap().to_vec::<i32>().unwrap(), want);
        }
        assert_eq!(f32s(&(&a / &b).unwrap()), [1.5, 0.6]);
        assert_eq!((&a * 0.5).unwrap().dtype(), F32);
        let mask = a.greater(4).unwrap();
        assert_eq!((!mask).unwrap().to_vec::<bool>().unwrap(), [false, true]);
    })
}

#[rstest]
#[case::shapes(|| arr(&[1.0f32, 2.0]).add(arr(&[1.0f32, 2.0, 3.0])), "shape")]
#[case::negative_bool(|| arr(&[true]).negative(), "argument")]
#[case::bits_of_floats(|| arr(&[1.0f32]).bitwise_and(arr(&[1])), "dtype")]
#[case::invert_floats(|| arr(&[1.0f32]).bitwise_invert(), "dtype")]
#[case::huge(|| Array::zeros((1 << 30, 1 << 30, 1 << 30), F32), "shape")]
#[case::huge_by_broadcast(|| arr(&[1.0f32]).broadcast_to((1 << 30, 1 << 30, 16)), "shape")]
fn errors(#[case] got: fn() -> zmlx::Result<Array>, #[case] kind: &str) {
    let e = on_worker(move || got().unwrap_err());
    let ok = match kind {
        "shape" => matches!(e, Error::Shape { .. }),
        "argument" => matches!(e, Error::Argument { .. }),
        _ => matches!(e, Error::Dtype { .. }),
    };
    assert!(
        ok && e.to_string().contains("tests/ops_elementwise.rs"),
        "{e:?}"
    );
}
