//! The ways to quantize.

use crate::{Error, Result};

/// How numbers are quantized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum QuantMode {
    /// `scale * q + bias` with unsigned integers `q`; scales and biases in the weights' type.
    #[default]
    Affine,
    /// 4-bit floats (E2M1) in groups of 32 with power-of-two scales.
    Mxfp4,
    /// 8-bit floats (E4M3) in groups of 32 with power-of-two scales.
    Mxfp8,
    /// 4-bit floats (E2M1) in groups of 16 with scales of 8-bit floats.
    Nvfp4,
}

impl QuantMode {
    /// MLX's name of the mode.
    pub const fn name(self) -> &'static str {
        match self {
            QuantMode::Affine => "affine",
            QuantMode::Mxfp4 => "mxfp4",
            QuantMode::Mxfp8 => "mxfp8",
            QuantMode::Nvfp4 => "nvfp4",
        }
    }
}

/// Mode, group size and bits of a quantization: 4 bits in groups of 64 by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quantization {
    /// How numbers become bits.
    pub mode: QuantMode,
    /// Elements of a row that share a scale: 32, 64 or 128 for affine.
    pub group_size: i32,
    /// Bits of an element: 2, 3, 4, 5, 6 or 8 for affine.
    pub bits: i32,
}

impl Default for Quantization {
    fn default() -> Self {
        Quantization::affine(64, 4)
    }
}

impl Quantization {
    /// Affine with the given group size (32, 64, 128) and bits (2, 3, 4, 5, 6, 8).
    pub const fn affine(group_size: i32, bits: i32) -> Self {
        Quantization {
            mode: QuantMode::Affine,
            group_size,
            bits,
        }
    }

    /// The only form of a floating-point mode; for affine the default one.
    pub const fn of(mode: QuantMode) -> Self {
        let (group_size, bits) = match mode {
            QuantMode::Affine => (64, 4),
            QuantMode::Mxfp4 => (32, 4),
            QuantMode::Mxfp8 => (32, 8),
            QuantMode::Nvfp4 => (16, 4),
        };
        Quantization {
            mode,
            group_size,
            bits,
        }
    }

    #[track_caller]
    pub(super) fn check(self) -> Result<()> {
        let ok = match self.mode {
            QuantMode::Affine => {
                matches!(self.group_size, 32 | 64 | 128) && matches!(self.bits, 2..=6 | 8)
            }
            mode => self == Quantization::of(mode),
        };
        if ok {
            return Ok(());
        }
        Err(Error::argument(
            "quantization",
            format_args!("a group size and bits of mode {}", self.mode.name()),
            format_args!("{} and {}", self.group_size, self.bits),
        ))
    }
}
