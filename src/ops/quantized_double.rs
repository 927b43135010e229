//! Products of which both factors are quantized.

use super::done;
use super::quantization::{QuantMode, Quantization};
use super::quantized::{NVFP4_REACH, Pick, Quantized, check_quantizable};
use crate::array::maybe;
use crate::bridge::ops::quantized::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

/// For products of which both factors are quantized, which MLX would compute of any mode.
#[track_caller]
fn check_doubly(name: &str, quantization: Quantization) -> Result<()> {
    match quantization.mode {
        QuantMode::Mxfp8 | QuantMode::Nvfp4 => Ok(()),
        mode => Err(Error::argument(
            "w",
            format_args!("a matrix of mode mxfp8 or nvfp4 for {name}"),
            mode.name(),
        )),
    }
}

impl Quantized {
    /// Columns of the matrix before it was packed.
    fn columns(&self) -> i64 {
        let packed = self.weight.shape().last().copied().unwrap_or(0);
        i64::from(packed) * 32 / i64::from(self.quantization.bits)
    }
}

impl Array {
    /// Product with `w` transposed in which `self` is quantized too (mxfp8 and nvfp4; a GPU
    /// operation, on the CPU for one row only). Global scales (nvfp4) are given for both
    /// or neither.
    ///
    /// ```
    /// use zmlx::ops::{QuantMode, Quantization};
    /// # use zmlx::{Array, Dtype};
    /// let w = Array::ones((4, 64), Dtype::Float32)?.quantize(Quantization::of(QuantMode::Mxfp8))?;
    /// let x = Array::ones((1, 64), Dtype::Float32)?;
    /// assert_eq!(x.qqmm(&w, None)?.to_vec::<f32>()?, [64.0; 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`quantized_matmul`](Array::quantized_matmul); the evaluation fails where the device
    /// has no such kernel.
    #[track_caller]
    pub fn qqmm(&self, w: &Quantized, global_scale: Option<&Array>) -> Result<Array> {
        w.check()?;
        check_doubly("qqmm", w.quantization)?;
        if self.ndim() == 0 {
            return Err(Error::shape(
                "[qqmm] expected one dimension at least, got shape []".into(),
            ));
        }
        let q = w.quantization;
        if let (false, Some(of_x), Some(_)) = (current().gpu, global_scale, &w.global_scale) {
            return self.qqmm_scaled(w, of_x);
        }
        let product = done(ffi::qqmm(
            self.raw(),
            w.weight.raw(),
            maybe(Some(&w.scales)),
            q.group_size,
            q.bits,
            q.mode.name(),
            maybe(global_scale),
            maybe(w.global_scale.as_ref()),
            current(),
        ))?;
        self.unless_empty(w, product)
    }

    /// [`qqmm`](Array::qqmm) with a matrix (outputs, inputs) that is not quantized yet: it is at each call, as `self`
    /// is. The global scales (nvfp4) are those of `self` and of `w`.
    ///
    /// On the CPU `w` gets no gradient.
    ///
    /// ```
    /// use zmlx::{Device, ops::{QuantMode, Quantization}, prelude::*, with_device};
    /// # fn main() -> zmlx::Result<()> {
    /// let (x, w) = (Array::ones((1, 32), F32)?, Array::ones((4, 32), F32)?);
    /// let mxfp8 = Quantization::of(QuantMode::Mxfp8);
    /// let y = with_device(Device::CPU, || x.qqmm_dense(&w, mxfp8, None))?;
    /// assert_eq!(y.to_vec::<f32>()?, [32.0; 4]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`qqmm`](Array::qqmm) and [`quantize`](Array::quantize); [`Error::Shape`] unless `w` is a matrix whose rows
    /// are as long as those of `self`.
    #[track_caller]
    pub fn qqmm_dense(
        &self,
        w: &Array,
        quantization: Quantization,
        global_scales: Option<(&Array, &Array)>,
    ) -> Result<Array> {
        quantization.check()?;
        check_doubly("qqmm_dense", quantization)?;
        let group = quantization.group_size;
        match (self.shape(), w.shape()) {
            ([.., n], [_, m]) if n == m && n % group == 0 => {}
            (x, w) => {
                return Err(Error::shape(format!(
                    "[qqmm_dense] expected arrays (..., n) and (m, n) with n a multiple of {group}, got {x:?} and {w:?}"
                )));
            }
        }
        for a in [self, w] {
            check_quantizable("qqmm_dense", a)?;
        }
        let (of_x, of_w) = global_scales.unzip();
        if !current().gpu || w.size() == 0 {
            return self.qqmm(&w.quantize_scaled(quantization, of_w)?, of_x);
        }
        let product = done(ffi::qqmm(
            self.raw(),
            w.raw(),
            maybe(None),
            group,
            quantization.bits,
            quantization.mode.name(),
            maybe(of_x),
            maybe(of_w),
            current(),
        ))?;
        match self.size() {
            0 => Array::zeros(product.shape(), product.dtype()),
            _ => Ok(product),
        }
    }

    /// The same on the CPU with both scales, which MLX's leaves out.
    #[track_caller]
    fn qqmm_scaled(&self, w: &Quantized, of_x: &Array) -> Result<Array> {
        let rows = match self.ndim() {
            1 => self.expand_dims(0)?,
            _ => self.clone(),
        };
        let mut x = rows.quantize_scaled(w.quantization, Some(of_x))?;
        // The parts alone are exact in bfloat16, with the scale they would be rounded.
        x.global_scale = None;
        let x = x.dequantize()?.astype(Dtype::Float32)?;
        let x = x.multiply(&of_x.reshape(())?.divide(NVFP4_REACH)?)?;
        let product = x.quantized_matmul(w, true)?.astype(self.dtype())?;
        match self.ndim() {
            1 => product.squeeze(0),
            _ => Ok(product),
        }
    }

    /// [`qqmm`](Array::qqmm) of matrices picked from two stacks. Not on the CPU.
    ///
    /// ```
    /// use zmlx::ops::{Pick, QuantMode, Quantization};
    /// # use zmlx::{Array, Dtype};
    /// let w = Array::ones((2, 4, 64), Dtype::Float32)?;
    /// let w = w.quantize(Quantization::of(QuantMode::Mxfp8))?;
    /// let x = Array::ones((2, 1, 64), Dtype::Float32)?;
    /// // Only mxfp8 and nvfp4 are computed so.
    /// let other = Array::ones((2, 4, 64), Dtype::Float32)?.quantize(Quantization::default())?;
    /// assert!(x.gather_qqmm(&other, Pick::default(), None).is_err());
    /// assert_eq!(x.gather_qqmm(&w, Pick::default(), None)?.shape(), [2, 1, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn gather_qqmm(
        &self,
        w: &Quantized,
        pick: Pick<'_>,
        global_scale: Option<&Array>,
    ) -> Result<Array> {
        w.check()?;
        check_doubly("gather_qqmm", w.quantization)?;
        if self.ndim() < 2 || i64::from(self.shape()[self.ndim() - 1]) != w.columns() {
            return Err(Error::shape(format!(
                "[gather_qqmm] {:?} does not fit a matrix of {} columns",
                self.shape(),
                w.columns()
            )));
        }
        let q = w.quantization;
        done(ffi::gather_qqmm(
            self.raw(),
            w.weight.raw(),
            maybe(Some(&w.scales)),
            maybe(pick.lhs),
            maybe(pick.rhs),
            q.group_size,
            q.bits,
            q.mode.name(),
            maybe(global_scale),
            maybe(w.global_scale.as_ref()),
            pick.sorted,
            current(),
        ))
    }
}
