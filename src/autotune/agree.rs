//! Whether a candidate computes what the default computes.

use half::{bf16, f16};
use num_complex::Complex32;

use crate::{Array, Dtype, Element, Result};

use super::tuning::Rejection;

/// Values that outputs hold before the kernel runs, where the caller gives none. What a kernel
/// writes does not depend on them, so an element that holds both in turn was not written. Both are
/// different in every dtype.
pub(super) const FILLS: [f32; 2] = [0.0, 1.0];

/// The outputs of one candidate, for each of the initial values.
pub(super) type Outputs = Vec<Vec<Array>>;

/// How far an element may be from the default's, relative to the larger of that element and a
/// tenth of the output's root mean square: another order of sums, and one rounding.
pub(super) fn tolerance(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::Float16 => 4e-3,
        Dtype::Bfloat16 => 2e-2,
        d if d.is_integral() => 0.0,
        _ => 1e-4,
    }
}

/// Why `got` may not stand in for `want`. All arrays are evaluated.
pub(super) fn compare(
    names: &[String],
    want: &Outputs,
    got: &Outputs,
    asked: Option<f64>,
) -> Result<Option<Rejection>> {
    for (i, name) in names.iter().enumerate() {
        let want: Vec<&Array> = want.iter().map(|outputs| &outputs[i]).collect();
        let got: Vec<&Array> = got.iter().map(|outputs| &outputs[i]).collect();
        let dtype = want[0].dtype();
        let exact = dtype.is_integral().then_some(0.0);
        let tolerance = exact.or(asked).unwrap_or_else(|| tolerance(dtype));
        let found = match dtype {
            Dtype::Bool => output(&want, &got, 0.0, |v: bool| u8::from(v).into()),
            Dtype::Uint8 => output(&want, &got, 0.0, |v: u8| v.into()),
            Dtype::Uint16 => output(&want, &got, 0.0, |v: u16| v.into()),
            Dtype::Uint32 => output(&want, &got, 0.0, |v: u32| v.into()),
            Dtype::Uint64 => output(&want, &got, 0.0, |v: u64| v as f64),
            Dtype::Int8 => output(&want, &got, 0.0, |v: i8| v.into()),
            Dtype::Int16 => output(&want, &got, 0.0, |v: i16| v.into()),
            Dtype::Int32 => output(&want, &got, 0.0, |v: i32| v.into()),
            Dtype::Int64 => output(&want, &got, 0.0, |v: i64| v as f64),
            Dtype::Float16 => output(&want, &got, tolerance, |v: f16| v.into()),
            Dtype::Bfloat16 => output(&want, &got, tolerance, |v: bf16| v.into()),
            Dtype::Float32 => output(&want, &got, tolerance, |v: f32| v.into()),
            Dtype::Float64 => output(&want, &got, tolerance, |v: f64| v),
            Dtype::Complex64 => {
                let real = output(&want, &got, tolerance, |v: Complex32| v.re.into())?;
                match real {
                    Some(found) => Ok(Some(found)),
                    None => output(&want, &got, tolerance, |v: Complex32| v.im.into()),
                }
            }
        }?;
        if let Some(found) = found {
            let output = name.clone();
            return Ok(Some(match found {
                Found::Unwritten(index) => Rejection::Unwritten { output, index },
                Found::Differs { index, got, want } => Rejection::Differs {
                    output,
                    index,
                    got,
                    want,
                },
            }));
        }
    }
    Ok(None)
}

enum Found {
    Unwritten(usize),
    Differs { index: usize, got: f64, want: f64 },
}

fn output<T: Element + PartialEq>(
    want: &[&Array],
    got: &[&Array],
    tolerance: f64,
    number: impl Fn(T) -> f64,
) -> Result<Option<Found>> {
    let exact = want[0].dtype().is_integral();
    let want: Vec<&[T]> = want.iter().map(|a| a.as_slice()).collect::<Result<_>>()?;
    let got: Vec<&[T]> = got.iter().map(|a| a.as_slice()).collect::<Result<_>>()?;
    if let ([want0, want1], [got0, got1]) = (&want[..], &got[..]) {
        let left = |a: T, b: T| {
            let [a, b] = [number(a), number(b)];
            a == f64::from(FILLS[0]) && b == f64::from(FILLS[1])
        };
        let pairs = got0.iter().zip(*got1).zip(want0.iter().zip(*want1));
        for (index, ((&g0, &g1), (&w0, &w1))) in pairs.enumerate() {
            if left(g0, g1) && !left(w0, w1) {
                return Ok(Some(Found::Unwritten(index)));
            }
        }
    }
    for (want, got) in want.iter().zip(&got) {
        let scale = tolerance * 0.1 * root_mean_square(want, &number);
        for (index, (&g, &w)) in got.iter().zip(*want).enumerate() {
            if g == w {
                continue;
            }
            let [g, w] = [number(g), number(w)];
            let near = (g - w).abs() <= scale.max(tolerance * w.abs());
            if !exact && (near && w.is_finite() || g.is_nan() && w.is_nan()) {
                continue;
            }
            return Ok(Some(Found::Differs {
                index,
                got: g,
                want: w,
            }));
        }
    }
    Ok(None)
}

/// Of what is finite.
fn root_mean_square<T: Copy>(values: &[T], number: impl Fn(T) -> f64) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for &v in values {
        let v = number(v);
        if v.is_finite() {
            sum += v * v;
            count += 1;
        }
    }
    (sum / f64::from(count.max(1))).sqrt()
}
