//! Indexing, gathering, scattering and slices, against plain loops; and that no index reads
//! or writes outside its array.
#![allow(
    clippy::reversed_empty_ranges,
    reason = "empty ranges are among the cases"
)]

mod support;

use rstest::rstest;
use support::*;
use zmlx::prelude::*;
use zmlx::{IntoIndex, grad, vmap, with_device};

fn count(shape: &[i32]) -> Array {
    Array::arange(shape.iter().product::<i32>())
        .unwrap()
        .reshape(shape)
        .unwrap()
}

/// Index items built on the worker's thread: arrays stay on theirs.
type Index = fn() -> Vec<zmlx::IndexItem>;

fn at<T: zmlx::Element>(values: &[T], shape: &[i32]) -> Array {
    Array::from_slice(values, shape).unwrap()
}

/// On the numbers 0.. in shape (2, 3, 4): the shape and values NumPy gives.
#[rstest]
#[case::number(|| 1.into_index(), &[3, 4], &[12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23])]
#[case::unsigned((|| 0usize.into_index()) as Index, &[3, 4], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])]
#[case::numbers(|| (1, -1, 2).into_index(), &[], &[22])]
#[case::range(|| (0, 1..3, 3).into_index(), &[2], &[7, 11])]
#[case::inclusive(|| (0, 1, 1..=2).into_index(), &[2], &[5, 6])]
#[case::to(|| (0, 1, ..2).into_index(), &[2], &[4, 5])]
#[case::to_last(|| (0, 1, ..=-1).into_index(), &[4], &[4, 5, 6, 7])]
#[case::from_end(|| (0, 1, -2..).into_index(), &[2], &[6, 7])]
#[case::to_end(|| (0, 1, ..-3).into_index(), &[1], &[4])]
#[case::outside(|| (0, 1, -9..99).into_index(), &[4], &[4, 5, 6, 7])]
#[case::empty(|| (0, 1, 3..1).into_index(), &[0], &[])]
#[case::full(|| (0, .., 0).into_index(), &[3], &[0, 4, 8])]
#[case::steps(|| (1, 1, step(.., 3)).into_index(), &[2], &[16, 19])]
#[case::reverse(|| (1, 1, step(.., -1)).into_index(), &[4], &[19, 18, 17, 16])]
#[case::reverse_to(|| (1, 1, step(..1, -1)).into_index(), &[2], &[19, 18])]
#[case::reverse_from(|| (1, 1, step(2.., -2)).into_index(), &[2], &[18, 16])]
#[case::reverse_far(|| (1, 1, step(9..-9, -3)).into_index(), &[2], &[19, 16])]
#[case::far_step(|| (1, 1, step(1.., i32::MAX)).into_index(), &[1], &[17])]
#[case::ellipsis(|| (Ellipsis, 3).into_index(), &[2, 3], &[3, 7, 11, 15, 19, 23])]
#[case::ellipsis_inside(|| (1, Ellipsis, 0).into_index(), &[3], &[12, 16, 20])]
#[case::ellipsis_empty(|| (1, 0, 1, Ellipsis).into_index(), &[], &[13])]
#[case::new_axes(|| (NewAxis, 1, 0, NewAxis).into_index(), &[1, 1, 4], &[12, 13, 14, 15])]
#[case::array(|| (0, 0, &arr(&[3, 0, -1])).into_index(), &[3], &[3, 0, 3])]
#[case::array_first(|| (&arr(&[1i64, 0]), 0, 0).into_index(), &[2], &[12, 0])]
#[case::array_between(|| (.., &arr(&[2u8]), 1..3).into_index(), &[2, 1, 2], &[9, 10, 21, 22])]
#[case::array_2d(|| (1, .., &at(&[0, 3, 1, 2], &[2, 2])).into_index(), &[2, 2, 3], &[12, 16, 20, 15, 19, 23, 13, 17, 21, 14, 18, 22])]
#[case::array_adjacent(|| (.., 1, &arr(&[0, 2])).into_index(), &[2, 2], &[4, 6, 16, 18])]
#[case::arrays(|| (&arr(&[0, 1]), &arr(&[2, 0])).into_index(), &[2, 4], &[8, 9, 10, 11, 12, 13, 14, 15])]
#[case::arrays_broadcast(|| (&at(&[0, 1], &[2, 1]), &arr(&[0, 2]), 1).into_index(), &[2, 2], &[1, 9, 13, 21])]
#[case::arrays_parted(|| (&arr(&[1, 0]), .., &arr(&[3, 0])).into_index(), &[2, 3], &[15, 19, 23, 0, 4, 8])]
#[case::array_and_new(|| (.., NewAxis, &arr(&[0, 2]), 0).into_index(), &[2, 1, 2], &[0, 8, 12, 20])]
#[case::array_scalar(|| (&Array::from(1), 2).into_index(), &[4], &[20, 21, 22, 23])]
#[case::array_empty(|| (&Array::zeros(0, I32).unwrap(), 0, 0).into_index(), &[0], &[])]
fn indexing(#[case] index: Index, #[case] shape: &'static [i32], #[case] values: &'static [i32]) {
    struct Items(Vec<zmlx::IndexItem>);
    impl IntoIndex for Items {
        fn into_index(self) -> Vec<zmlx::IndexItem> {
            self.0
        }
    }
    on_worker(move || {
        let y = count(&[2, 3, 4]).index(Items(index())).unwrap();
        assert_eq!(y.shape(), shape);
        assert_eq!(i32s(&y), values);
    })
}

#[test]
fn take() {
    on_worker(|| {
        let mut rng = Rng::new();
        let x = rng.array(&[5, 4, 3], -1.0, 1.0);
        let v = f32s(&x);
        for dtype in [U8, U16, U32, U64, I8, I16, I32, I64] {
            let low = if matches!(dtype, U8 | U16 | U32 | U64) {
                0
            } else {
                -4
            };
            let ids = rng.ints(6, low, 4);
            let y = x.take(&arr(&ids).astype(dtype).unwrap(), 1).unwrap();
            assert_eq!(y.shape(), [5, 6, 3]);
            let y = f32s(&y);
            for (r, got) in y.iter().enumerate() {
                let (i, j, k) = (r / 18, ids[r / 3 % 6].rem_euclid(4) as usize, r % 3);
                assert_eq!(*got, v[i * 12 + j * 3 + k]);
            }
        }
        let ids = rng.ints(7, -60, 60);
        let flat = f32s(&x.take(&arr(&ids), ..).unwrap());
        assert!(
            ids.iter()
                .zip(flat)
                .all(|(i, f)| f == v[i.rem_euclid(60) as usize])
        );
        // Along an axis: sorting by argsort.
        let order = x.argsort(1).unwrap();
        let sorted = x.take_along_axis(&order, 1).unwrap();
        assert_eq!(f32s(&sorted), f32s(&x.sort(1).unwrap()));
        // And back again.
        let back = x
            .zeros_like()
            .unwrap()
            .put_along_axis(&order, &sorted, 1)
            .unwrap();
        assert_eq!(f32s(&back), v);
        let twice = x.scatter_add_axis(&order, &sorted, 1).unwrap();
        close(
            &f32s(&twice),
            &v.iter().map(|x| 2.0 * f64::from(*x)).collect::<Vec<_>>(),
            1e-6,
        );
    })
}

type Scatter = fn(&Array, &Array, &Array) -> zmlx::Result<Array>;

#[rstest]
#[case::set(|x: &Array, i: &Array, u: &Array| x.scatter([i], u, 0), |_: f32, u: f32| u)]
#[case::add(|x: &Array, i: &Array, u: &Array| x.scatter_add([i], u, 0), |x: f32, u: f32| x + u)]
#[case::prod(|x: &Array, i: &Array, u: &Array| x.scatter_prod([i], u, 0), |x: f32, u: f32| x * u)]
#[case::max(|x: &Array, i: &Array, u: &Array| x.scatter_max([i], u, 0), f32::max)]
#[case::min(|x: &Array, i: &Array, u: &Array| x.scatter_min([i], u, 0), f32::min)]
fn scatter(#[case] op: Scatter, #[case] join: fn(f32, f32) -> f32) {
    on_worker(move || {
        let mut rng = Rng::new();
        let (x, u) = (
            rng.array(&[5, 3], -1.0, 1.0),
            rng.array(&[3, 1, 2], -1.0, 1.0),
        );
        let y = f32s(&op(&x, &arr(&[4, 1, -2]), &u).unwrap());
        let mut want = f32s(&x);
        for (r, row) in [4, 1, 3].into_iter().enumerate() {
            for c in 0..2 {
                let w = &mut want[row * 3 + c];
                *w = join(*w, f32s(&u)[r * 2 + c]);
            }
        }
        assert_eq!(y, want);
    })
}

type Update = fn(&Array, &Array) -> zmlx::Result<Array>;

#[rstest]
#[case::set(|x: &Array, u: &Array| x.slice_update(u, [0, -1], [5, -9], [2, -2]), |_: f32, u: f32| u)]
#[case::add(|x: &Array, u: &Array| x.slice_update_add(u, [0, -1], [5, -9], [2, -2]), |x: f32, u: f32| x + u)]
#[case::prod(|x: &Array, u: &Array| x.slice_update_prod(u, [0, -1], [5, -9], [2, -2]), |x: f32, u: f32| x * u)]
#[case::max(|x: &Array, u: &Array| x.slice_update_max(u, [0, -1], [5, -9], [2, -2]), f32::max)]
#[case::min(|x: &Array, u: &Array| x.slice_update_min(u, [0, -1], [5, -9], [2, -2]), f32::min)]
fn slice_update(#[case] op: Update, #[case] join: fn(f32, f32) -> f32) {
    on_worker(move || {
        let mut rng = Rng::new();
        let (x, u) = (rng.array(&[5, 4], -1.0, 1.0), rng.array(&[3, 2], -1.0, 1.0));
        let y = f32s(&op(&x, &u).unwrap());
        let mut want = f32s(&x);
        for r in 0..3 {
            for c in 0..2 {
                let w = &mut want[r * 2 * 4 + 3 - 2 * c];
                *w = join(*w, f32s(&u)[r * 2 + c]);
            }
        }
        assert_eq!(y, want);
        assert_eq!(f32s(&x.slice([0, 3], [5, -9], [2, -2]).unwrap()).len(), 6);
    })
}

#[test]
fn slices_at_computed_positions() {
    on_worker(|| {
        let x = count(&[4, 5]);
        for dtype in [U8, I16, I32, I64] {
            let start = arr(&[1, 2]).astype(dtype).unwrap();
            let y = x.slice_at(&start, [0, 1], [2, 2]).unwrap();
            assert_eq!(i32s(&y), [7, 8, 12, 13]);
        }
        for start in [
            arr(&[-2, -3]),
            arr(&[-2, 7, -3]).index(step(.., 2)).unwrap(),
        ] {
            let y = x.slice_at(&start, [0, 1], [2, 2]).unwrap();
            assert_eq!(i32s(&y), [12, 13, 17, 18]);
        }
        let y = x.slice_update_at(arr(&[-1, -2]), &arr(&[3]), 1).unwrap();
        assert_eq!(
            i32s(&y.index((.., 3..)).unwrap()),
            [-1, -2, -1, -2, -1, -2, -1, -2]
        );
        let y = x.slice_update_at(-1, &Array::from(2), 0).unwrap();
        assert_eq!(i32s(&y.index((2, ..)).unwrap()), [-1; 5]);
    })
}

#[test]
fn gather_blocks() {
    on_worker(|| {
        let x = count(&[4, 5]);
        let (rows, columns) = (arr(&[0, -2]), arr(&[3i64, 1]));
        let y = x.gather([&rows, &columns], [0, 1], [2, 2]).unwrap();
        assert_eq!(y.shape(), [2, 2, 2]);
        assert_eq!(i32s(&y), [3, 4, 8, 9, 11, 12, 16, 17]);
        let mask = x.greater(17).unwrap();
        let y = x.masked_scatter(&mask, &arr(&[-1, -2])).unwrap();
        assert_eq!(i32s(&y.index(3).unwrap()), [15, 16, 17, -1, -2]);
    })
}

/// Positions out of range that are known: an error. Unknown: clamped, so memory is safe.
#[rstest]
#[case::take(|x: &Array, i: &Array| x.take(i, 0))]
#[case::flat(|x: &Array, i: &Array| x.flatten(..)?.index(..3)?.take(i, ..))]
#[case::along(|x: &Array, i: &Array| x.take_along_axis(&i.reshape((-1, 1))?, 0))]
#[case::put(|x: &Array, i: &Array| x.put_along_axis(&i.reshape((-1, 1))?, 1.0, 0))]
#[case::put_add(|x: &Array, i: &Array| x.scatter_add_axis(&i.reshape((-1, 1))?, 1.0, 0))]
#[case::gather(|x: &Array, i: &Array| x.gather([i], 0, [1, 2]))]
#[case::gather_span(|x: &Array, i: &Array| x.gather([i], 0, [2, 2]))]
#[case::scatter(|x: &Array, i: &Array| x.scatter([i], &Array::ones((4, 1, 2), F32)?, 0))]
#[case::scatter_span(|x: &Array, i: &Array| x.scatter_add([i], &Array::ones((4, 2, 2), F32)?, 0))]
#[case::slice(|x: &Array, i: &Array| x.slice_at(&i.slice([0], [1], [1])?, 0, [2, 2]))]
#[case::slice_update(|x: &Array, i: &Array| x.slice_update_at(&Array::ones((2, 2), F32)?, &i.slice([3], [4], [1])?, 0))]
#[case::index(|x: &Array, i: &Array| x.index((i, 0)))]
fn out_of_range(#[case] op: Update, #[values(U8, I8, U32, I32, I64, U64)] dtype: Dtype) {
    let test = move || {
        let x = Rng::new().array(&[3, 2], 1.0, 2.0);
        let values = [0i64, 1, 100, -100];
        let ids = arr(&values).astype(dtype).unwrap().multiply(1).unwrap();
        // Not evaluated yet: the bounds are operations of the graph.
        let y = op(&x, &ids).unwrap();
        assert!(f32s(&y).iter().all(|v| (0.9..6.1).contains(v)), "{y:?}");
        ids.eval().unwrap();
        match op(&x, &ids) {
            Err(Error::Argument { .. } | Error::Shape { .. }) => {}
            // Slicing the known array made an unknown one.
            Ok(y) => assert!(f32s(&y).iter().all(|v| (0.9..6.1).contains(v))),
            Err(e) => panic!("{e:?}"),
        }
    };
    on_worker(move || sampled(matches!(dtype, U32 | I8), test))
}

/// A narrow index type whose range is smaller than the dimension.
#[test]
fn narrow_indices() {
    on_worker(|| {
        let x = count(&[1000]);
        let ids = arr(&[-128i8, 127]).multiply(1).unwrap();
        assert_eq!(i32s(&x.take(&ids, 0).unwrap()), [872, 127]);
        let y = x.gather([&ids.multiply(1).unwrap()], 0, [2]).unwrap();
        assert_eq!(i32s(&y), [872, 873, 127, 128]);
        let small = arr(&[200u8, 3]).multiply(1).unwrap();
        assert_eq!(i32s(&count(&[5]).take(&small, 0).unwrap()), [4, 3]);
    })
}

#[rstest]
#[case::float(|| count(&[4]).take(&arr(&[1.0f32]), 0))]
#[case::bool(|| count(&[4]).take(&arr(&[true]), 0))]
#[case::scatter_bool(|| count(&[4]).scatter([&arr(&[true])], &count(&[1, 1]), 0))]
#[case::axis(|| count(&[4]).take(&arr(&[1]), 1))]
#[case::scalar(|| Array::from(1).take(&arr(&[0]), 0))]
#[case::empty(|| Array::zeros((0, 2), F32)?.take(&arr(&[0]), 0))]
#[case::along_ndim(|| count(&[2, 2]).take_along_axis(&arr(&[0]), 0))]
#[case::gather_axes(|| count(&[2, 2]).gather([&arr(&[0])], [0, 1], [1, 1]))]
#[case::gather_axis(|| count(&[2, 2]).gather([&arr(&[0])], 2, [1, 1]))]
#[case::gather_sizes(|| count(&[2, 2]).gather([&arr(&[0])], 0, [3, 1]))]
#[case::gather_size(|| count(&[2, 2]).gather([&arr(&[0])], 0, [1]))]
#[case::scatter_ndim(|| count(&[2, 2]).scatter([&arr(&[0])], &arr(&[0]), 0))]
#[case::scatter_large(|| count(&[2, 2]).scatter([&arr(&[0])], &count(&[1, 3, 2]), 0))]
#[case::stride(|| count(&[4]).slice(0, 4, 0))]
#[case::slice_ndim(|| count(&[4]).slice([0, 0], [1, 1], [1, 1]))]
#[case::update_shape(|| count(&[4]).slice_update(arr(&[1, 2]), 0, 3, 1))]
#[case::update_ndim(|| count(&[4]).slice_update_at(count(&[1, 1]), &arr(&[0]), 0))]
#[case::at_sizes(|| count(&[4]).slice_at(&arr(&[0]), 0, -1))]
#[case::at_large(|| count(&[4]).slice_at(&arr(&[0]), 0, 5))]
#[case::at_count(|| count(&[4]).slice_at(&arr(&[0, 1]), 0, 1))]
#[case::mask(|| count(&[4]).masked_scatter(&count(&[4]), &arr(&[0])))]
#[case::mask_shape(|| count(&[4]).masked_scatter(&arr(&[true]), &arr(&[0])))]
#[case::number(|| count(&[4]).index(4))]
#[case::negative(|| count(&[4]).index(-5))]
#[case::number_beside(|| count(&[4, 4]).index((&arr(&[0]), 9)))]
#[case::items(|| count(&[4]).index((0, 0)))]
#[case::ellipses(|| count(&[4]).index((Ellipsis, Ellipsis)))]
#[case::step(|| count(&[4]).index(step(.., 0)))]
fn errors(#[case] op: fn() -> zmlx::Result<Array>) {
    let e = on_worker(move || op().unwrap_err());
    let ok = matches!(
        e,
        Error::Shape { .. } | Error::Argument { .. } | Error::Dtype { .. }
    );
    assert!(ok && e.to_string().contains("tests/ops_index.rs"), "{e:?}");
}

#[test]
fn mask_without_enough_values_fails_in_evaluation() {
    on_worker(|| {
        let mask = arr(&[true, true]);
        let scatter = || count(&[2]).masked_scatter(&mask, &arr(&[5])).unwrap();
        // Only MLX's CPU counts the mask's elements; a GPU leaves out those that no value is there for.
        assert!(with_device(Device::CPU, scatter).eval().is_err());
    })
}

#[test]
fn transformed() {
    on_worker(|| {
        let x = Rng::new().array(&[3, 4], -1.0, 1.0);
        let ids = arr(&[2, 0, 2]);
        // d/dx sum(take(x)^2) = 2 x times how often the row was taken.
        let g = grad(|x: &Array| x.take(&ids, 0)?.square()?.sum(..))(&x).unwrap();
        let times = [1.0, 0.0, 2.0];
        let want: Vec<f64> = f32s(&x)
            .iter()
            .enumerate()
            .map(|(i, v)| 2.0 * f64::from(*v) * times[i / 4])
            .collect();
        close(&f32s(&g), &want, 1e-6);
        let row = |i: &[Array]| Ok(vec![x.index((&i[0], 1))?]);
        let rows = vmap(row).call([&ids]).unwrap().remove(0);
        assert_eq!(f32s(&rows), f32s(&x.index((&ids, 1)).unwrap()));
    })
}

/// Beside uint64 a signed array made floats, which are no positions.
#[test]
fn uint64_beside_signed_positions() {
    on_worker(|| {
        let x = count(&[3, 4]);
        let rows = arr(&[2u64, 0, 1]);
        let columns = arr(&[-1i32, 1, -4]);
        let got = x.index((&rows, &columns)).unwrap();
        assert_eq!(got.to_vec::<i32>().unwrap(), [11, 1, 4]);
        let small = arr(&[0u8, 2, 3]);
        let got = x.index((&rows, &small)).unwrap();
        assert_eq!(got.to_vec::<i32>().unwrap(), [8, 2, 7]);
        let got = x.index((&rows, -1)).unwrap();
        assert_eq!(got.to_vec::<i32>().unwrap(), [11, 3, 7]);
        let set = x.at((&rows, &columns)).set(-1).unwrap();
        let mut want: Vec<i32> = (0..12).collect();
        [11, 1, 4].iter().for_each(|&i| want[i] = -1);
        assert_eq!(set.to_vec::<i32>().unwrap(), want);
    })
}
