//! Random inputs, made here and not by MLX, so that nothing under test has a part in them.

use crate::array::element_count;
pub use crate::error::mismatch::Layout;
use crate::{Array, Dtype, Ellipsis, Error, IntoShape, Result, ops, step};

/// What the inputs of a comparison hold.
///
/// Integer dtypes get the numbers without their fraction; bool is true where the number is
/// positive (for [`Values::Integers`]: not zero).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Values {
    /// Standard normal numbers; for integer dtypes ten times as wide.
    Normal,
    /// Uniform in `[low, high)`.
    Uniform(f64, f64),
    /// The exponential of a normal number: positive, over several magnitudes.
    Positive,
    /// Whole numbers from `low` to below `high`.
    Integers(i64, i64),
    /// The same number everywhere.
    Constant(f64),
}

impl Values {
    /// A new array of such numbers, the same for the same seed.
    ///
    /// Numbers are drawn in float64 and rounded to the dtype.
    ///
    /// ```
    /// use zmlx::{Dtype, testing::Values};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Values::Integers(0, 10).array((2, 3), Dtype::Int32, 7)?;
    /// assert!(x.to_vec::<i32>()?.iter().all(|v| (0..10).contains(v)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for a bad shape, [`Error::Argument`] for a range without numbers.
    #[track_caller]
    pub fn array(self, shape: impl IntoShape, dtype: Dtype, seed: u64) -> Result<Array> {
        let shape = shape.into_shape()?;
        self.draw(&mut Rng::new(seed), &shape, dtype, false)
    }

    #[track_caller]
    pub(super) fn draw(
        self,
        rng: &mut Rng,
        shape: &[i32],
        dtype: Dtype,
        specials: bool,
    ) -> Result<Array> {
        self.check()?;
        let n = element_count(shape)?;
        if dtype == Dtype::Complex64 {
            let mut part = || self.one(rng, dtype) as f32;
            let data: Vec<_> = (0..n)
                .map(|_| num_complex::Complex32::new(part(), part()))
                .collect();
            return Array::from_slice(&data, shape);
        }
        let mut data: Vec<f64> = (0..n).map(|_| self.one(rng, dtype)).collect();
        if specials && dtype.is_floating() {
            scatter_specials(rng, &mut data, dtype);
        }
        from_f64(&data, shape, dtype)
    }

    fn one(self, rng: &mut Rng, dtype: Dtype) -> f64 {
        match self {
            Values::Normal if dtype.is_integral() => 10.0 * rng.normal(),
            Values::Normal => rng.normal(),
            Values::Uniform(low, high) => low + (high - low) * rng.uniform(),
            Values::Positive => rng.normal().exp(),
            Values::Integers(low, high) => {
                let span = high.wrapping_sub(low) as u64;
                low.wrapping_add((rng.next() % span) as i64) as f64
            }
            Values::Constant(value) => value,
        }
    }

    #[track_caller]
    fn check(self) -> Result<()> {
        let fits = match self {
            Values::Uniform(low, high) => low <= high && (high - low).is_finite(),
            Values::Integers(low, high) => low < high,
            _ => true,
        };
        if fits {
            return Ok(());
        }
        Err(Error::argument(
            "values",
            "a range with numbers in it",
            format_args!("{self:?}"),
        ))
    }
}

/// Numbers rounded to a dtype. Made without float64 arrays, which GPUs do not have.
#[track_caller]
pub(super) fn from_f64(data: &[f64], shape: &[i32], dtype: Dtype) -> Result<Array> {
    macro_rules! rounded {
        ($($name:ident => $convert:expr),* $(,)?) => {
            match dtype {
                $(Dtype::$name => {
                    let values: Vec<_> = data.iter().map($convert).collect();
                    Array::from_slice(&values, shape)
                })*
            }
        };
    }
    // Conversions from float to integer saturate.
    rounded! {
        Bool => |&v| v > 0.0,
        Uint8 => |&v| v as u8,
        Uint16 => |&v| v as u16,
        Uint32 => |&v| v as u32,
        Uint64 => |&v| v as u64,
        Int8 => |&v| v as i8,
        Int16 => |&v| v as i16,
        Int32 => |&v| v as i32,
        Int64 => |&v| v as i64,
        Float16 => |&v| half::f16::from_f64(v),
        Float32 => |&v| v as f32,
        Float64 => |&v| v,
        Bfloat16 => |&v| half::bf16::from_f64(v),
        Complex64 => |&v| num_complex::Complex32::new(v as f32, 0.0),
    }
}

/// The largest finite number of a float dtype and the smallest normal one.
fn extremes(dtype: Dtype) -> (f64, f64) {
    match dtype {
        Dtype::Float16 => (half::f16::MAX.to_f64(), half::f16::MIN_POSITIVE.to_f64()),
        Dtype::Bfloat16 => (half::bf16::MAX.to_f64(), half::bf16::MIN_POSITIVE.to_f64()),
        Dtype::Float64 => (f64::MAX, f64::MIN_POSITIVE),
        _ => (f64::from(f32::MAX), f64::from(f32::MIN_POSITIVE)),
    }
}

/// Each special number once, where there is room for at least as many others.
fn scatter_specials(rng: &mut Rng, data: &mut [f64], dtype: Dtype) {
    let (max, min) = extremes(dtype);
    let inf = f64::INFINITY;
    let specials = [f64::NAN, inf, -inf, 0.0, -0.0, max, -max, min, -min];
    let room = data.len() / 2;
    for &special in specials.iter().take(room) {
        let at = (rng.next() % data.len() as u64) as usize;
        data[at] = special;
    }
}

impl Layout {
    /// The same values in this layout, evaluated.
    #[track_caller]
    pub(super) fn of(self, x: &Array) -> Result<Array> {
        let y = match self {
            Layout::Contiguous => x.clone(),
            Layout::Transposed => {
                let back = x.transpose(..)?.contiguous()?;
                back.eval()?;
                back.transpose(..)?
            }
            Layout::Sliced => {
                let junk = poison(x.shape(), x.dtype(), 0xFF)?;
                let pairs = ops::stack([&junk, x], -1)?;
                pairs.eval()?;
                match x.ndim() {
                    0 => pairs.index(1)?,
                    _ => {
                        let mut wide = x.shape().to_vec();
                        let last = wide.len() - 1;
                        wide[last] *= 2;
                        pairs.reshape(wide)?.index((Ellipsis, step(1.., 2)))?
                    }
                }
            }
        };
        y.eval()?;
        Ok(y)
    }
}

/// An array with this byte everywhere: 0xFF is NaN in every float type, -1 in signed integers.
#[track_caller]
pub(super) fn poison(shape: &[i32], dtype: Dtype, byte: u8) -> Result<Array> {
    let bytes = vec![byte; element_count(shape)? * dtype.size()];
    Array::from_bytes(&bytes, shape, dtype)
}

/// splitmix64, and numbers made of it.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Rng(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub(super) fn normal(&mut self) -> f64 {
        let r = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        r * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// A seed to start from: `ZMLX_TEST_SEED`, else the clock.
#[track_caller]
pub(super) fn fresh_seed() -> Result<u64> {
    if let Ok(text) = std::env::var("ZMLX_TEST_SEED") {
        return match text.parse() {
            Ok(seed) => Ok(seed),
            Err(_) => Err(Error::argument("ZMLX_TEST_SEED", "a whole number", text)),
        };
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(now.map_or(0, |d| d.as_nanos() as u64))
}
