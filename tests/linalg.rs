//! Linear algebra against its definitions, on random matrices. Factors are checked by what they multiply to, in float64.

mod support;

use rstest::rstest;
use support::*;
use zmlx::linalg::{self, NormOrder, Triangle};
use zmlx::prelude::*;
use zmlx::{Result, with_device};

/// The largest difference of two arrays, in float64 on the CPU.
fn apart(a: &Array, b: &Array) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let difference = match a.dtype() == C64 || b.dtype() == C64 {
        true => a.subtract(b).unwrap().abs().unwrap(),
        false => {
            let (a, b) = (a.astype(F64).unwrap(), b.astype(F64).unwrap());
            a.subtract(&b).unwrap().abs().unwrap()
        }
    };
    match difference.size() {
        0 => 0.0,
        _ => difference
            .max(..)
            .unwrap()
            .astype(F64)
            .unwrap()
            .item()
            .unwrap(),
    }
}

#[track_caller]
fn same(a: &Array, b: &Array, bound: f64) {
    let distance = apart(a, b);
    assert!(distance <= bound, "{distance} apart: {a:?} and {b:?}");
}

/// Numbers from -1 to 1 of this dtype.
fn random(rng: &mut Rng, shape: &[i32], dtype: Dtype) -> Array {
    let real = rng.array(shape, -1.0, 1.0);
    match dtype {
        C64 => {
            let i = Array::from_slice(&[num_complex::Complex32::new(0.0, 1.0)], ()).unwrap();
            let imaginary = rng.array(shape, -1.0, 1.0).astype(C64).unwrap();
            real.astype(C64)
                .unwrap()
                .add(imaginary.multiply(&i).unwrap())
                .unwrap()
        }
        _ => real.astype(dtype).unwrap(),
    }
}

/// The transposed matrices, conjugated.
fn adjoint(a: &Array) -> Array {
    let t = a.swapaxes(-1, -2).unwrap();
    if a.dtype() == C64 {
        t.conjugate().unwrap()
    } else {
        t
    }
}

fn identity(a: &Array, n: i32) -> Array {
    let mut shape = a.shape().to_vec();
    let last = shape.len() - 2;
    shape[last..].fill(n);
    Array::eye(n, n, 0, F32)
        .unwrap()
        .broadcast_to(shape)
        .unwrap()
}

/// A few roundings of products of up to twenty terms below 1, times what an inverse of a well-conditioned matrix adds.
fn bound(dtype: Dtype) -> f64 {
    if dtype == F64 { 1e-12 } else { 2e-5 }
}

fn on_cpu(body: impl FnOnce() + Send + 'static) {
    on_worker(|| with_device(Device::CPU, body));
}

#[rstest]
fn factors_multiply_to_the_matrix(
    #[values(&[5, 5], &[7, 4], &[4, 7], &[2, 3, 6, 4], &[1, 1])] shape: &'static [i32],
    #[values(F32, F64)] dtype: Dtype,
) {
    on_cpu(move || {
        let mut rng = Rng::new();
        let a = random(&mut rng, shape, dtype);
        let (m, n) = (a.dim(-2).unwrap(), a.dim(-1).unwrap());
        let (k, e) = (m.min(n), bound(dtype));

        let (q, r) = linalg::qr(&a).unwrap();
        same(&q.matmul(&r).unwrap(), &a, e);
        same(&adjoint(&q).matmul(&q).unwrap(), &identity(&a, k), e);
        same(&r.triu(0).unwrap(), &r, 0.0);

        let (p, l, u) = linalg::lu(&a).unwrap();
        assert_eq!((p.dtype(), l.dtype(), u.dtype()), (U32, dtype, dtype));
        let product = l.matmul(&u).unwrap();
        let rows = product
            .take_along_axis(&p.expand_dims(-1).unwrap(), -2)
            .unwrap();
        same(&rows, &a, e);
        same(&l.tril(0).unwrap(), &l, 0.0);
        same(&u.triu(0).unwrap(), &u, 0.0);
        let ones = Array::ones([&shape[..shape.len() - 2], &[k]].concat(), dtype).unwrap();
        same(&l.diagonal(0, -2, -1).unwrap(), &ones, 0.0);
        // With partial pivoting nothing in `l` is above 1.
        assert!(
            l.abs()
                .unwrap()
                .max(..)
                .unwrap()
                .astype(F64)
                .unwrap()
                .item::<f64>()
                .unwrap()
                <= 1.0
        );

        let (both, pivots) = linalg::lu_factor(&a).unwrap();
        assert_eq!(pivots.dim(-1).unwrap(), k);
        same(
            &both
                .triu(0)
                .unwrap()
                .take(&Array::arange(k).unwrap(), -2)
                .unwrap(),
            &u,
            0.0,
        );
    });
}

#[rstest]
fn singular_values(
    #[values(&[5, 5], &[7, 4], &[2, 4, 7])] shape: &'static [i32],
    #[values(F32, F64, C64)] dtype: Dtype,
) {
    on_cpu(move || {
        let mut rng = Rng::new();
        let a = random(&mut rng, shape, dtype);
        let (m, n) = (a.dim(-2).unwrap(), a.dim(-1).unwrap());
        let (k, e) = (m.min(n), bound(dtype));
        let (u, s, vt) = linalg::svd(&a).unwrap();
        assert_eq!(s.dtype(), if dtype == C64 { F32 } else { dtype });
        same(&adjoint(&u).matmul(&u).unwrap(), &identity(&a, m), e);
        same(&adjoint(&vt).matmul(&vt).unwrap(), &identity(&a, n), e);
        let first = Array::arange(k).unwrap();
        let scaled = u
            .take(&first, -1)
            .unwrap()
            .multiply(s.expand_dims(-2).unwrap())
            .unwrap();
        same(
            &scaled.matmul(&vt.take(&first, -2).unwrap()).unwrap(),
            &a,
            e,
        );
        same(&linalg::singular_values(&a).unwrap(), &s, e);
        let values = s.astype(F64).unwrap().to_vec::<f64>().unwrap();
        for row in values.chunks(k as usize) {
            assert!(
                row.is_sorted_by(|a, b| a >= b) && row[row.len() - 1] >= 0.0,
                "{row:?}"
            );
        }
    });
}

#[rstest]
fn inverses_and_solutions(
    #[values(&[6, 6], &[2, 3, 5, 5], &[1, 1])] shape: &'static [i32],
    #[values(F32, F64)] dtype: Dtype,
) {
    on_cpu(move || {
        let mut rng = Rng::new();
        let n = *shape.last().unwrap();
        // Far from singular: the diagonal outweighs the rest.
        let diagonal = Array::eye(n, n, 0, dtype)
            .unwrap()
            .multiply(f64::from(n) + 1.0)
            .unwrap();
        let a = random(&mut rng, shape, dtype).add(&diagonal).unwrap();
        let e = bound(dtype);
        let one = identity(&a, n);
        same(&linalg::inv(&a).unwrap().matmul(&a).unwrap(), &one, e);
        same(&linalg::pinv(&a).unwrap().matmul(&a).unwrap(), &one, e);
        for (triangle, part) in [(Triangle::Lower, a.tril(0)), (Triangle::Upper, a.triu(0))] {
            let part = part.unwrap();
            same(
                &linalg::tri_inv(&a, triangle)
                    .unwrap()
                    .matmul(&part)
                    .unwrap(),
                &one,
                e,
            );
            let b = random(&mut rng, &[n, 3], dtype);
            let x = linalg::solve_triangular(&a, &b, triangle).unwrap();
            same(
                &part.matmul(&x).unwrap(),
                &b.broadcast_to(x.shape()).unwrap(),
                e,
            );
        }
        let vector = random(&mut rng, &[n], dtype);
        let x = linalg::solve(&a, &vector).unwrap();
        assert_eq!(x.shape(), &shape[..shape.len() - 1]);
        let again = a
            .matmul(&x.expand_dims(-1).unwrap())
            .unwrap()
            .squeeze(-1)
            .unwrap();
        same(&again, &vector.broadcast_to(x.shape()).unwrap(), e);
        // A batch on one side only, and on both sides with ones.
        let b = random(&mut rng, &[4, 1, 1, n, 2], dtype);
        let x = linalg::solve(&a, &b).unwrap();
        same(
            &a.matmul(&x).unwrap(),
            &b.broadcast_to(x.shape()).unwrap(),
            e,
        );

        // Of a product with its own transposed, the Cholesky factor.
        let spd = a.matmul(&adjoint(&a)).unwrap();
        let scale = f64::from((n + 2) * (n + 2)) * e;
        let l = linalg::cholesky(&spd, Triangle::Lower).unwrap();
        same(&l.matmul(&adjoint(&l)).unwrap(), &spd, scale);
        same(&l.tril(0).unwrap(), &l, 0.0);
        let u = linalg::cholesky(&spd, Triangle::Upper).unwrap();
        same(&u, &adjoint(&l), scale);
        for (factor, triangle) in [(&l, Triangle::Lower), (&u, Triangle::Upper)] {
            let inverse = linalg::cholesky_inv(factor, triangle).unwrap();
            same(&inverse.matmul(&spd).unwrap(), &one, scale);
        }
    });
}

#[test]
fn the_inverse_of_what_has_none() {
    on_cpu(|| {
        let mut rng = Rng::new();
        let thin = random(&mut rng, &[6, 2], F64);
        // Rank 2: the four conditions of Penrose hold.
        let a = thin.matmul(&random(&mut rng, &[2, 5], F64)).unwrap();
        let x = linalg::pinv(&a).unwrap();
        let (ax, xa) = (a.matmul(&x).unwrap(), x.matmul(&a).unwrap());
        same(&ax.matmul(&a).unwrap(), &a, 1e-10);
        same(&xa.matmul(&x).unwrap(), &x, 1e-10);
        same(&adjoint(&ax), &ax, 1e-10);
        same(&adjoint(&xa), &xa, 1e-10);

        let zero = Array::zeros((3, 3), F32).unwrap();
        let singular: [(&str, Result<Array>); 2] = [
            ("inv", linalg::inv(&zero)),
            ("solve", linalg::solve(&zero, &Array::ones(3, F32).unwrap())),
        ];
        for (name, result) in singular {
            assert!(result.unwrap().eval().is_err(), "{name} of zeros");
        }
        // Of a batch, the one that is not positive definite alone.
        let both = [
            Array::eye(3, 3, 0, F32).unwrap(),
            zero.subtract(1.0).unwrap(),
        ];
        let both = zmlx::ops::stack(&both, 0).unwrap();
        let l = f32s(&linalg::cholesky(&both, Triangle::Lower).unwrap());
        assert_eq!(&l[..9], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert!(l[9..].iter().all(|v| v.is_nan()), "{l:?}");
        // What comes later is not concerned.
        same(
            &zero.add(1.0).unwrap(),
            &Array::ones((3, 3), F32).unwrap(),
            0.0,
        );
    });
}

#[rstest]
fn eigenvalues(
    #[values(&[5, 5], &[3, 4, 4])] shape: &'static [i32],
    #[values(F32, F64, C64)] dtype: Dtype,
) {
    on_cpu(move || {
        let mut rng = Rng::new();
        let a = random(&mut rng, shape, dtype);
        let e = bound(dtype);
        let (w, v) = linalg::eig(&a).unwrap();
        assert_eq!((w.dtype(), v.dtype()), (C64, C64));
        let left = a.astype(C64).unwrap().matmul(&v).unwrap();
        same(
            &left,
            &v.multiply(w.expand_dims(-2).unwrap()).unwrap(),
            2e-5,
        );
        let alone = linalg::eigvals(&a).unwrap();
        // Their sum is the trace; both calls may order them differently.
        let trace = a
            .diagonal(0, -2, -1)
            .unwrap()
            .sum(-1)
            .unwrap()
            .astype(C64)
            .unwrap();
        same(&alone.sum(-1).unwrap(), &trace, 2e-5);

        let hermitian = a.add(adjoint(&a)).unwrap();
        for triangle in [Triangle::Lower, Triangle::Upper] {
            // The other half is not read.
            let half = match triangle {
                Triangle::Lower => hermitian.tril(0),
                Triangle::Upper => hermitian.triu(0),
            }
            .unwrap();
            let (w, v) = linalg::eigh(&half, triangle).unwrap();
            assert_eq!(
                (w.dtype(), v.dtype()),
                (if dtype == C64 { F32 } else { dtype }, dtype)
            );
            let right = v
                .multiply(w.expand_dims(-2).unwrap().astype(dtype).unwrap())
                .unwrap();
            same(&hermitian.matmul(&v).unwrap(), &right, 4.0 * e);
            same(
                &adjoint(&v).matmul(&v).unwrap(),
                &identity(&a, *shape.last().unwrap()),
                e,
            );
            same(&linalg::eigvalsh(&half, triangle).unwrap(), &w, 4.0 * e);
        }
    });
}

#[test]
fn determinants() {
    on_cpu(|| {
        let mut rng = Rng::new();
        for n in 0..8 {
            let a = random(&mut rng, &[2, n, n], F64);
            // By the first column.
            let want: Vec<f64> = a
                .to_vec::<f64>()
                .unwrap()
                .chunks((n * n).max(1) as usize)
                .map(|m| by_minors(m, n as usize))
                .collect();
            let want = if n == 0 { vec![1.0; 2] } else { want };
            let got = linalg::det(&a).unwrap().to_vec::<f64>().unwrap();
            let (sign, log) = linalg::slogdet(&a).unwrap();
            let (sign, log) = (sign.to_vec::<f64>().unwrap(), log.to_vec::<f64>().unwrap());
            for i in 0..2 {
                assert!(
                    (got[i] - want[i]).abs() < 1e-11,
                    "{n}: {} and {}",
                    got[i],
                    want[i]
                );
                assert!((sign[i] * log[i].exp() - want[i]).abs() < 1e-11, "{n}");
            }
        }
        let flat = Array::ones((5, 5), F32).unwrap();
        let (sign, log) = linalg::slogdet(&flat).unwrap();
        assert_eq!(
            (sign.item::<f32>().unwrap(), log.item::<f32>().unwrap()),
            (0.0, f32::NEG_INFINITY)
        );
        let whole = Array::from_slice(&[1, 2, 3, 4], (2, 2)).unwrap();
        assert_eq!(linalg::det(&whole).unwrap().item::<f32>().unwrap(), -2.0);
    });
}

fn by_minors(m: &[f64], n: usize) -> f64 {
    if n == 0 {
        return 1.0;
    }
    let mut sum = 0.0;
    for row in 0..n {
        let minor: Vec<f64> = (0..n)
            .filter(|&r| r != row)
            .flat_map(|r| m[r * n + 1..(r + 1) * n].to_vec())
            .collect();
        let sign = if row % 2 == 0 { 1.0 } else { -1.0 };
        sum += sign * m[row * n] * by_minors(&minor, n - 1);
    }
    sum
}

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

#[test]
fn nothing_to_factor() {
    on_cpu(|| {
        for (shape, m, n) in [
            (vec![0, 3], 0, 3),
            (vec![3, 0], 3, 0),
            (vec![2, 0, 0], 0, 0),
            (vec![0, 3, 2], 3, 2),
        ] {
            let a = Array::zeros(shape.as_slice(), F32).unwrap();
            let batch = &shape[..shape.len() - 2];
            let k = m.min(n);
            let of = |last: &[i32]| [batch, last].concat();
            let (q, r) = linalg::qr(&a).unwrap();
            assert_eq!((q.shape(), r.shape()), (&of(&[m, k])[..], &of(&[k, n])[..]));
            let (u, s, vt) = linalg::svd(&a).unwrap();
            assert_eq!(
                (u.shape(), vt.shape(), s.shape()),
                (&of(&[m, m])[..], &of(&[n, n])[..], &of(&[k])[..])
            );
            same(&u, &identity(&a, m), 0.0);
            let (p, l, up) = linalg::lu(&a).unwrap();
            assert_eq!(
                (p.shape(), l.shape(), up.shape()),
                (&of(&[m])[..], &of(&[m, k])[..], &of(&[k, n])[..])
            );
            assert_eq!(linalg::pinv(&a).unwrap().shape(), of(&[n, m]));
            eval([&q, &r, &u, &s, &vt, &p, &l, &up]).unwrap();
        }
        let none = Array::zeros((2, 0, 0), F32).unwrap();
        for a in [
            linalg::inv(&none),
            linalg::cholesky(&none, Triangle::Lower),
            linalg::eigh(&none, Triangle::Lower).map(|(_, v)| v),
            linalg::eig(&none).map(|(_, v)| v),
            linalg::solve(&none, &none),
        ] {
            assert_eq!(a.unwrap().shape(), [2, 0, 0]);
        }
        let a = Array::eye(3, 3, 0, F32).unwrap();
        let x = linalg::solve(&a, &Array::zeros((3, 0), F32).unwrap()).unwrap();
        assert_eq!(x.shape(), [3, 0]);
    });
}

/// Each says what it expected and what came.
#[test]
fn refusals() {
    on_cpu(|| {
        let (vector, wide) = (
            Array::ones(3, F32).unwrap(),
            Array::ones((2, 3), F32).unwrap(),
        );
        let square = Array::ones((3, 3), F32).unwrap();
        let half = square.astype(F16).unwrap();
        let complex = square.astype(C64).unwrap();
        let refused = [
            (linalg::inv(&wide), "(..., n, n), got [2, 3]"),
            (linalg::inv(&half), "float32 or float64, got float16"),
            (linalg::qr(&vector).map(|(q, _)| q), "(..., m, n), got [3]"),
            (
                linalg::qr(&complex).map(|(q, _)| q),
                "float32 or float64, got complex64",
            ),
            (linalg::singular_values(&half), "complex64, got float16"),
            (
                linalg::solve(&square, &Array::ones(4, F32).unwrap()),
                "(3,) or (..., 3, k)",
            ),
            (
                linalg::solve(&square, &Array::ones((2, 4, 1), F32).unwrap()),
                "`b`",
            ),
            (linalg::solve(&square, &Array::from(1.0f32)), "`b`"),
            (
                linalg::solve(
                    &Array::ones((2, 3, 3), F32).unwrap(),
                    &Array::ones((4, 3, 1), F32).unwrap(),
                ),
                "broadcasts",
            ),
            (linalg::det(&complex), "got complex64"),
            (
                linalg::det(&Array::ones((4, 4), F16).unwrap()),
                "got float16",
            ),
            (
                linalg::cross(&vector, &Array::ones(4, F32).unwrap(), -1),
                "2 or 3 elements",
            ),
            (linalg::cross(&vector, &vector, 1), "axis 1"),
            (linalg::cross(&vector, &vector, -2), "axis -2"),
            (linalg::cross(&square, &vector, 0), "counts from the last"),
            (linalg::norm(&square).order(3).call(), "1, -1, 2, -2"),
            (linalg::norm(&square).order(f64::NAN).call(), "NaN"),
            (
                linalg::norm(&vector).order(NormOrder::Nuclear).call(),
                "two axes",
            ),
            (
                linalg::norm(&Array::ones((2, 2, 2), F32).unwrap())
                    .order(1)
                    .call(),
                "`axes`",
            ),
            (linalg::norm(&square).axes([0, 0]).call(), "different axes"),
        ];
        for (i, (result, text)) in refused.into_iter().enumerate() {
            let error = result.err().unwrap_or_else(|| panic!("{i}: {text}"));
            assert!(
                error.to_string().contains(text),
                "{i}: {error} lacks {text}"
            );
            assert!(
                error.site().unwrap().file().ends_with("linalg.rs"),
                "{i}: {error}"
            );
        }
    });
}
