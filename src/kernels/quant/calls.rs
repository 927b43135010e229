//! Calls of the functions with their options.

use super::blocks::Blocks;
use super::nibbles::{Format, Nibbles};
use super::operations::{
    BLOCKWISE, E4M3, E5M2, INT8, SILU_INT8, SWIGLU, check_codes, not_codes, one, place_of,
};
use crate::kernels::arguments::check_shape;
use crate::kernels::held::held;
use crate::{Array, Dtype, Error, Result};

/// Which bits of a float of 8 bits are its exponent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fp8 {
    /// 4 bits of exponent and 3 of mantissa: up to 448, NaN, no infinity.
    #[default]
    E4m3,
    /// 5 bits of exponent and 2 of mantissa: up to 57344, infinity and NaN.
    E5m2,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Codes {
    Int8,
    SiluInt8,
    Nibbles(Format),
}

/// The dtype that all these calls can give.
macro_rules! result_dtype {
    ($($call:ident),*) => {$(
        impl $call<'_> {
            /// The dtype of the result: float32 (the default), float16 or bfloat16.
            ///
            /// ```
            /// use zmlx::{Array, Dtype, kernels};
            /// let (x, scale) = (Array::from_iter([3i8])?, Array::from(0.5f32));
            /// let y = kernels::quant::dequantize_int8(&x, &scale).dtype(Dtype::Float16).call()?;
            /// assert_eq!(y.dtype(), Dtype::Float16);
            /// # Ok::<(), zmlx::Error>(())
            /// ```
            pub fn dtype(mut self, dtype: Dtype) -> Self {
                self.dtype = dtype;
                self
            }
        }
    )*};
}
result_dtype!(
    Dequantize,
    DequantizeFp8,
    DequantizeBlockwise,
    FusedSwigluQuant
);

/// A call of a function with one scale, such as [`dequantize_int8`](super::dequantize_int8).
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct Dequantize<'a> {
    codes: Codes,
    x: &'a Array,
    scale: &'a Array,
    dtype: Dtype,
}

impl<'a> Dequantize<'a> {
    pub(super) fn new(codes: Codes, x: &'a Array, scale: &'a Array) -> Self {
        Dequantize {
            codes,
            x,
            scale,
            dtype: Dtype::Float32,
        }
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for more than one scale, [`Error::Dtype`] for codes or scales of another dtype,
    /// [`Error::Argument`] for another `dtype` of the result.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let scale = one("scale", self.scale)?;
        let place = place_of(self.dtype)?;
        let op = match self.codes {
            Codes::Nibbles(format) => {
                check_codes("x", self.x, &[Dtype::Uint8])?;
                let nibbles = Nibbles {
                    format,
                    block: None,
                    dtype: self.dtype,
                };
                return nibbles.call(&*held("x", self.x)?, &scale);
            }
            Codes::Int8 => &INT8[place],
            Codes::SiluInt8 => &SILU_INT8[place],
        };
        if !self.x.dtype().is_integral() || self.x.dtype() == Dtype::Bool {
            return Err(not_codes("x", self.x, "integers"));
        }
        op.op()?.call1(&[&*held("x", self.x)?, &scale])
    }
}

/// A call of [`dequantize_fp8`](super::dequantize_fp8).
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct DequantizeFp8<'a> {
    pub(super) x: &'a Array,
    pub(super) scale: &'a Array,
    pub(super) variant: Fp8,
    pub(super) dtype: Dtype,
}

impl DequantizeFp8<'_> {
    /// The format of the codes (default [`Fp8::E4m3`]).
    pub fn variant(mut self, variant: Fp8) -> Self {
        self.variant = variant;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for more than one scale, [`Error::Dtype`] for codes or scales of another dtype,
    /// [`Error::Argument`] for another `dtype` of the result.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let scale = one("scale", self.scale)?;
        let place = place_of(self.dtype)?;
        check_codes("x", self.x, &[Dtype::Uint8])?;
        let op = match self.variant {
            Fp8::E4m3 => &E4M3[place],
            Fp8::E5m2 => &E5M2[place],
        };
        op.op()?.call1(&[&*held("x", self.x)?, &scale])
    }
}

/// A call of [`dequantize_blockwise`](super::dequantize_blockwise).
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct DequantizeBlockwise<'a> {
    pub(super) x: &'a Array,
    pub(super) scales: &'a Array,
    pub(super) block_size: i32,
    pub(super) bits: u8,
    pub(super) dtype: Dtype,
}

impl DequantizeBlockwise<'_> {
    /// Results of a scale (default 128).
    pub fn block_size(mut self, block_size: i32) -> Self {
        self.block_size = block_size;
        self
    }

    /// Bits of a code: 8 (the default) or 4.
    ///
    /// ```
    /// use zmlx::{Array, kernels};
    /// let x = Array::from_iter([0x21u8])?; // the codes 1 and 2
    /// let scales = Array::from_iter([10.0f32])?;
    /// let y = kernels::quant::dequantize_blockwise(&x, &scales).bits(4).call()?;
    /// assert_eq!(y.to_vec::<f32>()?, [10.0, 20.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn bits(mut self, bits: u8) -> Self {
        self.bits = bits;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of scales than of blocks, [`Error::Dtype`] for codes or scales of another
    /// dtype, [`Error::Argument`] for a block size below 1, other `bits`, or another `dtype` of the result.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let (codes, each): (&[Dtype], usize) = match self.bits {
            8 => (&BYTES, 1),
            4 => (&[Dtype::Uint8], 2),
            other => return Err(Error::argument("bits", "8 or 4", other)),
        };
        check_codes("x", self.x, codes)?;
        let blocks = Blocks::new(self.block_size, each * self.x.size())?;
        let scales = blocks.scales("scales", self.scales)?;
        let place = place_of(self.dtype)?;
        if self.bits == 4 {
            let nibbles = Nibbles {
                format: Format::Int4,
                block: Some(blocks.size),
                dtype: self.dtype,
            };
            return nibbles.call(&*held("x", self.x)?, &scales);
        }
        let y = BLOCKWISE[place]
            .op()?
            .call1(&[&blocks.rows(&*held("x", self.x)?)?, &scales])?;
        blocks.shaped(y, self.x)
    }
}

/// A call of [`fused_swiglu_quant`](super::fused_swiglu_quant).
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct FusedSwigluQuant<'a> {
    pub(super) codes: [&'a Array; 2],
    pub(super) scales: [&'a Array; 2],
    pub(super) block_size: i32,
    pub(super) dtype: Dtype,
}

impl FusedSwigluQuant<'_> {
    /// Elements of a scale (default 128).
    pub fn block_size(mut self, block_size: i32) -> Self {
        self.block_size = block_size;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for codes of two shapes, and for another number of scales than of blocks; [`Error::Dtype`] for codes
    /// or scales of another dtype; [`Error::Argument`] for a block size below 1, or another `dtype` of the result.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let [x1, x2] = self.codes;
        check_codes("x1", x1, &BYTES)?;
        check_codes("x2", x2, &BYTES)?;
        check_shape("x2", x2, x1.shape())?;
        let blocks = Blocks::new(self.block_size, x1.size())?;
        let [s1, s2] = self.scales;
        let (s1, s2) = (blocks.scales("scales1", s1)?, blocks.scales("scales2", s2)?);
        let place = place_of(self.dtype)?;
        let inputs = [
            &blocks.rows(&*held("x1", x1)?)?,
            &s1,
            &blocks.rows(&*held("x2", x2)?)?,
            &s2,
        ];
        blocks.shaped(SWIGLU[place].op()?.call1(&inputs)?, x1)
    }
}

/// Codes of 8 bits.
const BYTES: [Dtype; 2] = [Dtype::Int8, Dtype::Uint8];
