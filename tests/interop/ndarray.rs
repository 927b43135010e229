//! The crate `ndarray`.

use half::{bf16, f16};
use ndarray::{ArcArray, ArrayD, ArrayView2, Axis, IxDyn, ShapeBuilder, array, s};
use num_complex::Complex32;
use proptest::prelude::*;
use zmlx::prelude::*;

use crate::borrows;
use crate::common::{exactly, on_worker};

#[test]
fn there_and_back() {
    fn one<T: zmlx::Element + PartialEq + std::fmt::Debug>(values: [T; 6]) {
        let given = ndarray::Array::from_shape_vec((2, 3), values.to_vec()).unwrap();
        let ours = Array::try_from(given.clone()).unwrap();
        assert_eq!((ours.shape(), ours.dtype()), (&[2, 3][..], T::DTYPE));
        assert_eq!(ours.to_vec::<T>().unwrap(), values);
        assert_eq!(ours.to_ndarray::<T>().unwrap(), given.clone().into_dyn());
        assert_eq!(ours.ndarray_view::<T>().unwrap(), given.view().into_dyn());
        let turned = Array::try_from(&given.t()).unwrap();
        assert_eq!(turned.to_ndarray::<T>().unwrap(), given.t().into_dyn());
    }
    on_worker(|| {
        one([true, false, false, true, true, false]);
        one([1u8, 2, 3, 4, 5, 6]);
        one([1u16, 2, 3, 4, 5, 6]);
        one([1u32, 2, 3, 4, 5, 6]);
        one([1u64, 2, 3, 4, 5, 6]);
        one([-1i8, 2, 3, 4, 5, 6]);
        one([-1i16, 2, 3, 4, 5, 6]);
        one([-1i32, 2, 3, 4, 5, 6]);
        one([-1i64, 2, 3, 4, 5, 6]);
        one([1.5, 2.0, 3.0, 4.0, 5.0, 6.0].map(f16::from_f64));
        one([1.5, 2.0, 3.0, 4.0, 5.0, 6.0].map(bf16::from_f64));
        one([1.5f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
        one([1.5, 2.0, 3.0, 4.0, 5.0, 6.0].map(|r| Complex32::new(r, -r)));
        exactly(|| one([1.5f64, 2.0, 3.0, 4.0, 5.0, 6.0]));
    });
}

#[test]
fn nothing_is_copied() {
    on_worker(|| {
        let given = ndarray::Array::from_elem((100, 50), 1.0f32);
        let at = given.as_ptr() as usize;
        let ours = Array::try_from(given).unwrap();
        let view = ours.ndarray_view::<f32>().unwrap();
        if borrows() {
            assert_eq!(view.as_ptr() as usize, at);
        }
        // Another order of memory, a shared array, a part of one.
        let columns = ndarray::Array::from_shape_fn((3, 4).f(), |(i, j)| (10 * i + j) as i32);
        let at = columns.as_ptr() as usize;
        let shown = columns.clone();
        let ours = Array::try_from(columns).unwrap();
        ours.eval().unwrap();
        let view = ours.ndarray_view::<i32>().unwrap();
        assert_eq!(view, shown.view().into_dyn());
        if borrows() {
            assert_eq!(view.as_ptr() as usize, at);
        }
        let shared: ArcArray<f32, _> = array![[1.0f32, 2.0], [3.0, 4.0]].into_shared();
        let ours = Array::try_from(shared.clone()).unwrap();
        assert_eq!(ours.to_ndarray::<f32>().unwrap(), shared.into_dyn());
        let mut whole = ndarray::Array::from_iter(0..10i32);
        whole.slice_collapse(s![3..7]);
        let ours = Array::try_from(whole).unwrap();
        assert_eq!(ours.to_vec::<i32>().unwrap(), [3, 4, 5, 6]);
    });
}

#[test]
fn views_of_views() {
    on_worker(|| {
        let whole = ndarray::Array::from_shape_fn((4, 5), |(i, j)| (10 * i + j) as f32);
        let ours = Array::try_from(whole.clone()).unwrap();
        let same = |ours: Array, theirs: ndarray::ArrayViewD<'_, f32>| {
            ours.eval().unwrap();
            assert_eq!(ours.ndarray_view::<f32>().unwrap(), theirs);
            assert_eq!(ours.to_ndarray::<f32>().unwrap(), theirs);
        };
        same(ours.transpose(..).unwrap(), whole.t().into_dyn());
        same(
            ours.index((1..3, 2..)).unwrap(),
            whole.slice(s![1..3, 2..]).into_dyn(),
        );
        let back = ours.index((step(.., -1), step(.., 2))).unwrap();
        same(back, whole.slice(s![..;-1, ..;2]).into_dyn());
        let rows = ours.index(0).unwrap().broadcast_to((3, 5)).unwrap();
        let row = whole.index_axis(Axis(0), 0);
        same(rows, row.broadcast((3, 5)).unwrap().into_dyn());
        same(
            ours.index((.., 1..1)).unwrap(),
            whole.slice(s![.., 1..1]).into_dyn(),
        );
        let one = ours.index((2, 3)).unwrap();
        same(one, whole.slice(s![2, 3]).into_dyn());
        let flags = ours.greater(20.0).unwrap().transpose(..).unwrap();
        flags.eval().unwrap();
        let want = whole.mapv(|v| v > 20.0);
        assert_eq!(flags.ndarray_view::<bool>().unwrap(), want.t().into_dyn());
    });
}

#[test]
fn what_does_not_fit() {
    on_worker(|| {
        let x = Array::from_vec(vec![1.0f32, 2.0], 2).unwrap();
        let e = x.ndarray_view::<i32>().unwrap_err();
        assert!(matches!(e, Error::Dtype { .. }), "{e}");
        let e = x.to_ndarray::<i32>().unwrap_err();
        assert!(matches!(e, Error::Dtype { .. }), "{e}");
        let y = x.exp().unwrap();
        let e = y.ndarray_view::<f32>().unwrap_err();
        assert!(matches!(e, Error::NotReady { .. }), "{e}");
        // Lengths that only a view can have.
        let long = ArrayView2::from_shape((1 << 32, 0), &[0.0f32; 0]).unwrap();
        let e = Array::try_from(&long).unwrap_err();
        assert!(matches!(e, Error::Shape { .. }), "{e}");
        let e = Array::try_from(long.to_owned()).unwrap_err();
        assert!(matches!(e, Error::Shape { .. }), "{e}");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Owned arrays with their axes permuted, turned around and cut.
    #[test]
    fn any_layout(
        dims in prop::collection::vec(1usize..5, 1..4),
        seed in any::<u64>(),
    ) {
        let (ours, theirs) = on_worker(move || {
            let n = dims.iter().product::<usize>();
            let values: Vec<i32> = (0..n as i32).collect();
            let mut theirs = ArrayD::from_shape_vec(IxDyn(&dims), values).unwrap();
            let mut axes: Vec<usize> = (0..dims.len()).collect();
            axes.rotate_left(seed as usize % dims.len());
            theirs = theirs.permuted_axes(axes);
            for axis in 0..dims.len() {
                if seed >> (8 + axis) & 1 == 1 {
                    theirs.invert_axis(Axis(axis));
                }
                if seed >> (16 + axis) & 3 == 3 && theirs.shape()[axis] > 1 {
                    theirs.slice_axis_inplace(Axis(axis), (1..).into());
                }
            }
            let ours = Array::try_from(theirs.clone()).unwrap();
            (ours.to_ndarray::<i32>().unwrap(), theirs)
        });
        prop_assert_eq!(ours, theirs);
    }
}
