//! Shape, layout, joining, creation and casts, against plain loops.
#![allow(
    clippy::reversed_empty_ranges,
    reason = "empty ranges are among the cases"
)]

mod support;

use rstest::rstest;
use support::*;
use zmlx::ops::{self, Indexing, PadMode};
use zmlx::prelude::*;

fn count(shape: &[i32]) -> Array {
    Array::arange(shape.iter().product::<i32>())
        .unwrap()
        .reshape(shape)
        .unwrap()
}

type Op = fn(&Array) -> zmlx::Result<Array>;

/// Each on the numbers 0.. in shape (2, 3): the shape that comes out and the values.
#[rstest]
#[case::reshape(|x: &Array| x.reshape((3, -1)), &[3, 2], &[0, 1, 2, 3, 4, 5])]
#[case::reshape_slice(|x: &Array| x.reshape([6]), &[6], &[0, 1, 2, 3, 4, 5])]
#[case::transpose(|x: &Array| x.transpose(..), &[3, 2], &[0, 3, 1, 4, 2, 5])]
#[case::transpose_axes(|x: &Array| x.transpose((1, 0)), &[3, 2], &[0, 3, 1, 4, 2, 5])]
#[case::matrix_transpose(|x: &Array| x.matrix_transpose(), &[3, 2], &[0, 3, 1, 4, 2, 5])]
#[case::swapaxes(|x: &Array| x.swapaxes(0, -1), &[3, 2], &[0, 3, 1, 4, 2, 5])]
#[case::moveaxis(|x: &Array| x.moveaxis(0, 1), &[3, 2], &[0, 3, 1, 4, 2, 5])]
#[case::flip(|x: &Array| x.flip(..), &[2, 3], &[5, 4, 3, 2, 1, 0])]
#[case::flip_axis(|x: &Array| x.flip(1), &[2, 3], &[2, 1, 0, 5, 4, 3])]
#[case::roll(|x: &Array| x.roll(1, 1), &[2, 3], &[2, 0, 1, 5, 3, 4])]
#[case::roll_back(|x: &Array| x.roll(-1, 1), &[2, 3], &[1, 2, 0, 4, 5, 3])]
#[case::roll_flat(|x: &Array| x.roll(2, ..), &[2, 3], &[4, 5, 0, 1, 2, 3])]
#[case::roll_both(|x: &Array| x.roll([1, 1], [0, 1]), &[2, 3], &[5, 3, 4, 2, 0, 1])]
#[case::repeat(|x: &Array| x.repeat(2, 0), &[4, 3], &[0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5])]
#[case::repeat_flat(|x: &Array| x.index(0)?.repeat(2, ..), &[6], &[0, 0, 1, 1, 2, 2])]
#[case::repeat_none(|x: &Array| x.repeat(0, 1), &[2, 0], &[])]
#[case::tile(|x: &Array| x.index(0)?.tile((2, 2)), &[2, 6], &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])]
#[case::broadcast(|x: &Array| x.index(1)?.broadcast_to((2, 3)), &[2, 3], &[3, 4, 5, 3, 4, 5])]
#[case::expand(|x: &Array| x.expand_dims([0, -1]), &[1, 2, 3, 1], &[0, 1, 2, 3, 4, 5])]
#[case::squeeze(|x: &Array| x.reshape((1, 2, 1, 3))?.squeeze(..), &[2, 3], &[0, 1, 2, 3, 4, 5])]
#[case::squeeze_one(|x: &Array| x.reshape((1, 2, 1, 3))?.squeeze(2), &[1, 2, 3], &[0, 1, 2, 3, 4, 5])]
#[case::flatten(|x: &Array| x.flatten(..), &[6], &[0, 1, 2, 3, 4, 5])]
#[case::flatten_tail(|x: &Array| x.reshape((2, 3, 1))?.flatten(1..), &[2, 3], &[0, 1, 2, 3, 4, 5])]
#[case::flatten_head(|x: &Array| x.reshape((1, 2, 3))?.flatten(..=-2), &[2, 3], &[0, 1, 2, 3, 4, 5])]
#[case::flatten_open(|x: &Array| x.reshape((1, 2, 3))?.flatten(0..2), &[2, 3], &[0, 1, 2, 3, 4, 5])]
#[case::unflatten(|x: &Array| x.unflatten(1, (-1, 1)), &[2, 3, 1], &[0, 1, 2, 3, 4, 5])]
#[case::as_strided(|x: &Array| x.as_strided((2, 2), &[3, -1], 1), &[2, 2], &[1, 0, 4, 3])]
#[case::as_strided_of_view(|x: &Array| x.transpose(..)?.as_strided(3, &[2], 1), &[3], &[3, 4, 5])]
#[case::atleast_1d(|_: &Array| Array::from(7).atleast_1d(), &[1], &[7])]
#[case::atleast_2d(|x: &Array| x.index(0)?.atleast_2d(), &[1, 3], &[0, 1, 2])]
#[case::atleast_3d(|x: &Array| x.atleast_3d(), &[2, 3, 1], &[0, 1, 2, 3, 4, 5])]
#[case::copy(|x: &Array| x.copy(), &[2, 3], &[0, 1, 2, 3, 4, 5])]
#[case::contiguous(|x: &Array| x.transpose(..)?.contiguous(), &[3, 2], &[0, 3, 1, 4, 2, 5])]
#[case::pad(|x: &Array| x.index(0)?.pad((1, 2), PadMode::Constant(9.0)), &[6], &[9, 0, 1, 2, 9, 9])]
#[case::pad_edge(|x: &Array| x.index(0)?.pad(1, PadMode::Edge), &[5], &[0, 0, 1, 2, 2])]
#[case::pad_symmetric(|x: &Array| x.index(0)?.pad([(2, 1)], PadMode::Symmetric), &[6], &[1, 0, 0, 1, 2, 2])]
#[case::pad_axes(|x: &Array| x.pad([(0, 1), (1, 0)], PadMode::Constant(0.0)), &[3, 4], &[0, 0, 1, 2, 0, 3, 4, 5, 0, 0, 0, 0])]
#[case::number_of_elements(|x: &Array| x.number_of_elements(.., false, I32), &[], &[6])]
#[case::tril(|x: &Array| x.tril(0), &[2, 3], &[0, 0, 0, 3, 4, 0])]
#[case::triu(|x: &Array| x.triu(1), &[2, 3], &[0, 1, 2, 0, 0, 5])]
#[case::tril_far(|x: &Array| x.tril(i32::MAX), &[2, 3], &[0, 1, 2, 3, 4, 5])]
#[case::diag(|x: &Array| x.diag(1), &[2], &[1, 5])]
#[case::diag_of(|x: &Array| x.index((0, 1..))?.diag(-1), &[3, 3], &[0, 0, 0, 1, 0, 0, 0, 2, 0])]
#[case::diagonal(|x: &Array| x.diagonal(0, 0, 1), &[2], &[0, 4])]
#[case::diagonal_far(|x: &Array| x.diagonal(i32::MIN, 0, 1), &[0], &[])]
#[case::trace(|x: &Array| x.trace(0, 0, 1), &[], &[4])]
#[case::stop_gradient(|x: &Array| x.stop_gradient(), &[2, 3], &[0, 1, 2, 3, 4, 5])]
#[case::zeros_like(|x: &Array| x.zeros_like(), &[2, 3], &[0; 6])]
#[case::ones_like(|x: &Array| x.ones_like(), &[2, 3], &[1; 6])]
#[case::full_like(|x: &Array| x.full_like(4), &[2, 3], &[4; 6])]
#[case::depends(|x: &Array| Ok(ops::depends([x], [&x.square()?])?.remove(0)), &[2, 3], &[0, 1, 2, 3, 4, 5])]
#[case::concatenate(|x: &Array| ops::concatenate([x, x], -1), &[2, 6], &[0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5])]
#[case::concatenate_flat(|x: &Array| ops::concatenate_flat([x, &Array::from(9)]), &[7], &[0, 1, 2, 3, 4, 5, 9])]
#[case::stack(|x: &Array| ops::stack(x.unstack(1)?, 0), &[3, 2], &[0, 3, 1, 4, 2, 5])]
#[case::split(|x: &Array| Ok(x.split(3, 1)?.remove(2)), &[2, 1], &[2, 5])]
#[case::split_at(|x: &Array| Ok(x.split([1], 1)?.remove(1)), &[2, 2], &[1, 2, 4, 5])]
#[case::meshgrid(|x: &Array| Ok(ops::meshgrid([&x.index(0)?, &x.index(1)?], false, Indexing::Xy)?.remove(1)), &[3, 3], &[3, 3, 3, 4, 4, 4, 5, 5, 5])]
#[case::meshgrid_ij(|x: &Array| Ok(ops::meshgrid([&x.index(0)?, &x.index(1)?], true, Indexing::Ij)?.remove(0)), &[3, 1], &[0, 1, 2])]
#[case::broadcast_arrays(|x: &Array| Ok(ops::broadcast_arrays([x, &Array::from(8)])?.remove(1)), &[2, 3], &[8; 6])]
fn layout(#[case] op: Op, #[case] shape: &'static [i32], #[case] values: &'static [i32]) {
    on_worker(move || {
        let y = op(&count(&[2, 3])).unwrap();
        assert_eq!(y.shape(), shape);
        assert_eq!(i32s(&y), values);
    })
}

/// Reflection against the index arithmetic, for widths beyond the array.
#[rstest]
fn reflect(#[values(1, 2, 5)] n: i32, #[values(0, 3, 7)] low: i32, #[values(0, 4)] high: i32) {
    on_worker(move || {
        let y = count(&[n]).pad([(low, high)], PadMode::Reflect).unwrap();
        let period = (2 * (n - 1)).max(1);
        let want: Vec<i32> = (-low..n + high)
            .map(|i| i.rem_euclid(period))
            .map(|i| if i >= n { period - i } else { i })
            .collect();
        assert_eq!(i32s(&y), want);
    })
}

#[rstest]
#[case::two_unknown(|| count(&[6]).reshape((-1, -1)))]
#[case::wrong_size(|| count(&[6]).reshape((4, 2)))]
#[case::negative(|| count(&[6]).reshape((-2, -3)))]
#[case::wrapped(|| count(&[6]).reshape(u64::MAX))]
#[case::unflatten_zero(|| Array::zeros((0, 2), F32)?.unflatten(0, (0, -1)))]
#[case::unflatten(|| count(&[6]).unflatten(0, (4, -1)))]
#[case::axis(|| count(&[6]).transpose((0, 1)))]
#[case::axis_twice(|| count(&[2, 3]).transpose((0, 0)))]
#[case::squeeze(|| count(&[6]).squeeze(0))]
#[case::expand(|| count(&[6]).expand_dims([0, 0]))]
#[case::expand_all(|| count(&[6]).expand_dims(..))]
#[case::flatten(|| count(&[2, 3]).flatten(-1..=0))]
#[case::flatten_empty(|| count(&[2, 3]).flatten(0..0))]
#[case::broadcast(|| count(&[6]).broadcast_to(5))]
#[case::strided_end(|| count(&[6]).as_strided(4, &[2], 0))]
#[case::strided_start(|| count(&[6]).as_strided(2, &[-1], 0))]
#[case::strided_offset(|| count(&[6]).as_strided(0, &[1], 7))]
#[case::strided_overflow(|| count(&[6]).as_strided((i32::MAX, i32::MAX), &[i64::MAX, i64::MAX], 0))]
#[case::strided_ndim(|| count(&[6]).as_strided((2, 2), &[1], 0))]
#[case::tile(|| count(&[6]).tile(-1))]
#[case::tile_size(|| count(&[6]).tile(i32::MAX))]
#[case::repeat(|| count(&[6]).repeat(-1, 0))]
#[case::repeat_size(|| count(&[6]).repeat(i32::MAX, 0))]
#[case::roll(|| count(&[6]).roll([1, 2], 0))]
#[case::roll_axis(|| count(&[6]).roll(1, 1))]
#[case::pad_negative(|| count(&[6]).pad(-1, PadMode::Edge))]
#[case::pad_count(|| count(&[6]).pad([(1, 1), (1, 1)], PadMode::Edge))]
#[case::pad_size(|| count(&[6]).pad(i32::MAX, PadMode::Constant(0.0)))]
#[case::pad_empty(|| Array::zeros(0, F32)?.pad(1, PadMode::Reflect))]
#[case::elements(|| count(&[6]).number_of_elements(1, false, I32))]
#[case::elements_scalar(|| Array::from(1).number_of_elements(0, false, I32))]
#[case::diag(|| count(&[6]).diag(i32::MAX))]
#[case::diag_ndim(|| Array::from(1).diag(0))]
#[case::diagonal(|| count(&[2, 3]).diagonal(0, 1, 1))]
#[case::tril(|| count(&[6]).tril(0))]
#[case::depends(|| ops::depends::<Array, Array>([], []).map(|mut v| v.remove(0)))]
#[case::concatenate(|| ops::concatenate::<Array>([], 0))]
#[case::concatenate_shapes(|| ops::concatenate([count(&[2, 3]), count(&[2, 2])], 0))]
#[case::stack(|| ops::stack([count(&[2]), count(&[3])], 0))]
#[case::split(|| count(&[6]).split(4, 0).map(|mut v| v.remove(0)))]
#[case::split_none(|| count(&[6]).split(0, 0).map(|mut v| v.remove(0)))]
#[case::zeros(|| Array::zeros((-1, 2), F32))]
#[case::eye(|| Array::eye(-1, 2, 0, F32))]
#[case::tri(|| Array::tri(2, -1, 0, F32))]
#[case::step(|| Array::arange((0, 5, 0)))]
#[case::endless(|| Array::arange(0.0..f32::INFINITY))]
#[case::nan(|| Array::arange((0.0, f32::NAN, 1.0)))]
#[case::too_many(|| Array::arange((0.0, 1e30, 1e-3)))]
#[case::linspace(|| Array::linspace(0.0..=1.0, -1, F32))]
#[case::view(|| arr(&[1u8, 2, 3]).view(U16))]
#[case::view_scalar(|| Array::from(1).view(U8))]
#[case::view_size(|| arr(&[1.0f32]).broadcast_to(i32::MAX)?.view(U8))]
fn errors(#[case] op: fn() -> zmlx::Result<Array>) {
    let e = on_worker(move || op().unwrap_err());
    let ok = matches!(e, Error::Shape { .. } | Error::Argument { .. });
    assert!(ok && e.to_string().contains("tests/ops_shape.rs"), "{e:?}");
}

#[test]
fn creation() {
    on_worker(|| {
        assert_eq!(f32s(&Array::zeros((2, 2), F16).unwrap()), [0.0; 4]);
        assert_eq!(f32s(&Array::ones(3, BF16).unwrap()), [1.0; 3]);
        let row = arr(&[1, 2]);
        assert_eq!(i32s(&Array::full((2, 2), row, I64).unwrap()), [1, 2, 1, 2]);
        assert_eq!(i32s(&Array::eye(2, 3, 1, I32).unwrap()), [0, 1, 0, 0, 0, 1]);
        assert_eq!(i32s(&Array::eye(2, 2, i32::MIN, I32).unwrap()), [0; 4]);
        assert_eq!(i32s(&Array::identity(2, U8).unwrap()), [1, 0, 0, 1]);
        assert_eq!(i32s(&Array::tri(2, 3, 0, I32).unwrap()), [1, 0, 0, 1, 1, 0]);
        assert_eq!(
            Array::tri(2, 3, i32::MIN, I32)
                .unwrap()
                .sum(..)
                .unwrap()
                .item::<i32>()
                .unwrap(),
            0
        );
        assert_eq!(i32s(&Array::arange((5, 2, 1)).unwrap()), [0; 0]);
        assert_eq!(i32s(&Array::arange((5, 0, -2)).unwrap()), [5, 3, 1]);
        assert_eq!(Array::arange(3i64).unwrap().dtype(), I64);
        assert_eq!(Array::arange((1e38f32, -1e38, 1e-38)).unwrap().size(), 0);
        assert_eq!(Array::linspace(0.0..=1.0, 0, F32).unwrap().size(), 0);
        close(
            &exactly(|| f32s(&Array::linspace(1.0..=3.0, 5, F64).unwrap())),
            &[1.0, 1.5, 2.0, 2.5, 3.0],
            0.0,
        );
        close(
            &f32s(&Array::linspace(1.0..2.0, 2, F32).unwrap()),
            &[1.0, 1.5],
            0.0,
        );
    })
}

type Window = fn(i32) -> zmlx::Result<Array>;

#[rstest]
#[case::hanning(ops::hanning, |t: f64| 0.5 - 0.5 * t.cos())]
#[case::hamming(ops::hamming, |t: f64| 0.54 - 0.46 * t.cos())]
#[case::bartlett(ops::bartlett, |t: f64| 1.0 - (t / std::f64::consts::PI - 1.0).abs())]
#[case::blackman(ops::blackman, |t: f64| 0.42 - 0.5 * t.cos() + 0.08 * (2.0 * t).cos())]
fn windows(#[case] op: Window, #[case] want: fn(f64) -> f64) {
    on_worker(move || {
        let n = 9;
        let at = |i: i32| f64::from(i) / f64::from(n - 1) * std::f64::consts::TAU;
        let want: Vec<f64> = (0..n).map(|i| want(at(i))).collect();
        close(&f32s(&op(n).unwrap()), &want, 1e-5);
        assert_eq!(f32s(&op(1).unwrap()), [1.0]);
        assert_eq!(op(0).unwrap().size(), 0);
    })
}

#[test]
fn casts() {
    on_worker(|| {
        use num_complex::Complex32;
        let z = arr(&[Complex32::new(1.0, -2.0)]);
        assert_eq!(f32s(&z.real().unwrap()), [1.0]);
        assert_eq!(f32s(&z.imag().unwrap()), [-2.0]);
        assert_eq!(f32s(&z.conjugate().unwrap().imag().unwrap()), [2.0]);
        assert_eq!(f32s(&arr(&[3.0f32]).imag().unwrap()), [0.0]);
        assert_eq!(i32s(&arr(&[2.9f32, -2.9]).astype(I32).unwrap()), [2, -2]);
        let x = arr(&[0.5f32, -1.0, 240.0, 1.0625]);
        let bytes = x.to_fp8().unwrap();
        assert_eq!(bytes.dtype(), U8);
        assert_eq!(f32s(&bytes.from_fp8(F32).unwrap()), [0.5, -1.0, 240.0, 1.0]);
        assert!(matches!(x.from_fp8(F32), Err(Error::Dtype { .. })));
        assert!(matches!(bytes.to_fp8(), Err(Error::Dtype { .. })));
        let pair = arr(&[1u16, 2]).view(U32).unwrap();
        assert_eq!(pair.item::<u32>().unwrap().to_le_bytes(), [1, 0, 2, 0]);
        let odd = x.number_of_elements(0, true, F32).unwrap();
        assert_eq!(odd.item::<f32>().unwrap(), 0.25);
    })
}
