//! DLPack: tensors of ours, and such as another library would make.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use half::{bf16, f16};
use num_complex::Complex32;
use zmlx::interop::{DLDataType, DLDevice, DLManagedTensor, DLTensor, DlTensor};
use zmlx::prelude::*;

use crate::common::on_worker;
use crate::{borrows, count};

/// What another library keeps with a tensor.
struct Foreign<T> {
    values: Vec<T>,
    shape: Vec<i64>,
    strides: Vec<i64>,
    dropped: Arc<AtomicUsize>,
    tensor: Option<DLManagedTensor>,
}

/// A tensor as another library makes it; elements begin at `first`.
struct Recipe<'a> {
    code: u8,
    lanes: u16,
    shape: &'a [i64],
    strides: Option<&'a [i64]>,
    first: usize,
    device: i32,
}

impl<'a> Recipe<'a> {
    fn new(code: u8, shape: &'a [i64]) -> Self {
        Recipe {
            code,
            lanes: 1,
            shape,
            strides: None,
            first: 0,
            device: 1,
        }
    }

    fn strides(mut self, strides: &'a [i64], first: usize) -> Self {
        (self.strides, self.first) = (Some(strides), first);
        self
    }

    fn make<T>(&self, values: Vec<T>) -> (*mut DLManagedTensor, Arc<AtomicUsize>) {
        unsafe extern "C" fn deleter<T>(tensor: *mut DLManagedTensor) {
            // SAFETY: `make` leaked it.
            let foreign = unsafe { Box::from_raw((*tensor).manager_ctx.cast::<Foreign<T>>()) };
            foreign.dropped.fetch_add(1, Ordering::SeqCst);
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let foreign = Box::leak(Box::new(Foreign {
            values,
            shape: self.shape.to_vec(),
            strides: self.strides.unwrap_or_default().to_vec(),
            dropped: Arc::clone(&dropped),
            tensor: None,
        }));
        let context: *mut Foreign<T> = foreign;
        // Half of the way by the offset.
        let (data, ahead) = (foreign.values.as_mut_ptr(), self.first * size_of::<T>());
        let tensor = foreign.tensor.insert(DLManagedTensor {
            dl_tensor: DLTensor {
                data: data.cast(),
                device: DLDevice {
                    device_type: self.device,
                    device_id: 0,
                },
                ndim: self.shape.len() as i32,
                dtype: DLDataType {
                    code: self.code,
                    bits: (size_of::<T>() * 8 / usize::from(self.lanes)) as u8,
                    lanes: self.lanes,
                },
                shape: foreign.shape.as_mut_ptr(),
                strides: match self.strides {
                    Some(_) => foreign.strides.as_mut_ptr(),
                    None => std::ptr::null_mut(),
                },
                byte_offset: ahead as u64,
            },
            manager_ctx: context.cast::<c_void>(),
            deleter: Some(deleter::<T>),
        });
        (tensor, dropped)
    }

    fn import<T>(&self, values: Vec<T>) -> zmlx::Result<Array> {
        // SAFETY: the tensor has just been made as it has to be.
        Array::from_dlpack(unsafe { DlTensor::from_raw(self.make(values).0) }?)
    }
}

#[test]
fn there_and_back() {
    fn one<T: zmlx::Element + PartialEq + std::fmt::Debug>(values: [T; 4], code: u8) {
        let array = Array::from_vec(values.to_vec(), (2, 2)).unwrap();
        let tensor = array.transpose(..).unwrap().to_dlpack().unwrap();
        let bits = 8 * size_of::<T>() as u8;
        let lanes = 1;
        assert_eq!(tensor.data_type(), DLDataType { code, bits, lanes });
        assert_eq!(tensor.dtype().unwrap(), T::DTYPE);
        assert_eq!(
            (tensor.shape(), tensor.strides()),
            (&[2, 2][..], Some(&[2, 1][..]))
        );
        assert_eq!(tensor.device().device_type, 1);
        let want = [values[0], values[2], values[1], values[3]];
        // SAFETY: it comes from `into_raw`.
        let tensor = unsafe { DlTensor::from_raw(tensor.into_raw()) }.unwrap();
        let array = std::thread::spawn(|| tensor).join().unwrap();
        let array = Array::from_dlpack(array).unwrap();
        assert_eq!(array.to_vec::<T>().unwrap(), want);
        let foreign = Recipe::new(code, &[2, 2]).import(values.to_vec()).unwrap();
        assert_eq!(foreign.dtype(), T::DTYPE);
        assert_eq!(foreign.to_vec::<T>().unwrap(), values);
    }
    on_worker(|| {
        one([true, false, false, true], 6);
        one([1i8, -2, 3, 4], 0);
        one([1i16, -2, 3, 4], 0);
        one([1i32, -2, 3, 4], 0);
        one([1i64, -2, 3, 4], 0);
        one([1u8, 2, 3, 4], 1);
        one([1u16, 2, 3, 4], 1);
        one([1u32, 2, 3, 4], 1);
        one([1u64, 2, 3, 4], 1);
        one([1.0, 2.0, 3.0, 4.0].map(f16::from_f64), 2);
        one([1.0, 2.0, 3.0, 4.0].map(bf16::from_f64), 4);
        one([1.0f32, 2.0, 3.0, 4.0], 2);
        one([1.0, 2.0, 3.0, 4.0].map(|r| Complex32::new(r, -r)), 5);
        zmlx::with_device(Device::CPU, || one([1.0f64, 2.0, 3.0, 4.0], 2));
    });
}

#[test]
fn shapes_of_all_kinds() {
    on_worker(|| {
        for shape in [&[][..], &[1], &[1, 1, 1], &[2, 0, 3], &[0]] {
            let n = shape.iter().product::<i32>() as usize;
            let array = Array::from_vec(vec![2.5f32; n], shape).unwrap();
            let tensor = array.to_dlpack().unwrap();
            let wide: Vec<i64> = shape.iter().map(|&d| d.into()).collect();
            assert_eq!(tensor.shape(), wide);
            let back = Array::from_dlpack(tensor).unwrap();
            assert_eq!(back.shape(), shape);
            assert_eq!(back.to_vec::<f32>().unwrap(), vec![2.5; n]);
        }
        let values: Vec<f32> = (0..24).map(|v| v as f32).collect();
        // With what the numbers mean: element (i, j) is number `first + i * a + j * b`.
        for (shape, strides, first) in [
            ([4, 6], [6, 1], 0),
            ([6, 4], [1, 6], 0),
            ([2, 3], [12, 2], 1),
            ([3, 6], [-6, 1], 18),
            ([4, 6], [-6, -1], 23),
            ([4, 6], [0, 1], 3),
            ([3, 1], [1, 1000], 2),
            ([1, 3], [-77, 4], 2),
            ([3, 3], [1, 1], 0),
        ] {
            let recipe = Recipe::new(2, &shape).strides(&strides, first);
            let (tensor, dropped) = recipe.make(values.clone());
            // SAFETY: the tensor has just been made as it has to be.
            let tensor = unsafe { DlTensor::from_raw(tensor) }.unwrap();
            let array = Array::from_dlpack(tensor).unwrap();
            let place = |i: i64, j: i64| first as i64 + i * strides[0] + j * strides[1];
            let pairs = (0..shape[0]).flat_map(|i| (0..shape[1]).map(move |j| (i, j)));
            let want: Vec<f32> = pairs.map(|(i, j)| place(i, j) as f32).collect();
            assert_eq!(
                array.to_vec::<f32>().unwrap(),
                want,
                "{shape:?} {strides:?}"
            );
            if borrows() {
                assert_eq!(count(&dropped), 0);
            }
            drop(array);
            zmlx::synchronize().unwrap();
            assert_eq!(count(&dropped), 1);
        }
    });
}

#[test]
fn nothing_is_copied() {
    on_worker(|| {
        let array = Array::from_vec(vec![1.0f32; 1000], 1000).unwrap();
        let address = array.as_slice::<f32>().unwrap().as_ptr() as usize;
        let tensor = array.to_dlpack().unwrap().into_raw();
        // SAFETY: the tensor is alive.
        let at = unsafe { (*tensor).dl_tensor.data } as usize;
        // SAFETY: it comes from `into_raw`.
        let tensor = unsafe { DlTensor::from_raw(tensor) }.unwrap();
        drop(array);
        let back = Array::from_dlpack(tensor).unwrap();
        if borrows() {
            assert_eq!(at, address);
            assert_eq!(back.as_slice::<f32>().unwrap().as_ptr() as usize, address);
        }
        assert_eq!(back.sum(..).unwrap().item::<f32>().unwrap(), 1000.0);
    });
}

#[test]
fn bytes_of_bools() {
    on_worker(|| {
        let array = Recipe::new(6, &[2, 2])
            .strides(&[1, 2], 0)
            .import(vec![0u8, 255, 1, 2])
            .unwrap();
        assert_eq!(array.dtype(), BOOL);
        assert_eq!(array.to_vec::<bool>().unwrap(), [false, true, true, true]);
        assert_eq!(
            array
                .astype(I32)
                .unwrap()
                .sum(..)
                .unwrap()
                .item::<i32>()
                .unwrap(),
            3
        );
    });
}

#[test]
fn what_is_refused() {
    on_worker(|| {
        let refused = |recipe: Recipe<'_>, want: &str| {
            let (tensor, dropped) = recipe.make(vec![0u32; 16]);
            // SAFETY: the tensor has just been made, and none of these is read.
            let tensor = unsafe { DlTensor::from_raw(tensor) };
            let e = tensor.and_then(Array::from_dlpack).unwrap_err();
            assert!(e.to_string().contains(want), "{e}");
            assert_eq!(count(&dropped), 1, "{e}");
        };
        // SAFETY: null is told apart.
        let e = unsafe { DlTensor::from_raw(std::ptr::null_mut()) }.unwrap_err();
        assert!(e.to_string().contains("null pointer"), "{e}");
        refused(Recipe::new(17, &[4]), "code 17 with 32 bits");
        refused(Recipe::new(3, &[4]), "code 3");
        refused(
            Recipe {
                lanes: 2,
                ..Recipe::new(1, &[4])
            },
            "2 lanes",
        );
        refused(Recipe::new(1, &[-1]), "lengths from 0");
        refused(
            Recipe {
                device: 2,
                ..Recipe::new(1, &[4])
            },
            "main memory",
        );
        refused(
            Recipe {
                device: 8,
                ..Recipe::new(1, &[4])
            },
            "device 8",
        );
        refused(Recipe::new(1, &[1 << 32, 0]), "that MLX can count");
        refused(Recipe::new(1, &[1 << 32]), "that MLX can count");
        refused(
            Recipe::new(1, &[2, 2]).strides(&[1 << 40, 1], 0),
            "that MLX can count",
        );

        let changed = |change: &dyn Fn(&mut DLTensor), want: &str| {
            let (tensor, dropped) = Recipe::new(1, &[4]).make(vec![0u32; 16]);
            // SAFETY: the tensor has just been made, and none of these is read.
            let tensor = unsafe {
                change(&mut (*tensor).dl_tensor);
                DlTensor::from_raw(tensor)
            };
            let e = tensor.and_then(Array::from_dlpack).unwrap_err();
            assert!(e.to_string().contains(want), "{e}");
            assert_eq!(count(&dropped), 1, "{e}");
        };
        changed(&|t| t.byte_offset = 2, "an address that is a multiple of 4");
        changed(&|t| t.byte_offset = u64::MAX, "memory");
        changed(&|t| t.data = std::ptr::null_mut(), "memory");
        changed(&|t| t.ndim = -1, "a shape");
        changed(&|t| t.shape = std::ptr::null_mut(), "a shape");
        // A tensor without a deleter is nobody's to give back.
        let (tensor, dropped) = Recipe::new(1, &[2]).make(vec![5u32, 6]);
        // SAFETY: the tensor has just been made as it has to be.
        let array = unsafe {
            (*tensor).deleter = None;
            Array::from_dlpack(DlTensor::from_raw(tensor).unwrap()).unwrap()
        };
        assert_eq!(array.to_vec::<u32>().unwrap(), [5, 6]);
        drop(array);
        assert_eq!(count(&dropped), 0);
        let traced = zmlx::grad(|x: &Array| {
            assert!(x.to_dlpack().is_err());
            x.square()
        });
        traced(&Array::from(1.0f32)).unwrap();
    });
}
