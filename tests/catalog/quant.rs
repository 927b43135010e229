//! Floats from quantized codes, against the definitions of their formats in float64.

use zmlx::kernels::catalog;
use zmlx::kernels::quant::{
    Fp8, dequantize_blockwise, dequantize_fp8, dequantize_int4, dequantize_int8, dequantize_nf4,
    dequantize_silu_int8, fused_swiglu_quant,
};
use zmlx::prelude::*;
use zmlx::{Result, grad, jvp, vjp, vmap, with_device};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

const DTYPES: [Dtype; 3] = [F32, F16, BF16];

/// What the definition says of a code.
type Value = fn(u8) -> f64;

/// A function of bytes and one scale, and its definition: values of a code, the lower half first where there are two.
struct Function {
    name: &'static str,
    call: fn(&Array, &Array, Dtype) -> Result<Array>,
    values: &'static [Value],
    silu: bool,
}

const FUNCTIONS: [Function; 6] = [
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
fn nf4(code: u8) -> f64 {
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
fn small_float(code: u8, exponent: u32) -> f64 {
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

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn silu_slope(x: f64) -> f64 {
    let s = 1.0 / (1.0 + (-x).exp());
    s * (1.0 + x * (1.0 - s))
}

/// One rounding of the dtype and a few of float32, whose `exp` is off by 3e-7 at most.
fn roundings(dtype: Dtype) -> f64 {
    match dtype {
        F32 => 2e-6,
        F16 => 6e-4,
        _ => 4e-3,
    }
}

/// The values of an array are these but for `tolerance` relative to each, and float16's smallest numbers.
#[track_caller]
fn same(got: &Array, want: &[f64], tolerance: f64, what: &str) {
    let got = numbers(got).unwrap();
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let smallest = if tolerance > 1e-4 { 6e-8 } else { 1e-37 };
        let good = (g - w).abs() <= tolerance * w.abs() + smallest;
        let good = good || g == w || (g.is_nan() && w.is_nan());
        assert!(good, "{what}: element {i}: got {g}, want {w}");
    }
}

fn bytes(rng: &mut Rng, n: usize) -> Vec<u8> {
    (0..n).map(|_| rng.below(256) as u8).collect()
}

impl Function {
    /// The codes' values in order.
    fn decoded(&self, codes: &[u8]) -> Vec<f64> {
        let values = |&c: &u8| self.values.iter().map(move |v| v(c));
        codes.iter().flat_map(values).collect()
    }

    fn exactly(&self, codes: &[u8], scale: f64) -> Vec<f64> {
        let products = self.decoded(codes).into_iter().map(|v| v * scale);
        products
            .map(|v| if self.silu { silu(v) } else { v })
            .collect()
    }

    /// `exp` of x is off by as many roundings as x is large, of which float32 has 87 at most before it is 0.
    fn tolerance(&self, dtype: Dtype) -> f64 {
        roundings(dtype) + if self.silu { 1e-5 } else { 0.0 }
    }

    /// The shape of the result.
    fn shape(&self, codes: &[i32]) -> Vec<i32> {
        let mut shape = codes.to_vec();
        match (shape.last_mut(), self.values.len()) {
            (_, 1) => {}
            (Some(last), _) => *last *= 2,
            (None, _) => shape.push(2),
        }
        shape
    }
}

#[test]
fn every_code_in_every_dtype() {
    on_worker(|| -> Result<()> {
        let codes: Vec<u8> = (0..=255).collect();
        let x = Array::from_slice(&codes, 256)?;
        for f in &FUNCTIONS {
            for dtype in DTYPES {
                for kind in DTYPES {
                    let scale = 0.375f32;
                    for shape in [&[] as &[i32], &[1], &[1, 1]] {
                        let scale = Array::full(shape, scale, kind)?;
                        let y = (f.call)(&x, &scale, dtype)?;
                        assert_eq!(y.dtype(), dtype);
                        let mut want = f.exactly(&codes, 0.375);
                        if dtype == F16 {
                            // What float16 does not hold.
                            let cut = |v: f64| {
                                if v.abs() > 65519.0 {
                                    v * f64::INFINITY
                                } else {
                                    v
                                }
                            };
                            want.iter_mut().for_each(|v| *v = cut(*v));
                        }
                        same(
                            &y,
                            &want,
                            f.tolerance(dtype),
                            &format!("{}, {dtype}", f.name),
                        );
                    }
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn shapes_of_codes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let shapes: [&[i32]; 8] = [
            &[],
            &[0],
            &[3, 0],
            &[1],
            &[7],
            &[2, 3, 5],
            &[4100],
            &[33, 129],
        ];
        for f in &FUNCTIONS {
            for shape in shapes {
                let n: i32 = shape.iter().product();
                let codes = bytes(&mut rng, n as usize);
                let x = Array::from_slice(&codes, shape)?;
                let scale = Array::from(-1.5f32);
                let y = (f.call)(&x, &scale, F32)?;
                assert_eq!(y.shape(), f.shape(shape), "{}", f.name);
                same(&y, &f.exactly(&codes, -1.5), f.tolerance(F32), f.name);
                if shape.len() == 2 {
                    // Every second row, and columns as rows.
                    let transposed = x.transpose((1, 0))?.contiguous()?.transpose((1, 0))?;
                    same(
                        &(f.call)(&transposed, &scale, F32)?,
                        &f.exactly(&codes, -1.5),
                        f.tolerance(F32),
                        f.name,
                    );
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Any integers are codes of 8 bits or more.
#[test]
fn integers_of_other_sizes() {
    on_worker(|| -> Result<()> {
        let codes = [-128i64, -3, 0, 5, 127];
        for dtype in [Dtype::Int8, Dtype::Int16, Dtype::Int32, Dtype::Int64] {
            let x = Array::from_slice(&codes, 5)?.astype(dtype)?;
            let want: Vec<f64> = codes.iter().map(|&c| c as f64 * 0.25).collect();
            let scale = Array::from(0.25f32);
            same(&dequantize_int8(&x, &scale).call()?, &want, 2e-6, "int8");
            let want: Vec<f64> = want.into_iter().map(silu).collect();
            same(
                &dequantize_silu_int8(&x, &scale).call()?,
                &want,
                2e-6,
                "silu",
            );
        }
        let x = Array::from_slice(&[4_000_000_000u32, 65_536], 2)?;
        let y = dequantize_int8(&x, &Array::from(0.5f32)).call()?;
        same(&y, &[2e9, 32_768.0], 2e-6, "uint32");
        Ok(())
    })
    .unwrap();
}

/// Values of blocks: every result has the scale of its number, in blocks of any size, with a shorter last one.
#[test]
fn blocks_of_any_size() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (shape, size) in [
            (&[4i32, 64] as &[i32], 128),
            (&[300], 128),
            (&[5, 7], 3),
            (&[5, 7], 1),
            (&[2, 3], 100),
            (&[0], 128),
            (&[16, 512], 64),
            (&[16, 513], 6),
            (&[3001], 10),
        ] {
            let n: usize = shape.iter().map(|&d| d as usize).product();
            let codes = bytes(&mut rng, n);
            let x = Array::from_slice(&codes, shape)?;
            for (bits, dtype) in [(8u8, F32), (8, BF16), (4, F32), (4, F16)] {
                let function = &FUNCTIONS[if bits == 8 { 0 } else { 2 }];
                let mut want = function.decoded(&codes);
                let count = want.len().div_ceil(size as usize);
                let scales = rng.normals(count);
                for (i, v) in want.iter_mut().enumerate() {
                    *v *= f64::from(scales[i / size as usize]);
                }
                let scales = Array::from_slice(&scales, count)?;
                let call = dequantize_blockwise(&x, &scales)
                    .block_size(size)
                    .bits(bits);
                let y = call.dtype(dtype).call()?;
                assert_eq!(y.shape(), function.shape(shape));
                same(
                    &y,
                    &want,
                    roundings(dtype),
                    &format!("{shape:?}, {size}, {bits} bits"),
                );
            }
            if n > 0 {
                let signed: Vec<i8> = codes.iter().map(|&c| c as i8).collect();
                let x = Array::from_slice(&signed, shape)?;
                let count = n.div_ceil(size as usize);
                let scales = Array::full(count as i32, 0.5f32, F16)?;
                let y = dequantize_blockwise(&x, &scales).block_size(size).call()?;
                let want: Vec<f64> = signed.iter().map(|&c| f64::from(c) / 2.0).collect();
                same(&y, &want, 2e-6, "signed");
            }
        }
        Ok(())
    })
    .unwrap();
}

/// `silu(a) b`, where the original multiplies by a once more: 10.57 instead of 5.28 for 2 and 3.
#[test]
fn swiglu_of_codes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let one = Array::from_slice(&[1.0f32], 1)?;
        let (two, three) = (Array::from_slice(&[2i8], 1)?, Array::from_slice(&[3i8], 1)?);
        let y = fused_swiglu_quant(&two, &one, &three, &one).call()?;
        same(&y, &[5.284_782_475_867_288], 1e-6, "2 and 3");

        for (shape, size) in [(&[2i32, 128] as &[i32], 128), (&[7, 11], 5), (&[0], 4)] {
            let n = shape.iter().product::<i32>() as usize;
            let codes: [Vec<i8>; 2] =
                std::array::from_fn(|_| bytes(&mut rng, n).iter().map(|&c| c as i8).collect());
            let count = n.div_ceil(size);
            let scales = [0, 1].map(|_| rng.normals(count).iter().map(|s| s / 64.0).collect());
            let [x1, x2] = [0, 1].map(|i: usize| Array::from_slice(&codes[i], shape).unwrap());
            let s: [Vec<f32>; 2] = scales;
            let [s1, s2] = [0, 1].map(|i: usize| Array::from_slice(&s[i], count).unwrap());
            let call = fused_swiglu_quant(&x1, &s1, &x2, &s2).block_size(size as i32);
            let of =
                |which: usize, i: usize| f64::from(codes[which][i]) * f64::from(s[which][i / size]);
            let want: Vec<f64> = (0..n).map(|i| silu(of(0, i)) * of(1, i)).collect();
            for dtype in DTYPES {
                let y = call.dtype(dtype).call()?;
                assert_eq!((y.shape(), y.dtype()), (shape, dtype));
                same(&y, &want, roundings(dtype), "swiglu");
            }

            // Gradients of both scales.
            let g = rng.normals(n);
            let cotangent = Array::from_slice(&g, shape)?;
            let f = |p: &[Array]| {
                let call = fused_swiglu_quant(&x1, &p[0], &x2, &p[1]);
                Ok(vec![call.block_size(size as i32).call()?])
            };
            let gradients = vjp(f, [&s1, &s2], [cotangent])?.1;
            let (mut want, mut most) = ([vec![0.0; count], vec![0.0; count]], 1.0f64);
            for i in 0..n {
                let (a, b, g) = (of(0, i), of(1, i), f64::from(g[i]));
                let terms = [
                    g * silu_slope(a) * f64::from(codes[0][i]) * b,
                    g * silu(a) * f64::from(codes[1][i]),
                ];
                for (sums, term) in want.iter_mut().zip(terms) {
                    sums[i / size] += term;
                    most = most.max(term.abs());
                }
            }
            for (gradient, want) in gradients.iter().zip(&want) {
                for (g, w) in numbers(gradient)?.iter().zip(want) {
                    // Sums of up to 128 terms, in float32.
                    assert!((g - w).abs() < 2e-5 * most, "got {g}, want {w}");
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

/// The gradient of a scale is the sum of the codes' values times the cotangents; with silu its second derivative, too.
#[test]
fn derivatives_of_scales() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for f in &FUNCTIONS {
            for dtype in DTYPES {
                // No codes of NaN, infinity and numbers whose sums float16 does not hold.
                let codes: Vec<u8> = bytes(&mut rng, 700).iter().map(|c| c % 96).collect();
                let x = Array::from_slice(&codes, (7, 100))?;
                let scale = Array::full(1, 0.03125, dtype)?;
                let call = |s: &Array| (f.call)(&x, s, F32);
                let values = f.decoded(&codes);
                let g = rng.normals(values.len());
                let cotangent = Array::from_slice(&g, f.shape(&[7, 100]))?;
                let slope = |v: f64| if f.silu { silu_slope(v / 32.0) * v } else { v };
                let slopes: Vec<f64> = values.iter().map(|&v| slope(v)).collect();
                let most = slopes.iter().fold(1e-6f64, |m, v| m.max(v.abs()));
                let want: f64 = slopes.iter().zip(&g).map(|(v, g)| v * f64::from(*g)).sum();
                let loss = |s: &Array| (call(s)? * &cotangent)?.sum(..);
                let got = grad(loss)(&scale)?;
                assert_eq!((got.dtype(), got.shape()), (dtype, &[1i32] as &[i32]));
                let got = numbers(&got)?[0];
                // Some 700 terms, of which the errors add up like chance, and the dtype's rounding.
                let limit = 1e-5 * 27.0 * most + roundings(dtype) * want.abs();
                assert!((got - want).abs() < limit, "{}: {got}, {want}", f.name);

                let tangent = Array::ones(1, dtype)?;
                let forward = |p: &[Array]| Ok(vec![call(&p[0])?]);
                let got = jvp(forward, [&scale], [&tangent])?.1;
                for (g, w) in numbers(&got[0])?.iter().zip(&slopes) {
                    assert!((g - w).abs() < 1e-5 * most, "{}: {g}, {w}", f.name);
                }

                let second = grad(|s| grad(loss)(s)?.sum(..))(&scale)?;
                let second = numbers(&second)?[0];
                let h = 1e-4;
                let bend = |v: f64| {
                    (silu_slope((1.0 / 32.0 + h) * v) - silu_slope((1.0 / 32.0 - h) * v))
                        / (2.0 * h)
                        * v
                };
                let want: f64 = match f.silu {
                    false => 0.0,
                    true => values
                        .iter()
                        .zip(&g)
                        .map(|(&v, g)| bend(v) * f64::from(*g))
                        .sum(),
                };
                let limit = 1e-4 * most * most * 27.0 + roundings(dtype) * want.abs();
                assert!(
                    (second - want).abs() < limit,
                    "{}: {second}, {want}",
                    f.name
                );
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn derivatives_of_blocks() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (bits, n, size) in [
            (8u8, 301usize, 16usize),
            (4, 301, 16),
            (4, 50, 7),
            (8, 256, 128),
        ] {
            let codes = bytes(&mut rng, n);
            let function = &FUNCTIONS[if bits == 8 { 0 } else { 2 }];
            let values = function.decoded(&codes);
            let count = values.len().div_ceil(size);
            let x = Array::from_slice(&codes, n)?;
            let scales = Array::from_slice(&rng.normals(count), count)?;
            let f = |p: &[Array]| {
                let call = dequantize_blockwise(&x, &p[0])
                    .bits(bits)
                    .block_size(size as i32);
                Ok(vec![call.call()?])
            };
            let g = rng.normals(values.len());
            let cotangent = Array::from_slice(&g, values.len())?;
            let got = numbers(&vjp(f, [&scales], [&cotangent])?.1[0])?;
            for (b, got) in got.iter().enumerate() {
                let of_block = b * size..((b + 1) * size).min(values.len());
                let want: f64 = of_block.map(|i| values[i] * f64::from(g[i])).sum();
                assert!((got - want).abs() < 1e-2, "block {b}: {got}, {want}");
            }
            let tangents = rng.normals(count);
            let tangent = Array::from_slice(&tangents, count)?;
            let want: Vec<f64> = values
                .iter()
                .enumerate()
                .map(|(i, v)| v * f64::from(tangents[i / size]))
                .collect();
            same(&jvp(f, [&scales], [&tangent])?.1[0], &want, 2e-6, "tangent");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn mapped_codes_and_scales() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let codes = bytes(&mut rng, 3 * 40);
        let x = Array::from_slice(&codes, (3, 2, 20))?;
        let scales = rng.normals(3);
        let s = Array::from_slice(&scales, 3)?;
        for f in &FUNCTIONS {
            let call = |p: &[Array]| Ok(vec![(f.call)(&p[0], &p[1], F32)?]);
            let both = vmap(call)
                .in_axes([Some(0), Some(0)])
                .call(&[x.clone(), s.clone()])?;
            let mut want = Vec::new();
            for (part, scale) in codes.chunks(40).zip(&scales) {
                want.extend(f.exactly(part, f64::from(*scale)));
            }
            same(&both[0], &want, f.tolerance(F32), f.name);
            let turned = x.moveaxis(0, 2)?;
            let one = Array::from(scales[0]);
            let y = vmap(call).in_axes([Some(2), None]).call(&[turned, one])?;
            same(
                &y[0],
                &f.exactly(&codes, f64::from(scales[0])),
                f.tolerance(F32),
                f.name,
            );
        }
        let scales = rng.normals(3 * 4);
        let s = Array::from_slice(&scales, (3, 4))?;
        for bits in [8u8, 4] {
            let call = |p: &[Array]| {
                let size = if bits == 8 { 10 } else { 20 };
                Ok(vec![
                    dequantize_blockwise(&p[0], &p[1])
                        .bits(bits)
                        .block_size(size)
                        .call()?,
                ])
            };
            let y = vmap(call)
                .in_axes([Some(0), Some(0)])
                .call(&[x.clone(), s.clone()])?;
            let values = FUNCTIONS[if bits == 8 { 0 } else { 2 }].decoded(&codes);
            let size = values.len() / 12;
            let want: Vec<f64> = values
                .iter()
                .enumerate()
                .map(|(i, v)| v * f64::from(scales[i / size]))
                .collect();
            same(&y[0], &want, 2e-6, "blocks");
        }
        Ok(())
    })
    .unwrap();
}

/// The kind of error and a word of its text.
#[track_caller]
fn refused(got: Result<Array>, is: fn(&Error) -> bool, words: &[&str]) {
    let error = got.expect_err("an error");
    let text = error.to_string();
    assert!(is(&error), "{error:?}");
    for word in words {
        assert!(text.contains(word), "{text} has no `{word}`");
    }
    assert!(
        text.contains("tests/catalog"),
        "{text} names no place of the caller"
    );
}

#[test]
fn what_quant_refuses() {
    on_worker(|| -> Result<()> {
        let dtype = |e: &Error| matches!(e, Error::Dtype { .. });
        let shape = |e: &Error| matches!(e, Error::Shape { .. });
        let argument = |e: &Error| matches!(e, Error::Argument { .. });
        let x = Array::zeros((2, 3), Dtype::Uint8)?;
        let one = Array::ones(1, F32)?;
        let two = Array::ones(2, F32)?;
        for f in &FUNCTIONS {
            refused(
                (f.call)(&x, &two, F32),
                shape,
                &["`scale`", "one element", "[2]"],
            );
            refused(
                (f.call)(&x, &one.astype(Dtype::Int32)?, F32),
                dtype,
                &["`scale`", "int32"],
            );
            refused(
                (f.call)(&x, &one, Dtype::Int32),
                argument,
                &["`dtype`", "int32"],
            );
            refused(
                (f.call)(&x.astype(F32)?, &one, F32),
                dtype,
                &["`x`", "float32"],
            );
            refused(
                (f.call)(&x.astype(Dtype::Bool)?, &one, F32),
                dtype,
                &["`x`", "bool"],
            );
            if f.name.contains("int8") {
                continue;
            }
            refused(
                (f.call)(&x.astype(Dtype::Int8)?, &one, F32),
                dtype,
                &["`x`", "uint8", "int8"],
            );
        }
        let blocks = dequantize_blockwise;
        refused(
            blocks(&x, &two).call(),
            shape,
            &["`scales`", "1 elements", "[2]"],
        );
        refused(
            blocks(&x, &two).block_size(2).call(),
            shape,
            &["`scales`", "3 elements"],
        );
        refused(
            blocks(&x, &one).block_size(0).call(),
            argument,
            &["`block_size`", "0"],
        );
        refused(
            blocks(&x, &one).bits(3).call(),
            argument,
            &["`bits`", "8 or 4", "3"],
        );
        refused(
            blocks(&x.astype(Dtype::Int8)?, &one).bits(4).call(),
            dtype,
            &["`x`", "int8"],
        );
        refused(
            blocks(&x.astype(Dtype::Int32)?, &one).call(),
            dtype,
            &["`x`", "int32"],
        );
        refused(
            blocks(&x, &one).dtype(Dtype::Uint8).call(),
            argument,
            &["`dtype`"],
        );
        let swiglu = |x2: &Array, s2: &Array| fused_swiglu_quant(&x, &one, x2, s2).call();
        refused(
            swiglu(&x.reshape(6)?, &one),
            shape,
            &["`x2`", "[2, 3]", "[6]"],
        );
        refused(
            swiglu(&x.astype(Dtype::Int16)?, &one),
            dtype,
            &["`x2`", "int16"],
        );
        refused(swiglu(&x, &two), shape, &["`scales2`"]);
        // Codes have no derivative, whatever asks for one; scales have theirs beside codes that are mapped.
        let no_derivative = |e: &Error| matches!(e, Error::Argument { .. });
        for f in &FUNCTIONS {
            let loss = |x: &Array| (f.call)(x, &one, F32)?.sum(..);
            refused(
                grad(loss)(&x),
                no_derivative,
                &["`x`", "no derivative", "uint8"],
            );
            let tangent = jvp(|p: &[Array]| Ok(vec![loss(&p[0])?]), [&x], [&x]);
            refused(
                tangent.map(|t| t.1[0].clone()),
                no_derivative,
                &["`x`", "no derivative"],
            );
            let slopes =
                vmap(|p: &[Array]| Ok(vec![grad(|s| (f.call)(&p[0], s, F32)?.sum(..))(&one)?]));
            assert_eq!(
                slopes.call(std::slice::from_ref(&x))?[0].shape(),
                [2, 1],
                "{}",
                f.name
            );
        }
        refused(
            grad(|x| blocks(x, &one).call()?.sum(..))(&x),
            no_derivative,
            &["`x`"],
        );
        let x2 = x.clone();
        let codes = |x: &Array| fused_swiglu_quant(&x2, &one, x, &one).call()?.sum(..);
        refused(grad(codes)(&x), no_derivative, &["`x2`", "uint8"]);
        Ok(())
    })
    .unwrap();
}

/// Rows of the table whose functions have other inputs than rows, images among them, compute what their composites do.
#[test]
fn entries_without_rows() {
    on_worker(|| -> Result<()> {
        let mut count = 0;
        for entry in
            catalog().filter(|e| e.name.starts_with("quant::") || e.name.starts_with("image::"))
        {
            // No codes of NaN.
            let bits = |a: &Array| a.bitwise_and(Array::scalar(0x77u8)?);
            for width in [64, 100] {
                let inputs = entry.inputs(&[3, 8], width, F32, 7)?.into_iter().map(|a| {
                    if a.dtype() == Dtype::Uint8 {
                        bits(&a)
                    } else {
                        Ok(a)
                    }
                });
                let inputs = inputs.collect::<Result<Vec<_>>>()?;
                // A GPU rounds factors of convolutions.
                let want = with_device(Device::CPU, || (entry.composite)(&inputs))?;
                let got = (entry.call)(&inputs)?;
                assert_eq!(
                    (got.len(), got[0].shape()),
                    (1, want[0].shape()),
                    "{}",
                    entry.name
                );
                let want = numbers(&want[0])?;
                let most = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                for (g, w) in numbers(&got[0])?.iter().zip(&want) {
                    assert!((g - w).abs() <= 1e-5 * most, "{}: {g}, {w}", entry.name);
                }
                assert!((entry.bytes)(24, width as usize, 4) >= got[0].nbytes());
                count += 1;
            }
        }
        assert!(count >= 18, "{count}");
        Ok(())
    })
    .unwrap();
}
