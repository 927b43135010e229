//! Memory that belongs to somebody else, as arrays.

use std::any::Any;
use std::ptr::NonNull;

use cxx::UniquePtr;

use super::array::ffi::Array as RawArray;
use super::element::{Element, bytes_of};
use crate::error::Lift;
use crate::unwanted::drop_quietly;
use crate::{Dtype, Error, Result};

#[cxx::bridge(namespace = "zmlx")]
pub(crate) mod ffi {
    extern "Rust" {
        type Owner;
    }

    unsafe extern "C++" {
        include!("zmlx/owned.h");

        type Array = crate::bridge::array::ffi::Array;
        type Dtype = crate::Dtype;

        /// The owner is dropped when nothing uses the memory any more, on whatever thread that happens.
        fn borrow_memory(
            owner: Box<Owner>,
            address: usize,
            dims: &[i32],
            dtype: Dtype,
        ) -> Result<UniquePtr<Array>>;
    }
}

/// What keeps the memory of an array alive.
pub(crate) struct Owner(Option<Box<dyn Any + Send>>);

impl Drop for Owner {
    fn drop(&mut self) {
        // C++ destroys it, through frames that a panic would end the process in.
        drop_quietly(self.0.take());
    }
}

/// A value on the heap that is only dropped from now on. A `Box` would claim with each move that nothing else points into it.
struct Kept<O>(NonNull<O>);

// SAFETY: it is the only owner of a value that may be sent.
unsafe impl<O: Send> Send for Kept<O> {}

impl<O> Drop for Kept<O> {
    fn drop(&mut self) {
        // SAFETY: `new` leaked this box, and it is taken back once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl<O> Kept<O> {
    fn new(owner: O) -> Self {
        Kept(NonNull::from(Box::leak(Box::new(owner))))
    }

    fn get(&self) -> &O {
        // SAFETY: the value lives as long as `self`, and nothing changes it.
        unsafe { self.0.as_ref() }
    }
}

/// An array over the elements of an owner, as many as `dims` hold; the caller has compared both.
#[track_caller]
pub(crate) fn array_of<T, O>(owner: O, dims: &[i32]) -> Result<UniquePtr<RawArray>>
where
    T: Element,
    O: AsRef<[T]> + Send + 'static,
{
    let kept = Kept::new(owner);
    let elements = kept.get().as_ref();
    let wanted = dims.iter().map(|&d| d as usize).product();
    expect(elements.len(), wanted)?;
    let bytes = bytes_of(elements);
    let address = bytes.as_ptr() as usize;
    // SAFETY: `owner` gave these elements for as long as it is borrowed, which is until `kept` is dropped.
    unsafe { array_at(Box::new(kept), address, dims, T::DTYPE) }
}

/// The same for elements of `dtype` in bytes.
#[track_caller]
pub(crate) fn array_of_bytes<O>(owner: O, dims: &[i32], dtype: Dtype) -> Result<UniquePtr<RawArray>>
where
    O: AsRef<[u8]> + Send + 'static,
{
    let kept = Kept::new(owner);
    let bytes = kept.get().as_ref();
    let wanted: usize = dims.iter().map(|&d| d as usize).product();
    expect(bytes.len(), wanted * dtype.size())?;
    let address = bytes.as_ptr() as usize;
    if let Some((expected, got)) = refused(bytes, dtype) {
        let expected = format!("{expected} (`Array::from_bytes` copies others)");
        return Err(Error::argument("owner", expected, got));
    }
    // SAFETY: `owner` gave these bytes for as long as it is borrowed, which is until `kept` is dropped. There are as many as the
    // elements have, and all are elements where they lie: that was looked at.
    unsafe { array_at(Box::new(kept), address, dims, dtype) }
}

/// Why bytes cannot be elements of `dtype` where they are: what was expected, and what is there.
pub(crate) fn refused(bytes: &[u8], dtype: Dtype) -> Option<(String, String)> {
    let (address, multiple) = (bytes.as_ptr() as usize, alignment(dtype));
    if !bytes.is_empty() && !address.is_multiple_of(multiple) {
        let expected = format!("an address that is a multiple of {multiple}, as {dtype} needs");
        return Some((expected, format!("{address:#x}")));
    }
    let foreign = match dtype {
        Dtype::Bool => bytes.iter().find(|&&b| b > 1)?,
        _ => return None,
    };
    Some((
        "bools, which are bytes of 0 and 1".into(),
        foreign.to_string(),
    ))
}

/// What `AsRef` gives may differ from what it gave before.
#[track_caller]
fn expect(got: usize, wanted: usize) -> Result<()> {
    match got == wanted {
        true => Ok(()),
        false => Err(Error::argument("owner", wanted, got)),
    }
}

/// The multiple that addresses of elements of `dtype` are.
pub(crate) fn alignment(dtype: Dtype) -> usize {
    match dtype {
        // Two of float32.
        Dtype::Complex64 => align_of::<f32>(),
        Dtype::Int64 | Dtype::Uint64 => align_of::<i64>(),
        Dtype::Float64 => align_of::<f64>(),
        other => other.size(),
    }
}

/// An array over memory.
///
/// # Safety
/// At `address`, aligned for its elements, as many elements of `dtype` as `dims` hold must be, and stay as they are
/// until `owner` is dropped. Each of them must be a value of the type.
#[track_caller]
pub(crate) unsafe fn array_at(
    owner: Box<dyn Any + Send>,
    address: usize,
    dims: &[i32],
    dtype: Dtype,
) -> Result<UniquePtr<RawArray>> {
    ffi::borrow_memory(Box::new(Owner(Some(owner))), address, dims, dtype).lift()
}
