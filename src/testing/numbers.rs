//! Elements as numbers, and how far apart they are.

use half::{bf16, f16};
use num_complex::Complex32;

use super::report::Tolerance;
use crate::{Array, Dtype, Result};

impl Tolerance {
    /// What is allowed for outputs of `dtype` unless the test says otherwise.
    pub fn of(dtype: Dtype) -> Tolerance {
        let (rtol, atol) = match dtype {
            Dtype::Float64 => (1e-12, 1e-13),
            Dtype::Float32 | Dtype::Complex64 => (1e-5, 1e-6),
            Dtype::Float16 => (1e-3, 1e-5),
            Dtype::Bfloat16 => (8e-3, 1e-5),
            _ => (0.0, 0.0),
        };
        Tolerance { rtol, atol }
    }

    pub(super) fn times(self, factor: f64) -> Tolerance {
        Tolerance {
            rtol: self.rtol * factor,
            atol: self.atol * factor,
        }
    }

    fn at(self, magnitude: f64) -> f64 {
        self.atol + self.rtol * magnitude
    }
}

/// The values of an array, exactly.
pub(super) enum Numbers {
    Integers(Vec<i128>),
    Reals(Vec<f64>),
    /// Real and imaginary parts in turn.
    Complex(Vec<f64>),
}

impl Numbers {
    /// **Evaluates** the array.
    #[track_caller]
    pub(super) fn read(a: &Array) -> Result<Numbers> {
        macro_rules! read {
            ($ty:ty, $kind:ident, $convert:expr) => {
                Numbers::$kind(a.to_vec::<$ty>()?.into_iter().map($convert).collect())
            };
        }
        Ok(match a.dtype() {
            // As bytes: memory that a kernel did not write is no valid `bool`.
            Dtype::Bool => Numbers::Integers(a.to_bytes()?.into_iter().map(i128::from).collect()),
            Dtype::Uint8 => read!(u8, Integers, i128::from),
            Dtype::Uint16 => read!(u16, Integers, i128::from),
            Dtype::Uint32 => read!(u32, Integers, i128::from),
            Dtype::Uint64 => read!(u64, Integers, i128::from),
            Dtype::Int8 => read!(i8, Integers, i128::from),
            Dtype::Int16 => read!(i16, Integers, i128::from),
            Dtype::Int32 => read!(i32, Integers, i128::from),
            Dtype::Int64 => read!(i64, Integers, i128::from),
            Dtype::Float16 => read!(f16, Reals, f16::to_f64),
            Dtype::Bfloat16 => read!(bf16, Reals, bf16::to_f64),
            Dtype::Float32 => read!(f32, Reals, f64::from),
            Dtype::Float64 => Numbers::Reals(a.to_vec()?),
            Dtype::Complex64 => {
                let parts = a.to_vec::<Complex32>()?;
                let parts = parts.into_iter().flat_map(|c| [c.re, c.im]);
                Numbers::Complex(parts.map(f64::from).collect())
            }
        })
    }

    /// Numbers an element has.
    pub(super) fn parts(&self) -> usize {
        match self {
            Numbers::Complex(_) => 2,
            _ => 1,
        }
    }

    pub(super) fn into_reals(self) -> Vec<f64> {
        match self {
            Numbers::Integers(v) => v.into_iter().map(|v| v as f64).collect(),
            Numbers::Reals(v) | Numbers::Complex(v) => v,
        }
    }
}

/// The element that is farthest outside of its tolerance.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Worst {
    /// Its number in row-major order.
    pub(super) at: usize,
    /// The first element outside, which may be another.
    pub(super) first: usize,
    pub(super) got: f64,
    pub(super) want: f64,
    /// Infinite where one of them is not finite and the other does not match it.
    pub(super) error: f64,
    /// How many are outside.
    pub(super) count: usize,
}

/// Compares elements; `None` when all are within tolerance. Both have as many.
pub(super) fn compare(
    got: Numbers,
    want: Numbers,
    dtype: Dtype,
    tolerance: Tolerance,
) -> Option<Worst> {
    let mut worst = Search::default();
    match (got, want) {
        (Numbers::Integers(got), Numbers::Integers(want)) => {
            for (i, (g, w)) in got.into_iter().zip(want).enumerate() {
                let error = (g - w).unsigned_abs() as f64;
                worst.note(i, g as f64, w as f64, error, tolerance.at((w as f64).abs()));
            }
        }
        (got, want) => {
            let parts = got.parts().max(want.parts());
            let (got, want) = (spread(got, parts), spread(want, parts));
            for (i, (&g, &w)) in got.iter().zip(&want).enumerate() {
                let element = i / parts;
                let magnitude = match parts {
                    1 => w.abs(),
                    _ => want[element * 2].hypot(want[element * 2 + 1]),
                };
                let allowed = tolerance.at(magnitude);
                worst.note(element, g, w, distance(g, w, dtype, allowed), allowed);
            }
        }
    }
    worst.found
}

/// Real numbers as complex ones, where the others are.
fn spread(numbers: Numbers, parts: usize) -> Vec<f64> {
    if numbers.parts() == parts {
        return numbers.into_reals();
    }
    let reals = numbers.into_reals();
    reals.into_iter().flat_map(|v| [v, 0.0]).collect()
}

/// NaN matches NaN, an infinity itself. A reference beyond the range of the dtype is an
/// infinity there.
fn distance(got: f64, want: f64, dtype: Dtype, allowed: f64) -> f64 {
    if got == want || (got.is_nan() && want.is_nan()) {
        return 0.0;
    }
    let error = (got - want).abs();
    if error <= allowed && want.is_finite() {
        return error;
    }
    let stored = match dtype {
        Dtype::Float16 => f16::from_f64(want).to_f64(),
        Dtype::Bfloat16 => bf16::from_f64(want).to_f64(),
        Dtype::Float32 | Dtype::Complex64 => f64::from(want as f32),
        _ => want,
    };
    if stored.is_infinite() && got == stored {
        return 0.0;
    }
    if got.is_finite() && want.is_finite() {
        error
    } else {
        f64::INFINITY
    }
}

#[derive(Default)]
struct Search {
    found: Option<Worst>,
    excess: f64,
}

impl Search {
    fn note(&mut self, at: usize, got: f64, want: f64, error: f64, allowed: f64) {
        // Allowed may be infinite or NaN with the reference; then only equal is right.
        if error == 0.0 || (error.is_finite() && error <= allowed) {
            return;
        }
        let excess = if allowed > 0.0 {
            error / allowed
        } else {
            error
        };
        let (first, count) = self.found.as_ref().map_or((at, 0), |w| (w.first, w.count));
        if count == 0 || excess > self.excess {
            self.excess = excess;
            self.found = Some(Worst {
                at,
                first,
                got,
                want,
                error,
                count,
            });
        }
        if let Some(worst) = &mut self.found {
            worst.count = count + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOSE: Tolerance = Tolerance {
        rtol: 0.1,
        atol: 0.01,
    };

    fn reals(got: &[f64], want: &[f64], dtype: Dtype) -> Option<Worst> {
        let [got, want] = [got, want].map(|v| Numbers::Reals(v.to_vec()));
        compare(got, want, dtype, LOOSE)
    }

    #[test]
    fn within_and_outside() {
        let f32 = Dtype::Float32;
        assert_eq!(reals(&[1.0, -2.2, 0.01], &[1.1, -2.0, 0.0], f32), None);
        let worst = reals(&[1.0, 5.0, 9.0, 1.0], &[1.0, 4.0, 2.0, 2.0], f32).unwrap();
        assert_eq!((worst.at, worst.first, worst.count), (2, 1, 3));
        assert_eq!((worst.got, worst.want, worst.error), (9.0, 2.0, 7.0));
    }

    #[test]
    fn not_finite() {
        let f32 = Dtype::Float32;
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!(reals(&[nan, inf, -inf], &[nan, inf, -inf], f32), None);
        for (got, want) in [
            (nan, 1.0),
            (1.0, nan),
            (inf, -inf),
            (inf, 1.0),
            (1.0, inf),
            (nan, inf),
            (inf, nan),
        ] {
            let worst = reals(&[0.0, got], &[0.0, want], f32).expect("a mismatch");
            assert_eq!((worst.at, worst.error), (1, inf), "{got} {want}");
        }
    }

    #[test]
    fn overflow_of_the_dtype() {
        let inf = f64::INFINITY;
        assert_eq!(
            reals(&[inf, 65504.0], &[70000.0, 65530.0], Dtype::Float16),
            None
        );
        assert!(reals(&[-inf], &[70000.0], Dtype::Float16).is_some());
        assert!(reals(&[inf], &[70000.0], Dtype::Float32).is_some());
    }

    #[test]
    fn integers_are_exact() {
        let big = i128::from(i64::MAX);
        let [got, want] = [vec![1, big], vec![1, big - 1]].map(Numbers::Integers);
        let worst = compare(got, want, Dtype::Int64, Tolerance::of(Dtype::Int64)).unwrap();
        assert_eq!((worst.at, worst.error, worst.count), (1, 1.0, 1));
    }

    #[test]
    fn complex_by_modulus() {
        let got = Numbers::Complex(vec![10.0, 0.5, 1.0, 1.0]);
        let want = Numbers::Complex(vec![10.0, 0.0, 1.0, 3.0]);
        let worst = compare(got, want, Dtype::Complex64, LOOSE).unwrap();
        assert_eq!((worst.at, worst.count, worst.error), (1, 1, 2.0));
    }
}
