//! The functions of `kernels/functions.metal` and the random numbers of `kernels/terms.metal`.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::{Function, float, integer, steps};
use crate::expr::Expr;
use crate::expr::build::{call, choose, constant};
use crate::expr::special::erf;

/// sqrt(2/pi) and the cubic coefficient of GELU's approximation.
const K0: f64 = 0.797_884_560_802_865_4;
const K1: f64 = 0.044_715;
/// 1/sqrt(2 pi).
const DENSITY: f64 = 0.398_942_280_401_432_7;

fn sigmoid(x: f64) -> f64 {
    if x < 0.0 {
        x.exp() / (1.0 + x.exp())
    } else {
        1.0 / (1.0 + (-x).exp())
    }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The number that stands for no place of a row.
const NO_PLACE: f64 = 4_294_967_295.0;

/// A mixing of 32 bits; see `kernels/terms.metal`.
fn mix(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// 32 random bits of two words of a seed and a position.
fn random_bits(x: &[f64]) -> f64 {
    let (a, b, at) = (x[0] as i64 as u32, x[1] as i64 as u32, x[2] as i64 as u64);
    let high = (at >> 32) as u32;
    let (a, b) = match high {
        0 => (a, b),
        _ => (
            mix(mix(high.wrapping_add(b)) ^ a),
            mix(mix(high ^ a).wrapping_add(b)),
        ),
    };
    f64::from(mix(mix((at as u32).wrapping_add(a)) ^ b))
}

/// The number, but not beyond the bounds from which on the derivative does not change: an infinity times 0 would be no number. The lower one is
/// that of the function itself, so that a compiler finds what both have in common; NaN stays NaN.
fn within(low: f64, high: f64, x: &Expr) -> Expr {
    let x = choose(x.lt(low), constant(low), x.clone());
    choose(x.gt(high), constant(high), x)
}

fn silu(x: &[Expr], _: &Expr, _: usize) -> Expr {
    let x = within(-200.0, 200.0, &x[0]);
    let s = x.sigmoid();
    &s + x * (&s * (1.0 - &s))
}

fn gelu_tanh(x: &[Expr], _: &Expr, _: usize) -> Expr {
    let x = &within(-20.0, 40.0, &x[0]);
    let square = x.square();
    // By the logistic function, 1 + tanh(u) = 2 s(2u): no difference near 1 where x is negative, and no tanh.
    let u = 2.0 * K0 * (x + K1 * (x * &square));
    // And 1 - s is s(-2u): where s is nearly 1 the difference has no digits left, while x times the square of `inner`, the factor
    // beside it in the second derivative, is some hundreds.
    let (s, rest) = (u.sigmoid(), (-&u).sigmoid());
    let inner = 2.0 * K0 * (1.0 + 3.0 * K1 * square);
    &s + x * (&s * rest) * inner
}

fn gelu(x: &[Expr], _: &Expr, _: usize) -> Expr {
    let x = &within(-20.0, 40.0, &x[0]);
    0.5 * (1.0 + (FRAC_1_SQRT_2 * x).erf()) + DENSITY * x * (-0.5 * x.square()).exp()
}

fn mish(x: &[Expr], _: &Expr, _: usize) -> Expr {
    let x = &within(-200.0, 200.0, &x[0]);
    let t = x.softplus().tanh();
    &t + x * x.sigmoid() * (1.0 - &t * &t)
}

fn elu(x: &[Expr], _: &Expr, i: usize) -> Expr {
    let (x, alpha) = (&x[0], &x[1]);
    match i {
        0 => choose(x.gt(0), constant(1.0), alpha * x.exp()),
        _ => choose(x.gt(0), constant(0.0), x.expm1()),
    }
}

pub(super) static TABLE: &[Function] = &[
    float("kk_sigmoid", 1, |x| sigmoid(x[0]), |_, y, _| y * (1.0 - y)),
    float("kk_silu", 1, |x| x[0] * sigmoid(x[0]), silu),
    float(
        "kk_gelu_tanh",
        1,
        |x| {
            let x = x[0];
            0.5 * x * (1.0 + (K0 * (x + K1 * x * x * x)).tanh())
        },
        gelu_tanh,
    ),
    float(
        "kk_gelu",
        1,
        |x| 0.5 * x[0] * (1.0 + erf(x[0] * FRAC_1_SQRT_2)),
        gelu,
    ),
    float(
        "kk_softplus",
        1,
        |x| softplus(x[0]),
        |x, _, _| x[0].sigmoid(),
    ),
    float("kk_mish", 1, |x| x[0] * softplus(x[0]).tanh(), mish),
    float(
        "kk_relu",
        1,
        |x| if x[0] > 0.0 { x[0] } else { 0.0 },
        |x, _, _| choose(x[0].gt(0), constant(1.0), constant(0.0)),
    ),
    float(
        "kk_elu",
        2,
        |x| {
            if x[0] > 0.0 {
                x[0]
            } else {
                x[1] * x[0].exp_m1()
            }
        },
        elu,
    ),
    float(
        "kk_log1p",
        1,
        |x| x[0].ln_1p(),
        |x, _, _| 1.0 / (1.0 + &x[0]),
    ),
    float("kk_expm1", 1, |x| x[0].exp_m1(), |x, _, _| x[0].exp()),
    float(
        "kk_erf",
        1,
        |x| erf(x[0]),
        |x, _, _| FRAC_2_SQRT_PI * (-x[0].square()).exp(),
    ),
    float(
        "kk_when",
        2,
        |x| if x[0] == 0.0 { 0.0 } else { x[1] },
        |x, _, i| match i {
            0 => constant(0.0),
            _ => call("kk_when", vec![x[0].clone(), constant(1.0)]),
        },
    ),
    // The number itself, whose derivative is taken as 0.
    steps("kk_stop", 1, |x| x[0]),
    integer("kk_place", 1, |x| match x[0] {
        at if (0.0..NO_PLACE).contains(&at) => at.floor(),
        _ => NO_PLACE,
    }),
    integer("kk_random_bits", 3, random_bits),
    steps("kk_random", 3, |x| {
        (random_bits(x) / 256.0).floor() / 16_777_216.0
    }),
];
