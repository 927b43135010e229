//! What people write first: values into arrays and out of them, formulas, parts of arrays, functions of one array.

mod support;

use std::io::{self, ErrorKind};

use support::ops::{here, refused};
use support::*;
use zmlx::ops::Term;
use zmlx::prelude::*;
use zmlx::{Result, vjp};

#[test]
fn arrays_from_iterators_and_as_text() {
    here(|| {
        let x = Array::from_iter((0..4).map(|i| i as f32 / 2.0)).unwrap();
        assert_eq!((x.shape(), x.dtype()), (&[4][..], F32));
        assert_eq!(x.to_vec::<f32>().unwrap(), [0.0, 0.5, 1.0, 1.5]);
        let none = Array::from_iter(std::iter::empty::<u8>()).unwrap();
        assert_eq!((none.shape(), none.dtype()), (&[0][..], U8));
        // Text computes, unlike `Display`.
        let y = x.multiply(2.0).unwrap();
        assert!(y.to_string().contains("not evaluated"));
        assert_eq!(y.to_text().unwrap(), "array([0, 1, 2, 3], dtype=float32)");
        assert_eq!(y.to_string(), y.to_text().unwrap());
    });
}

#[test]
fn dtypes_by_name() {
    for dtype in Dtype::ALL {
        assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        let upper = dtype.name().to_uppercase();
        assert_eq!(Dtype::from_name(&upper), None);
    }
    assert_eq!(Dtype::from_name(""), None);
}

#[test]
fn formulas_of_terms() {
    here(|| {
        let mut rng = Rng::new();
        let (a, b) = (rng.reals(6, 0.5, 2.0), rng.reals(6, 0.5, 2.0));
        let (x, y) = (arr(&a), arr(&b));
        let want: Vec<f64> = a
            .iter()
            .zip(&b)
            .map(|(&a, &b)| {
                let (a, b) = (f64::from(a), f64::from(b));
                (3.0 - a * 2.0) / (b + 1.0) * (a % b) - (a * b + 0.5).exp()
            })
            .collect();
        let (s, t) = (|| x.term(), || y.term());
        let z = (3.0 - s() * 2.0) / (t() + 1) * (&x % &y) - (s() * &y + 0.5).map(Array::exp);
        close(&f32s(&z.get().unwrap()), &want, 1e-5);

        // Every kind of operand on either side.
        let sum = |t: Term| f32s(&t.get().unwrap());
        let twice: Vec<f32> = a.iter().map(|v| v + v).collect();
        for t in [
            s() + s(),
            s() + &x,
            s() + x.clone(),
            s() + x.add(0.0),
            &x + s(),
            x.clone() + s(),
            x.add(0.0) + s(),
        ] {
            assert_eq!(sum(t), twice);
        }
        let from: Vec<f32> = a.iter().map(|v| 2.0 - v).collect();
        let two = zmlx::half::f16::from_f32(2.0);
        for t in [2.0 - s(), 2 - s(), two - s(), -(s() - 2.0)] {
            assert_eq!(sum(t), from);
        }
        let bits = arr(&[12u8]);
        let got = ((!bits.term() & 0x1f) | 0x40) ^ 1;
        assert_eq!(got.get().unwrap().to_vec::<u8>().unwrap(), [0x52]);
        let got = (bits.term() << 2) >> 1;
        assert_eq!(got.get().unwrap().to_vec::<u8>().unwrap(), [24]);

        let mut total = s();
        total += &y;
        total -= 1;
        total *= s();
        total /= 0.5;
        let want: Vec<f64> = a
            .iter()
            .zip(&b)
            .map(|(&a, &b)| (f64::from(a) + f64::from(b) - 1.0) * f64::from(a) * 2.0)
            .collect();
        close(&f32s(&total.get().unwrap()), &want, 1e-5);
    });
}

#[test]
fn terms_keep_the_first_error() {
    here(|| {
        let (x, y) = (Array::ones(2, F32).unwrap(), Array::ones(3, F32).unwrap());
        let line = line!() + 1;
        let wrong = x.term() * 2.0 + &y;
        let worse = -(wrong * 3.0) + Array::ones(7, F32).unwrap();
        let error = worse.map(|_| panic!("nothing to map")).get().unwrap_err();
        assert_eq!(error.site().unwrap().line(), line);
        assert!(
            error.to_string().contains("(2)") && error.to_string().contains("(3)"),
            "{error}"
        );
        let mut total: Term = x.add(&y).into();
        total += 1.0;
        assert!(total.get().is_err());
        let mut total = x.add(1.0);
        total += &y;
        total *= &x;
        assert!(total.unwrap_err().to_string().contains("(3)"));
        refused((300 * arr(&[1u8]).term()).get(), &["300", "uint8"]);
    });
}

#[test]
fn results_in_place_and_sums() {
    here(|| {
        let mut rng = Rng::new();
        let all: Vec<Array> = (0..5).map(|_| rng.array(&[4], 0.5, 1.5)).collect();
        let columns = |fold: fn(f64, f64) -> f64| -> Vec<f64> {
            let one = |i: usize| all.iter().map(move |a| f64::from(f32s(a)[i]));
            (0..4).map(|i| one(i).reduce(fold).unwrap()).collect()
        };
        let mut total = Array::zeros(4, F32);
        for a in &all {
            total += a;
        }
        let sums = columns(|a, b| a + b);
        close(&f32s(&total.unwrap()), &sums, 1e-6);
        let sum: Result<Array> = all.iter().sum();
        close(&f32s(&sum.unwrap()), &sums, 1e-6);
        let sum: Result<Array> = all.iter().cloned().sum();
        close(&f32s(&sum.unwrap()), &sums, 1e-6);
        let product: Result<Array> = all.iter().product();
        close(&f32s(&product.unwrap()), &columns(|a, b| a * b), 1e-6);
        // Terms take results, which stop at the first error.
        let doubled: Term = all.iter().map(|a| a.multiply(2.0)).sum();
        let want: Vec<f64> = sums.iter().map(|v| 2.0 * v).collect();
        close(&f32s(&doubled.get().unwrap()), &want, 1e-6);
        let none: Result<Array> = std::iter::empty::<Array>().sum();
        assert_eq!(none.unwrap().item::<f32>().unwrap(), 0.0);
        let none: Result<Array> = std::iter::empty::<&Array>().product();
        assert_eq!(none.unwrap().item::<f32>().unwrap(), 1.0);
        let wrong: Result<Array> = [Array::ones(2, F32).unwrap(), Array::ones(3, F32).unwrap()]
            .iter()
            .sum();
        assert!(wrong.is_err());
        let mut rest = all[0].divide(2.0);
        rest -= &all[0];
        rest /= all[0].clone();
        close(&f32s(&rest.unwrap()), &[-0.5; 4], 1e-6);
    });
}

/// An index of every kind, beside a loop over positions that reading gives.
#[test]
fn new_values_by_an_index() {
    here(|| {
        let mut rng = Rng::new();
        let data = rng.ints(2 * 3 * 4, -9, 9);
        let x = Array::from_slice(&data, (2, 3, 4)).unwrap();
        let places = Array::arange(24).unwrap().reshape((2, 3, 4)).unwrap();
        let pair = arr(&[1i32, 0]);
        let table = Array::from_slice(&[0i32, -1], (2, 1)).unwrap();
        let (words, wide) = (arr(&[2u32, 0, 1]), arr(&[2u64, 0, 1]));
        macro_rules! each {
            ($($index:expr),* $(,)?) => {$({
                // The positions that the index names, in the order of reading.
                let seen = places.index($index).unwrap();
                let at: Vec<usize> = i32s(&seen).iter().map(|&i| i as usize).collect();
                let value = rng.ints(at.len(), -9, 9);
                let given = Array::from_slice(&value, seen.shape()).unwrap();
                let expect = |f: &dyn Fn(i32, i32) -> i32| {
                    let mut want = data.clone();
                    at.iter().zip(&value).for_each(|(&i, &v)| want[i] = f(want[i], v));
                    want
                };
                let got = |a: Result<Array>| {
                    let a = a.unwrap();
                    assert_eq!((a.shape(), a.dtype()), (x.shape(), I32));
                    a.to_vec::<i32>().unwrap()
                };
                let index = stringify!($index);
                assert_eq!(got(x.at($index).set(&given)), expect(&|_, v| v), "{index}");
                assert_eq!(got(x.at($index).add(&given)), expect(&|x, v| x + v), "{index}");
                assert_eq!(got(x.at($index).subtract(&given)), expect(&|x, v| x - v), "{index}");
                assert_eq!(got(x.at($index).multiply(&given)), expect(&|x, v| x * v), "{index}");
                assert_eq!(got(x.at($index).maximum(&given)), expect(&|x, v| x.max(v)), "{index}");
                assert_eq!(got(x.at($index).minimum(&given)), expect(&|x, v| x.min(v)), "{index}");
                assert_eq!(got(x.at($index).set(7)), expect(&|_, _| 7), "{index}");
            })*};
        }
        each!(
            1,
            -1,
            ..,
            (.., 1),
            (Ellipsis, 2..),
            (.., .., step(.., -2)),
            (1, step(2.., -1), 0..0),
            (NewAxis, 0, NewAxis, .., 1),
            &pair,
            (.., &pair),
            (Ellipsis, &words),
            (1, .., &wide),
            (1, .., &words),
            (&pair, 1, ..2),
            (&table, .., &pair),
            (.., &table, &words),
            (NewAxis, step(.., -1), &words, NewAxis, 1..),
            (0, 1, 2),
        );
        // A value that broadcasts, several for one position, another dtype.
        let rows = arr(&[1i32, 1, 0]);
        let got = x.at((0, &rows, 3)).add(arr(&[1, 10, 100])).unwrap();
        let mut want = data.clone();
        (want[7], want[3]) = (want[7] + 11, want[3] + 100);
        assert_eq!(got.to_vec::<i32>().unwrap(), want);
        let got = x.at((.., 1)).set(arr(&[5u8, 6, 7, 8])).unwrap();
        assert_eq!(
            got.index((1, 1)).unwrap().to_vec::<i32>().unwrap(),
            [5, 6, 7, 8]
        );
        // Gradients of both.
        let (w, v) = (Array::ones((2, 3), F32).unwrap(), arr(&[2.0f32, 3.0]));
        let f = |p: &[Array]| Ok(vec![p[0].at((.., 1)).set(&p[1])?.square()?]);
        let ones = Array::ones((2, 3), F32).unwrap();
        let (_, d) = vjp(f, [&w, &v], [&ones]).unwrap();
        assert_eq!(f32s(&d[0]), [2.0, 0.0, 2.0, 2.0, 0.0, 2.0]);
        assert_eq!(f32s(&d[1]), [4.0, 6.0]);
    });
}

#[test]
fn new_values_that_do_not_fit() {
    here(|| {
        let x = Array::zeros((2, 3), U8).unwrap();
        refused(x.at(2).set(1), &["position", "2"]);
        refused(x.at((0, 0, 0)).set(1), &["2 items"]);
        refused(x.at(0).set(256), &["256", "uint8"]);
        refused(x.at(0).add(0.5), &["0.5", "uint8"]);
        refused(x.at(0).set(arr(&[1u8, 2])), &["2"]);
        refused(x.at((.., &arr(&[5i32]))).set(1), &["5"]);
        refused(x.at((.., &arr(&[0.5f32]))).set(1), &["float32"]);
        refused(x.at(0).set(zmlx::num_complex::Complex32::I), &["complex64"]);
    });
}

#[test]
fn slices_of_the_first_axis() {
    here(|| {
        let x = Array::arange(24).unwrap().reshape((4, 3, 2)).unwrap();
        let rows: Vec<Vec<i32>> = x.iter().map(|r| r.unwrap().to_vec().unwrap()).collect();
        let want: Vec<Vec<i32>> = (0..4).map(|i| (6 * i..6 * i + 6).collect()).collect();
        assert_eq!(rows, want);
        assert_eq!((x.iter().len(), x.iter().count()), (4, 4));
        let ends = [x.iter().nth(2), x.iter().rev().nth(1)].map(|r| i32s(&r.unwrap().unwrap()));
        assert_eq!(ends, [want[2].clone(), want[2].clone()]);
        let mut both = x.iter();
        assert_eq!(i32s(&both.next_back().unwrap().unwrap()), want[3]);
        assert_eq!(
            (both.len(), i32s(&both.next().unwrap().unwrap())),
            (3, want[0].clone())
        );
        let mut count = 0;
        for row in &x {
            assert_eq!(row.unwrap().shape(), [3, 2]);
            count += 1;
        }
        assert_eq!(count, 4);
        assert_eq!(Array::zeros((0, 3), F32).unwrap().iter().count(), 0);
        let scalar = Array::from(1.0);
        let mut slices = scalar.iter();
        refused(slices.next().unwrap(), &["one dimension", "[]"]);
        assert!(slices.next().is_none());
        let sum: Term = x.iter().sum();
        let want: Vec<i32> = (0..6).map(|i| 4 * i + 36).collect();
        assert_eq!(i32s(&sum.get().unwrap()), want);
    });
}

#[test]
fn functions_of_one_array() {
    here(|| {
        let mut rng = Rng::new();
        let x = rng.array(&[3, 4], -1.0, 1.0);
        let values = f32s(&x);
        let norms = vmap1(|r| r.square()?.sum(..))(&x).unwrap();
        let want: Vec<f64> = values
            .chunks(4)
            .map(|r| r.iter().map(|&v| f64::from(v) * f64::from(v)).sum())
            .collect();
        close(&f32s(&norms), &want, 1e-6);
        // No operations that fuse, so nothing is compiled.
        let double = compile1(|x| x.sum(-1)).unwrap();
        close(
            &f32s(&double(&x).unwrap()),
            &f32s(&x.sum(-1).unwrap())
                .iter()
                .map(|&v| v.into())
                .collect::<Vec<_>>(),
            1e-6,
        );

        let f = || {
            custom_function1(|x| x.exp())
                .with_vjp(|x, cotangent, y| cotangent.multiply(y)?.add(x))
                .with_jvp(|x, tangent| tangent.multiply(x))
                .with_vmap(|x, axis| Ok((x.exp()?.multiply(2.0)?, axis)))
        };
        let g = f();
        let dx = grad(move |x| g.call(x)?.sum(..))(&x).unwrap();
        let want: Vec<f64> = values
            .iter()
            .map(|&v| f64::from(v).exp() + f64::from(v))
            .collect();
        close(&f32s(&dx), &want, 1e-5);
        let g = f();
        let (_, dy) = zmlx::jvp(|p| Ok(vec![g.call(&p[0])?]), [&x], [&x]).unwrap();
        let want: Vec<f64> = values.iter().map(|&v| f64::from(v).powi(2)).collect();
        close(&f32s(&dy[0]), &want, 1e-6);
        let g = f();
        let mapped = vmap1(move |x| g.call(x))(&x).unwrap();
        let want: Vec<f64> = values.iter().map(|&v| 2.0 * f64::from(v).exp()).collect();
        close(&f32s(&mapped), &want, 1e-5);

        let own = |_: &Array| -> Result<Array> { Err(zmlx::Error::other("mine")) };
        assert_eq!(vmap1(own)(&x).unwrap_err().to_string(), "mine");
        let failed = compile1(own).unwrap()(&x).unwrap_err();
        assert_eq!(failed.to_string(), "mine");
        refused(vmap1(|x| Ok(x.clone()))(&Array::from(1.0)), &["input 0"]);
    });
}

#[test]
fn errors_of_files() {
    fn read() -> Result<Vec<u8>> {
        std::fs::read("/no/such/file").map_err(|e| zmlx::Error::from_io(e))
    }
    let error = read().unwrap_err();
    let (line, text) = (line!() - 3, error.to_string());
    assert!(matches!(error, zmlx::Error::Io { .. }), "{text}");
    assert_eq!(error.site().unwrap().line(), line, "{text}");
    assert!(error.site().unwrap().file().ends_with("conveniences.rs"));

    fn compute() -> io::Result<()> {
        on_worker(|| Array::ones(2, F32)?.add(Array::ones(3, F32)?).map(drop))?;
        Ok(())
    }
    let error = compute().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    let inner = error.get_ref().unwrap().downcast_ref::<zmlx::Error>();
    assert!(matches!(inner, Some(zmlx::Error::Shape { .. })));
}
