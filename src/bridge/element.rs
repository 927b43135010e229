//! The Rust types an array's elements can be read as, and the raw views of its storage.

use half::{bf16, f16};
use num_complex::Complex32;

use super::array::ffi;
use crate::error::Lift;
use crate::{Dtype, Error, Result};

/// A Rust type with the layout of one MLX element type.
///
/// Sealed: implemented for `bool`, the integers of 8 to 64 bits, [`half::f16`], [`half::bf16`],
/// `f32`, `f64` and [`Complex32`].
///
/// # Safety
/// `DTYPE` must name the MLX type of the same size, alignment and representation,
/// and every value must be plain bytes without padding.
pub unsafe trait Element: Copy + Send + Sync + 'static + sealed::Sealed {
    /// The MLX name of the type.
    const DTYPE: Dtype;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($ty:ty => $dtype:ident),* $(,)?) => {$(
        impl sealed::Sealed for $ty {}
        // SAFETY: MLX stores this dtype as exactly this machine type.
        unsafe impl Element for $ty {
            const DTYPE: Dtype = Dtype::$dtype;
        }
    )*};
}

elements! {
    bool => Bool,
    u8 => Uint8,
    u16 => Uint16,
    u32 => Uint32,
    u64 => Uint64,
    i8 => Int8,
    i16 => Int16,
    i32 => Int32,
    i64 => Int64,
    f16 => Float16,
    f32 => Float32,
    f64 => Float64,
    bf16 => Bfloat16,
    Complex32 => Complex64,
}

/// The bytes of a slice of elements.
pub(crate) fn bytes_of<T: Element>(data: &[T]) -> &[u8] {
    // SAFETY: `Element` promises plain bytes without padding; the lifetime is kept.
    unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), size_of_val(data)) }
}

/// Checks that elements of `dtype` can be read as `T`.
#[track_caller]
pub(crate) fn matches<T: Element>(dtype: Dtype) -> Result<()> {
    if dtype == T::DTYPE {
        return Ok(());
    }
    Err(Error::dtype(format!(
        "expected an array of {}, got {dtype}",
        T::DTYPE
    )))
}

/// Checks that bytes are bools.
#[track_caller]
pub(crate) fn require_bools<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> Result<()> {
    if bytes.into_iter().any(|&b| b > 1) {
        return Err(Error::dtype(
            "the array's bool storage holds a byte other than 0 and 1".into(),
        ));
    }
    Ok(())
}

/// `len` elements at an address.
///
/// # Safety
/// That many initialized elements of MLX's type `T::DTYPE` must be there, aligned
/// as MLX aligns its buffers, and stay unchanged for `'a`. A bool may be any byte.
#[track_caller]
pub(crate) unsafe fn elements_at<'a, T: Element>(address: usize, len: usize) -> Result<&'a [T]> {
    if T::DTYPE == Dtype::Bool {
        // SAFETY: the caller's promise, for bytes.
        let bytes = unsafe { std::slice::from_raw_parts(address as *const u8, len) };
        require_bools(bytes)?;
    }
    if !address.is_multiple_of(align_of::<T>()) {
        return Err(Error::not_ready(
            "the array's storage is not aligned for its type: use `to_vec` of a copy",
        ));
    }
    // SAFETY: the caller's promise; alignment and bools were checked.
    Ok(unsafe { std::slice::from_raw_parts(address as *const T, len) })
}

/// The storage of an evaluated, row-contiguous array of `T`, without a copy.
#[track_caller]
pub(crate) fn view<T: Element>(array: &ffi::Array) -> Result<&[T]> {
    matches::<T>(ffi::dtype(array))?;
    let bytes = view_bytes(array)?;
    if bytes.is_empty() {
        return Ok(&[]);
    }
    // SAFETY: the dtype matches and `view_bytes` gave all elements of the array,
    // which the handle keeps alive and undonated while it is borrowed.
    unsafe { elements_at(bytes.as_ptr() as usize, ffi::size(array)) }
}

/// Checks that the values are there to be borrowed.
#[track_caller]
pub(crate) fn require_ready(array: &ffi::Array) -> Result<()> {
    if !ffi::ready(array).lift()? {
        if let Err(Error::Mlx { message, at }) = ffi::check_failed(array).lift() {
            return Err(Error::NotReady { message, at });
        }
        return Err(Error::not_ready(
            "the array has not been evaluated: call `eval` before borrowing its data",
        ));
    }
    Ok(())
}

/// The storage of an evaluated, row-contiguous array as bytes.
#[track_caller]
pub(crate) fn view_bytes(array: &ffi::Array) -> Result<&[u8]> {
    require_ready(array)?;
    let len = ffi::size(array) * ffi::dtype(array).size();
    if len == 0 {
        return Ok(&[]);
    }
    if !ffi::is_row_contiguous(array) {
        return Err(Error::not_ready(
            "the array's storage is strided: use `to_vec`, or borrow from `contiguous()`",
        ));
    }
    let address = ffi::address(array).lift()?;
    // SAFETY: evaluated and row-contiguous, so `len` initialized bytes start at
    // `address`; the handle keeps the buffer alive and undonated while borrowed.
    Ok(unsafe { std::slice::from_raw_parts(address as *const u8, len) })
}
