//! Vectors and other owners.

use std::sync::Arc;

use half::{bf16, f16};
use num_complex::Complex32;
use proptest::prelude::*;
use zmlx::prelude::*;
use zmlx::{Element, eval};

use crate::common::{Rng, on_worker};
use crate::{Counted, borrows, count};

#[test]
fn the_values_of_a_vector() {
    fn round_trip<T: Element + PartialEq + std::fmt::Debug>(values: [T; 6]) {
        let array = Array::from_vec(values.to_vec(), (2, 3)).unwrap();
        assert_eq!((array.shape(), array.dtype()), (&[2, 3][..], T::DTYPE));
        assert_eq!(array.as_slice::<T>().unwrap(), values);
        let turned = array.transpose(..).unwrap().to_vec::<T>().unwrap();
        assert_eq!(turned, [0, 3, 1, 4, 2, 5].map(|i| values[i]));
        assert_eq!(array.index((1, 2)).unwrap().item::<T>().unwrap(), values[5]);
        // `contiguous` asks how large the buffer is.
        let copy = array.reshape(6).unwrap().contiguous().unwrap();
        assert_eq!(copy.to_vec::<T>().unwrap(), values);
    }
    on_worker(|| {
        round_trip([true, false, false, true, true, false]);
        round_trip([1u8, 2, 3, 4, 5, 255]);
        round_trip([1u16, 2, 3, 4, 5, 65535]);
        round_trip([1u32, 2, 3, 4, 5, u32::MAX]);
        round_trip([1u64, 2, 3, 4, 5, u64::MAX]);
        round_trip([-1i8, 2, 3, 4, 5, i8::MIN]);
        round_trip([-1i16, 2, 3, 4, 5, i16::MIN]);
        round_trip([-1i32, 2, 3, 4, 5, i32::MIN]);
        round_trip([-1i64, 2, 3, 4, 5, i64::MIN]);
        round_trip([1.5, -2.0, 3.0, 4.0, 5.0, 0.1].map(f16::from_f64));
        round_trip([1.5, -2.0, 3.0, 4.0, 5.0, 0.1].map(bf16::from_f64));
        round_trip([1.5f32, -2.0, 3.0, 4.0, 5.0, 0.1]);
        round_trip([1.0, -2.0, 3.0, 4.0, 5.0, 0.1].map(|r| Complex32::new(r, -r)));
        zmlx::with_device(Device::CPU, || {
            round_trip([1.5f64, -2.0, 3.0, 4.0, 5.0, 0.1])
        });
        let none = Array::from_vec(Vec::<f32>::new(), (0, 3)).unwrap();
        assert!(none.to_vec::<f32>().unwrap().is_empty());
        assert_eq!(
            Array::from_vec(vec![7i32], ())
                .unwrap()
                .item::<i32>()
                .unwrap(),
            7
        );
    });
}

#[test]
fn nothing_is_copied() {
    on_worker(|| {
        let values = vec![1.0f32; 100_000];
        let address = values.as_ptr() as usize;
        let before = zmlx::memory::active().unwrap();
        let array = Array::from_vec(values, 100_000).unwrap();
        if !borrows() {
            println!("SKIPPED: this package of MLX may copy");
            return;
        }
        assert_eq!(array.as_slice::<f32>().unwrap().as_ptr() as usize, address);
        assert!(zmlx::memory::active().unwrap() < before + 100_000);
        // Nor are views, values for other threads and what those see.
        let view = array.reshape((100, 1000)).unwrap();
        view.eval().unwrap();
        let frozen = view.freeze().unwrap();
        assert_eq!(frozen.as_slice::<f32>().unwrap().as_ptr() as usize, address);
        let thawed = frozen.thaw().unwrap();
        assert_eq!(thawed.as_slice::<f32>().unwrap().as_ptr() as usize, address);
        // And nothing is written there, although nobody else holds the array.
        let sum = array.add(1.0).unwrap();
        drop((array, view, thawed));
        sum.eval().unwrap();
        assert_eq!(frozen.as_slice::<f32>().unwrap()[..], [1.0; 100_000]);
        assert_eq!(sum.to_vec::<f32>().unwrap()[..], [2.0; 100_000]);
    });
}

#[test]
fn when_the_owner_is_dropped() {
    on_worker(|| {
        let (owner, dropped) = Counted::new(vec![1.0f32, 2.0, 3.0]);
        let array = Array::from_owned(owner, 3).unwrap();
        assert_eq!(count(&dropped), usize::from(!borrows()));
        let clone = array.clone();
        let tail = array.index(1..).unwrap();
        tail.eval().unwrap();
        let frozen = array.freeze().unwrap();
        drop(array);
        drop(clone);
        if borrows() {
            assert_eq!(count(&dropped), 0);
        }
        drop(tail);
        // The last of them, on another thread.
        std::thread::spawn(move || {
            assert_eq!(frozen.as_slice::<f32>().unwrap(), [1.0, 2.0, 3.0]);
        })
        .join()
        .unwrap();
        // A stream lets go of what it used a little after it says that it is done.
        zmlx::synchronize().unwrap();
        assert_eq!(count(&dropped), 1);

        // A computation that is under way keeps it, too.
        let (owner, dropped) = Counted::new(vec![1.0f32; 1 << 20]);
        let array = Array::from_owned(owner, 1 << 20).unwrap();
        let sum = array.exp().unwrap().sum(..).unwrap();
        let handle = async_eval([&sum]).unwrap();
        drop(array);
        handle.wait().unwrap();
        let copy = Array::from_slice(&vec![1.0f32; 1 << 20], 1 << 20).unwrap();
        let want = copy.exp().unwrap().sum(..).unwrap();
        assert_eq!(sum.item::<f32>().unwrap(), want.item::<f32>().unwrap());
        drop(sum);
        zmlx::synchronize().unwrap();
        assert_eq!(count(&dropped), 1);
    });
}

#[test]
fn owners_that_panic() {
    on_worker(|| {
        let (mut owner, dropped) = Counted::new(vec![1i32, 2]);
        owner.panics = true;
        let array = Array::from_owned(owner, 2).unwrap();
        let twice = array.multiply(2).unwrap();
        drop(array);
        eval([&twice]).unwrap();
        assert_eq!(twice.to_vec::<i32>().unwrap(), [2, 4]);
        drop(twice);
        zmlx::synchronize().unwrap();
        assert_eq!(count(&dropped), 1);
    });
}

/// An owner of elements within itself, which move when it does.
struct Inside([f32; 4]);

impl AsRef<[f32]> for Inside {
    fn as_ref(&self) -> &[f32] {
        &self.0
    }
}

/// Gives other elements each time.
struct Fickle(std::sync::atomic::AtomicUsize);

impl AsRef<[f32]> for Fickle {
    fn as_ref(&self) -> &[f32] {
        let n = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        &[1.0, 2.0, 3.0][n.min(3)..]
    }
}

#[test]
fn owners_of_all_kinds() {
    on_worker(|| {
        let inside = Array::from_owned(Inside([1.0, 2.0, 3.0, 4.0]), (2, 2)).unwrap();
        let shared: Arc<[u8]> = Arc::from([1, 2, 3]);
        let of_shared = Array::from_owned(Arc::clone(&shared), 3).unwrap();
        let boxed: Box<[i64]> = Box::new([7, 8]);
        let of_box = Array::from_owned(boxed, 2).unwrap();
        static FOR_EVER: [u16; 2] = [3, 4];
        let of_static = Array::from_owned(FOR_EVER.as_slice(), 2).unwrap();
        assert_eq!(inside.sum(..).unwrap().item::<f32>().unwrap(), 10.0);
        assert_eq!(of_shared.to_vec::<u8>().unwrap(), *shared);
        assert_eq!(of_box.to_vec::<i64>().unwrap(), [7, 8]);
        assert_eq!(of_static.to_vec::<u16>().unwrap(), FOR_EVER);
        let e = Array::from_owned(Fickle(0.into()), 3).unwrap_err();
        assert!(e.to_string().contains("expected 3, got 2"), "{e}");
    });
}

#[test]
fn what_does_not_fit() {
    on_worker(|| {
        let (owner, dropped) = Counted::new(vec![1.0f32, 2.0, 3.0]);
        let e = Array::from_owned(owner, (2, 2)).unwrap_err();
        assert!(matches!(e, Error::Shape { .. }), "{e}");
        assert!(e.to_string().contains("`owner`: expected 4"), "{e}");
        assert_eq!(count(&dropped), 1);
        assert!(Array::from_vec(vec![1u8], -1).is_err());
        assert!(Array::from_vec(vec![1u8], (1 << 20, 1 << 20, 1 << 30)).is_err());

        let e = Array::from_owned_bytes(vec![0u8; 7], 2, F32).unwrap_err();
        assert!(
            e.to_string().contains("expected 8 bytes for float32"),
            "{e}"
        );
        let e = Array::from_owned_bytes(vec![0u8, 1, 2], 3, BOOL).unwrap_err();
        assert!(matches!(e, Error::Argument { .. }), "{e}");
        assert!(e.to_string().contains("got 2"), "{e}");
        // Some start within these is not aligned.
        static BYTES: [u8; 11] = [0; 11];
        for dtype in Dtype::ALL {
            let multiple = match dtype {
                Dtype::Complex64 => 4,
                other => other.size(),
            };
            for from in 0..3 {
                let part = &BYTES[from..from + 8];
                let array = zmlx::with_device(Device::CPU, || {
                    Array::from_owned_bytes(part, 8 / dtype.size(), dtype)
                });
                if (part.as_ptr() as usize).is_multiple_of(multiple) {
                    assert_eq!(array.unwrap().to_bytes().unwrap(), part);
                } else {
                    let e = array.unwrap_err();
                    assert!(
                        e.to_string().contains("an address that is a multiple"),
                        "{e}"
                    );
                }
            }
        }
        assert_eq!(
            Array::from_owned_bytes(&BYTES[1..1], (0, 2), F32)
                .unwrap()
                .size(),
            0
        );
    });
}

#[test]
fn a_file_in_memory() {
    on_worker(|| {
        let values = Rng::new().normals(4096);
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        std::io::Write::write_all(&mut &file, &bytes).unwrap();
        // SAFETY: nobody else has the file.
        let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
        let address = map.as_ptr() as usize;
        let array = Array::from_owned_bytes(map, (64, 64), F32).unwrap();
        if borrows() {
            assert_eq!(array.as_slice::<f32>().unwrap().as_ptr() as usize, address);
        }
        // The first page of a map has nothing readable before it.
        let dense = array.reshape(4096).unwrap().contiguous().unwrap();
        assert_eq!(dense.to_vec::<f32>().unwrap(), values);
        let product = array.matmul(&array).unwrap();
        let copy = Array::from_slice(&values, (64, 64)).unwrap();
        let want = copy.matmul(&copy).unwrap();
        assert_eq!(
            product.to_vec::<f32>().unwrap(),
            want.to_vec::<f32>().unwrap()
        );
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Operations see the same as in a copy, at any distance from the start of memory.
    #[test]
    fn like_a_copy(values in prop::collection::vec(-8i32..8, 1..200), from in 0usize..5) {
        let (got, want) = on_worker(move || {
            let from = from.min(values.len() - 1);
            let part = values[from..].to_vec();
            let n = part.len();
            let owner = Part(values, from);
            let borrowed = Array::from_owned(owner, n).unwrap();
            let copied = Array::from_slice(&part, n).unwrap();
            let all = |a: &Array| {
                let sorted = a.sort(0).unwrap().to_vec::<i32>().unwrap();
                let sums = a.cumsum(0).unwrap().to_vec::<i32>().unwrap();
                let back = a.index(step(.., -1)).unwrap().contiguous().unwrap();
                (sorted, sums, back.to_vec::<i32>().unwrap(), a.argmax(..).unwrap().item::<u32>().unwrap())
            };
            (all(&borrowed), all(&copied))
        });
        prop_assert_eq!(got, want);
    }
}

struct Part(Vec<i32>, usize);

impl AsRef<[i32]> for Part {
    fn as_ref(&self) -> &[i32] {
        &self.0[self.1..]
    }
}
