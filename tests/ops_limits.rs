//! What operations do at their limits: products, quantized and random numbers, memory; and that no operation
//! ends the process for any dtype and shape.

mod support;

use support::ops::*;
use support::*;
use zmlx::ops::{self, QuantMode, Quantization, Scan};
use zmlx::prelude::*;
use zmlx::{Error, Result, random};

type Unary = fn(&Array) -> Result<Array>;

#[test]
fn products_say_what_they_take() {
    here(|| {
        let (a, b) = (
            Array::ones((2, 4), F32).unwrap(),
            Array::ones((4, 3), F32).unwrap(),
        );
        let cut = |v: &[i64]| {
            f32s(
                &a.segmented_mm(&b, &Array::from_slice(v, (1, 2)).unwrap())
                    .unwrap(),
            )
        };
        assert_eq!(cut(&[0, 1 << 32]), [4.0; 6]);
        assert_eq!(cut(&[1 << 32, (1 << 32) + 4]), [0.0; 6]);
        assert_eq!(cut(&[-3, 2]), [2.0; 6]);
        assert_eq!(cut(&[3, 1]), [0.0; 6]);
        let all = Array::from_slice(&[0u64, u64::MAX], (1, 2)).unwrap();
        assert_eq!(f32s(&a.segmented_mm(&b, &all).unwrap()), [4.0; 6]);
        refused(a.segmented_mm(&a, &all), &["[2, 4]"]);
        refused(
            a.segmented_mm(&Array::scalar(1.0f32).unwrap(), &all),
            &["[]"],
        );
        let zero = Array::scalar(2.0f32).unwrap();
        refused(a.matmul(&zero), &["[]", "matmul"]);
        assert_eq!(f32s(&a.inner(&zero).unwrap()), [2.0; 8]);
        refused(a.tensordot(&zero, 1), &["axes"]);
        refused(a.tensordot(&b, ([0, 0], [0, 1])), &["axes", "[0, 0]"]);
        refused(a.tensordot(&b, ([5], [0])), &["axes", "[5]"]);
        refused(ops::einsum("ij,jk->iz", [&a, &b]), &["'z'"]);
        refused(ops::einsum("ij->ij", [&a, &b]), &["operands", "2"]);
        refused(a.block_masked_mm(&b, 7, None, None, None), &["block", "7"]);
        assert_eq!(
            f32s(&a.block_masked_mm(&b, 32, None, None, None).unwrap()),
            [4.0; 6]
        );
        let [h, g] = [&a, &b].map(|v| v.astype(F16).unwrap());
        refused(h.block_masked_mm(&g, 32, None, None, None), &["float16"]);
        refused(
            h.gather_mm(
                &g,
                ops::Pick {
                    lhs: Some(&arr(&[0u32])),
                    ..Default::default()
                },
            ),
            &["float16"],
        );
        refused(arr(&[1u64]).bitwise_or(arr(&[1i8])), &["uint64", "int8"]);
        refused(arr(&[1i64]).left_shift(arr(&[1u64])), &["uint64", "int64"]);
        refused(
            Array::ones(4, F64).unwrap().hadamard_transform(None),
            &["float64"],
        );
        assert!(
            Array::ones((2, 64), F64)
                .unwrap()
                .quantize(Quantization::affine(64, 4))
                .is_err()
        );
    });
}

#[test]
fn a_scale_of_the_whole_counts() {
    here(|| {
        let w = (random::normal((2, 8, 64)).unwrap() * 30.0).unwrap();
        let scale = w.abs().unwrap().max(..).unwrap();
        let q = w
            .quantize_scaled(Quantization::of(QuantMode::Nvfp4), Some(&scale))
            .unwrap();
        let x = random::normal((2, 4, 64)).unwrap();
        let all = q.dequantize().unwrap().astype(F32).unwrap();
        let want = x.matmul(&all.swapaxes(-1, -2).unwrap()).unwrap();
        let most = want.abs().unwrap().max(..).unwrap().item::<f32>().unwrap();
        let near = |got: Array| {
            let off = (got.astype(F32).unwrap() - &want)
                .unwrap()
                .abs()
                .unwrap()
                .max(..)
                .unwrap();
            assert!(off.item::<f32>().unwrap() < 0.01 * most);
        };
        near(x.quantized_matmul(&q, true).unwrap());
        near(x.astype(F16).unwrap().quantized_matmul(&q, true).unwrap());
        near(x.gather_qmm(&q, ops::Pick::default(), true).unwrap());
    });
}

#[test]
fn bounds_of_random_integers() {
    here(|| {
        let r = |low: i64, high: i64, t: Dtype| {
            let (low, high) = (Array::scalar(low).unwrap(), Array::scalar(high).unwrap());
            random::of_type(t).randint(&low, &high, 512)
        };
        let of = |low, high| r(low, high, I64).unwrap().to_vec::<i64>().unwrap();
        assert_eq!(of(i64::MAX - 1, i64::MAX), [i64::MAX - 1; 512]);
        assert_eq!(of((1 << 24) + 1, (1 << 24) + 2), [(1 << 24) + 1; 512]);
        let few = of((1 << 40) + 1, (1 << 40) + 4);
        assert!(
            (1..4).all(|i| few.contains(&((1 << 40) + i)))
                && few.iter().all(|v| (v >> 40) == 1 && v & 3 != 0)
        );
        let wide = of(i64::MIN, i64::MAX);
        let below = wide.iter().filter(|&&v| v < 0).count();
        assert!((180..332).contains(&below), "{below}");
        assert!(wide.iter().any(|v| v & 1 == 1));
        let bytes = random::of_type(U8)
            .randint(0, 256, 4096)
            .unwrap()
            .to_vec::<u8>()
            .unwrap();
        assert!(bytes.contains(&255) && bytes.contains(&0));
        refused(random::of_type(U8).randint(0, 257, 3), &["256", "uint8"]);
        refused(random::of_type(U8).randint(-1, 5, 3), &["-1", "uint8"]);
        refused(random::randint(5, 5, 3), &["high", "5"]);
        let x = random::of_type(F16)
            .uniform_between(-60_000.0, 60_000.0, 64)
            .unwrap();
        assert!(f32s(&x).iter().all(|v| v.is_finite()));
        assert!(random::of_type(F64).gumbel(3).is_err());
    });
}

#[test]
fn memory_that_is_not_there() {
    if zmlx::engine::info().cuda {
        // Its allocator also serves the CPU, and the system ends the process when memory is gone.
        eprintln!("skipped: only MLX's CPU build tells what memory it would need");
        return;
    }
    here(|| {
        let y = Array::zeros((1 << 20, 1 << 16), F32).unwrap();
        for _ in 0..2 {
            let big = y.contiguous().unwrap();
            assert!(matches!(big.eval(), Err(Error::Memory { .. })));
            let sorted = (&y + 1.0).unwrap().sort(-1).unwrap().sum(..).unwrap();
            assert!(matches!(sorted.eval(), Err(Error::Memory { .. })));
        }
        assert_eq!(
            arr(&[1.0f32, 2.0]).sum(..).unwrap().item::<f32>().unwrap(),
            3.0
        );
    });
}

#[test]
fn means_of_the_largest_numbers() {
    here(|| {
        let largest = [
            (F16, 65504.0),
            (BF16, 3.25e38),
            (F32, 3.25e38),
            (F64, 1.75e308),
        ];
        for (t, v) in largest {
            let v = Array::scalar(v).unwrap().astype(t).unwrap();
            let x = Array::full((3, 5), v.clone(), t).unwrap();
            let v = v.astype(F64).unwrap().item::<f64>().unwrap();
            for y in [x.mean(..), x.mean(0), x.mean(-1), x.median(..)] {
                let y = y.unwrap();
                assert_eq!(y.dtype(), t);
                for y in y.astype(F64).unwrap().to_vec::<f64>().unwrap() {
                    assert!((y / v - 1.0).abs() < 1e-7, "{t} {y}");
                }
            }
            if t != F64 {
                let spread = x.var(.., 0).unwrap().astype(F32).unwrap();
                assert_eq!(spread.item::<f32>().unwrap(), 0.0, "{t}");
            }
        }
        let tiny = arr(&[5e-324f64, 5e-324, 2e-323]).mean(..).unwrap();
        assert_eq!(tiny.item::<f64>().unwrap(), 1e-323);
        let g = zmlx::grad(|x: &Array| x.mean(..));
        let g = g(&arr(&[1.0f64, 2.0])).unwrap();
        assert_eq!(g.to_vec::<f64>().unwrap(), [0.5; 2]);
    });
}

#[test]
fn running_extremes_keep_nan() {
    here(|| {
        for t in [F16, BF16, F32, F64] {
            let x = arr(&[1.0f32, f32::NAN, 3.0]).astype(t).unwrap();
            for y in [x.cummax(0), x.cummin(0)] {
                let y = y.unwrap();
                assert_eq!(y.dtype(), t);
                let y = f32s(&y.astype(F32).unwrap());
                assert!(y[0] == 1.0 && y[1].is_nan() && y[2].is_nan(), "{t} {y:?}");
            }
            let y = x.cummax(Scan::along(0).reverse()).unwrap();
            let y = f32s(&y.astype(F32).unwrap());
            assert!(y[0].is_nan() && y[1].is_nan() && y[2] == 3.0, "{t} {y:?}");
        }
    });
}

#[test]
fn reductions_over_no_elements_of_any_layout() {
    here(|| {
        let x = Array::zeros((1, 0, 2), F32).unwrap();
        for order in [
            [0, 1, 2],
            [2, 1, 0],
            [1, 2, 0],
            [2, 0, 1],
            [0, 2, 1],
            [1, 0, 2],
        ] {
            for _ in 0..20 {
                let y = x.transpose(order).unwrap();
                let axis = order.iter().position(|&a| a == 1).unwrap() as i32;
                assert_eq!(f32s(&y.sum(axis).unwrap()), [0.0; 2]);
                assert_eq!(f32s(&y.prod(axis).unwrap()), [1.0; 2]);
                assert_eq!(y.all(axis).unwrap().to_vec::<bool>().unwrap(), [true; 2]);
                assert_eq!(y.any(axis).unwrap().to_vec::<bool>().unwrap(), [false; 2]);
            }
        }
        for t in [F16, F32, I8, I64, C64] {
            for offset in [0, 1, -1, i32::MIN, i32::MAX] {
                let y = x.astype(t).unwrap().trace(offset, 0, 1).unwrap();
                assert_eq!(f32s(&y.real().unwrap().astype(F32).unwrap()), [0.0; 2]);
            }
        }
    });
}

/// Whatever comes out, the process goes on, and what has a result has it in time.
#[test]
fn no_operation_ends_the_process() {
    let unary: &'static [Unary] = &[
        Array::abs,
        Array::negative,
        Array::sign,
        Array::floor,
        Array::exp,
        Array::log1p,
        Array::erfinv,
        Array::isfinite,
        Array::bitwise_invert,
        Array::logical_not,
        Array::to_fp8,
        Array::real,
        Array::imag,
        Array::conjugate,
        Array::copy,
        Array::contiguous,
        Array::atleast_3d,
        Array::matrix_transpose,
        |x| x.round(-1),
        |x| x.round(2),
        |x| x.nan_to_num(0.0, None, None),
        |x| x.sum(-1),
        |x| x.prod(..),
        |x| x.mean(0),
        |x| x.median(-1),
        |x| x.max(..),
        |x| x.min(-1),
        |x| x.all(0),
        |x| x.any(..),
        |x| x.logsumexp(-1),
        |x| x.count_nonzero(..),
        |x| x.argmax(..),
        |x| x.argmin(-1),
        |x| x.var(.., 1),
        |x| x.std(0, 9),
        |x| x.softmax(-1),
        |x| x.softmax_precise(0),
        |x| x.cumsum(0),
        |x| x.cumprod(..),
        |x| x.cummax(-1),
        |x| x.cummin(Scan::flat().exclusive()),
        |x| x.logcumsumexp(..),
        |x| x.diff(3, -1),
        |x| x.sort(-1),
        |x| x.sort(..),
        |x| x.argsort(0),
        |x| x.partition(0, -1),
        |x| x.argpartition(-1, ..),
        |x| x.topk(1, -1),
        |x| x.topk(0, ..),
        |x| x.unique(2, None),
        |x| x.searchsorted(x, true),
        |x| x.reshape(-1),
        |x| x.flatten(..),
        |x| x.flip(..),
        |x| x.roll(i32::MIN, ..),
        |x| x.roll(7, 0),
        |x| x.repeat(0, ..),
        |x| x.repeat(2, -1),
        |x| x.tile((2, 0)),
        |x| x.squeeze(..),
        |x| x.expand_dims(0),
        |x| x.diagonal(1, 0, 1),
        |x| x.diag(-3),
        |x| x.trace(i32::MIN, 0, 1),
        |x| x.tril(i32::MAX),
        |x| x.triu(i32::MIN),
        |x| x.hadamard_transform(None),
        |x| x.take(&Array::zeros(0, I32)?, ..),
        |x| x.take(&Array::zeros(3, I32)?, 0),
        |x| x.take_along_axis(x, -1),
        |x| x.index(-1),
        |x| x.index(..1),
        |x| x.slice_update(1, [0], [9], [2]),
        |x| x.masked_scatter(&x.isnan()?, x),
        |x| x.scatter_add([&Array::zeros(0, I32)?], &Array::zeros((0, 1), F32)?, 0),
        |x| x.gather([&Array::zeros(2, I32)?], 0, 1),
        |x| x.matmul(x),
        |x| x.inner(x),
        |x| x.outer(x),
        |x| x.kron(x),
        |x| x.tensordot(x, 1),
        |x| x.vecdot(x, -1),
        |x| x.add(x),
        |x| x.divide(x),
        |x| x.floor_divide(x),
        |x| x.remainder(x),
        |x| x.floor_divide(0),
        |x| x.remainder(-1),
        |x| Ok(x.divmod(0)?.1),
        |x| x.power(x),
        |x| x.power(-1),
        |x| x.arctan2(x),
        |x| x.logaddexp(x),
        |x| x.maximum(0),
        |x| x.left_shift(3),
        |x| x.clip(-1..=1),
        |x| x.isclose(x, (0.1, 0.1)),
        |x| x.view(U8),
        |x| x.view(C64),
        |x| x.astype(BOOL),
        |x| x.pad(1, ops::PadMode::Reflect),
        |x| x.pad((0, 2), ops::PadMode::Edge),
        |x| x.as_strided((2, 0), &[1, 1], 0),
        |x| x.conv1d(x, ops::Conv::new()),
        |x| random::permutation(x, 0),
        |x| random::categorical(x, -1),
        |x| zmlx::linalg::inv(x),
        |x| zmlx::fast::rms_norm(x, None, 1e-5),
        |x| ops::einsum("ii", [x]),
        |x| Ok(x.split(1, 0)?.remove(0)),
        |x| Ok(x.minmax(..)?.0),
        |x| ops::stack([x, x], 0),
        |x| ops::concatenate([x], 0),
        |x| ops::where_(x, x, 0),
        |x| x.number_of_elements(0, true, I32),
        |x| x.segmented_mm(x, &Array::zeros((1, 2), U32)?),
    ];
    let shapes: [&[i32]; 8] = [&[], &[0], &[1], &[5], &[0, 3], &[3, 0], &[2, 2], &[1, 0, 2]];
    here(move || {
        for t in Dtype::ALL {
            for shape in shapes {
                let n = shape.iter().product::<i32>();
                let x = Array::arange(n)
                    .unwrap()
                    .reshape(shape)
                    .unwrap()
                    .astype(t)
                    .unwrap();
                for (i, f) in unary.iter().enumerate() {
                    if std::env::var_os("ZMLX_SWEEP").is_some() {
                        eprintln!("{t} {shape:?} {i}");
                    }
                    // An error of the evaluation belongs to this array alone.
                    let _ = f(&x).and_then(|y| y.eval());
                }
                assert_eq!(
                    x.astype(I32).unwrap().to_vec::<i32>().unwrap().len(),
                    n as usize
                );
            }
        }
    });
}
