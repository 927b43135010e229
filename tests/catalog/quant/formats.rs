//! The definitions of quantized formats, in float64.

use zmlx::Result;
use zmlx::kernels::quant::{
    Fp8, dequantize_fp8, dequantize_int4, dequantize_int8, dequantize_nf4, dequantize_silu_int8,
};
use zmlx::prelude::*;

use crate::common::Rng;
use crate::tolerance::numbers;

pub const DTYPES: [Dtype; 3] = [F32, F16, BF16];

/// What the definition says of a code.
pub type Value = fn(u8) -> f64;

/// A function of bytes and one scale, and its definition: values of a code, the lower half first where there are two.
pub struct Function {
    pub name: &'static str,
    pub call: fn(&Array, &Array, Dtype) -> Result<Array>,
    pub values: &'static [Value],
    pub silu: bool,
}

pub const FUNCTIONS: [Function; 6] = [
    Function {
        name: "int8",
        call: |x, s, d| dequantize_int8(x, s).dtype(d).call(),
        values: &[f64::from],
        silu: false,
    },
    Function {
        name: "silu_int8",
        call: |x, s, d| dequantize_silu_int8(x, s).dtype(d).call(),
        values: &[f64::from],
        silu: true,
    },
    Function {
        name: "int4",
        call: |x, s, d| dequantize_int4(x, s).dtype(d).call(),
        values: &[|c| f64::from(c % 16), |c| f64::from(c / 16)],
        silu: false,
    },
    Function {
        name: "nf4",
        call: |x, s, d| dequantize_nf4(x, s).dtype(d).call(),
        values: &[|c| nf4(c % 16), |c| nf4(c / 16)],
        silu: false,
    },
    Function {
        name: "e4m3",
        call: |x, s, d| dequantize_fp8(x, s).dtype(d).call(),
        values: &[|c| small_float(c, 4)],
        silu: false,
    },
    Function {
        name: "e5m2",
        call: |x, s, d| dequantize_fp8(x, s).variant(Fp8::E5m2).dtype(d).call(),
        values: &[|c| small_float(c, 5)],
        silu: false,
    },
];

/// The levels of NF4: expected values of the normal distribution between equally likely borders, of which the eighth is 0. In
/// the digits that everybody uses.
pub fn nf4(code: u8) -> f64 {
    let negative = [
        1.0,
        0.696_192_800_998_687_7,
        0.525_073_051_452_636_7,
        0.394_917_488_098_144_53,
        0.284_441_381_692_886_35,
        0.184_773_430_228_233_34,
        0.091_050_036_251_544_95,
    ];
    let positive = [
        0.0,
        0.079_580_299_556_255_34,
        0.160_930_201_411_247_25,
        0.246_112_301_945_686_34,
        0.337_915_241_718_292_24,
        0.440_709_829_330_444_34,
        0.562_617_003_917_694_1,
        0.722_956_836_223_602_3,
        1.0,
    ];
    match code {
        0..7 => -negative[usize::from(code)],
        _ => positive[usize::from(code) - 7],
    }
}

/// A float of 8 bits, of which so many are the exponent.
pub fn small_float(code: u8, exponent: u32) -> f64 {
    let mantissa = 7 - exponent;
    let sign = if code < 128 { 1.0 } else { -1.0 };
    let (e, m) = ((code & 127) >> mantissa, code & ((1 << mantissa) - 1));
    let m = f64::from(m) / f64::from(1u8 << mantissa);
    let bias = (1 << (exponent - 1)) - 1;
    let last = (1 << exponent) - 1;
    match (e, exponent) {
        (0, _) => sign * m * 2f64.powi(1 - bias),
        (15, 4) if m == 0.875 => f64::NAN,
        (_, 5) if e == last && m == 0.0 => sign * f64::INFINITY,
        (_, 5) if e == last => f64::NAN,
        _ => sign * (1.0 + m) * 2f64.powi(i32::from(e) - bias),
    }
}

pub fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

pub fn silu_slope(x: f64) -> f64 {
    let s = 1.0 / (1.0 + (-x).exp());
    s * (1.0 + x * (1.0 - s))
}

/// One rounding of the dtype and a few of float32, whose `exp` is off by 3e-7 at most.
pub fn roundings(dtype: Dtype) -> f64 {
    match dtype {
        F32 => 2e-6,
        F16 => 6e-4,
        _ => 4e-3,
    }
}

/// The values of an array are these but for `tolerance` relative to each, and float16's smallest numbers.
#[track_caller]
pub fn same(got: &Array, want: &[f64], tolerance: f64, what: &str) {
    let got = numbers(got).unwrap();
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let smallest = if tolerance > 1e-4 { 6e-8 } else { 1e-37 };
        let good = (g - w).abs() <= tolerance * w.abs() + smallest;
        let good = good || g == w || (g.is_nan() && w.is_nan());
        assert!(good, "{what}: element {i}: got {g}, want {w}");
    }
}

pub fn bytes(rng: &mut Rng, n: usize) -> Vec<u8> {
    (0..n).map(|_| rng.below(256) as u8).collect()
}

impl Function {
    /// The codes' values in order.
    pub fn decoded(&self, codes: &[u8]) -> Vec<f64> {
        let values = |&c: &u8| self.values.iter().map(move |v| v(c));
        codes.iter().flat_map(values).collect()
    }

    pub fn exactly(&self, codes: &[u8], scale: f64) -> Vec<f64> {
        let products = self.decoded(codes).into_iter().map(|v| v * scale);
        products
            .map(|v| if self.silu { silu(v) } else { v })
            .collect()
    }

    /// `exp` of x is off by as many roundings as x is large, of which float32 has 87 at most before it is 0.
    pub fn tolerance(&self, dtype: Dtype) -> f64 {
        roundings(dtype) + if self.silu { 1e-5 } else { 0.0 }
    }

    /// The shape of the result.
    pub fn shape(&self, codes: &[i32]) -> Vec<i32> {
        let mut shape = codes.to_vec();
        match (shape.last_mut(), self.values.len()) {
            (_, 1) => {}
            (Some(last), _) => *last *= 2,
            (None, _) => shape.push(2),
        }
        shape
    }
}
