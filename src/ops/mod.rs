//! MLX's operations: methods of [`Array`] where an array comes first, functions here otherwise.
//!
//! All are lazy and run on the current stream (see [`crate::stream`]). Shapes broadcast as in
//! MLX, types promote as in MLX, and a plain number takes the type of the array it meets
//! (see [`Operand`](crate::Operand)). Names are MLX's. An axis may be negative, counting
//! from the last; `..` stands for all axes or, for operations along one axis, for the
//! flattened array; [`keepdims`](crate::keepdims) keeps reduced axes with length 1.
//!
//! # Errors
//! Wrong shapes, dtypes and arguments fail at the call, not in the evaluation, and carry
//! MLX's message: [`Error::Shape`], [`Error::Dtype`] or [`Error::Argument`]. A result with
//! more elements than memory can address is an [`Error::Shape`]; MLX would go on with a
//! wrapped size.
//!
//! # What MLX leaves unchecked
//! Index arrays ([`Array::take`], [`Array::index`], [`Array::gather`], [`Array::scatter`]
//! and their kin, [`Array::gather_mm`], [`Array::gather_qmm`]) are read unchecked by MLX's
//! kernels, also outside the array. Here such an index is an [`Error::Argument`] when the
//! index values are known at the call (evaluated, and not traced by a transformation);
//! otherwise operations in the graph clamp it to the nearest valid one. Dividing integers
//! by zero gives 0 here, as in NumPy; some of MLX's divisions end the process on x86.
//!
//! # Numbers and their types
//! A number that the integers of an array do not reach (`256` and uint8) is an [`Error::Argument`]
//! that names both, and so is an array of new values for some elements, of up to 4096 numbers that are known at the call. Comparisons
//! with numbers answer as mathematics does: `x.less(300)` is true for every int8. Floats beyond the
//! range of float16 are infinite, except in comparisons. Sums inside a mean, variance, median or rounding have more room
//! than the dtype; where only the result does not fit, it is infinite, or for [`Array::round`] of integers the
//! nearest number. Arrays of uint64 and signed integers are compared exactly; in arithmetic their common type is float32,
//! and operations on bits refuse them.
//!
//! # float64
//! It exists on the CPU only. Functions there have the accuracy of float64, also where MLX's own compute in float32
//! (`exp`, `sin`, `cos`, `erf`, `erfinv`, `sigmoid`, `logaddexp`, `softmax`, `logsumexp`, convolutions,
//! `round`, derivatives of `expm1` and `tan`), but for
//! - [`Array::logcumsumexp`], [`crate::fast`], and the normal numbers of [`crate::random`], which have that of float32,
//! - functions read from a file: it holds MLX's operations.
//!
//! # Memory
//! A result that memory cannot hold is an [`Error::Memory`] of the evaluation; the process goes on.

mod activations;
pub(crate) mod axes;
mod cast;
mod closeness;
mod contraction;
mod conv;
mod conv64;
mod conv_settings;
mod create;
mod diagonals;
mod each;
mod einsum;
mod elementwise;
mod index;
mod join;
mod macros;
mod math;
mod matrix;
mod operators;
mod pad;
mod quantization;
mod quantized;
mod quantized_double;
mod range;
mod reduce;
mod scan;
mod shape;
mod sort;
mod storage;
mod term;
mod types;
mod update;

use cxx::UniquePtr;

use crate::array::element_count;
use crate::bridge::array::ffi;
use crate::error::Lift;
use crate::{Array, Axes, Error, Result};

pub use self::closeness::Tolerance;
pub use self::contraction::IntoContraction;
pub use self::conv_settings::Conv;
pub use self::create::{bartlett, blackman, hamming, hanning};
pub use self::each::Slices;
pub use self::einsum::{EinsumPath, einsum, einsum_path};
pub use self::elementwise::{Bounds, where_};
pub(crate) use self::join::exactly;
pub use self::join::{
    Indexing, Sections, broadcast_arrays, concatenate, concatenate_flat, depends, meshgrid, stack,
};
pub use self::pad::{OnAxes, PadMode, PadWidths, on_axes};
pub use self::quantization::{QuantMode, Quantization};
pub(crate) use self::quantized::NVFP4_REACH;
pub use self::quantized::{Pick, Quantized};
pub use self::range::{Arange, Span, Steps};
pub use self::scan::Scan;
pub use self::sort::{Unique, UniqueParts};
pub use self::term::Term;
pub use self::types::{broadcast_shapes, promote_types, result_type};

/// The result of a bridge call as an array, with the caller's location in errors.
#[track_caller]
pub(crate) fn done(raw: Result<UniquePtr<ffi::Array>, cxx::Exception>) -> Result<Array> {
    sized(Array::wrap(raw.lift()?))
}

/// The result of a bridge call that gives several arrays.
#[track_caller]
pub(crate) fn done_list(
    raw: Result<UniquePtr<cxx::CxxVector<ffi::Array>>, cxx::Exception>,
) -> Result<Vec<Array>> {
    let arrays = crate::array::unpack(&*raw.lift()?)?;
    for a in &arrays {
        element_count(a.shape())?;
    }
    Ok(arrays)
}

/// Refuses a size that MLX's own arithmetic would wrap before it allocates.
#[track_caller]
fn sized(array: Array) -> Result<Array> {
    element_count(array.shape())?;
    Ok(array)
}

/// The axis of an operation along one axis; empty for the flattened array.
#[track_caller]
pub(crate) fn one_axis(axes: &Axes) -> Result<&[i32]> {
    match axes.list() {
        None => Ok(&[]),
        Some(axes) if axes.len() == 1 => Ok(axes),
        Some(axes) => Err(Error::argument(
            "axis",
            "one axis, or `..` for the flattened array",
            format_args!("{axes:?}"),
        )),
    }
}

/// One number, or several: `2`, `[2, 3]`, `&[2, 3]`, `vec![2, 3]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one or several integers",
    note = "an i32, or an array, slice or vector of i32: `2`, `[2, 3]`"
)]
pub trait IntoInts {
    /// The numbers.
    fn into_ints(self) -> Vec<i32>;
}

impl IntoInts for i32 {
    fn into_ints(self) -> Vec<i32> {
        vec![self]
    }
}

impl<const N: usize> IntoInts for [i32; N] {
    fn into_ints(self) -> Vec<i32> {
        self.to_vec()
    }
}

impl<const N: usize> IntoInts for &[i32; N] {
    fn into_ints(self) -> Vec<i32> {
        self.to_vec()
    }
}

impl IntoInts for &[i32] {
    fn into_ints(self) -> Vec<i32> {
        self.to_vec()
    }
}

impl IntoInts for &Vec<i32> {
    fn into_ints(self) -> Vec<i32> {
        self.clone()
    }
}

impl IntoInts for Vec<i32> {
    fn into_ints(self) -> Vec<i32> {
        self
    }
}

/// Checks that `value` lies in `range` (inclusive).
#[track_caller]
fn between(argument: &str, value: i32, range: std::ops::RangeInclusive<i32>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::argument(
        argument,
        format_args!("a number from {} to {}", range.start(), range.end()),
        value,
    ))
}
