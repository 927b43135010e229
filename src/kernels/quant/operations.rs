//! The generated operations, one for each dtype of the result, and what all functions check.

use crate::codegen::op::Operation;
use crate::codegen::program::{Input, InputKind, OutputDtype, Program, Span};
use crate::expr::Expr;
use crate::kernels::arguments::check_float;
use crate::kernels::generated::Generated;
use crate::{Array, Dtype, Error, Result};

#[track_caller]
pub(super) fn check_codes(name: &str, x: &Array, dtypes: &[Dtype]) -> Result<()> {
    if dtypes.contains(&x.dtype()) {
        return Ok(());
    }
    let names: Vec<&str> = dtypes.iter().map(|d| d.name()).collect();
    Err(not_codes(name, x, &names.join(" or ")))
}

#[track_caller]
pub(super) fn not_codes(name: &str, x: &Array, expected: &str) -> Error {
    Error::dtype(format!("`{name}`: expected {expected}, got {}", x.dtype()))
}

/// An array of one element, without axes.
#[track_caller]
pub(super) fn one(name: &str, scale: &Array) -> Result<Array> {
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
pub(super) fn place_of(dtype: Dtype) -> Result<usize> {
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

pub(super) static INT8: [Generated; 3] =
    in_dtypes!(|d| elements("dequantize_int8", "x * scale", InputKind::Value, d));
pub(super) static SILU_INT8: [Generated; 3] = in_dtypes!(|d| elements(
    "dequantize_silu_int8",
    "kk_silu(x * scale)",
    InputKind::Value,
    d
));
pub(super) static E4M3: [Generated; 3] =
    in_dtypes!(|d| elements("dequantize_e4m3", "kk_e4m3(x) * scale", InputKind::Index, d));
pub(super) static E5M2: [Generated; 3] =
    in_dtypes!(|d| elements("dequantize_e5m2", "kk_e5m2(x) * scale", InputKind::Index, d));
pub(super) static BLOCKWISE: [Generated; 3] =
    in_dtypes!(|d| blocks("dequantize_blockwise", &["x", "scales"], "x * scales", d));
pub(super) static SWIGLU: [Generated; 3] = in_dtypes!(|d| blocks(
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
