//! Tables of the cosines and sines of positions.

use crate::{Array, Dtype, Error, Result};

/// Tables of cosines and sines for [`apply_rope`](super::apply_rope): of the angle `position * scale * base^(-2 i / dims)` for
/// the pair i.
///
/// Two arrays, (positions, dims / 2), float32; computed in float64 on the host unless there are
/// [`frequencies`](RopeTables::frequencies).
///
/// ```
/// use zmlx::kernels::rope::rope_tables;
/// # fn main() -> zmlx::Result<()> {
/// let [cos, sin] = rope_tables(3, 4).base(100.0).call()?;
/// assert_eq!(cos.shape(), [3, 2]);
/// assert!((sin.to_vec::<f32>()?[5] - 0.2f32.sin()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
pub fn rope_tables<'a>(positions: i32, dims: i32) -> RopeTables<'a> {
    RopeTables {
        positions,
        dims,
        base: 10_000.0,
        scale: 1.0,
        frequencies: None,
    }
}

/// A call of [`rope_tables`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct RopeTables<'a> {
    positions: i32,
    dims: i32,
    base: f64,
    scale: f64,
    frequencies: Option<&'a Array>,
}

impl<'a> RopeTables<'a> {
    /// The base of the angles (default 10000).
    pub fn base(mut self, base: f64) -> Self {
        self.base = base;
        self
    }

    /// A factor on the positions (default 1).
    ///
    /// ```
    /// let [cos, _] = zmlx::kernels::rope::rope_tables(3, 2).scale(0.5).call()?;
    /// assert!((cos.to_vec::<f32>()?[2] - 1f32.cos()).abs() < 1e-6); // position 2, half as far
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// The angle from one position to the next for each pair, (dims / 2,), in place of what `base` gives. The tables are
    /// differentiable in it. ([`fast::rope`](crate::fast::rope()) takes the reciprocals.)
    ///
    /// ```
    /// use zmlx::{Array, kernels};
    /// let step = Array::from_iter([0.25f32])?;
    /// let [cos, _] = kernels::rope::rope_tables(3, 2).frequencies(&step).call()?;
    /// assert!((cos.index((2, 0))?.item::<f32>()? - 0.5f32.cos()).abs() < 1e-6);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn frequencies(mut self, frequencies: &'a Array) -> Self {
        self.frequencies = Some(frequencies);
        self
    }

    /// The tables: cosines, sines.
    ///
    /// # Errors
    /// [`Error::Argument`] for negative positions, odd or negative dims, a base that is not above 0, a scale that is not finite, tables
    /// beyond the memory;
    /// [`Error::Shape`] and [`Error::Dtype`] for frequencies of another shape or dtype.
    #[track_caller]
    pub fn call(self) -> Result<[Array; 2]> {
        let (positions, dims) = (self.positions, self.dims);
        if positions < 0 {
            return Err(Error::argument("positions", "0 or more", positions));
        }
        if dims < 0 || dims % 2 != 0 {
            return Err(Error::argument("dims", "an even number, 0 or more", dims));
        }
        if !(self.base > 0.0 && self.base.is_finite()) {
            return Err(Error::argument("base", "a number above 0", self.base));
        }
        if !(self.scale as f32).is_finite() {
            return Err(Error::argument("scale", "a finite number", self.scale));
        }
        if let Some(frequencies) = self.frequencies {
            super::check_float("frequencies", frequencies)?;
            super::check_shape("frequencies", frequencies, &[dims / 2])?;
            let at = Array::arange(positions)?.astype(Dtype::Float32)?;
            let at = at.multiply(self.scale as f32)?.reshape((positions, 1))?;
            let angle = at.multiply(&frequencies.astype(Dtype::Float32)?)?;
            return Ok([angle.cos()?, angle.sin()?]);
        }
        let pairs = dims / 2;
        let frequency = |i| self.base.powf(-2.0 * f64::from(i) / f64::from(dims));
        // They are made here: what no memory holds is refused, as a vector that grows would end the process.
        let (mut frequencies, mut values) = (Vec::new(), Vec::new());
        let all = (positions as usize).saturating_mul(pairs as usize);
        let there = frequencies.try_reserve_exact(pairs as usize).is_ok();
        if !there || values.try_reserve_exact(all).is_err() {
            let expected = "tables that fit into memory";
            let found = format!("{positions} positions of {dims} dimensions");
            return Err(Error::argument("positions", expected, found));
        }
        frequencies.extend((0..pairs).map(frequency));
        let mut table = |of: fn(f64) -> f64| {
            values.clear();
            for p in (0..positions).map(|p| f64::from(p) * self.scale) {
                values.extend(frequencies.iter().map(|f| of(p * f) as f32));
            }
            Array::from_slice(&values, (positions, pairs))
        };
        Ok([table(f64::cos)?, table(f64::sin)?])
    }
}
