//! Matrices without elements, and what is refused.

use zmlx::linalg::{self, NormOrder, Triangle};
use zmlx::prelude::*;

use super::*;

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
                error.site().unwrap().file().ends_with("limits.rs"),
                "{i}: {error}"
            );
        }
    });
}
