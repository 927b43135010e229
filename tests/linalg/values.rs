//! Eigenvalues and determinants.

use rstest::rstest;
use zmlx::linalg::{self, Triangle};
use zmlx::prelude::*;

use super::support::*;
use super::*;

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
