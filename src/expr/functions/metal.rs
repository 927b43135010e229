//! Metal's mathematical functions.

use std::f64::consts::{LN_2, LN_10, LOG2_E, LOG10_E, PI};

use super::{Function, float, generic, integer, steps};
use crate::expr::Expr;
use crate::expr::build::{binary, call, choose, constant};
use crate::expr::node::Binary;

fn zero() -> Expr {
    constant(0.0)
}

fn one() -> Expr {
    constant(1.0)
}

/// 1 where the condition holds, else 0.
fn indicator(condition: Expr) -> Expr {
    choose(condition, one(), zero())
}

fn both(a: Expr, b: Expr) -> Expr {
    binary(Binary::And, a, b)
}

fn f(name: &str, args: &[&Expr]) -> Expr {
    call(name, args.iter().map(|&a| a.clone()).collect())
}

/// (1-x)(1+x), which is more exact near 1 than 1-x*x.
fn one_minus_square(x: &Expr) -> Expr {
    (1.0 - x) * (1.0 + x)
}

fn pow(x: &[Expr], y: &Expr, i: usize) -> Expr {
    let (base, exponent) = (&x[0], &x[1]);
    if i == 1 {
        // 0 * log(0) is not a number, where the limit is 0.
        return choose(base.eq(0), zero(), y * base.log());
    }
    match exponent.as_constant() {
        Some(c) => c * base.pow(c - 1.0),
        // 0 * pow(0, -1) likewise.
        None => choose(
            both(base.eq(0), exponent.eq(0)),
            zero(),
            exponent * base.pow(exponent - 1.0),
        ),
    }
}

fn powr(x: &[Expr], y: &Expr, i: usize) -> Expr {
    let (base, exponent) = (&x[0], &x[1]);
    if i == 1 {
        return choose(base.eq(0), zero(), y * base.log());
    }
    let power = |e: Expr| call("powr", vec![base.clone(), e]);
    match exponent.as_constant() {
        Some(c) => c * power(constant(c - 1.0)),
        None => choose(
            both(base.eq(0), exponent.eq(0)),
            zero(),
            exponent * power(exponent - 1.0),
        ),
    }
}

/// Of equal arguments the first one is the maximum.
fn max(x: &[Expr], _: &Expr, i: usize) -> Expr {
    let first = x[0].ge(&x[1]);
    match i {
        0 => choose(first, one(), zero()),
        _ => choose(first, zero(), one()),
    }
}

fn min(x: &[Expr], _: &Expr, i: usize) -> Expr {
    let first = x[0].le(&x[1]);
    match i {
        0 => choose(first, one(), zero()),
        _ => choose(first, zero(), one()),
    }
}

fn max3(x: &[Expr], _: &Expr, i: usize) -> Expr {
    let first = both(x[0].ge(&x[1]), x[0].ge(&x[2]));
    match i {
        0 => indicator(first),
        1 => choose(first, zero(), indicator(x[1].ge(&x[2]))),
        _ => choose(first, zero(), choose(x[1].ge(&x[2]), zero(), one())),
    }
}

fn min3(x: &[Expr], _: &Expr, i: usize) -> Expr {
    let first = both(x[0].le(&x[1]), x[0].le(&x[2]));
    match i {
        0 => indicator(first),
        1 => choose(first, zero(), indicator(x[1].le(&x[2]))),
        _ => choose(first, zero(), choose(x[1].le(&x[2]), zero(), one())),
    }
}

/// As min(max(x, low), high): a limit itself counts as inside.
fn clamp(x: &[Expr], _: &Expr, i: usize) -> Expr {
    let (v, low, high) = (&x[0], &x[1], &x[2]);
    match i {
        0 => indicator(both(v.ge(low), v.le(high))),
        1 => indicator(v.lt(low)),
        _ => indicator(v.gt(high)),
    }
}

fn smoothstep(x: &[Expr], _: &Expr, i: usize) -> Expr {
    let width = &x[1] - &x[0];
    let t = call("saturate", vec![(&x[2] - &x[0]) / &width]);
    let slope = 6.0 * &t * (1.0 - &t) / width;
    match i {
        0 => (t - 1.0) * slope,
        1 => -t * slope,
        _ => slope,
    }
}

fn atan2(x: &[Expr], _: &Expr, i: usize) -> Expr {
    let square = x[0].square() + x[1].square();
    match i {
        0 => &x[1] / square,
        _ => -(&x[0] / square),
    }
}

fn mix(x: &[Expr], _: &Expr, i: usize) -> Expr {
    match i {
        0 => 1.0 - &x[2],
        1 => x[2].clone(),
        _ => &x[1] - &x[0],
    }
}

fn fma(x: &[Expr], _: &Expr, i: usize) -> Expr {
    match i {
        0 => x[1].clone(),
        1 => x[0].clone(),
        _ => one(),
    }
}

/// Metal's order: the second value if the condition holds.
fn select(x: &[Expr], _: &Expr, i: usize) -> Expr {
    match i {
        0 => choose(x[2].clone(), zero(), one()),
        1 => choose(x[2].clone(), one(), zero()),
        _ => zero(),
    }
}

fn fmod(x: &[Expr], _: &Expr, i: usize) -> Expr {
    match i {
        0 => one(),
        _ => -(&x[0] / &x[1]).trunc(),
    }
}

fn copysign(x: &[Expr], y: &Expr, i: usize) -> Expr {
    match i {
        0 => x[0].sign() * y.sign(),
        _ => zero(),
    }
}

fn fdim(x: &[Expr], _: &Expr, i: usize) -> Expr {
    let inside = x[0].gt(&x[1]);
    match i {
        0 => indicator(inside),
        _ => choose(inside, constant(-1.0), zero()),
    }
}

/// Larger of two; a number rather than NaN, the first of equal ones.
fn larger(a: f64, b: f64) -> f64 {
    if a >= b || b.is_nan() { a } else { b }
}

fn smaller(a: f64, b: f64) -> f64 {
    if a <= b || b.is_nan() { a } else { b }
}

fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x * 0.0 // keeps the zero's sign
    }
}

fn smooth(x: &[f64]) -> f64 {
    let t = ((x[2] - x[0]) / (x[1] - x[0])).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

pub(super) static TABLE: &[Function] = &[
    // Exponentials, logarithms and powers.
    float("exp", 1, |x| x[0].exp(), |_, y, _| y.clone()),
    float("exp2", 1, |x| x[0].exp2(), |_, y, _| LN_2 * y),
    float("exp10", 1, |x| 10f64.powf(x[0]), |_, y, _| LN_10 * y),
    float("log", 1, |x| x[0].ln(), |x, _, _| 1.0 / &x[0]),
    float("log2", 1, |x| x[0].log2(), |x, _, _| LOG2_E / &x[0]),
    float("log10", 1, |x| x[0].log10(), |x, _, _| LOG10_E / &x[0]),
    float("sqrt", 1, |x| x[0].sqrt(), |x, _, _| 0.5 * x[0].rsqrt()),
    float(
        "rsqrt",
        1,
        |x| 1.0 / x[0].sqrt(),
        |_, y, _| -0.5 * (y * y * y),
    ),
    float("pow", 2, |x| x[0].powf(x[1]), pow),
    float("powr", 2, |x| x[0].powf(x[1]), powr),
    // Angles.
    float("sin", 1, |x| x[0].sin(), |x, _, _| x[0].cos()),
    float("cos", 1, |x| x[0].cos(), |x, _, _| -x[0].sin()),
    float("tan", 1, |x| x[0].tan(), |_, y, _| 1.0 + y * y),
    float(
        "asin",
        1,
        |x| x[0].asin(),
        |x, _, _| one_minus_square(&x[0]).rsqrt(),
    ),
    float(
        "acos",
        1,
        |x| x[0].acos(),
        |x, _, _| -one_minus_square(&x[0]).rsqrt(),
    ),
    float(
        "atan",
        1,
        |x| x[0].atan(),
        |x, _, _| 1.0 / (1.0 + x[0].square()),
    ),
    float("atan2", 2, |x| x[0].atan2(x[1]), atan2),
    float(
        "sinpi",
        1,
        |x| (x[0] * PI).sin(),
        |x, _, _| PI * f("cospi", &[&x[0]]),
    ),
    float(
        "cospi",
        1,
        |x| (x[0] * PI).cos(),
        |x, _, _| -PI * f("sinpi", &[&x[0]]),
    ),
    float(
        "tanpi",
        1,
        |x| (x[0] * PI).tan(),
        |_, y, _| PI * (1.0 + y * y),
    ),
    // Hyperbolic functions.
    float("sinh", 1, |x| x[0].sinh(), |x, _, _| x[0].cosh()),
    float("cosh", 1, |x| x[0].cosh(), |x, _, _| x[0].sinh()),
    float("tanh", 1, |x| x[0].tanh(), |_, y, _| 1.0 - y * y),
    float(
        "asinh",
        1,
        |x| x[0].asinh(),
        |x, _, _| (x[0].square() + 1.0).rsqrt(),
    ),
    float(
        "acosh",
        1,
        |x| x[0].acosh(),
        |x, _, _| ((&x[0] - 1.0) * (&x[0] + 1.0)).rsqrt(),
    ),
    float(
        "atanh",
        1,
        |x| x[0].atanh(),
        |x, _, _| 1.0 / one_minus_square(&x[0]),
    ),
    // Signs, minima and maxima.
    generic("abs", 1, |x| x[0].abs(), |x, _, _| x[0].sign()),
    float("fabs", 1, |x| x[0].abs(), |x, _, _| x[0].sign()),
    steps("sign", 1, |x| sign(x[0])),
    float("copysign", 2, |x| x[0].copysign(x[1]), copysign),
    generic("min", 2, |x| smaller(x[0], x[1]), min),
    generic("max", 2, |x| larger(x[0], x[1]), max),
    float("fmin", 2, |x| smaller(x[0], x[1]), min),
    float("fmax", 2, |x| larger(x[0], x[1]), max),
    generic("min3", 3, |x| smaller(smaller(x[0], x[1]), x[2]), min3),
    generic("max3", 3, |x| larger(larger(x[0], x[1]), x[2]), max3),
    float("fmin3", 3, |x| smaller(smaller(x[0], x[1]), x[2]), min3),
    float("fmax3", 3, |x| larger(larger(x[0], x[1]), x[2]), max3),
    generic("clamp", 3, |x| smaller(larger(x[0], x[1]), x[2]), clamp),
    float(
        "saturate",
        1,
        |x| smaller(larger(x[0], 0.0), 1.0),
        |x, _, _| indicator(both(x[0].ge(0), x[0].le(1))),
    ),
    float(
        "fdim",
        2,
        |x| if x[0] > x[1] { x[0] - x[1] } else { 0.0 },
        fdim,
    ),
    // Rounding.
    steps("floor", 1, |x| x[0].floor()),
    steps("ceil", 1, |x| x[0].ceil()),
    steps("round", 1, |x| x[0].round()),
    steps("rint", 1, |x| x[0].round_ties_even()),
    steps("trunc", 1, |x| x[0].trunc()),
    float("fract", 1, |x| x[0] - x[0].floor(), |_, _, _| one()),
    float("fmod", 2, |x| x[0] % x[1], fmod),
    // Blends.
    float("mix", 3, |x| x[0] + (x[1] - x[0]) * x[2], mix),
    float("fma", 3, |x| x[0].mul_add(x[1], x[2]), fma),
    steps("step", 2, |x| f64::from(u8::from(x[1] >= x[0]))),
    float("smoothstep", 3, smooth, smoothstep),
    generic(
        "select",
        3,
        |x| if x[2] != 0.0 { x[1] } else { x[0] },
        select,
    ),
    // Questions.
    integer("isnan", 1, |x| f64::from(u8::from(x[0].is_nan()))),
    integer("isinf", 1, |x| f64::from(u8::from(x[0].is_infinite()))),
    integer("isfinite", 1, |x| f64::from(u8::from(x[0].is_finite()))),
    integer("signbit", 1, |x| {
        f64::from(u8::from(x[0].is_sign_negative()))
    }),
];
