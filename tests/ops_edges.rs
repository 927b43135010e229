//! Operations at the edges of their types and shapes, against closed forms. On the CPU: what is tested is which operations
//! of MLX are called, and float64 is not elsewhere.

mod support;

use num_complex::Complex32;
use support::ops::*;
use support::*;
use zmlx::ops::{Conv, Tolerance};
use zmlx::prelude::*;
use zmlx::{Result, keepdims};

#[test]
fn means_whose_sums_leave_the_dtype() {
    here(|| {
        let near = |a: Result<Array>, want: f64, tol: f64| {
            let got = f64::from(f32s(&a.unwrap())[0]);
            assert!(
                (got - want).abs() <= tol * want.abs().max(1.0),
                "{got} against {want}"
            );
        };
        near(arr(&[2_000_000_000; 3]).mean(..), 2e9, 1e-6);
        near(arr(&[u32::MAX; 5]).mean(..), f64::from(u32::MAX), 1e-6);
        near(arr(&[i64::MAX; 5]).mean(..), i64::MAX as f64, 1e-6);
        near(arr(&[u64::MAX; 5]).mean(..), u64::MAX as f64, 1e-6);
        near(arr(&[i8::MIN; 1000]).mean(..), -128.0, 0.0);
        near(
            Array::full(70_000, 60_000, U16).unwrap().mean(..),
            60_000.0,
            1e-6,
        );
        for t in [F16, BF16] {
            near(Array::full(4096, 100.0, t).unwrap().mean(..), 100.0, 0.0);
            let two = Array::from_slice(&[-300.0f32, 300.0], 2)
                .unwrap()
                .astype(t)
                .unwrap();
            near(two.std(.., 0), 300.0, 1e-2);
            near(
                Array::full(2, 60_000.0, t).unwrap().median(..),
                60_000.0,
                1e-2,
            );
        }
        near(arr(&[2_000_000_001, 2_000_000_003]).var(.., 0), 1.0, 0.0);
        near(arr(&[i32::MAX, i32::MAX - 2]).std(.., 1), 2f64.sqrt(), 1e-6);
        near(
            arr(&[f32::MAX, f32::MAX]).median(..),
            f64::from(f32::MAX),
            0.0,
        );
        near(
            arr(&[f32::MAX, f32::MAX]).mean(..),
            f64::from(f32::MAX),
            0.0,
        );
        near(arr(&[1e20f32, -1e20]).std(.., 0), 1e20, 1e-6);
        near(Array::ones(1 << 25, F32).unwrap().mean(..), 1.0, 0.0);
        near(arr(&[i64::MAX, i64::MAX]).median(..), i64::MAX as f64, 1e-6);
        let kept =
            Array::from_slice(&[1.0f32, 4.0, 2.0, f32::NAN, 8.0, 6.0, 7.0, 5.0], (2, 4)).unwrap();
        let medians = kept.median(keepdims(1)).unwrap();
        assert_eq!(medians.shape(), [2, 1]);
        let medians = f32s(&medians);
        assert!(medians[0].is_nan() && medians[1] == 6.5);
    });
}

#[test]
fn rounding_to_places() {
    here(|| {
        let x = arr(&[
            1_234_567_850,
            1_234_567_950,
            -1_234_567_850,
            i32::MAX,
            i32::MIN,
            45,
        ]);
        let tens = [
            1_234_567_800,
            1_234_568_000,
            -1_234_567_800,
            2_147_483_600,
            -2_147_483_600,
            0,
        ];
        assert_eq!(i32s(&x.round(-2).unwrap()), tens);
        assert_eq!(i32s(&x.round(3).unwrap()), i32s(&x));
        assert_eq!(i32s(&x.round(-30).unwrap()), [0; 6]);
        let large = arr(&[(1i64 << 60) + 7]).round(-1).unwrap();
        assert_eq!(large.to_vec::<i64>().unwrap(), [1_152_921_504_606_846_980]);
        assert_eq!(
            arr(&[249u8, 255, 5])
                .round(-1)
                .unwrap()
                .to_vec::<u8>()
                .unwrap(),
            [250, 255, 0]
        );
        let half = arr(&[1000.5f32, 0.125, 65504.0]).astype(F16).unwrap();
        assert_eq!(f32s(&half.round(3).unwrap()), [1000.5, 0.125, 65504.0]);
        let y = arr(&[3e38f32, 1.5, 8_388_609.0, f32::INFINITY]);
        for places in [1, 20, 60] {
            assert_eq!(f32s(&y.round(places).unwrap()), f32s(&y), "{places}");
        }
        assert_eq!(
            f32s(&arr(&[250.0f32, 350.0, -149.0]).round(-2).unwrap()),
            [200.0, 400.0, -100.0]
        );
        let d = Array::scalar(1.234_567_891_234_5f64)
            .unwrap()
            .round(10)
            .unwrap();
        assert!((d.item::<f64>().unwrap() - 1.234_567_891_2).abs() < 1e-15);
    });
}

#[test]
fn powers_and_replacements() {
    here(|| {
        let x = arr(&[1, -1, -1, 2, 0]);
        let n = arr(&[-7, -2, -3, -1, -1]);
        assert_eq!(i32s(&x.power(&n).unwrap()), [1, 1, -1, 0, 0]);
        assert_eq!(i32s(&x.power(-1).unwrap()), [1, -1, -1, 0, 0]);
        assert_eq!(i32s(&x.power(3).unwrap()), [1, -1, -1, 8, 0]);
        let y = arr(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.0]);
        let put = y
            .nan_to_num(1.0, None, Some(-3.0))
            .unwrap()
            .to_vec::<f64>()
            .unwrap();
        assert_eq!(put, [1.0, f64::MAX, -3.0, 2.0]);
        refused(
            Array::ones(1, F16)
                .unwrap()
                .nan_to_num(0.0, Some(1e30), None),
            &["posinf", "float16"],
        );
        let z = Array::full(1, Complex32::new(1.0, 2.0), C64).unwrap();
        refused(z.nan_to_num(0.0, None, None), &["complex64"]);
        refused(z.floor_divide(&z), &["complex64"]);
        refused(
            zmlx::random::of_type(F32).normal_with(&z, 1.0, 1),
            &["loc", "complex64"],
        );
        refused(
            arr(&[1, 2, 3]).slice_at(&arr(&[u64::MAX]), 0, 1),
            &["slice"],
        );
        let empty = zmlx::linalg::inv(&Array::zeros((2, 0, 0), F32).unwrap()).unwrap();
        assert_eq!(empty.shape(), [2, 0, 0]);
        empty.eval().unwrap();
        assert!(zmlx::linalg::inv(&Array::zeros((0, 2), F32).unwrap()).is_err());
    });
}

#[test]
fn closeness_of_integers() {
    here(|| {
        let close = |a: &Array, b: &Array, by: (f64, f64)| truth(a.isclose(b, by));
        assert_eq!(
            close(&arr(&[3u8, 200]), &arr(&[200u8, 201]), (0.0, 1.0)),
            [false, true]
        );
        assert_eq!(
            close(&arr(&[i8::MIN, 5]), &arr(&[i8::MAX, 6]), (0.0, 1.0)),
            [false, true]
        );
        assert_eq!(
            close(&arr(&[i32::MIN]), &arr(&[i32::MAX]), (1e-5, 1e-8)),
            [false]
        );
        assert_eq!(
            close(&arr(&[i64::MIN]), &arr(&[i64::MAX]), (1e-5, 1e-8)),
            [false]
        );
        assert_eq!(
            close(&arr(&[u64::MAX]), &arr(&[u64::MAX - 1]), (0.0, 0.0)),
            [false]
        );
        assert_eq!(truth(arr(&[250u8]).isclose(-6, (0.0, 0.0))), [false]);
        assert_eq!(
            truth(arr(&[250u8]).allclose(251, Tolerance::from((0.0, 1.0)))),
            [true]
        );
    });
}

#[test]
fn floats_of_eight_bits() {
    here(|| {
        let x = [
            0.0,
            1.0,
            -1.0,
            448.0,
            -448.0,
            2f64.powi(-9),
            0.3,
            1.0625 + 1e-12,
        ];
        let want = [0x00, 0x38, 0xb8, 0x7e, 0xfe, 0x01, 0x2a, 0x39];
        let y = arr(&x).to_fp8().unwrap();
        assert_eq!(y.to_vec::<u8>().unwrap(), want);
        for t in [F16, BF16, F32, F64] {
            let nan = Array::full(9, f32::NAN, t).unwrap().to_fp8().unwrap();
            assert_eq!(nan.to_vec::<u8>().unwrap(), [0x7f; 9], "{t}");
            let back = nan.from_fp8(t).unwrap();
            assert!(truth(back.isnan()).iter().all(|&v| v) && back.dtype() == t);
            let ones = arr(&[0x38u8; 17]).from_fp8(t).unwrap();
            assert_eq!(f32s(&ones), [1.0; 17]);
        }
        let negative = arr(&[0xffu8]).from_fp8(F64).unwrap();
        assert!(negative.item::<f64>().unwrap().is_nan());
    });
}

#[test]
fn nan_stays_in_scattered_maxima() {
    here(|| {
        let x = arr(&[f32::NAN, 1.0, -0.0, 4.0]);
        let at = arr(&[0, 1, 1, 2]);
        let u = Array::from_slice(&[5.0f32, f32::NAN, 7.0, -1.0], (4, 1)).unwrap();
        let most = f32s(&x.scatter_max([&at], &u, 0).unwrap());
        assert!(most[0].is_nan() && most[1].is_nan() && most[3] == 4.0);
        assert!(most[2] == 0.0 && most[2].is_sign_negative());
        let least = f32s(&x.scatter_min([&at], &u, 0).unwrap());
        assert!(least[0].is_nan() && least[1].is_nan() && least[2..] == [-1.0, 4.0]);
    });
}

#[test]
fn nothing_to_take_from() {
    here(|| {
        let x = arr(&[1.0f32, 2.0, 3.0]);
        let none = Array::zeros(0, F32).unwrap();
        for lazy in [false, true] {
            let mask = |v: bool| {
                let m = arr(&[false, v, false]);
                if lazy {
                    m.logical_not().unwrap().logical_not().unwrap()
                } else {
                    m
                }
            };
            assert_eq!(
                f32s(&x.masked_scatter(&mask(false), &none).unwrap()),
                [1.0, 2.0, 3.0]
            );
            assert!(
                x.masked_scatter(&mask(true), &none)
                    .and_then(|y| y.to_vec::<f32>())
                    .is_err()
            );
            assert_eq!(f32s(&x.square().unwrap()), [1.0, 4.0, 9.0]);
        }
        let rows = Array::zeros((0, 4), F32).unwrap();
        assert_eq!(rows.logsumexp(1).unwrap().shape(), [0]);
        assert_eq!(f32s(&rows.logsumexp(0).unwrap()), [f32::NEG_INFINITY; 4]);
        assert!(rows.logsumexp(2).is_err() && rows.softmax(2).is_err());
        assert_eq!(
            Array::zeros((0, 4), I32)
                .unwrap()
                .softmax(1)
                .unwrap()
                .dtype(),
            F32
        );
    });
}

#[test]
fn integers_have_softmax_over_every_axis() {
    here(|| {
        let x = Array::from_slice(&[0u8, 255, 1, 254], (2, 2)).unwrap();
        for axis in [0, 1] {
            let y = x.astype(F32).unwrap();
            assert_eq!(
                f32s(&x.softmax(axis).unwrap()),
                f32s(&y.softmax(axis).unwrap())
            );
            assert_eq!(
                f32s(&x.logsumexp(axis).unwrap()),
                f32s(&y.logsumexp(axis).unwrap())
            );
        }
    });
}

/// The gradient of a convolution, element by element.
fn transposed(
    x: &[f32],
    w: &[f32],
    stride: i64,
    padding: i64,
    dilation: i64,
    more: i64,
) -> Vec<f32> {
    let n =
        (x.len() as i64 - 1) * stride - 2 * padding + dilation * (w.len() as i64 - 1) + 1 + more;
    let mut y = vec![0.0; n.max(0) as usize];
    for (i, x) in x.iter().enumerate() {
        for (k, w) in w.iter().enumerate() {
            let at = i as i64 * stride + k as i64 * dilation - padding;
            if (0..n).contains(&at) {
                y[at as usize] += x * w;
            }
        }
    }
    y
}

#[test]
fn convolutions_that_cut() {
    here(|| {
        let (x, w) = ([1.0f32, 2.0, 3.0, 4.0], [1.0f32, 10.0, 100.0]);
        let (a, b) = (
            Array::from_slice(&x, (1, 4, 1)).unwrap(),
            Array::from_slice(&w, (1, 3, 1)).unwrap(),
        );
        for (stride, padding, dilation, more) in [
            (2, 3, 1, 0),
            (3, 2, 1, 1),
            (2, 4, 1, 0),
            (1, 2, 1, 0),
            (3, 5, 2, 2),
            (4, 6, 1, 0),
        ] {
            let conv = Conv::new()
                .stride(stride)
                .padding(padding)
                .dilation(dilation)
                .output_padding(more);
            let want = transposed(
                &x,
                &w,
                stride.into(),
                padding.into(),
                dilation.into(),
                more.into(),
            );
            let y = a.conv_transpose1d(&b, conv.clone());
            if want.is_empty() {
                assert!(y.is_err());
                continue;
            }
            assert_eq!(f32s(&y.unwrap()), want, "{conv:?}");
            let [a, b] = [&a, &b].map(|v| v.astype(F64).unwrap());
            assert_eq!(f32s(&a.conv_transpose1d(&b, conv).unwrap()), want);
        }
        let cut = a
            .conv_general(&b, Conv::new().input_dilation(3).padding_lo_hi(-2, -2))
            .unwrap();
        assert_eq!(f32s(&cut), [20.0, 2.0, 300.0, 30.0]);
        let gone = a.conv_general(&b, Conv::new().input_dilation(5).padding_lo_hi(-6, -6));
        assert_eq!(f32s(&gone.unwrap()).len(), 2);
        let far = i32::MAX / 2;
        refused(a.conv1d(&b, Conv::new().dilation(far + 2)), &["dilation"]);
        refused(
            a.conv_general(&b, Conv::new().input_dilation(far)),
            &["input_dilation"],
        );
        assert!(a.conv_transpose1d(&b, Conv::new().stride(far)).is_err());
        assert!(a.conv1d(&b, Conv::new().padding(i32::MAX)).is_err());
        let d = Array::scalar(1e300f64).unwrap().reshape((1, 1, 1)).unwrap();
        let one = Array::ones((1, 1, 1), F64).unwrap();
        assert_eq!(
            d.conv1d(&one, Conv::new()).unwrap().item::<f64>().unwrap(),
            1e300
        );
    });
}
