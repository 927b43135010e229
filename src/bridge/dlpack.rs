//! DLPack: tensors as other libraries hand them over, by a struct of C.

use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;

use cxx::{SharedPtr, UniquePtr};

use super::array::ffi::Array as RawArray;
use super::element::elements_at;
use super::frozen::ffi::{Frozen, frozen_address, frozen_dims, frozen_dtype};
use super::owned::{alignment, array_at};
use crate::error::Lift;
use crate::unwanted::drop_quietly;
use crate::{Dtype, Error, Result};

/// Where a tensor lies, as DLPack numbers it. The main memory is 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLDevice {
    /// The kind of device.
    pub device_type: i32,
    /// Which of its kind.
    pub device_id: i32,
}

/// The type of a tensor's elements, as DLPack has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLDataType {
    /// 0 for signed and 1 for unsigned integers, 2 for floats, 4 for bfloat16, 5 for complex numbers, 6 for bools.
    pub code: u8,
    /// Bits of a number.
    pub bits: u8,
    /// Numbers of an element.
    pub lanes: u16,
}

/// A tensor without an owner; the first field of [`DLManagedTensor`].
#[repr(C)]
#[derive(Debug)]
pub struct DLTensor {
    /// Where the memory begins.
    pub data: *mut c_void,
    /// Whose memory it is.
    pub device: DLDevice,
    /// How many dimensions there are.
    pub ndim: i32,
    /// The type of the elements.
    pub dtype: DLDataType,
    /// The length of each dimension.
    pub shape: *mut i64,
    /// The distance of neighbours in each dimension, in elements; null for row-major order without gaps.
    pub strides: *mut i64,
    /// Where the first element lies, from `data`.
    pub byte_offset: u64,
}

/// A tensor with its owner, as DLPack's capsules named `dltensor` hold it.
#[repr(C)]
#[derive(Debug)]
pub struct DLManagedTensor {
    /// The tensor.
    pub dl_tensor: DLTensor,
    /// The owner's own.
    pub manager_ctx: *mut c_void,
    /// Gives the tensor back to its owner.
    pub deleter: Option<unsafe extern "C" fn(*mut DLManagedTensor)>,
}

/// A tensor that another library has handed over, or that is to be handed over. It is given back to its owner when this is
/// dropped.
pub struct DlTensor(NonNull<DLManagedTensor>);

// SAFETY: `from_raw` demands that the tensor may be used and given back on any thread, and ours may.
unsafe impl Send for DlTensor {}
// SAFETY: shared references only read what nobody writes.
unsafe impl Sync for DlTensor {}

impl Drop for DlTensor {
    fn drop(&mut self) {
        // SAFETY: the tensor is alive until its deleter is called, which happens here only.
        unsafe {
            if let Some(deleter) = self.0.as_ref().deleter {
                deleter(self.0.as_ptr());
            }
        }
    }
}

impl DlTensor {
    /// Takes a tensor over.
    ///
    /// # Errors
    /// [`Error::Argument`] for a null pointer, a negative or null shape. A tensor that is refused is given back.
    ///
    /// # Safety
    /// The pointer is null or leads to a tensor that nobody else gives back, whose `shape` and `strides` (unless null) hold `ndim`
    /// numbers. If it lies in the main memory, all memory from its lowest element to its highest can be read. Nobody writes to any of it
    /// until it is given back. The deleter may be called on any thread.
    #[track_caller]
    pub unsafe fn from_raw(tensor: *mut DLManagedTensor) -> Result<DlTensor> {
        let Some(tensor) = NonNull::new(tensor) else {
            return Err(Error::argument("tensor", "a tensor", "a null pointer"));
        };
        let tensor = DlTensor(tensor);
        let head = tensor.head();
        if head.ndim < 0 || (head.ndim > 0 && head.shape.is_null()) {
            let got = format_args!("{} dimensions at {:?}", head.ndim, head.shape).to_string();
            return Err(Error::argument("tensor", "a shape", got));
        }
        if tensor.shape().iter().any(|&d| d < 0) {
            let got = format_args!("{:?}", tensor.shape()).to_string();
            return Err(Error::argument("tensor", "lengths from 0", got));
        }
        Ok(tensor)
    }

    /// The tensor for another library, which gives it back by its deleter, on any thread, and does not write to it. Rust forgets it, so
    /// one that nobody gives back stays for ever.
    pub fn into_raw(self) -> *mut DLManagedTensor {
        let tensor = self.0.as_ptr();
        std::mem::forget(self);
        tensor
    }

    fn head(&self) -> &DLTensor {
        // SAFETY: the tensor is alive until `self` is dropped.
        &unsafe { self.0.as_ref() }.dl_tensor
    }

    /// Length of each dimension.
    pub fn shape(&self) -> &[i64] {
        let head = self.head();
        // SAFETY: whoever made the tensor promised as many numbers.
        unsafe { numbers(head.shape, head.ndim) }
    }

    /// Distance of neighbours in each dimension, in elements; `None` for row-major order without gaps.
    pub fn strides(&self) -> Option<&[i64]> {
        let head = self.head();
        // SAFETY: whoever made the tensor promised as many numbers.
        (!head.strides.is_null()).then(|| unsafe { numbers(head.strides, head.ndim) })
    }

    /// The type of the elements, as DLPack has it.
    pub fn data_type(&self) -> DLDataType {
        self.head().dtype
    }

    /// Where the tensor lies.
    pub fn device(&self) -> DLDevice {
        self.head().device
    }

    /// The type of the elements.
    ///
    /// # Errors
    /// [`Error::Dtype`] for a type that MLX has not, such as float8, and for several numbers an element.
    #[track_caller]
    pub fn dtype(&self) -> Result<Dtype> {
        let given = self.data_type();
        match Dtype::ALL.into_iter().find(|&d| data_type(d) == given) {
            Some(dtype) => Ok(dtype),
            None => Err(Error::dtype(format!(
                "`tensor`: expected a type that MLX has, got DLPack's code {} with {} bits and {} lanes",
                given.code, given.bits, given.lanes
            ))),
        }
    }
}

impl fmt::Debug for DlTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dtype, device) = (self.data_type(), self.device());
        write!(
            f,
            "DlTensor({dtype:?}, {:?}, strides {:?}, {device:?})",
            self.shape(),
            self.strides()
        )
    }
}

/// So many numbers.
///
/// # Safety
/// They must be there for `'a`. Of none the address does not count.
unsafe fn numbers<'a>(at: *const i64, count: i32) -> &'a [i64] {
    match usize::try_from(count) {
        // SAFETY: the caller's promise.
        Ok(count) if count > 0 => unsafe { std::slice::from_raw_parts(at, count) },
        _ => &[],
    }
}

/// DLPack's main memory, and main memory that CUDA may read.
const CPU: [i32; 2] = [1, 3];

/// A dtype as DLPack has it.
fn data_type(dtype: Dtype) -> DLDataType {
    let code = match dtype {
        Dtype::Bool => 6,
        Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64 => 0,
        Dtype::Uint8 | Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64 => 1,
        Dtype::Float16 | Dtype::Float32 | Dtype::Float64 => 2,
        Dtype::Bfloat16 => 4,
        Dtype::Complex64 => 5,
    };
    DLDataType {
        code,
        bits: dtype.size() as u8 * 8,
        lanes: 1,
    }
}

/// What one of our tensors keeps.
struct Manager {
    tensor: DLManagedTensor,
    shape: Vec<i64>,
    strides: Vec<i64>,
    _values: SharedPtr<Frozen>,
}

/// Takes one of our tensors back.
///
/// # Safety
/// It is one that [`export`] made, and this is the first call for it.
unsafe extern "C" fn give_back(tensor: *mut DLManagedTensor) {
    // SAFETY: `export` put the manager's address there.
    let manager = unsafe { Box::from_raw((*tensor).manager_ctx.cast::<Manager>()) };
    // A panic would end the process in the frames of C.
    drop_quietly(manager);
}

/// A tensor over values that nothing changes any more.
#[track_caller]
pub(crate) fn export(values: SharedPtr<Frozen>) -> Result<DlTensor> {
    let dims = frozen_dims(&values);
    let shape: Vec<i64> = dims.iter().map(|&d| d.into()).collect();
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    let empty = shape.contains(&0);
    let data = match empty {
        true => 0,
        false => frozen_address(&values).lift()?,
    };
    let dtype = data_type(frozen_dtype(&values));
    let manager = Box::leak(Box::new(Manager {
        tensor: DLManagedTensor {
            dl_tensor: DLTensor {
                data: data as *mut c_void,
                device: DLDevice {
                    device_type: CPU[0],
                    device_id: 0,
                },
                ndim: shape.len() as i32,
                dtype,
                shape: std::ptr::null_mut(),
                strides: std::ptr::null_mut(),
                byte_offset: 0,
            },
            manager_ctx: std::ptr::null_mut(),
            deleter: Some(give_back),
        },
        shape,
        strides,
        _values: values,
    }));
    manager.tensor.dl_tensor.shape = manager.shape.as_mut_ptr();
    manager.tensor.dl_tensor.strides = manager.strides.as_mut_ptr();
    let manager = NonNull::from(manager);
    // SAFETY: the manager is alive, and only its address is taken and written.
    unsafe {
        let tensor = &raw mut (*manager.as_ptr()).tensor;
        (*tensor).manager_ctx = manager.as_ptr().cast();
        Ok(DlTensor(NonNull::new_unchecked(tensor)))
    }
}

/// The elements of a tensor.
pub(crate) struct Imported {
    /// They, or with a layout all that the tensor spans, in one dimension. Bytes for bools that are neither 0 nor 1.
    pub(crate) memory: UniquePtr<RawArray>,
    pub(crate) layout: Option<Layout>,
}

/// Which element lies where.
pub(crate) struct Layout {
    pub(crate) dims: Vec<i32>,
    pub(crate) strides: Vec<i64>,
    pub(crate) first: usize,
}

/// The elements of a tensor that has some, without a copy where MLX needs none.
#[track_caller]
pub(crate) fn import(tensor: DlTensor, dtype: Dtype) -> Result<Imported> {
    let head = tensor.head();
    if !CPU.contains(&head.device.device_type) {
        return Err(Error::argument(
            "tensor",
            "one in the main memory (DLPack's device 1 or 3)",
            format_args!("device {}", head.device.device_type),
        ));
    }
    let dims = tensor.shape().iter().map(|&d| i32::try_from(d).ok());
    let Some(dims) = dims.collect::<Option<Vec<i32>>>() else {
        return Err(too_large(&tensor));
    };
    let layout = layout(&tensor, &dims);
    // How far the elements lie before and behind the first one.
    let (mut before, mut behind) = (0i128, 0i128);
    for (&d, &stride) in dims.iter().zip(layout.iter().flatten()) {
        let reach = i128::from(d - 1) * i128::from(stride);
        *(if reach < 0 { &mut before } else { &mut behind }) += reach.abs();
    }
    let span = i32::try_from(before + behind + 1);
    let (Ok(span), Ok(first)) = (span, usize::try_from(before)) else {
        return Err(too_large(&tensor));
    };
    let offset = usize::try_from(head.byte_offset).ok();
    let at = (head.data as usize).checked_add(offset.unwrap_or(usize::MAX));
    let low = at.and_then(|at| at.checked_sub(first * dtype.size()));
    let Some(low) = low.filter(|_| !head.data.is_null()) else {
        let got = format_args!("{:?} and {} bytes", head.data, head.byte_offset).to_string();
        return Err(Error::argument("tensor", "memory", got));
    };
    if !low.is_multiple_of(alignment(dtype)) {
        return Err(Error::argument(
            "tensor",
            format_args!(
                "an address that is a multiple of {}, as {dtype} needs",
                alignment(dtype)
            ),
            format_args!("{low:#x}"),
        ));
    }
    let shape = match &layout {
        Some(_) => vec![span],
        None => dims.clone(),
    };
    let bytes = shape.iter().map(|&d| d as usize).product();
    // SAFETY: whoever made the tensor promised this memory, for bools a byte for each.
    let foreign = dtype == Dtype::Bool
        && unsafe { elements_at::<u8>(low, bytes)? }
            .iter()
            .any(|&b| b > 1);
    let read_as = if foreign { Dtype::Uint8 } else { dtype };
    // SAFETY: whoever made the tensor promised memory from its lowest element to its highest, which is what `shape` holds from
    // `low` on, and that it stays until the tensor is given back. It is aligned, and any bytes are values of all types but bool,
    // of which these are.
    let memory = unsafe { array_at(Box::new(tensor), low, &shape, read_as)? };
    let layout = layout.map(|strides| Layout {
        dims,
        strides,
        first,
    });
    Ok(Imported { memory, layout })
}

/// The distances of neighbours; `None` for row-major order without gaps.
fn layout(tensor: &DlTensor, dims: &[i32]) -> Option<Vec<i64>> {
    let strides = tensor.strides()?;
    let mut next = 1i128;
    for (&d, &stride) in dims.iter().zip(strides).rev() {
        if d != 1 && i128::from(stride) != next {
            return Some(strides.to_vec());
        }
        next *= i128::from(d);
    }
    None
}

#[track_caller]
fn too_large(tensor: &DlTensor) -> Error {
    Error::shape(format!(
        "`tensor`: expected lengths and distances that MLX can count, got {tensor:?}"
    ))
}
