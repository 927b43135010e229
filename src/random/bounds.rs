//! Bounds of random numbers.

use crate::array::fit::{Number, reach, values};
use crate::ops::where_;
use crate::{Array, Dtype, Error, Result};

/// Whether the difference of two bounds is a number of the dtype, as far as they are known.
pub(super) fn apart(low: &Array, high: &Array, dtype: Dtype) -> bool {
    match (Number::known(low), Number::known(high)) {
        (Some(Number::Real(low)), Some(Number::Real(high))) => {
            !low.is_finite() || !high.is_finite() || Number::Real(high - low).fits(dtype, true)
        }
        _ => true,
    }
}

/// Checks that parameters of real numbers have no imaginary part to lose.
#[track_caller]
pub(super) fn real(parameters: &[(&str, &Array)], dtype: Dtype) -> Result<()> {
    for (name, array) in parameters {
        if array.dtype() == Dtype::Complex64 && dtype != Dtype::Complex64 {
            return Err(Error::dtype(format!(
                "`{name}`: expected real numbers for {dtype}, got complex64"
            )));
        }
    }
    Ok(())
}

/// Bounds of integers: the next integers above.
#[track_caller]
pub(super) fn next_whole(bound: &Array) -> Result<Array> {
    if !bound.dtype().is_floating() {
        return Ok(bound.clone());
    }
    match values(bound) {
        Some(known) => {
            // Beyond 64 bits the nearest number, which no dtype of random integers reaches either.
            let whole: Vec<i64> = known.iter().map(|n| n.as_f64().ceil() as i64).collect();
            Array::from_slice(&whole, bound.shape())
        }
        None => bound.ceil(),
    }
}

/// Checks known parameters, each of which is to be as `allowed` says.
#[track_caller]
pub(super) fn each(
    name: &str,
    array: &Array,
    expected: &str,
    allowed: impl Fn(f64) -> bool,
) -> Result<()> {
    for n in values(array).unwrap_or_default() {
        if !allowed(n.as_f64()) {
            return Err(Error::argument(name, expected, n));
        }
    }
    Ok(())
}

/// Checks that known bounds are in order. Of several, only as many of one as of the other are compared.
#[track_caller]
pub(super) fn in_order(
    (low_name, low): (&str, &Array),
    (high_name, high): (&str, &Array),
    may_equal: bool,
) -> Result<()> {
    let (Some(lows), Some(highs)) = (values(low), values(high)) else {
        return Ok(());
    };
    let pairs = lows.len().max(highs.len());
    let alike = low.shape() == high.shape();
    if lows.is_empty() || highs.is_empty() || !(alike || lows.len() == 1 || highs.len() == 1) {
        return Ok(());
    }
    for i in 0..pairs {
        let (l, h) = (lows[i % lows.len()], highs[i % highs.len()]);
        let fine = match (l, h) {
            (Number::Whole(l), Number::Whole(h)) => l < h || may_equal && l == h,
            _ => l.as_f64() < h.as_f64() || may_equal && l.as_f64() == h.as_f64(),
        };
        if !fine {
            let from = if may_equal { "from" } else { "above" };
            return Err(Error::argument(
                high_name,
                format_args!("a number {from} `{low_name}`, {l}"),
                h,
            ));
        }
    }
    Ok(())
}

/// Checks known bounds of integers. True where float32, which MLX draws, reaches all between them.
#[track_caller]
pub(super) fn single(low: &Array, high: &Array, dtype: Dtype) -> Result<bool> {
    real(&[("low", low), ("high", high)], dtype)?;
    let known = (Number::known(low), Number::known(high));
    let near = |n: i128| n.abs() <= 1 << 24;
    if let (Some(Number::Whole(least)), Some(Number::Whole(end))) = known {
        if least >= end {
            return Err(Error::argument(
                "high",
                format_args!("a number above `low`, {least}"),
                end,
            ));
        }
        Number::Whole(least).check("low", dtype, false)?;
        if dtype != Dtype::Bool {
            Number::Whole(end - 1).check("high", dtype, false)?;
        }
        return Ok(near(least) && near(end));
    }
    in_order(("low", low), ("high", high), false)?;
    if let Some((least, most)) = reach(dtype).filter(|_| dtype != Dtype::Bool) {
        let inside = |v: f64| v >= least as f64 && v <= most as f64 + 1.0;
        each("low", low, &format!("numbers that {dtype} holds"), inside)?;
        each("high", high, &format!("numbers that {dtype} holds"), inside)?;
    }
    let whole = low.dtype().is_integral() && high.dtype().is_integral();
    let short = low.dtype().size() <= 2 && high.dtype().size() <= 2;
    Ok(!whole || short || dtype == Dtype::Bool)
}

/// Integers in `[low, high)` from two times 32 random bits; `low` where there is none.
#[track_caller]
pub(super) fn between(
    low: &Array,
    high: &Array,
    dtype: Dtype,
    upper: &Array,
    lower: &Array,
) -> Result<Array> {
    // Differences of 64 bits are right as unsigned numbers, whatever the sign of the bounds.
    let bits = |a: &Array| a.astype(Dtype::Uint64);
    let (first, last) = (bits(low)?, bits(high)?);
    let zero = Array::scalar(0u64)?;
    let width = where_(&low.less(high)?, &last.subtract(&first)?, &zero)?;
    // The high 64 bits of width times a random number below 2^64.
    let (r1, r0) = (bits(upper)?, bits(lower)?);
    let shift = Array::scalar(32u64)?;
    let mask = Array::scalar(u64::from(u32::MAX))?;
    let halves = |a: &Array| -> Result<(Array, Array)> {
        Ok((a.right_shift(&shift)?, a.bitwise_and(&mask)?))
    };
    let (w1, w0) = halves(&width)?;
    let (carry, _) = halves(&w0.multiply(&r0)?)?;
    let (middle1, middle0) = halves(&w1.multiply(&r0)?.add(&carry)?)?;
    let (rest, _) = halves(&w0.multiply(&r1)?.add(&middle0)?)?;
    let offset = w1.multiply(&r1)?.add(&middle1)?.add(&rest)?;
    let drawn = first.add(&offset)?;
    let signed = matches!(
        dtype,
        Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64
    );
    if signed {
        drawn.view(Dtype::Int64)?.astype(dtype)
    } else {
        drawn.astype(dtype)
    }
}
