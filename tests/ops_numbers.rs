//! Numbers that a dtype does not hold, in comparisons, arithmetic, ranges and positions. On the CPU: what is tested is which
//! operations of MLX are called, and float64 is not elsewhere.

mod support;

use num_complex::Complex32;
use support::ops::*;
use support::*;
use zmlx::ops::{PadMode, where_};
use zmlx::prelude::*;

#[test]
fn a_number_beyond_the_dtype_is_compared_as_it_is() {
    here(|| {
        let signed = arr(&[-128i8, 127]);
        assert_eq!(truth(signed.less(300)), [true; 2]);
        assert_eq!(truth(signed.greater(-129)), [true; 2]);
        assert_eq!(truth(signed.equal(255)), [false; 2]);
        assert_eq!(truth(signed.not_equal(128)), [true; 2]);
        let unsigned = arr(&[0u64, u64::MAX]);
        assert_eq!(truth(unsigned.greater_equal(-1)), [true; 2]);
        assert_eq!(truth(unsigned.less_equal(-1)), [false; 2]);
        assert_eq!(truth(arr(&[0u32, u32::MAX]).less(-1)), [false; 2]);
        let half = arr(&[f32::INFINITY, 65504.0]).astype(F16).unwrap();
        assert_eq!(truth(half.greater(1e6)), [true, false]);
        assert_eq!(truth(half.less(70_000)), [false, true]);
        assert_eq!(truth(half.greater(1e6f32)), [true, false]);
        assert_eq!(truth(half.equal(1e300f64)), [false; 2]);
        assert_eq!(truth(half.less(70_000i64)), [false, true]);
        let single = arr(&[f32::INFINITY, f32::MAX]);
        assert_eq!(truth(single.greater(1e300)), [true, false]);
        assert_eq!(truth(single.less(-1e300)), [false; 2]);
        // Numbers of every type.
        assert_eq!(truth(signed.less(300i64)), [true; 2]);
        assert_eq!(truth(signed.less(u64::MAX)), [true; 2]);
        assert_eq!(truth(signed.greater(usize::MAX)), [false; 2]);
        assert_eq!(truth(signed.equal(255u8)), [false; 2]);
        assert_eq!(truth(unsigned.greater_equal(i64::MIN)), [true; 2]);
        assert_eq!(truth(unsigned.less(-1i8)), [false; 2]);
        assert_eq!(truth(arr(&[i64::MIN, i64::MAX]).less(u64::MAX)), [true; 2]);
        // Bounds as well, and the dtype stays.
        let same = signed.clip(-1000i64..=1000i64).unwrap();
        assert_eq!(same.to_vec::<i8>().unwrap(), [-128, 127]);
        for y in [
            half.clip(..=1e6).unwrap(),
            half.clip(-1e6f32..).unwrap(),
            half.clip(..=70_000i64).unwrap(),
            half.clip(-70_000..).unwrap(),
        ] {
            assert_eq!(
                (y.dtype(), f32s(&y.astype(F32).unwrap())[1]),
                (F16, 65504.0)
            );
        }
        let y = single.clip(1e300f64..).unwrap();
        assert_eq!((y.dtype(), f32s(&y)), (F32, vec![f32::INFINITY; 2]));
        // Integers without a common type.
        let (a, b) = (
            arr(&[u64::MAX, 1 << 60, 5]),
            arr(&[-1i64, (1 << 60) - 1, 5]),
        );
        assert_eq!(truth(a.equal(&b)), [false, false, true]);
        assert_eq!(truth(a.greater(&b)), [true, true, false]);
        assert_eq!(truth(b.less(&a)), [true, true, false]);
        assert_eq!(truth(b.greater_equal(&a)), [false, false, true]);
        assert_eq!(truth(b.not_equal(&a)), [true, true, false]);
        assert_eq!(truth(a.array_equal(&b, false)), [false]);
    });
}

#[test]
fn a_number_beyond_the_dtype_is_refused_where_it_would_wrap() {
    here(|| {
        let a = arr(&[1u8, 2]);
        let words = ["256", "uint8"];
        refused(&a + 256, &words);
        refused(256 * &a, &words);
        refused(a.maximum(256), &words);
        refused(where_(&a, &a, 256), &words);
        refused(a.full_like(256), &words);
        refused(Array::full(2, 256, U8), &words);
        refused(Array::full(2, f32::NAN, I32), &["NaN", "int32"]);
        refused(
            Array::full(2, Complex32::new(1.0, 2.0), F32),
            &["complex64", "float32"],
        );
        refused(a.pad(1, PadMode::Constant(256.0)), &words);
        refused(a.pad(1, PadMode::Constant(0.5)), &["0.5", "uint8"]);
        refused(a.slice_update(256, [0], [1], [1]), &words);
        refused(a.slice_update(0.5, [0], [1], [1]), &["0.5", "uint8"]);
        refused(a.put_along_axis(&arr(&[0]), -1, 0), &["-1", "uint8"]);
        refused(a.clip(300..), &["300", "uint8"]);
        refused(a.clip(..=-1), &["-1", "uint8"]);
        assert_eq!(a.clip(-1..=300).unwrap().to_vec::<u8>().unwrap(), [1, 2]);
        assert_eq!(a.clip(2..=300).unwrap().to_vec::<u8>().unwrap(), [2, 2]);
        let c = Array::full(2, Complex32::new(1.0, 2.0), C64).unwrap();
        refused(
            arr(&[1.0f32, 2.0]).slice_update(&c, [0], [2], [1]),
            &["complex64"],
        );
        assert_eq!((&a + 254).unwrap().to_vec::<u8>().unwrap(), [255, 0]);
    });
}

#[test]
fn ranges_of_integers_are_exact() {
    here(|| {
        let of = |r: std::ops::Range<i64>| Array::arange(r).unwrap().to_vec::<i64>().unwrap();
        for start in [i64::MIN, -(1 << 53) - 3, (1 << 53) - 1, i64::MAX - 4] {
            assert_eq!(of(start..start + 4), (start..start + 4).collect::<Vec<_>>());
        }
        let wide = Array::arange((i64::MIN, i64::MAX, 1 << 62)).unwrap();
        assert_eq!(
            wide.to_vec::<i64>().unwrap(),
            [i64::MIN, -(1 << 62), 0, 1 << 62]
        );
        let down = Array::arange((i64::MAX, i64::MAX - 5, -2)).unwrap();
        assert_eq!(
            down.to_vec::<i64>().unwrap(),
            [i64::MAX, i64::MAX - 2, i64::MAX - 4]
        );
        let ends = Array::arange(i32::MAX - 2..i32::MAX).unwrap();
        assert_eq!(i32s(&ends), [i32::MAX - 2, i32::MAX - 1]);
        assert_eq!(Array::arange((5, 1, 1)).unwrap().shape(), [0]);
        refused(Array::arange((3, 3, 0)), &["step", "0"]);
        refused(Array::arange(0..i64::MAX), &["2147483647"]);
        refused(Array::arange((f32::NAN, 0.0, 1.0)), &["start", "NaN"]);
        refused(
            Array::arange((1.0f32, 0.0, f32::INFINITY)),
            &["step", "inf"],
        );
        refused(Array::arange(f32::NEG_INFINITY), &["stop", "-inf"]);
        // The step is not added up.
        let tenths = f32s(&Array::arange((0.0f32, 1e5, 0.1)).unwrap());
        let last = tenths.len() - 1;
        assert_eq!(tenths[last], (last as f64 * f64::from(0.1f32)) as f32);
        let points = Array::linspace(0.0..=100_000_007.0, 8, I32).unwrap();
        let want: Vec<i32> = (0..8i64).map(|i| (100_000_007 * i / 7) as i32).collect();
        assert_eq!(i32s(&points), want);
        assert_eq!(
            i32s(&Array::linspace(0.0..=49.0, 50, I8).unwrap()),
            (0..50).collect::<Vec<_>>()
        );
        refused(Array::linspace(0.0..=300.0, 2, U8), &["300", "uint8"]);
    });
}

#[test]
fn positions_do_not_wrap() {
    here(|| {
        let x = arr(&[1, 2, 3]);
        for at in [usize::MAX, i64::MAX as usize, 1 << 63, 3] {
            refused(x.index(at), &["index"]);
        }
        assert_eq!(x.index(..usize::MAX).unwrap().shape(), [3]);
        assert_eq!(x.index(1..=usize::MAX).unwrap().shape(), [2]);
        assert_eq!(x.index(usize::MAX..).unwrap().shape(), [0]);
        assert_eq!(x.index(..=(i64::MAX as usize)).unwrap().shape(), [3]);
        assert_eq!(x.index(i32::MIN..).unwrap().shape(), [3]);
        assert_eq!(x.index(..=i32::MAX).unwrap().shape(), [3]);
        assert!(
            Array::zeros((0, 3), F32)
                .unwrap()
                .split(i32::MAX, 0)
                .is_err()
        );
        assert!(x.split(0, 0).is_err());
        assert_eq!(
            Array::zeros((0, 3), F32)
                .unwrap()
                .split(3, 0)
                .unwrap()
                .len(),
            3
        );
    });
}
