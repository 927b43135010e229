//! Reductions, cumulative operations and sorting against f64 sums on fresh random inputs.

mod support;

use rstest::rstest;
use support::*;
use zmlx::ops::{Scan, UniqueParts};
use zmlx::prelude::*;

fn var(v: &[f64], ddof: f64) -> f64 {
    let mean = v.iter().sum::<f64>() / v.len() as f64;
    v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (v.len() as f64 - ddof)
}

fn sorted(v: &[f64]) -> Vec<f64> {
    let mut v = v.to_vec();
    v.sort_by(f64::total_cmp);
    v
}

fn arg(v: &[f64], better: fn(f64, f64) -> bool) -> f64 {
    let mut best = 0;
    for i in 1..v.len() {
        if better(v[i], v[best]) {
            best = i;
        }
    }
    best as f64
}

type Reduce = fn(&Array, zmlx::Axes) -> zmlx::Result<Array>;

#[rstest]
#[case::sum(|x: &Array, a: zmlx::Axes| x.sum(a), |v: &[f64]| v.iter().sum())]
#[case::prod(|x: &Array, a: zmlx::Axes| x.prod(a), |v: &[f64]| v.iter().product())]
#[case::mean(|x: &Array, a: zmlx::Axes| x.mean(a), |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64)]
#[case::median(|x: &Array, a: zmlx::Axes| x.median(a), |v: &[f64]| { let s = sorted(v); let n = s.len(); (s[(n - 1) / 2] + s[n / 2]) / 2.0 })]
#[case::max(|x: &Array, a: zmlx::Axes| x.max(a), |v: &[f64]| sorted(v)[v.len() - 1])]
#[case::min(|x: &Array, a: zmlx::Axes| x.min(a), |v: &[f64]| sorted(v)[0])]
#[case::min_of_both(|x: &Array, a: zmlx::Axes| Ok(x.minmax(a)?.0), |v: &[f64]| sorted(v)[0])]
#[case::max_of_both(|x: &Array, a: zmlx::Axes| Ok(x.minmax(a)?.1), |v: &[f64]| sorted(v)[v.len() - 1])]
#[case::all(|x: &Array, a: zmlx::Axes| x.greater(0.0)?.all(a), |v: &[f64]| f64::from(v.iter().all(|&x| x > 0.0)))]
#[case::any(|x: &Array, a: zmlx::Axes| x.greater(1.8)?.any(a), |v: &[f64]| f64::from(v.iter().any(|&x| x > f64::from(1.8f32))))]
#[case::logsumexp(|x: &Array, a: zmlx::Axes| x.logsumexp(a), |v: &[f64]| v.iter().map(|x| x.exp()).sum::<f64>().ln())]
#[case::count_nonzero(|x: &Array, a: zmlx::Axes| x.floor()?.count_nonzero(a), |v: &[f64]| v.iter().filter(|x| x.floor() != 0.0).count() as f64)]
#[case::var(|x: &Array, a: zmlx::Axes| x.var(a, 1), |v: &[f64]| var(v, 1.0))]
#[case::std(|x: &Array, a: zmlx::Axes| x.std(a, 0), |v: &[f64]| var(v, 0.0).sqrt())]
#[case::argmax(|x: &Array, a: zmlx::Axes| x.argmax(a), |v: &[f64]| arg(v, |a, b| a > b))]
#[case::argmin(|x: &Array, a: zmlx::Axes| x.argmin(a), |v: &[f64]| arg(v, |a, b| a < b))]
fn reduction(
    #[case] op: Reduce,
    #[case] want: fn(&[f64]) -> f64,
    #[values(-1, 0, 1, 9)] axis: i32,
) {
    on_worker(move || {
        use zmlx::IntoAxes;
        let (n, m, k) = (4, 3, 6);
        let x = Rng::new().array(&[n, m, k], -0.5, 2.0);
        let v: Vec<f64> = f32s(&x).into_iter().map(f64::from).collect();
        let at = |i: i32, j: i32, l: i32| v[((i * m + j) * k + l) as usize];
        let groups: Vec<Vec<f64>> = match axis {
            9 => vec![v.clone()],
            0 => (0..m * k)
                .map(|r| (0..n).map(|i| at(i, r / k, r % k)).collect())
                .collect(),
            1 => (0..n * k)
                .map(|r| (0..m).map(|j| at(r / k, j, r % k)).collect())
                .collect(),
            _ => (0..n * m)
                .map(|r| (0..k).map(|l| at(r / m, r % m, l)).collect())
                .collect(),
        };
        let axes = if axis == 9 {
            (..).into_axes()
        } else {
            axis.into_axes()
        };
        let y = op(&x, axes.clone()).unwrap();
        let want: Vec<f64> = groups.iter().map(|g| want(g)).collect();
        close(&f32s(&y), &want, 2e-5);
        let kept = op(&x, keepdims(axes)).unwrap();
        assert_eq!(kept.ndim(), 3);
        assert_eq!(f32s(&kept), f32s(&y));
    })
}

type Scanned = fn(&Array, Scan) -> zmlx::Result<Array>;

#[rstest]
#[case::cumsum(|x: &Array, s: Scan| x.cumsum(s), |a: f64, b: f64| a + b, 0.0)]
#[case::cumprod(|x: &Array, s: Scan| x.cumprod(s), |a: f64, b: f64| a * b, 1.0)]
#[case::cummax(|x: &Array, s: Scan| x.cummax(s), f64::max, f64::NEG_INFINITY)]
#[case::cummin(|x: &Array, s: Scan| x.cummin(s), f64::min, f64::INFINITY)]
#[case::logcumsumexp(|x: &Array, s: Scan| x.logcumsumexp(s), |a: f64, b: f64| (a.exp() + b.exp()).ln(), f64::NEG_INFINITY)]
fn scans(
    #[case] op: Scanned,
    #[case] join: fn(f64, f64) -> f64,
    #[case] neutral: f64,
    #[values(false, true)] reverse: bool,
    #[values(false, true)] exclusive: bool,
) {
    on_worker(move || {
        let x = Rng::new().array(&[3, 7], -1.5, 1.5);
        let v: Vec<f64> = f32s(&x).into_iter().map(f64::from).collect();
        let mut want = vec![0.0; 21];
        for row in 0..3 {
            let mut acc = neutral;
            for step in 0..7 {
                let i = row * 7 + if reverse { 6 - step } else { step };
                let next = if acc == neutral {
                    v[i]
                } else {
                    join(acc, v[i])
                };
                want[i] = if exclusive { acc } else { next };
                acc = next;
            }
        }
        let scan = Scan {
            axis: Some(-1),
            reverse,
            exclusive,
            dtype: None,
        };
        close(&f32s(&op(&x, scan).unwrap()), &want, 1e-5);
        let flat = op(&x, Scan { axis: None, ..scan }).unwrap();
        assert_eq!(flat.shape(), [21]);
    })
}

#[test]
fn softmax() {
    on_worker(move || {
        let x = Rng::new().array(&[4, 9], -30.0, 30.0);
        for (y, axis) in [
            (x.softmax(-1), -1),
            (x.softmax(0), 0),
            (x.softmax_precise(-1), -1),
        ] {
            let y = y.unwrap();
            let sums = y.sum(axis).unwrap();
            close(&f32s(&sums), &vec![1.0; sums.size()], 1e-5);
            // log(softmax) and x differ by a constant.
            let lse = x.logsumexp(keepdims(axis)).unwrap();
            let want = (&x - &lse).unwrap().exp().unwrap();
            assert!(
                y.allclose(&want, (1e-4, 1e-6))
                    .unwrap()
                    .item::<bool>()
                    .unwrap()
            );
        }
    })
}

#[rstest]
fn sorting(#[values(1, 2, 5, 33, 700)] n: i32) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = arr(&rng.ints(n as usize, -50, 50));
        let v = x.to_vec::<i32>().unwrap();
        let mut want = v.clone();
        want.sort();
        assert_eq!(i32s(&x.sort(0).unwrap()), want);
        assert_eq!(i32s(&x.sort(..).unwrap()), want);
        let order = x.argsort(-1).unwrap();
        assert_eq!(order.dtype(), U32);
        assert_eq!(i32s(&x.take(&order, 0).unwrap()), want);
        let k = rng.int(0, i64::from(n)) as i32;
        let p = i32s(&x.partition(k, 0).unwrap());
        assert_eq!(p[k as usize], want[k as usize]);
        let by = i32s(&x.take(&x.argpartition(k, ..).unwrap(), 0).unwrap());
        assert_eq!(by[k as usize], want[k as usize]);
        let mut top = i32s(&x.topk(k, -1).unwrap());
        top.sort();
        assert_eq!(top, want[(n - k) as usize..]);
        let s = x.sort(0).unwrap();
        for right in [false, true] {
            let at = i32s(&s.searchsorted(&x, right).unwrap());
            for (i, &at) in at.iter().enumerate() {
                let below = want
                    .iter()
                    .filter(|&&w| w < v[i] || (right && w == v[i]))
                    .count();
                assert_eq!(at as usize, below);
            }
        }
        let mut different = want.clone();
        different.dedup();
        let d = different.len() as i32;
        assert_eq!(i32s(&x.unique(d, None).unwrap()), different);
        let want = UniqueParts {
            index: true,
            inverse: true,
            counts: true,
        };
        let u = x
            .unique_with(d + 2, want, Some(&arr(&[99]).reshape(()).unwrap()))
            .unwrap();
        assert_eq!(i32s(&u.values)[d as usize..], [99, 99]);
        let back = u.values.take(&u.inverse.unwrap(), 0).unwrap();
        assert_eq!(i32s(&back.reshape(-1).unwrap()), v);
        assert_eq!(i32s(&u.counts.unwrap()).iter().sum::<i32>(), n);
        let first = i32s(&u.index.unwrap());
        assert!((0..d as usize).all(|i| v[first[i] as usize] == different[i]));
    })
}

#[test]
fn differences() {
    on_worker(move || {
        let x = arr(&[1, 4, 9, 16]);
        assert_eq!(i32s(&x.diff(1, 0).unwrap()), [3, 5, 7]);
        assert_eq!(i32s(&x.diff(2, -1).unwrap()), [2, 2]);
        assert_eq!(x.diff(i32::MAX, 0).unwrap().size(), 0);
    })
}

#[rstest]
#[case::axis(|| arr(&[1.0f32]).sum(3))]
#[case::axis_twice(|| arr(&[1.0f32]).max([0, 0]))]
#[case::empty_max(|| Array::zeros(0, F32).unwrap().max(..))]
#[case::empty_argmax(|| Array::zeros(0, F32).unwrap().argmax(..))]
#[case::empty_median(|| Array::zeros((2, 0), F32).unwrap().median(1))]
#[case::two_axes(|| arr(&[1.0f32]).argmax([0, 0]))]
#[case::topk(|| arr(&[1, 2]).topk(3, 0))]
#[case::negative_topk(|| arr(&[1, 2]).topk(-1, 0))]
#[case::partition(|| arr(&[1, 2]).partition(2, 0))]
#[case::sort_axis(|| arr(&[1, 2]).sort(1))]
#[case::scan_axis(|| arr(&[1, 2]).cumsum(1))]
#[case::scan_scalar(|| Array::from(1.0f32).cumsum(0))]
#[case::diff(|| arr(&[1, 2]).diff(-1, 0))]
#[case::diff_axis(|| arr(&[1, 2]).diff(1, 2))]
#[case::searchsorted(|| Array::zeros((2, 2), F32).unwrap().searchsorted(&arr(&[1.0f32]), false))]
#[case::unique(|| arr(&[1, 2]).unique(-1, None))]
#[case::unique_empty(|| Array::zeros(0, I32).unwrap().unique(2, None))]
fn errors(#[case] got: fn() -> zmlx::Result<Array>) {
    let e = on_worker(move || got().unwrap_err());
    assert!(
        matches!(e, Error::Shape { .. } | Error::Argument { .. }),
        "{e:?}"
    );
}

#[test]
fn scalars_and_empty() {
    on_worker(move || {
        let s = Array::from(3.0f32);
        assert_eq!(s.argmax(keepdims(..)).unwrap().ndim(), 0);
        assert_eq!(s.sum(..).unwrap().item::<f32>().unwrap(), 3.0);
        assert_eq!(s.sort(..).unwrap().shape(), [1]);
        let empty = Array::zeros((0, 3), F32).unwrap();
        assert_eq!(f32s(&empty.sum(0).unwrap()), [0.0; 3]);
        assert_eq!(empty.softmax(-1).unwrap().shape(), [0, 3]);
        assert!(f32s(&empty.cumsum(0).unwrap()).is_empty());
        assert!(f32s(&empty.sort(0).unwrap()).is_empty());
    })
}
