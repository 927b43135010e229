//! Random numbers: reproducible, different on every thread, and distributed as they should be.
//!
//! Bounds on statistics are at six standard errors; the keys are fixed, so a test passes
//! always or never.

mod common;

use common::on_worker;
use rstest::rstest;
use zmlx::random::{self, Sampler};
use zmlx::{Array, Dtype, Error};

const N: usize = 1 << 16;

fn fixed() -> Array {
    random::key(20_240_601).unwrap()
}

fn draw(body: impl FnOnce(Sampler<'_>) -> zmlx::Result<Array> + Send + 'static) -> Vec<f64> {
    on_worker(|| {
        let key = fixed();
        let x = body(random::with_key(&key)).unwrap();
        x.to_vec::<f32>()
            .unwrap()
            .into_iter()
            .map(f64::from)
            .collect()
    })
}

fn moments(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

/// Mean, variance and, by the fourth central moment, how far the variance may be off.
#[track_caller]
fn has_moments(x: &[f64], mean: f64, var: f64, fourth: f64) {
    let n = x.len() as f64;
    let (m, v) = moments(x);
    assert!(
        (m - mean).abs() < 6.0 * (var / n).sqrt(),
        "mean {m} against {mean}"
    );
    let error = ((fourth - var * var) / n).sqrt();
    assert!((v - var).abs() < 6.0 * error, "variance {v} against {var}");
}

/// Kolmogorov and Smirnov's distance is below the bound passed with probability 1 - 1e-6.
#[track_caller]
fn follows(mut x: Vec<f64>, cdf: impl Fn(f64) -> f64) {
    x.sort_by(f64::total_cmp);
    let n = x.len() as f64;
    let d = x.iter().enumerate().fold(0.0f64, |d, (i, &v)| {
        let f = cdf(v);
        d.max((f - i as f64 / n).abs())
            .max(((i + 1) as f64 / n - f).abs())
    });
    assert!(d * n.sqrt() < 2.7, "distance {d}");
}

/// The normal distribution function, by the error function's series and continued fraction.
fn normal_cdf(x: f64) -> f64 {
    let steps = 2000;
    let h = x / f64::from(steps);
    let density = |t: f64| (-t * t / 2.0).exp();
    let simpson: f64 = (0..steps)
        .map(|i| {
            let a = f64::from(i) * h;
            density(a) + 4.0 * density(a + h / 2.0) + density(a + h)
        })
        .sum();
    0.5 + simpson * h / 6.0 / (2.0 * std::f64::consts::PI).sqrt()
}

#[test]
fn uniform() {
    let x = draw(|s| s.uniform((N,)));
    assert!(x.iter().all(|&v| (0.0..1.0).contains(&v)));
    has_moments(&x, 0.5, 1.0 / 12.0, 1.0 / 80.0);
    follows(x, |v| v);
    let y = draw(|s| s.uniform_between(-2.0, 6.0, (N,)));
    has_moments(&y, 2.0, 64.0 / 12.0, 4096.0 / 80.0);
}

#[test]
fn normal() {
    let x = draw(|s| s.normal((N / 8,)));
    has_moments(&x, 0.0, 1.0, 3.0);
    follows(x, normal_cdf);
    let y = draw(|s| s.normal_with(3.0, 0.5, (N,)));
    has_moments(&y, 3.0, 0.25, 3.0 / 16.0);
}

#[test]
fn other_continuous_distributions() {
    let g = draw(|s| s.gumbel((N,)));
    let pi = std::f64::consts::PI;
    has_moments(
        &g,
        0.577_215_664_9,
        pi * pi / 6.0,
        5.4 * (pi * pi / 6.0).powi(2),
    );
    follows(g, |v| (-(-v).exp()).exp());

    let l = draw(|s| s.laplace(1.0, 2.0, (N,)));
    has_moments(&l, 1.0, 8.0, 6.0 * 64.0);
    follows(l, |v| {
        let t = (v - 1.0) / 2.0;
        if t < 0.0 {
            t.exp() / 2.0
        } else {
            1.0 - (-t).exp() / 2.0
        }
    });

    let t = draw(|s| s.truncated_normal(-0.5, 1.5, (N / 8,)));
    assert!(t.iter().all(|v| (-0.5..=1.5).contains(v)));
    let (a, b) = (normal_cdf(-0.5), normal_cdf(1.5));
    follows(t, |v| (normal_cdf(v) - a) / (b - a));
}

#[test]
fn integers_and_choices() {
    on_worker(|| {
        let key = fixed();
        let from = random::with_key(&key);
        let r = from.randint(-3, 5, (N,)).unwrap();
        assert_eq!(r.dtype(), Dtype::Int32);
        evenly(&r.to_vec::<i32>().unwrap(), -3..5);

        let c = from
            .categorical_shaped(&logits(&[1.0, 2.0, 5.0]), 0, (N,))
            .unwrap();
        shares(&c.to_vec::<u32>().unwrap(), &[0.125, 0.25, 0.625]);
        // Rows of logits: one index each.
        let rows = Array::from_slice(&[0.0f32, -90.0, -90.0, 0.0], (2, 2)).unwrap();
        assert_eq!(
            from.categorical(&rows, -1)
                .unwrap()
                .to_vec::<u32>()
                .unwrap(),
            [0, 1]
        );

        let b = from.bernoulli(0.3, (N,)).unwrap().to_vec::<bool>().unwrap();
        let b: Vec<u32> = b.into_iter().map(u32::from).collect();
        shares(&b, &[0.7, 0.3]);

        let bytes = from.bits(1, (N,)).unwrap().to_vec::<u8>().unwrap();
        evenly(
            &bytes.into_iter().map(i32::from).collect::<Vec<_>>(),
            0..256,
        );
        assert_eq!(from.bits(4, (3,)).unwrap().dtype(), Dtype::Uint32);
        assert_eq!(from.bits(2, (3,)).unwrap().dtype(), Dtype::Uint16);
    });
}

fn logits(weights: &[f32]) -> Array {
    let w: Vec<f32> = weights.iter().map(|w| w.ln()).collect();
    Array::from_slice(&w, w.len()).unwrap()
}

#[track_caller]
fn shares(x: &[u32], want: &[f64]) {
    let n = x.len() as f64;
    for (i, p) in want.iter().enumerate() {
        let got = x.iter().filter(|&&v| v as usize == i).count() as f64 / n;
        assert!(
            (got - p).abs() < 6.0 * (p * (1.0 - p) / n).sqrt(),
            "{i}: {got} against {p}"
        );
    }
    assert!(x.iter().all(|&v| (v as usize) < want.len()));
}

#[track_caller]
fn evenly(x: &[i32], range: std::ops::Range<i32>) {
    let p = 1.0 / f64::from(range.end - range.start);
    let x: Vec<u32> = x.iter().map(|v| (v - range.start) as u32).collect();
    shares(&x, &vec![p; (range.end - range.start) as usize]);
}

#[test]
fn permutations() {
    on_worker(|| {
        let key = fixed();
        let mut p = random::with_key(&key)
            .permutation_of(100)
            .unwrap()
            .to_vec::<u32>()
            .unwrap();
        assert_ne!(p, (0..100).collect::<Vec<_>>());
        p.sort_unstable();
        assert_eq!(p, (0..100).collect::<Vec<_>>());
        let x = Array::from_slice(&[1i32, 2, 3, 4, 5, 6], (2, 3)).unwrap();
        let y = random::permutation(&x, -1).unwrap();
        let mut y = y.to_vec::<i32>().unwrap();
        y[..3].sort_unstable();
        y[3..].sort_unstable();
        assert_eq!(y, [1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn correlated_normals() {
    on_worker(|| {
        let key = fixed();
        let mean = Array::from_slice(&[1.0f32, -1.0], 2).unwrap();
        let cov = Array::from_slice(&[2.0f32, 0.6, 0.6, 0.5], (2, 2)).unwrap();
        let x = zmlx::with_device(zmlx::Device::CPU, || {
            random::with_key(&key).multivariate_normal(&mean, &cov, (N,))
        });
        let x = x.unwrap();
        assert_eq!(x.shape(), [N as i32, 2]);
        let x: Vec<f64> = x
            .to_vec::<f32>()
            .unwrap()
            .into_iter()
            .map(f64::from)
            .collect();
        let (a, b): (Vec<_>, Vec<_>) = x.chunks(2).map(|p| (p[0], p[1])).unzip();
        has_moments(&a, 1.0, 2.0, 12.0);
        has_moments(&b, -1.0, 0.5, 0.75);
        let c = a
            .iter()
            .zip(&b)
            .map(|(a, b)| (a - 1.0) * (b + 1.0))
            .sum::<f64>()
            / N as f64;
        assert!(
            (c - 0.6).abs() < 6.0 * ((2.0 * 0.5 + 0.36) / N as f64).sqrt(),
            "{c}"
        );
    });
}

#[test]
fn the_same_key_gives_the_same_numbers() {
    on_worker(|| {
        let key = random::key(5).unwrap();
        let numbers = |k: &Array| {
            random::with_key(k)
                .normal((16,))
                .unwrap()
                .to_vec::<f32>()
                .unwrap()
        };
        assert_eq!(numbers(&key), numbers(&random::key(5).unwrap()));
        let (a, b) = random::split(&key).unwrap();
        let rows = random::split_into(&key, 2)
            .unwrap()
            .to_vec::<u32>()
            .unwrap();
        assert_eq!(a.to_vec::<u32>().unwrap(), rows[..2]);
        assert_eq!(b.to_vec::<u32>().unwrap(), rows[2..]);
        assert_ne!(numbers(&a), numbers(&b));
        assert_ne!(numbers(&a), numbers(&key));
    });
}

#[test]
fn a_seed_restarts_the_threads_sequence() {
    on_worker(|| {
        let three = || [(); 3].map(|()| random::uniform((4,)).unwrap().to_vec::<f32>().unwrap());
        random::seed(11);
        let first = three();
        assert_ne!(first[0], first[1]);
        random::seed(11);
        assert_eq!(first, three());
        assert_ne!(first, three());
        // MLX for Python: mx.random.seed(0); mx.random.uniform(shape=(3,)) takes this half.
        random::seed(0);
        let ours = random::uniform((3,)).unwrap().to_vec::<f32>().unwrap();
        let (_, half) = random::split(&random::key(0).unwrap()).unwrap();
        let theirs = random::with_key(&half).uniform((3,)).unwrap();
        assert_eq!(ours, theirs.to_vec::<f32>().unwrap());
    });
}

#[test]
fn threads_draw_different_numbers() {
    let mut all: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(|| random::normal((8,)).unwrap().to_vec::<f32>().unwrap()))
        .map(|t| {
            t.join()
                .unwrap()
                .into_iter()
                .map(f32::to_bits)
                .collect::<Vec<_>>()
        })
        .collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 8);
}

#[rstest]
#[case(Dtype::Float16)]
#[case(Dtype::Bfloat16)]
#[case(Dtype::Float32)]
fn dtypes(#[case] dtype: Dtype) {
    on_worker(move || {
        for x in [
            random::of_type(dtype).uniform((4,)),
            random::of_type(dtype).normal_with(1.0, 2.0, (4,)),
            random::of_type(dtype).gumbel((4,)),
            random::of_type(dtype).laplace(0.0, 1.0, (4,)),
            random::of_type(dtype).truncated_normal(-1.0, 1.0, (4,)),
        ] {
            let x = x.unwrap();
            assert_eq!(x.dtype(), dtype);
            x.eval().unwrap();
        }
        let c = random::of_type(Dtype::Complex64).normal((2, 2)).unwrap();
        assert_eq!((c.dtype(), c.shape()), (Dtype::Complex64, &[2, 2][..]));
        let i = random::of_type(Dtype::Uint8).randint(0, 9, (4,)).unwrap();
        assert!(i.to_vec::<u8>().unwrap().iter().all(|&v| v < 9));
    });
}

#[test]
fn bad_arguments() {
    on_worker(|| {
        let key = fixed();
        let from = random::with_key(&key);
        assert!(matches!(from.bits(3, (2,)), Err(Error::Argument { .. })));
        assert!(matches!(from.uniform((-1,)), Err(Error::Shape { .. })));
        assert!(matches!(
            from.uniform((1 << 30, 1 << 30, 1 << 30)),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(
            from.of_type(Dtype::Float64).uniform((2,)),
            Err(Error::Dtype { .. })
        ));
        assert!(from.of_type(Dtype::Int32).uniform((2,)).is_err());
        assert!(from.of_type(Dtype::Float32).randint(0, 2, (2,)).is_err());
        let no_key = Array::from(1.0f32);
        assert!(random::with_key(&no_key).normal((2,)).is_err());
        assert!(random::split(&no_key).is_err());
        let x = Array::from_slice(&[1i32, 2], 2).unwrap();
        assert!(matches!(
            random::permutation(&x, 1),
            Err(Error::Shape { .. })
        ));
        let none = Array::from_slice::<f32>(&[], (2, 0)).unwrap();
        assert!(matches!(
            random::categorical(&none, 1),
            Err(Error::Shape { .. })
        ));
        assert!(random::categorical(&logits(&[1.0]), 3).is_err());
        assert_eq!(
            random::normal((0, 3)).unwrap().to_vec::<f32>().unwrap(),
            [0.0f32; 0]
        );
    });
}
