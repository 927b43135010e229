//! Options of operations: dtypes of results, ranges of every type, padding of some axes, orders of contraction.

mod support;

use half::{bf16, f16};
use num_complex::Complex32;
use rstest::rstest;
use support::ops::{here, refused};
use support::*;
use zmlx::ops::{self, PadMode, Scan, on_axes};
use zmlx::prelude::*;

#[test]
fn scans_in_another_dtype() {
    here(|| {
        let mut rng = Rng::new();
        let data: Vec<u8> = rng.ints(24, 0, 256).iter().map(|&v| v as u8).collect();
        let x = Array::from_slice(&data, (4, 6)).unwrap();
        let wide = x.cumsum(Scan::along(-1).of_type(I64)).unwrap();
        let mut want = Vec::new();
        for row in data.chunks(6) {
            let mut sum = 0i64;
            want.extend(row.iter().map(|&v| {
                sum += i64::from(v);
                sum
            }));
        }
        assert_eq!(wide.to_vec::<i64>().unwrap(), want);
        let flat = x.cumsum(Scan::flat().reverse().of_type(F64)).unwrap();
        let total: f64 = data.iter().map(|&v| f64::from(v)).sum();
        assert_eq!(flat.to_vec::<f64>().unwrap()[0], total);
        // Products of odd numbers modulo 2^64, and of some that wrap as uint8.
        let odd = x.bitwise_or(1).unwrap();
        let got = odd.cumprod(Scan::along(0).of_type(U64)).unwrap();
        for (i, &v) in got.to_vec::<u64>().unwrap().iter().enumerate() {
            let (row, column) = (i / 6, i % 6);
            let each = (0..=row).map(|r| u64::from(data[r * 6 + column] | 1));
            assert_eq!(v, each.product::<u64>());
        }
        let narrow = odd.cumprod(Scan::along(0).of_type(U8)).unwrap();
        assert_eq!(narrow.dtype(), U8);
        let most = x.cummax(Scan::along(1).of_type(F16)).unwrap();
        assert_eq!(most.dtype(), F16);
        assert_eq!(f32s(&most), f32s(&x.cummax(1).unwrap()));
        // A sum of halves that leaves them.
        let halves = Array::full(100, 1000, F16).unwrap();
        let sum = halves.cumsum(Scan::along(0).of_type(F32)).unwrap();
        assert_eq!(sum.to_vec::<f32>().unwrap()[99], 100_000.0);
    });
}

#[test]
fn traces_and_filled_arrays_in_another_dtype() {
    here(|| {
        let mut rng = Rng::new();
        let data = rng.ints(2 * 20, 0, 256);
        let x = Array::from_slice(&data, (2, 4, 5)).unwrap();
        for offset in [-2, 0, 3] {
            let got = x.astype(U8).unwrap().trace_as(offset, 1, 2, I64).unwrap();
            let want: Vec<i64> = (0..2)
                .map(|b| {
                    let on = (0..4).filter(|r| (0..5).contains(&(r + offset)));
                    on.map(|r| i64::from(data[(b * 20 + r * 5 + r + offset) as usize]))
                        .sum()
                })
                .collect();
            assert_eq!(got.to_vec::<i64>().unwrap(), want, "{offset}");
        }
        refused(x.trace_as(0, 1, 1, F32), &["different axes"]);
        let half = x.astype(F16).unwrap().trace_as(0, -2, -1, F32).unwrap();
        assert_eq!(half.dtype(), F32);

        for dtype in Dtype::ALL {
            let (zeros, ones) = (
                x.zeros_like_as(dtype).unwrap(),
                x.ones_like_as(dtype).unwrap(),
            );
            for (a, v) in [(&zeros, 0.0), (&ones, 1.0)] {
                assert_eq!((a.shape(), a.dtype()), (x.shape(), dtype));
                let real = if dtype == C64 {
                    a.real().unwrap()
                } else {
                    a.clone()
                };
                assert_eq!(f32s(&real), [v; 40]);
            }
        }
        let top = x.full_like_as(u64::MAX, U64).unwrap();
        assert_eq!(top.to_vec::<u64>().unwrap(), [u64::MAX; 40]);
        let rows = Array::arange(5).unwrap();
        let filled = x.full_like_as(&rows, F16).unwrap();
        assert_eq!((filled.shape(), filled.dtype()), (x.shape(), F16));
        assert_eq!(f32s(&filled)[35..], [0.0, 1.0, 2.0, 3.0, 4.0]);
        refused(x.full_like_as(256, U8), &["256", "uint8"]);
        refused(x.full_like_as(0.5, I8), &["0.5", "int8"]);
        refused(x.full_like_as(Complex32::I, F32), &["complex64"]);
        refused(x.full_like_as(Array::zeros(3, F32).unwrap(), F32), &["3"]);
    });
}

/// A range of each type, at both of its ends, beside Rust's.
#[test]
fn ranges_of_every_type() {
    macro_rules! integers {
        ($($ty:ty),*) => {$({
            const N: $ty = 5;
            for (start, stop) in [(<$ty>::MIN, <$ty>::MIN + N), (<$ty>::MAX - N, <$ty>::MAX)] {
                let got = Array::arange(start..stop).unwrap();
                let want: Vec<$ty> = (start..stop).collect();
                assert_eq!(got.to_vec::<$ty>().unwrap(), want);
                let got = Array::arange((start, stop, 2)).unwrap();
                let want: Vec<$ty> = (start..stop).step_by(2).collect();
                assert_eq!(got.to_vec::<$ty>().unwrap(), want);
            }
            assert_eq!(Array::arange(N).unwrap().to_vec::<$ty>().unwrap(), [0, 1, 2, 3, 4]);
        })*};
    }
    here(|| {
        integers!(u8, u16, u32, u64, i8, i16, i32, i64);
        let sizes = Array::arange(2usize..5).unwrap();
        assert_eq!(sizes.to_vec::<i64>().unwrap(), [2, 3, 4]);
        let sizes = Array::arange((2isize, -3, -2)).unwrap();
        assert_eq!(sizes.to_vec::<i64>().unwrap(), [2, 0, -2]);
        let halves = Array::arange(f16::from_f32(0.5)..f16::from_f32(3.0)).unwrap();
        assert_eq!((halves.dtype(), f32s(&halves)), (F16, vec![0.5, 1.5, 2.5]));
        let brain = Array::arange(bf16::from_f32(3.0)).unwrap();
        assert_eq!((brain.dtype(), f32s(&brain)), (BF16, vec![0.0, 1.0, 2.0]));
        assert_eq!(Array::arange(2.5f64).unwrap().dtype(), F32);
    });
}

/// The numbers are computed in float64 or integers, and rounded once.
#[test]
fn ranges_in_a_dtype() {
    here(|| {
        let tenths: Vec<f64> = (0..1000).map(|i| f64::from(i) * 0.1 - 3.0).collect();
        let range = || (-3.0, -3.0 + 99.95, 0.1);
        let got = Array::arange_as(range(), F64).unwrap();
        assert_eq!(got.to_vec::<f64>().unwrap(), tenths);
        let got = Array::arange(range()).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(got, tenths.iter().map(|&v| v as f32).collect::<Vec<_>>());
        let got = Array::arange_as(range(), F16)
            .unwrap()
            .to_vec::<f16>()
            .unwrap();
        // float64 goes to float16 by way of float32.
        let want: Vec<f16> = tenths.iter().map(|&v| f16::from_f32(v as f32)).collect();
        assert_eq!(got, want);
        for dtype in [F16, BF16] {
            let got = f32s(&Array::arange_as(0..5000, dtype).unwrap());
            let round = |v: i32| match dtype {
                F16 => f16::from_f32(v as f32).to_f32(),
                _ => bf16::from_f32(v as f32).to_f32(),
            };
            assert_eq!(got, (0..5000).map(round).collect::<Vec<_>>(), "{dtype}");
        }
        let got = Array::arange_as((0.0, 3.0, 0.75), I32).unwrap();
        assert_eq!(got.to_vec::<i32>().unwrap(), [0, 0, 1, 2]);
        let got = Array::arange_as(3, C64)
            .unwrap()
            .to_vec::<Complex32>()
            .unwrap();
        assert_eq!(got[2], Complex32::new(2.0, 0.0));
        let start = u64::MAX - 4096;
        let got = Array::arange_as((start, u64::MAX, 2048), F64).unwrap();
        assert_eq!(
            got.to_vec::<f64>().unwrap(),
            [start as f64, (start + 2048) as f64]
        );
        refused(Array::arange_as(0..300, U8), &["`stop`", "299", "uint8"]);
        refused(Array::arange_as(-1..3, U32), &["`start`", "-1", "uint32"]);
        refused(
            Array::arange_as((0.0, 1e5, 1e4), F16),
            &["`stop`", "float16"],
        );
        assert_eq!(Array::arange_as((300, 0, 1), U8).unwrap().size(), 0);
    });
}

#[test]
fn padding_of_some_axes() {
    here(|| {
        let mut rng = Rng::new();
        let x = rng.array(&[2, 3, 4], -1.0, 1.0);
        for mode in [
            PadMode::Constant(-7.0),
            PadMode::Edge,
            PadMode::Reflect,
            PadMode::Symmetric,
        ] {
            let same = |a: zmlx::Result<Array>, b: zmlx::Result<Array>| {
                let (a, b) = (a.unwrap(), b.unwrap());
                assert_eq!(a.shape(), b.shape(), "{mode:?}");
                assert_eq!(f32s(&a), f32s(&b), "{mode:?}");
            };
            same(
                x.pad(on_axes(-1, (1, 2)), mode),
                x.pad([(0, 0), (0, 0), (1, 2)], mode),
            );
            same(
                x.pad(on_axes((2, 0), [(3, 0), (0, 1)]), mode),
                x.pad([(0, 1), (0, 0), (3, 0)], mode),
            );
            same(x.pad(on_axes(.., 1), mode), x.pad(1, mode));
        }
        // Where each element comes from, for a constant.
        let y = x.pad(on_axes(1, (2, 1)), PadMode::Constant(9.0)).unwrap();
        assert_eq!(y.shape(), [2, 6, 4]);
        let (from, to) = (f32s(&x), f32s(&y));
        for (i, &v) in to.iter().enumerate() {
            let (b, r, c) = (i / 24, i / 4 % 6, i % 4);
            let want = match r {
                2..=4 => from[b * 12 + (r - 2) * 4 + c],
                _ => 9.0,
            };
            assert_eq!(v, want, "{i}");
        }
        refused(x.pad(on_axes(3, 1), PadMode::Edge), &["axis 3"]);
        refused(x.pad(on_axes((0, -3), 1), PadMode::Edge), &["different"]);
        refused(
            x.pad(on_axes(0, [(1, 1), (1, 1)]), PadMode::Edge),
            &["1 pairs"],
        );
        refused(x.pad(on_axes(0, -1), PadMode::Edge), &["-1"]);
    });
}

#[test]
fn padding_with_exact_values() {
    here(|| {
        let x = arr(&[1u64]);
        let y = x.pad_with((1, 0), u64::MAX - 1).unwrap();
        assert_eq!(y.to_vec::<u64>().unwrap(), [u64::MAX - 1, 1]);
        let x = arr(&[1i64]);
        let y = x.pad_with((1, 0), i64::MIN + 1).unwrap();
        assert_eq!(y.to_vec::<i64>().unwrap(), [i64::MIN + 1, 1]);
        let y = arr(&[false]).pad((0, 1), PadMode::Constant(1.0)).unwrap();
        assert_eq!(y.to_vec::<bool>().unwrap(), [false, true]);
        let y = arr(&[1.0f32]).pad_with(1, f32::NAN).unwrap();
        assert!(f32s(&y)[0].is_nan() && f32s(&y)[1] == 1.0);
        // An element of another array, which may be traced.
        let y = arr(&[1.0f32]).pad_with((0, 2), arr(&[4i32])).unwrap();
        assert_eq!(f32s(&y), [1.0, 4.0, 4.0]);
        let x = arr(&[1.0f32, 2.0]);
        let dv = grad(|v| x.pad_with(on_axes(0, (1, 2)), v)?.sum(..))(&Array::from(0.0)).unwrap();
        assert_eq!(dv.item::<f32>().unwrap(), 3.0);
        refused(arr(&[1u8]).pad_with(1, 256), &["256", "uint8"]);
        refused(arr(&[1u8]).pad_with(1, 0.5), &["0.5", "uint8"]);
        refused(arr(&[1.0f32]).pad_with(1, &x), &["`value`", "[2]"]);
        refused(arr(&[1.0f32]).pad_with(1, Complex32::I), &["complex64"]);
    });
}

#[test]
fn storage_by_rows_or_columns() {
    here(|| {
        let mut rng = Rng::new();
        let x = rng.array(&[3, 5], -1.0, 1.0);
        let turned = x.transpose(..).unwrap();
        let gaps = x.index((.., step(.., 2))).unwrap();
        let (either, rows) = (
            turned.contiguous_either().unwrap(),
            turned.contiguous().unwrap(),
        );
        let dense = gaps.contiguous_either().unwrap();
        eval([&turned, &either, &rows, &gaps, &dense]).unwrap();
        assert!(either.shares_data_with(&x) && !rows.shares_data_with(&x));
        assert_eq!(
            (either.strides(), rows.strides()),
            (&[1, 5][..], &[3, 1][..])
        );
        assert!(dense.is_row_contiguous() && !dense.shares_data_with(&x));
        assert_eq!(f32s(&either), f32s(&turned));
        assert_eq!(f32s(&dense), f32s(&gaps));
    });
}

#[rstest]
#[case("ij,jk,kl->il", &[[2, 50], [50, 3], [3, 4]], vec![vec![0, 1], vec![0, 1]])]
#[case("ij,jk,kl->il", &[[4, 3], [3, 50], [50, 2]], vec![vec![1, 2], vec![0, 1]])]
#[case("ij,jk->ik", &[[2, 3], [3, 4]], vec![vec![0, 1]])]
fn orders_of_contraction(
    #[case] subscripts: &'static str,
    #[case] shapes: &'static [[i32; 2]],
    #[case] want: Vec<Vec<usize>>,
) {
    here(move || {
        let mut rng = Rng::new();
        let all: Vec<Array> = shapes.iter().map(|s| rng.array(s, -1.0, 1.0)).collect();
        let path = ops::einsum_path(subscripts, &all).unwrap();
        assert_eq!(path.steps, want);
        assert!(path.to_string().contains(subscripts), "{path}");
        // Following the steps gives the product: these are chains, and a step joins neighbours. The operands that
        // are left keep their order but for the result, which comes last.
        let mut left: Vec<(usize, Array)> = all.iter().cloned().enumerate().collect();
        for step in &path.steps {
            let mut taken: Vec<_> = step.iter().map(|&i| left[i].clone()).collect();
            taken.sort_by_key(|(place, _)| *place);
            let mut drop = step.clone();
            drop.sort_unstable();
            for &i in drop.iter().rev() {
                left.remove(i);
            }
            let product = taken[0].1.matmul(&taken[1].1).unwrap();
            left.push((taken[0].0, product));
        }
        let got = ops::einsum(subscripts, &all).unwrap();
        let want: Vec<f64> = f32s(&left[0].1).iter().map(|&v| v.into()).collect();
        // Sums of 150 products of numbers up to 1, rounded in another order.
        close(&f32s(&got), &want, 1e-4);
    });
}

/// Numbers of every type to the right, and those to the left that the compiler can tell from each other.
#[test]
fn numbers_as_operands() {
    macro_rules! right {
        ($x:expr, $want:expr; $($number:expr),*) => {$(
            assert_eq!(($x * $number).unwrap().dtype(), $want, stringify!($number));
            assert_eq!(f32s(&($x * $number).unwrap()), [4.0, 6.0], stringify!($number));
        )*};
    }
    here(|| {
        for dtype in [U8, I64, F16, BF16, F32, F64] {
            let x = &arr(&[2.0f32, 3.0]).astype(dtype).unwrap();
            right!(x, dtype; 2, 2u8, 2u16, 2u32, 2u64, 2usize, 2i8, 2i16, 2i64, 2isize);
        }
        let two = (f16::from_f32(2.0), bf16::from_f32(2.0));
        for dtype in [F16, BF16, F32, F64] {
            let x = &arr(&[2.0f32, 3.0]).astype(dtype).unwrap();
            right!(x, dtype; 2.0, 2.0f32, 2.0f64, two.0, two.1);
            for left in [two.0 * x, two.1 * x, 2.0 * x, 2 * x] {
                let left = left.unwrap();
                assert_eq!((left.dtype(), f32s(&left)), (dtype, vec![4.0, 6.0]));
            }
            assert_eq!(f32s(&(two.0 - x).unwrap()), [0.0, -1.0]);
        }
        let x = &arr(&[2.0f32, 3.0]);
        let i = Complex32::I;
        for (got, want) in [
            (x * i, [2.0 * i, 3.0 * i]),
            (i - x, [i - 2.0, i - 3.0]),
            (i / x, [i / 2.0, i / 3.0]),
        ] {
            let got = got.unwrap().to_vec::<Complex32>().unwrap();
            for (g, w) in got.iter().zip(want) {
                assert!((g - w).norm() < 1e-6, "{g} {w}");
            }
        }
        refused(&arr(&[1u8]) * 256isize, &["256", "uint8"]);
        refused(&arr(&[1u8]) * -1isize, &["-1", "uint8"]);
        assert_eq!(
            arr(&[1u8]).less(-1isize).unwrap().to_vec::<bool>().unwrap(),
            [false]
        );
    });
}
