//! Floats from quantized codes.
//!
//! Results are float32 unless `dtype` asks for float16 or bfloat16. They are linear in their scales, or smooth: scales
//! have derivatives of every order. Codes are integers and have none: asking for one is an
//! [`Error::Argument`].
//!
//! Codes of 4 bits lie two in a byte, the lower half first. Their arrays keep their shape, with a last axis of twice as
//! many elements.

use super::arguments::check_float;
use super::catalog::{Entry, Kind, few_roundings, input};
use super::generated::Generated;
use super::held::held;
use super::nibbles::{Format, Nibbles};
use crate::codegen::op::Operation;
use crate::codegen::program::{Input, InputKind, OutputDtype, Program, Span};
use crate::expr::Expr;
use crate::ops::PadMode;
use crate::{Array, Dtype, Error, Result};

/// `x scale`, where `x` are integers.
///
/// `x`: any shape, integers of any size; `scale`: one element, float32, float16 or bfloat16. Computed in float32.
///
/// ```
/// use zmlx::{Array, kernels::quant::dequantize_int8};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[-128i8, 0, 3], 3)?;
/// let y = dequantize_int8(&x, &Array::from(0.5)).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [-64.0, 0.0, 1.5]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_int8<'a>(x: &'a Array, scale: &'a Array) -> Dequantize<'a> {
    Dequantize::new(Codes::Int8, x, scale)
}

/// `silu(x scale)`, where `x` are integers; see [`dequantize_int8`].
///
/// ```
/// use zmlx::{Array, kernels::quant::dequantize_silu_int8};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[-128i8, 0, 100], 3)?;
/// let y = dequantize_silu_int8(&x, &Array::from(1.0)).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.0, 100.0]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_silu_int8<'a>(x: &'a Array, scale: &'a Array) -> Dequantize<'a> {
    Dequantize::new(Codes::SiluInt8, x, scale)
}

/// Codes of 4 bits, from 0 to 15, times the scale.
///
/// `x`: (..., D), uint8, two codes each; `scale`: one element, float32, float16 or bfloat16. The result is (..., 2 D), where the
/// original flattens it.
///
/// ```
/// use zmlx::{Array, kernels::quant::dequantize_int4};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0x21u8, 0xf0], 2)?;
/// let y = dequantize_int4(&x, &Array::from(0.5)).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [0.5, 1.0, 0.0, 7.5]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_int4<'a>(x: &'a Array, scale: &'a Array) -> Dequantize<'a> {
    Dequantize::new(Codes::Nibbles(Format::Int4), x, scale)
}

/// Codes of the 16 quantiles NF4 (T. Dettmers and others, "QLoRA", 2023), which lie from -1 to 1, times the scale; shapes as
/// in [`dequantize_int4`].
///
/// ```
/// use zmlx::{Array, kernels::quant::dequantize_nf4};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0x70u8, 0x0f], 2)?;
/// let y = dequantize_nf4(&x, &Array::from(2.0)).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [-2.0, 0.0, 2.0, -2.0]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_nf4<'a>(x: &'a Array, scale: &'a Array) -> Dequantize<'a> {
    Dequantize::new(Codes::Nibbles(Format::Nf4), x, scale)
}

/// Floats of 8 bits (P. Micikevicius and others, "FP8 Formats for Deep Learning", 2022), e4m3 unless
/// its option `variant` says otherwise, times the scale.
///
/// `x`: any shape, uint8; `scale`: one element, float32, float16 or bfloat16. Codes of NaN and infinity are what they are.
///
/// ```
/// use zmlx::{Array, kernels::quant::{dequantize_fp8, Fp8}};
/// # fn main() -> zmlx::Result<()> {
/// let (x, one) = (Array::from_slice(&[0x7eu8, 0x38, 0xb8], 3)?, Array::from(1.0));
/// assert_eq!(dequantize_fp8(&x, &one).call()?.to_vec::<f32>()?, [448.0, 1.0, -1.0]);
/// let y = dequantize_fp8(&x, &one).variant(Fp8::E5m2).call()?;
/// assert_eq!(y.to_vec::<f32>()?[1..], [0.5, -0.5]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_fp8<'a>(x: &'a Array, scale: &'a Array) -> DequantizeFp8<'a> {
    DequantizeFp8 {
        x,
        scale,
        variant: Fp8::E4m3,
        dtype: Dtype::Float32,
    }
}

/// Which bits of a float of 8 bits are its exponent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fp8 {
    /// 4 bits of exponent and 3 of mantissa: up to 448, NaN, no infinity.
    #[default]
    E4m3,
    /// 5 bits of exponent and 2 of mantissa: up to 57344, infinity and NaN.
    E5m2,
}

/// Codes times the scale of their block: `scales[i / block_size]`, where i counts the results in row-major order.
///
/// `x`: with [`bits`](DequantizeBlockwise::bits) 8, any shape, int8 or uint8; with 4, (..., D), uint8, two codes from 0 to 15 each, and
/// the result is (..., 2 D). `scales`: one element for each block, float32, float16 or bfloat16; the last block may be shorter.
///
/// ```
/// use zmlx::{Array, kernels::quant::dequantize_blockwise};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1i8, 2, 3, -4, 5], 5)?;
/// let scales = Array::from_slice(&[1.0f32, 10.0, 100.0], 3)?;
/// let y = dequantize_blockwise(&x, &scales).block_size(2).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 30.0, -40.0, 500.0]);
/// # Ok(())
/// # }
/// ```
pub fn dequantize_blockwise<'a>(x: &'a Array, scales: &'a Array) -> DequantizeBlockwise<'a> {
    DequantizeBlockwise {
        x,
        scales,
        block_size: 128,
        bits: 8,
        dtype: Dtype::Float32,
    }
}

/// `silu(a) b` of quantized `a = x1 scales1` and `b = x2 scales2`, where each block has a scale, as in
/// [`dequantize_blockwise`]. (The original multiplies by `a` once more.)
///
/// `x1`, `x2`: one shape, any; int8 or uint8 each. `scales1`, `scales2`: one element for each block, float32, float16 or bfloat16.
///
/// ```
/// use zmlx::{Array, kernels::quant::fused_swiglu_quant};
/// # fn main() -> zmlx::Result<()> {
/// let (x1, x2) = (Array::from_slice(&[100i8], 1)?, Array::from_slice(&[3i8], 1)?);
/// let (s1, s2) = (Array::from_slice(&[0.5f32], 1)?, Array::from_slice(&[2.0f32], 1)?);
/// assert_eq!(fused_swiglu_quant(&x1, &s1, &x2, &s2).call()?.to_vec::<f32>()?, [300.0]);
/// # Ok(())
/// # }
/// ```
pub fn fused_swiglu_quant<'a>(
    x1: &'a Array,
    scales1: &'a Array,
    x2: &'a Array,
    scales2: &'a Array,
) -> FusedSwigluQuant<'a> {
    FusedSwigluQuant {
        codes: [x1, x2],
        scales: [scales1, scales2],
        block_size: 128,
        dtype: Dtype::Float32,
    }
}

#[derive(Clone, Copy, Debug)]
enum Codes {
    Int8,
    SiluInt8,
    Nibbles(Format),
}

/// A call of a function with one scale, such as [`dequantize_int8`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct Dequantize<'a> {
    codes: Codes,
    x: &'a Array,
    scale: &'a Array,
    dtype: Dtype,
}

impl<'a> Dequantize<'a> {
    fn new(codes: Codes, x: &'a Array, scale: &'a Array) -> Self {
        Dequantize {
            codes,
            x,
            scale,
            dtype: Dtype::Float32,
        }
    }

    /// The dtype of the result: float32 (the default), float16 or bfloat16.
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for more than one scale, [`Error::Dtype`] for codes or scales of another dtype,
    /// [`Error::Argument`] for another `dtype` of the result.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let place = place_of(self.dtype)?;
        let scale = one("scale", self.scale)?;
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

/// A call of [`dequantize_fp8`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct DequantizeFp8<'a> {
    x: &'a Array,
    scale: &'a Array,
    variant: Fp8,
    dtype: Dtype,
}

impl DequantizeFp8<'_> {
    /// The format of the codes (default [`Fp8::E4m3`]).
    pub fn variant(mut self, variant: Fp8) -> Self {
        self.variant = variant;
        self
    }

    /// The dtype of the result: float32 (the default), float16 or bfloat16.
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for more than one scale, [`Error::Dtype`] for codes or scales of another dtype,
    /// [`Error::Argument`] for another `dtype` of the result.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let place = place_of(self.dtype)?;
        let scale = one("scale", self.scale)?;
        check_codes("x", self.x, &[Dtype::Uint8])?;
        let op = match self.variant {
            Fp8::E4m3 => &E4M3[place],
            Fp8::E5m2 => &E5M2[place],
        };
        op.op()?.call1(&[&*held("x", self.x)?, &scale])
    }
}

/// A call of [`dequantize_blockwise`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct DequantizeBlockwise<'a> {
    x: &'a Array,
    scales: &'a Array,
    block_size: i32,
    bits: u8,
    dtype: Dtype,
}

impl DequantizeBlockwise<'_> {
    /// Results of a scale (default 128).
    pub fn block_size(mut self, block_size: i32) -> Self {
        self.block_size = block_size;
        self
    }

    /// Bits of a code: 8 (the default) or 4.
    pub fn bits(mut self, bits: u8) -> Self {
        self.bits = bits;
        self
    }

    /// The dtype of the result: float32 (the default), float16 or bfloat16.
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of scales than of blocks, [`Error::Dtype`] for codes or scales of another
    /// dtype, [`Error::Argument`] for a block size below 1, other `bits`, or another `dtype` of the result.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let place = place_of(self.dtype)?;
        let (codes, each): (&[Dtype], usize) = match self.bits {
            8 => (&BYTES, 1),
            4 => (&[Dtype::Uint8], 2),
            other => return Err(Error::argument("bits", "8 or 4", other)),
        };
        check_codes("x", self.x, codes)?;
        let blocks = Blocks::new(self.block_size, each * self.x.size())?;
        let scales = blocks.scales("scales", self.scales)?;
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

/// A call of [`fused_swiglu_quant`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct FusedSwigluQuant<'a> {
    codes: [&'a Array; 2],
    scales: [&'a Array; 2],
    block_size: i32,
    dtype: Dtype,
}

impl FusedSwigluQuant<'_> {
    /// Elements of a scale (default 128).
    pub fn block_size(mut self, block_size: i32) -> Self {
        self.block_size = block_size;
        self
    }

    /// The dtype of the result: float32 (the default), float16 or bfloat16.
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for codes of two shapes, and for another number of scales than of blocks; [`Error::Dtype`] for codes
    /// or scales of another dtype; [`Error::Argument`] for a block size below 1, or another `dtype` of the result.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let place = place_of(self.dtype)?;
        let [x1, x2] = self.codes;
        check_codes("x1", x1, &BYTES)?;
        check_codes("x2", x2, &BYTES)?;
        super::arguments::check_shape("x2", x2, x1.shape())?;
        let blocks = Blocks::new(self.block_size, x1.size())?;
        let [s1, s2] = self.scales;
        let (s1, s2) = (blocks.scales("scales1", s1)?, blocks.scales("scales2", s2)?);
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

/// Elements as rows of a block each.
struct Blocks {
    size: i32,
    count: i32,
    /// Elements that the last block lacks.
    missing: i32,
}

impl Blocks {
    #[track_caller]
    fn new(size: i32, elements: usize) -> Result<Blocks> {
        if size < 1 {
            return Err(Error::argument("block_size", "a number from 1 on", size));
        }
        // A block that is longer than everything is as long: nothing beside it has to be made up.
        let size = elements.clamp(1, size as usize) as i32;
        let count = elements.div_ceil(size as usize);
        let missing = count * size as usize - elements;
        if missing > 0 && elements > i32::MAX as usize {
            let expected = format!("a size by which {elements} elements can be divided");
            return Err(Error::argument("block_size", expected, size));
        }
        let Ok(count) = i32::try_from(count) else {
            let expected = "a size that gives fewer than 2^31 blocks";
            return Err(Error::argument("block_size", expected, size));
        };
        Ok(Blocks {
            size,
            count,
            missing: missing as i32,
        })
    }

    /// The scales, one for each block.
    #[track_caller]
    fn scales(&self, name: &str, scales: &Array) -> Result<Array> {
        check_float(name, scales)?;
        if scales.size() != self.count as usize {
            return Err(Error::shape(format!(
                "`{name}`: expected {} elements, one for each block of {}, got shape {:?}",
                self.count,
                self.size,
                scales.shape()
            )));
        }
        scales.reshape(-1)
    }

    #[track_caller]
    fn rows(&self, x: &Array) -> Result<Array> {
        let x = match self.missing {
            0 => x.clone(),
            missing => x.reshape(-1)?.pad((0, missing), PadMode::Constant(0.0))?,
        };
        x.reshape((self.count, self.size))
    }

    /// The elements of `y`, without those that were missing, in the shape of `x`.
    #[track_caller]
    fn shaped(&self, y: Array, x: &Array) -> Result<Array> {
        match self.missing {
            0 => y.reshape(x.shape()),
            _ => y.reshape(-1)?.index(..x.size() as i32)?.reshape(x.shape()),
        }
    }
}

#[track_caller]
fn check_codes(name: &str, x: &Array, dtypes: &[Dtype]) -> Result<()> {
    if dtypes.contains(&x.dtype()) {
        return Ok(());
    }
    let names: Vec<&str> = dtypes.iter().map(|d| d.name()).collect();
    Err(not_codes(name, x, &names.join(" or ")))
}

#[track_caller]
fn not_codes(name: &str, x: &Array, expected: &str) -> Error {
    Error::dtype(format!("`{name}`: expected {expected}, got {}", x.dtype()))
}

/// An array of one element, without axes.
#[track_caller]
fn one(name: &str, scale: &Array) -> Result<Array> {
    check_float(name, scale)?;
    if scale.size() != 1 {
        return Err(Error::shape(format!(
            "`{name}`: expected one element, got shape {:?}",
            scale.shape()
        )));
    }
    scale.reshape(())
}

const DTYPES: [Dtype; 3] = [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16];

/// Where in tables of operations those with results of this dtype stand.
#[track_caller]
fn place_of(dtype: Dtype) -> Result<usize> {
    match DTYPES.iter().position(|d| *d == dtype) {
        Some(place) => Ok(place),
        None => Err(Error::argument(
            "dtype",
            "float32, float16 or bfloat16",
            dtype,
        )),
    }
}

/// An operation for each dtype of the result.
macro_rules! in_dtypes {
    ($make:expr) => {
        [
            Generated::new(|| $make(DTYPES[0])),
            Generated::new(|| $make(DTYPES[1])),
            Generated::new(|| $make(DTYPES[2])),
        ]
    };
}

static INT8: [Generated; 3] =
    in_dtypes!(|d| elements("dequantize_int8", "x * scale", InputKind::Value, d));
static SILU_INT8: [Generated; 3] = in_dtypes!(|d| elements(
    "dequantize_silu_int8",
    "kk_silu(x * scale)",
    InputKind::Value,
    d
));
static E4M3: [Generated; 3] =
    in_dtypes!(|d| elements("dequantize_e4m3", "kk_e4m3(x) * scale", InputKind::Index, d));
static E5M2: [Generated; 3] =
    in_dtypes!(|d| elements("dequantize_e5m2", "kk_e5m2(x) * scale", InputKind::Index, d));
static BLOCKWISE: [Generated; 3] =
    in_dtypes!(|d| blocks("dequantize_blockwise", &["x", "scales"], "x * scales", d));
static SWIGLU: [Generated; 3] = in_dtypes!(|d| blocks(
    "fused_swiglu_quant",
    &["x1", "scales1", "x2", "scales2"],
    "kk_silu(x1 * scales1) * (x2 * scales2)",
    d
));

fn program(names: &[&str], text: &str, dtype: Dtype) -> Result<Program> {
    let mut program = Program::elementwise(names, Expr::parse(text, names)?);
    program.exact = false;
    program.outputs[0].dtype = OutputDtype::Fixed(dtype);
    Ok(program)
}

/// An operation of codes and one scale.
fn elements(name: &str, text: &str, codes: InputKind, dtype: Dtype) -> Result<Operation> {
    let mut program = program(&["x", "scale"], text, dtype)?;
    program.set_kind("inputs", "x", codes)?;
    Operation::new(name, program, None)
}

/// An operation of rows of codes, each followed by a scale a row.
fn blocks(name: &str, names: &[&str], text: &str, dtype: Dtype) -> Result<Operation> {
    let mut program = program(names, text, dtype)?;
    program.by_rows = true;
    for scales in program.inputs.iter_mut().skip(1).step_by(2) {
        *scales = Input::of(&scales.name, Span::Row, InputKind::Value);
    }
    Operation::new(name, program, None)
}

/// Codes in float32 times a scale, by MLX's operations; results have the dtype of the scale.
fn scaled(codes: &Array, scale: &Array) -> Result<Array> {
    codes.astype(scale.dtype())?.multiply(scale)
}

/// The same with a scale for each 128 elements.
fn in_blocks(codes: &Array, scales: &Array) -> Result<Array> {
    let blocks = Blocks::new(128, codes.size())?;
    let y = scaled(&blocks.rows(codes)?, &scales.expand_dims(-1)?)?;
    blocks.shaped(y, codes)
}

/// The halves of bytes.
fn halves(x: &Array) -> Result<Array> {
    let low = x.bitwise_and(Array::scalar(15u8)?)?;
    let high = x.right_shift(Array::scalar(4u8)?)?;
    let mut shape = x.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last *= 2;
    }
    crate::ops::stack(&[low, high], -1)?.reshape(shape)
}

/// The table of `kernels/quant.metal`.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

const ONE_SCALE: &[super::catalog::Input] = &[input("x", Kind::Codes), input("scale", Kind::Scale)];

pub(super) static TABLE: &[Entry] = &[
    Entry {
        name: "quant::dequantize_int8",
        formula: "x scale",
        file: "",
        inputs: ONE_SCALE,
        call: |p| {
            Ok(vec![
                dequantize_int8(&p[0], &p[1]).dtype(p[1].dtype()).call()?,
            ])
        },
        composite: |p| Ok(vec![scaled(&p[0], &p[1])?]),
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::dequantize_silu_int8",
        formula: "silu(x scale)",
        file: "",
        inputs: ONE_SCALE,
        call: |p| {
            Ok(vec![
                dequantize_silu_int8(&p[0], &p[1])
                    .dtype(p[1].dtype())
                    .call()?,
            ])
        },
        composite: |p| {
            let v = scaled(&p[0], &p[1])?;
            Ok(vec![(&v * v.sigmoid()?)?])
        },
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::dequantize_int4",
        formula: "[x mod 16, x div 16] scale",
        file: "quant.metal",
        inputs: ONE_SCALE,
        call: |p| {
            Ok(vec![
                dequantize_int4(&p[0], &p[1]).dtype(p[1].dtype()).call()?,
            ])
        },
        composite: |p| Ok(vec![scaled(&halves(&p[0])?, &p[1])?]),
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + 2 * size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::dequantize_blockwise",
        formula: "x scales[i div 128]",
        file: "",
        inputs: &[input("x", Kind::Codes), input("scales", Kind::Scales)],
        call: |p| {
            Ok(vec![
                dequantize_blockwise(&p[0], &p[1])
                    .dtype(p[1].dtype())
                    .call()?,
            ])
        },
        composite: |p| Ok(vec![in_blocks(&p[0], &p[1])?]),
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::fused_swiglu_quant",
        formula: "silu(a) b, a = x1 scales1[i div 128], b = x2 scales2[i div 128]",
        file: "",
        inputs: &[
            input("x1", Kind::Codes),
            input("scales1", Kind::Scales),
            input("x2", Kind::Codes),
            input("scales2", Kind::Scales),
        ],
        call: |p| {
            let call = fused_swiglu_quant(&p[0], &p[1], &p[2], &p[3]);
            Ok(vec![call.dtype(p[1].dtype()).call()?])
        },
        composite: |p| {
            let (a, b) = (in_blocks(&p[0], &p[1])?, in_blocks(&p[2], &p[3])?);
            Ok(vec![((&a * a.sigmoid()?)? * b)?])
        },
        mlx: None,
        bytes: |rows, width, size| rows * width * (2 + size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::dequantize_fp8",
        formula: "e4m3(x) scale",
        file: "quant.metal",
        inputs: ONE_SCALE,
        call: |p| {
            Ok(vec![
                dequantize_fp8(&p[0], &p[1]).dtype(p[1].dtype()).call()?,
            ])
        },
        composite: |p| Ok(vec![p[0].from_fp8(p[1].dtype())?.multiply(&p[1])?]),
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + size),
        roundings: few_roundings,
    },
    Entry {
        name: "quant::dequantize_nf4",
        formula: "[nf4(x mod 16), nf4(x div 16)] scale",
        file: "quant.metal",
        inputs: ONE_SCALE,
        call: |p| {
            Ok(vec![
                dequantize_nf4(&p[0], &p[1]).dtype(p[1].dtype()).call()?,
            ])
        },
        composite: |p| {
            let table = Array::from_slice(&NF4, 16)?.astype(p[1].dtype())?;
            Ok(vec![table.take(&halves(&p[0])?, 0)?.multiply(&p[1])?])
        },
        mlx: None,
        bytes: |rows, width, size| rows * width * (1 + 2 * size),
        roundings: few_roundings,
    },
];
