//! Norms of vectors and matrices, and cross products.

use zmlx::linalg::{self, NormOrder};
use zmlx::prelude::*;

use super::support::*;
use super::*;

#[test]
fn norms_of_vectors() {
    on_worker(|| {
        let mut rng = Rng::new();
        let a = rng.array(&[3, 40], -1.0, 1.0);
        let rows: Vec<Vec<f64>> = f32s(&a)
            .chunks(40)
            .map(|r| r.iter().map(|&v| f64::from(v)).collect())
            .collect();
        for p in [1.0, 2.0, 3.0, 0.5, -1.0, -2.0] {
            let want: Vec<f64> = rows
                .iter()
                .map(|r| r.iter().map(|v| v.abs().powf(p)).sum::<f64>().powf(1.0 / p))
                .collect();
            let got = f32s(&linalg::norm(&a).order(p).axes(1).call().unwrap());
            for (g, w) in got.iter().zip(&want) {
                assert!((f64::from(*g) - w).abs() <= 1e-5 * w, "{p}: {g} and {w}");
            }
        }
        let most = |pick: fn(f64, f64) -> f64, start: f64| -> Vec<f64> {
            rows.iter()
                .map(|r| r.iter().fold(start, |m, v| pick(m, v.abs())))
                .collect()
        };
        let infinite = |p: f64| f32s(&linalg::norm(&a).order(p).axes(-1).call().unwrap());
        close(&infinite(f64::INFINITY), &most(f64::max, 0.0), 0.0);
        close(
            &infinite(f64::NEG_INFINITY),
            &most(f64::min, f64::INFINITY),
            0.0,
        );
        let some = Array::from_slice(&[0.0f32, 2.0, 0.0, -1.0], 4).unwrap();
        assert_eq!(
            linalg::norm(&some)
                .order(0)
                .call()
                .unwrap()
                .item::<f32>()
                .unwrap(),
            2.0
        );

        let all: f64 = rows.iter().flatten().map(|v| v * v).sum::<f64>().sqrt();
        for (array, shape) in [
            (a.clone(), vec![1, 1]),
            (a.reshape((2, 3, 20)).unwrap(), vec![1; 3]),
        ] {
            let n = linalg::norm(&array);
            close(&f32s(&n.clone().call().unwrap()), &[all], 1e-6);
            let kept = n.axes(zmlx::keepdims(..)).call().unwrap();
            assert_eq!(kept.shape(), shape);
            close(&f32s(&kept), &[all], 1e-6);
        }
        // Squares that the dtype does not hold.
        for (large, want) in [
            (Array::from_slice(&[3_000_000, 4_000_000], 2).unwrap(), 5e6),
            (
                Array::from_slice(&[24_000.0f32, 32_000.0], 2)
                    .unwrap()
                    .astype(F16)
                    .unwrap(),
                4e4,
            ),
            (Array::from_slice(&[200u8, 150], 2).unwrap(), 250.0),
        ] {
            let n = linalg::norm(&large).call().unwrap();
            let result = if large.dtype() == F16 { F16 } else { F32 };
            assert_eq!((n.dtype(), f32s(&n)[0]), (result, want));
        }
        // Of scalars and of nothing.
        assert_eq!(
            f32s(&linalg::norm(&Array::from(-3.0f32)).call().unwrap()),
            [3.0]
        );
        assert_eq!(
            f32s(
                &linalg::norm(&Array::zeros((0, 3), F32).unwrap())
                    .call()
                    .unwrap()
            ),
            [0.0]
        );
        let c = Array::from_slice(&[num_complex::Complex32::new(3.0, 4.0)], 1).unwrap();
        let n = linalg::norm(&c).call().unwrap();
        assert_eq!((n.dtype(), f32s(&n)), (F32, vec![5.0]));
    });
}

#[test]
fn norms_of_matrices() {
    on_cpu(|| {
        let mut rng = Rng::new();
        let a = random(&mut rng, &[4, 2, 6], F64);
        // The matrices lie in the axes 0 and 2, so the second is the first of each.
        let flat = a.to_vec::<f64>().unwrap();
        let at = |b: usize, i: usize, j: usize| flat[(i * 2 + b) * 6 + j].abs();
        let columns = |b: usize| {
            (0..6)
                .map(|j| (0..4).map(|i| at(b, i, j)).sum::<f64>())
                .collect::<Vec<_>>()
        };
        let rows = |b: usize| {
            (0..4)
                .map(|i| (0..6).map(|j| at(b, i, j)).sum::<f64>())
                .collect::<Vec<_>>()
        };
        let most = |v: Vec<f64>| v.into_iter().fold(f64::MIN, f64::max);
        let least = |v: Vec<f64>| v.into_iter().fold(f64::MAX, f64::min);
        let s = linalg::singular_values(&a.transpose([1, 0, 2]).unwrap()).unwrap();
        let s = s.to_vec::<f64>().unwrap();
        let want: Vec<(NormOrder, [f64; 2])> = vec![
            (1.into(), [0, 1].map(|b| most(columns(b)))),
            ((-1).into(), [0, 1].map(|b| least(columns(b)))),
            (f64::INFINITY.into(), [0, 1].map(|b| most(rows(b)))),
            (f64::NEG_INFINITY.into(), [0, 1].map(|b| least(rows(b)))),
            (2.into(), [s[0], s[4]]),
            ((-2).into(), [s[3], s[7]]),
            (
                NormOrder::Nuclear,
                [0, 1].map(|b| s[b * 4..b * 4 + 4].iter().sum()),
            ),
            (
                NormOrder::Frobenius,
                [0, 1].map(|b| {
                    s[b * 4..b * 4 + 4]
                        .iter()
                        .map(|v| v * v)
                        .sum::<f64>()
                        .sqrt()
                }),
            ),
        ];
        for (order, want) in want {
            let n = linalg::norm(&a).order(order).axes([0, 2]);
            let got = n.clone().call().unwrap();
            assert_eq!(got.shape(), [2]);
            let kept = n.axes(zmlx::keepdims([0, 2])).call().unwrap();
            assert_eq!(kept.shape(), [1, 2, 1]);
            for got in [got, kept] {
                for (g, w) in got.to_vec::<f64>().unwrap().iter().zip(want) {
                    assert!((g - w).abs() < 1e-12, "{order:?}: {g} and {w}");
                }
            }
        }
    });
}

#[test]
fn cross_products() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (a, b) = (rng.array(&[4, 3], -1.0, 1.0), rng.array(&[4, 3], -1.0, 1.0));
        let (x, y) = (f32s(&a), f32s(&b));
        let of = |a: &[f32], b: &[f32]| -> Vec<f64> {
            let at = |v: &[f32], i: usize| v.get(i).map_or(0.0, |&v| f64::from(v));
            (0..3)
                .map(|i| {
                    let (j, k) = ((i + 1) % 3, (i + 2) % 3);
                    at(a, j) * at(b, k) - at(a, k) * at(b, j)
                })
                .collect()
        };
        let want: Vec<f64> = x
            .chunks(3)
            .zip(y.chunks(3))
            .flat_map(|(a, b)| of(a, b))
            .collect();
        close(&f32s(&linalg::cross(&a, &b, -1).unwrap()), &want, 1e-6);
        close(&f32s(&linalg::cross(&a, &b, 1).unwrap()), &want, 1e-6);
        // Along another axis, of which one has two elements, with a broadcast batch.
        let two = a.take(&Array::arange(2).unwrap(), 1).unwrap();
        let flat: Vec<f32> = f32s(&two);
        let want: Vec<f64> = flat
            .chunks(2)
            .zip(y.chunks(3))
            .flat_map(|(a, b)| of(a, b))
            .collect();
        let got = linalg::cross(&two.transpose(..).unwrap(), &b.transpose(..).unwrap(), 0).unwrap();
        close(&f32s(&got.transpose(..).unwrap()), &want, 1e-6);
        let want: Vec<f64> = flat.chunks(2).flat_map(|a| of(a, &flat[..2])).collect();
        let first = Array::from_slice(&flat[..2], 2).unwrap();
        close(
            &f32s(&linalg::cross(&two, &first, -1).unwrap()),
            &want,
            1e-6,
        );
    });
}
