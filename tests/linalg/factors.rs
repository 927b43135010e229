//! Factors multiply to the matrix, in float64; inverses and solutions.

use rstest::rstest;
use zmlx::Result;
use zmlx::linalg::{self, Triangle};
use zmlx::prelude::*;

use super::support::*;
use super::*;

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
