//! Compares outputs with the expected ones.

use half::{bf16, f16};

use super::read::Expected;
use crate::{Array, Dtype, Error, Result};

/// How outputs compare with the expected ones.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Elements outside of the tolerance.
    pub mismatches: usize,
    /// Elements compared.
    pub compared: usize,
    /// The largest error of all, also within the tolerance.
    pub worst: Option<Worst>,
    /// The first element outside of the tolerance.
    pub first: Option<Worst>,
}

/// One element and its error.
#[derive(Clone, Debug)]
pub struct Worst {
    /// The output's name.
    pub output: String,
    /// Flat, row-major.
    pub index: usize,
    /// What the kernel gave.
    pub got: f64,
    /// What was expected.
    pub want: f64,
    /// Their difference.
    pub absolute: f64,
    /// The difference by the size of what was expected.
    pub relative: f64,
}

impl Comparison {
    /// True when every element is within its tolerance.
    pub fn is_ok(&self) -> bool {
        self.mismatches == 0
    }
}

#[track_caller]
pub(super) fn compare(expected: &[Expected], outputs: &[Array]) -> Result<Comparison> {
    crate::eval(outputs)?;
    let mut result = Comparison::default();
    for (want, got) in expected.iter().zip(outputs) {
        if got.dtype() != want.dtype || got.shape() != want.shape {
            return Err(Error::shape(format!(
                "output `{}`: expected {} {:?}, got {} {:?}",
                want.name,
                want.dtype,
                want.shape,
                got.dtype(),
                got.shape()
            )));
        }
        let Some(bytes) = &want.bytes else { continue };
        let got = got.to_bytes()?;
        // A complex number is two floats, which count on their own.
        let parts = if want.dtype == Dtype::Complex64 { 2 } else { 1 };
        let size = want.dtype.size() / parts;
        for (i, (g, w)) in got
            .chunks_exact(size)
            .zip(bytes.chunks_exact(size))
            .enumerate()
        {
            let element = i / parts;
            if want.mask.as_ref().is_some_and(|m| m[element] == 0) {
                continue;
            }
            result.element(
                want,
                element,
                (number(want.dtype, g), g),
                (number(want.dtype, w), w),
            );
        }
    }
    Ok(result)
}

impl Comparison {
    fn element(&mut self, e: &Expected, index: usize, got: (f64, &[u8]), want: (f64, &[u8])) {
        self.compared += 1;
        let ((got, got_bytes), (want, want_bytes)) = (got, want);
        let same = got_bytes == want_bytes || got == want || (got.is_nan() && want.is_nan());
        let absolute = if same { 0.0 } else { (got - want).abs() };
        let good = if e.dtype.is_integral() {
            got_bytes == want_bytes
        } else {
            same || absolute <= e.atol + e.rtol * want.abs()
        };
        let relative = if absolute == 0.0 {
            0.0
        } else {
            absolute / want.abs()
        };
        let here = || Worst {
            output: e.name.clone(),
            index,
            got,
            want,
            absolute,
            relative,
        };
        if !good {
            self.mismatches += 1;
            self.first.get_or_insert_with(here);
        }
        // A NaN where none should be is worse than any number.
        let key = |a: f64| if a.is_nan() { f64::INFINITY } else { a };
        let before = self.worst.as_ref().map_or(-1.0, |w| key(w.absolute));
        if key(absolute) > before {
            self.worst = Some(here());
        }
    }
}

/// An element as a number.
fn number(dtype: Dtype, b: &[u8]) -> f64 {
    fn bytes<const N: usize>(b: &[u8]) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&b[..N]);
        out
    }
    match dtype {
        Dtype::Bool | Dtype::Uint8 => b[0].into(),
        Dtype::Int8 => (b[0] as i8).into(),
        Dtype::Uint16 => u16::from_le_bytes(bytes(b)).into(),
        Dtype::Int16 => i16::from_le_bytes(bytes(b)).into(),
        Dtype::Uint32 => u32::from_le_bytes(bytes(b)).into(),
        Dtype::Int32 => i32::from_le_bytes(bytes(b)).into(),
        Dtype::Uint64 => u64::from_le_bytes(bytes(b)) as f64,
        Dtype::Int64 => i64::from_le_bytes(bytes(b)) as f64,
        Dtype::Float16 => f16::from_le_bytes(bytes(b)).into(),
        Dtype::Bfloat16 => bf16::from_le_bytes(bytes(b)).into(),
        Dtype::Float32 | Dtype::Complex64 => f32::from_le_bytes(bytes(b)).into(),
        Dtype::Float64 => f64::from_le_bytes(bytes(b)),
    }
}
