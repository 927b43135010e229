//! Quantized matrices: weights in a few bits each, with a scale for each group of a row.

use super::quantization::{QuantMode, Quantization};
use super::{done, done_list};
use crate::array::maybe;
use crate::bridge::ops::quantized::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

/// A quantized matrix, or stack of them: (..., rows, columns packed into uint32).
///
/// [`Array::quantize`] makes one; parts from a file are put together by hand.
///
/// ```
/// use zmlx::{Array, ops::Quantization};
/// # fn main() -> zmlx::Result<()> {
/// let w = Array::linspace(-1.0..=1.0, 4 * 64, zmlx::Dtype::Float32)?.reshape((4, 64))?;
/// let q = w.quantize(Quantization::affine(32, 8))?;
/// assert!(q.dequantize()?.allclose(&w, (0.0, 0.01))?.item::<bool>()?);
/// let x = Array::ones((1, 64), zmlx::Dtype::Float32)?;
/// assert_eq!(x.quantized_matmul(&q, true)?.shape(), [1, 4]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Quantized {
    /// Packed elements, uint32.
    pub weight: Array,
    /// A scale for each group.
    pub scales: Array,
    /// A bias for each group: for affine only.
    pub biases: Option<Array>,
    /// A scale of the whole, float32: for nvfp4 only, if at all.
    pub global_scale: Option<Array>,
    /// How it was made.
    pub quantization: Quantization,
}

/// Which matrices of two stacks to multiply: indices into the flattened leading axes, all in
/// order where there are none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pick<'a> {
    /// Indices of the matrices on the left.
    pub lhs: Option<&'a Array>,
    /// Indices of the matrices on the right.
    pub rhs: Option<&'a Array>,
    /// A promise that the indices are sorted, which may make it faster; where it is not
    /// kept the result may be wrong.
    pub sorted: bool,
}

impl Quantized {
    /// The numbers again, in the type of the scales (affine) or bfloat16.
    ///
    /// ```
    /// use zmlx::{Array, ops};
    /// let w = Array::from_slice(&[0.25f32; 64], (1, 64))?;
    /// let q = w.quantize(ops::Quantization::default())?;
    /// assert_eq!(q.dequantize()?.to_vec::<f32>()?, [0.25; 64]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Dtype`] when the parts do not fit each other.
    #[track_caller]
    pub fn dequantize(&self) -> Result<Array> {
        self.dequantize_as(match self.quantization.mode {
            QuantMode::Affine => self.scales.dtype(),
            _ => Dtype::Bfloat16,
        })
    }

    /// [`dequantize`](Quantized::dequantize) in this type: bfloat16, float16 or float32. Numbers with a scale of the
    /// whole are rounded to it once.
    ///
    /// ```
    /// use zmlx::{ops::{QuantMode, Quantization}, prelude::*};
    /// # fn main() -> zmlx::Result<()> {
    /// let q = Array::ones((2, 32), F32)?.quantize(Quantization::of(QuantMode::Mxfp8))?;
    /// assert_eq!(q.dequantize_as(F32)?.to_vec::<f32>()?, [1.0; 64]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`dequantize`](Quantized::dequantize), and [`Error::Dtype`] for another type.
    #[track_caller]
    pub fn dequantize_as(&self, dtype: Dtype) -> Result<Array> {
        self.check()?;
        if !matches!(dtype, Dtype::Bfloat16 | Dtype::Float16 | Dtype::Float32) {
            return Err(Error::dtype(format!(
                "`dtype`: expected bfloat16, float16 or float32, got {dtype}"
            )));
        }
        let q = self.quantization;
        // With a scale of the whole MLX gives float32 or the type asked for, by the device.
        let made = match self.global_scale {
            Some(_) => Dtype::Float32,
            None => dtype,
        };
        let numbers = done(ffi::dequantize(
            self.weight.raw(),
            self.scales.raw(),
            maybe(self.biases.as_ref()),
            q.group_size,
            q.bits,
            q.mode.name(),
            maybe(self.global_scale.as_ref()),
            made,
            current(),
        ))?;
        match numbers.dtype() == dtype {
            true => Ok(numbers),
            false => numbers.astype(dtype),
        }
    }

    /// What MLX leaves unchecked lets its kernels read outside scales and biases.
    #[track_caller]
    pub(crate) fn check(&self) -> Result<()> {
        self.quantization.check()?;
        check_parts(&self.weight, &self.scales, self.quantization)?;
        if let Some(scale) = &self.global_scale
            && (self.quantization.mode != QuantMode::Nvfp4 || scale.size() != 1)
        {
            return Err(Error::argument(
                "global_scale",
                "one number, for nvfp4",
                format_args!(
                    "shape {:?} for {}",
                    scale.shape(),
                    self.quantization.mode.name()
                ),
            ));
        }
        let affine = self.quantization.mode == QuantMode::Affine;
        if affine && !self.scales.dtype().is_floating() {
            return Err(Error::dtype(format!(
                "`scales`: expected floating-point numbers for affine, got {}",
                self.scales.dtype()
            )));
        }
        match &self.biases {
            None if affine => Err(Error::argument("biases", "one for each scale", "none")),
            Some(b) if affine && b.dtype() != self.scales.dtype() => Err(Error::dtype(format!(
                "`biases`: expected the dtype {} of the scales, got {}",
                self.scales.dtype(),
                b.dtype()
            ))),
            Some(b) if b.shape() != self.scales.shape() => Err(Error::shape(format!(
                "`biases`: expected the shape {:?} of the scales, got {:?}",
                self.scales.shape(),
                b.shape()
            ))),
            _ => Ok(()),
        }
    }
}

/// A weight of nvfp4 with a scale of the whole is `scale / NVFP4_REACH` times its parts, the largest
/// numbers of E2M1 and E4M3 multiplied.
pub(crate) const NVFP4_REACH: f32 = 6.0 * 448.0;

/// MLX's CPU would refuse float64 in the evaluation only.
#[track_caller]
pub(super) fn check_quantizable(name: &str, x: &Array) -> Result<()> {
    match x.dtype() {
        Dtype::Float64 | Dtype::Complex64 => Err(Error::dtype(format!(
            "[{name}] expected float32, float16 or bfloat16, got {}",
            x.dtype()
        ))),
        _ => Ok(()),
    }
}

#[track_caller]
fn check_parts(weight: &Array, scales: &Array, q: Quantization) -> Result<()> {
    if weight.dtype() != Dtype::Uint32 {
        return Err(Error::dtype(format!(
            "`weight`: expected uint32, got {}",
            weight.dtype()
        )));
    }
    let (w, s) = (weight.shape(), scales.shape());
    let fits = w.len() >= 2
        && w.len() == s.len()
        && w[..w.len() - 1] == s[..s.len() - 1]
        && i64::from(w[w.len() - 1]) * 32
            == i64::from(s[s.len() - 1]) * i64::from(q.group_size) * i64::from(q.bits);
    if fits {
        return Ok(());
    }
    Err(Error::shape(format!(
        "`scales`: {s:?} do not belong to a weight of shape {w:?} with {} bits in groups of {}",
        q.bits, q.group_size
    )))
}

impl Array {
    /// A matrix (or stack of them) quantized along its rows.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, ops};
    /// let w = Array::ones((2, 64), Dtype::Float32)?;
    /// let q = w.quantize(ops::Quantization::affine(64, 4))?;
    /// assert_eq!(q.weight.shape(), [2, 8]); // eight elements of 4 bits in a uint32
    /// assert_eq!(q.scales.shape(), [2, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] unless floating-point; [`Error::Shape`] unless there are two
    /// dimensions and the last divides into groups; [`Error::Argument`] for a group size or
    /// bits that the mode does not have.
    #[track_caller]
    pub fn quantize(&self, quantization: Quantization) -> Result<Quantized> {
        self.quantize_scaled(quantization, None)
    }

    /// [`quantize`](Array::quantize) with a scale of the whole (one float32; nvfp4 only).
    ///
    /// ```
    /// use zmlx::ops::{QuantMode, Quantization};
    /// # use zmlx::{Array, Dtype};
    /// let w = Array::full((1, 32), 3.0f32, Dtype::Float32)?;
    /// // The scale is the largest absolute value of the whole.
    /// let scale = w.abs()?.max(..)?;
    /// let q = w.quantize_scaled(Quantization::of(QuantMode::Nvfp4), Some(&scale))?;
    /// assert_eq!(q.dequantize()?.astype(Dtype::Float32)?.to_vec::<f32>()?, [3.0; 32]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn quantize_scaled(
        &self,
        quantization: Quantization,
        global_scale: Option<&Array>,
    ) -> Result<Quantized> {
        let q = quantization;
        q.check()?;
        check_quantizable("quantize", self)?;
        let parts = done_list(ffi::quantize(
            self.raw(),
            q.group_size,
            q.bits,
            q.mode.name(),
            maybe(global_scale),
            current(),
        ))?;
        let mut parts = parts.into_iter();
        let (Some(weight), Some(scales)) = (parts.next(), parts.next()) else {
            return Err(Error::argument("outputs", "two from MLX", "fewer"));
        };
        Ok(Quantized {
            weight,
            scales,
            biases: parts.next(),
            global_scale: global_scale.cloned(),
            quantization,
        })
    }

    /// Product with a quantized matrix: `self @ w.T` with `transpose` (rows of `w` are the
    /// outputs, as in a linear layer), else `self @ w`.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, ops};
    /// let w = Array::ones((4, 64), Dtype::Float32)?.quantize(ops::Quantization::default())?;
    /// let x = Array::ones((1, 64), Dtype::Float32)?;
    /// let y = x.quantized_matmul(&w, true)?;
    /// assert!(y.allclose(&Array::full((1, 4), 64, Dtype::Float32)?, (1e-3, 0.0))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Dtype`] when the parts or the factors do not fit.
    #[track_caller]
    pub fn quantized_matmul(&self, w: &Quantized, transpose: bool) -> Result<Array> {
        w.check()?;
        let q = w.quantization;
        check_quantizable("quantized_matmul", self)?;
        if self.ndim() == 0 {
            return Err(Error::shape(
                "[quantized_matmul] expected one dimension at least, got shape []".into(),
            ));
        }
        let wide = self.unscaled(w)?;
        let x = wide.as_ref().unwrap_or(self);
        let product = done(ffi::quantized_matmul(
            x.raw(),
            w.weight.raw(),
            w.scales.raw(),
            maybe(w.biases.as_ref()),
            transpose,
            q.group_size,
            q.bits,
            q.mode.name(),
            current(),
        ))?;
        let product = self.scaled(w, product)?;
        self.unless_empty(w, product)
    }

    /// Products of matrices picked from two stacks, the second one quantized (the experts of
    /// a mixture): see [`gather_mm`](Array::gather_mm).
    ///
    /// ```
    /// use zmlx::{Array, Dtype, ops};
    /// let w = Array::ones((3, 4, 64), Dtype::Float32)?; // three experts
    /// let w = w.multiply(&Array::from_slice(&[1.0f32, 2.0, 3.0], (3, 1, 1))?)?;
    /// let w = w.quantize(ops::Quantization::default())?;
    /// let x = Array::ones((2, 1, 64), Dtype::Float32)?;
    /// let experts = Array::from_iter([2u32, 0])?;
    /// let pick = ops::Pick { rhs: Some(&experts), ..Default::default() };
    /// let y = x.gather_qmm(&w, pick, true)?;
    /// let want = Array::from_slice(&[192.0f32, 64.0], (2, 1, 1))?;
    /// assert!(y.allclose(&want, (1e-3, 0.0))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`quantized_matmul`](Array::quantized_matmul). Indices out of range as in
    /// [the module's notes](crate::ops).
    #[track_caller]
    pub fn gather_qmm(&self, w: &Quantized, pick: Pick<'_>, transpose: bool) -> Result<Array> {
        w.check()?;
        check_quantizable("gather_qmm", self)?;
        if self.ndim() < 2 {
            return Err(Error::shape(format!(
                "[gather_qmm] expected two dimensions at least, got shape {:?}",
                self.shape()
            )));
        }
        let q = w.quantization;
        let wide = self.unscaled(w)?;
        let x = wide.as_ref().unwrap_or(self);
        let product = done(ffi::gather_qmm(
            x.raw(),
            w.weight.raw(),
            w.scales.raw(),
            maybe(w.biases.as_ref()),
            maybe(pick.lhs),
            maybe(pick.rhs),
            transpose,
            q.group_size,
            q.bits,
            q.mode.name(),
            maybe(None),
            pick.sorted,
            current(),
        ))?;
        let product = self.scaled(w, product)?;
        self.unless_empty(w, product)
    }

    /// The factor of a product with a weight that has a scale of the whole, which MLX's product leaves out:
    /// in float32, as without the scale the numbers may be too large for halves.
    #[track_caller]
    fn unscaled(&self, w: &Quantized) -> Result<Option<Array>> {
        match w.global_scale {
            Some(_) => self.astype(Dtype::Float32).map(Some),
            None => Ok(None),
        }
    }

    /// The product of [`unscaled`](Array::unscaled) with the scale.
    #[track_caller]
    fn scaled(&self, w: &Quantized, product: Array) -> Result<Array> {
        let Some(scale) = &w.global_scale else {
            return Ok(product);
        };
        let scale = scale.astype(Dtype::Float32)?.reshape(())?;
        let scale = scale.divide(NVFP4_REACH)?;
        product.multiply(&scale)?.astype(self.dtype())
    }

    /// MLX's kernels divide by the size of this array: without rows, or without columns, the
    /// product is zeros.
    #[track_caller]
    pub(super) fn unless_empty(&self, w: &Quantized, product: Array) -> Result<Array> {
        if self.size() > 0 && w.weight.size() > 0 {
            return Ok(product);
        }
        Array::zeros(product.shape(), product.dtype())
    }
}
