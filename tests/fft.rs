//! Fourier transforms against the sum that defines them, in float64, on random numbers.

mod support;

use std::f64::consts::TAU;

use num_complex::Complex64;
use rstest::rstest;
use support::*;
use zmlx::fft::{self, Fft, FftNorm, FramePad};
use zmlx::prelude::*;

type C = Complex64;

/// A name, a transform, whether it is an inverse, and its axes.
type Case = (&'static str, fn(&Array) -> Fft<'_>, bool, Vec<usize>);

fn complex(a: &Array) -> Vec<C> {
    let values = a
        .astype(C64)
        .unwrap()
        .to_vec::<num_complex::Complex32>()
        .unwrap();
    values
        .iter()
        .map(|v| C::new(v.re.into(), v.im.into()))
        .collect()
}

/// By the definition, along one axis of a row-major array.
fn transform(x: &[C], shape: &[usize], axis: usize, sign: f64) -> Vec<C> {
    let n = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    let mut y = vec![C::default(); x.len()];
    for (i, out) in y.iter_mut().enumerate() {
        let k = i / inner % n;
        let first = i - k * inner;
        *out = (0..n)
            .map(|j| {
                x[first + j * inner]
                    * C::from_polar(1.0, sign * TAU * ((j * k) % n) as f64 / n as f64)
            })
            .sum();
    }
    y
}

/// The first elements along each axis, and zeros behind them.
fn resized(x: &[C], from: &[usize], to: &[usize]) -> Vec<C> {
    let count: usize = to.iter().product();
    (0..count)
        .map(|mut i| {
            let (mut at, mut stride) = (0, 1);
            for (&f, &t) in from.iter().zip(to).rev() {
                let k = i % t;
                i /= t;
                if k >= f {
                    return C::default();
                }
                at += k * stride;
                stride *= f;
            }
            x[at]
        })
        .collect()
}

#[track_caller]
fn near(got: &[C], want: &[C], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let most = want.iter().fold(1.0f64, |m, v| m.max(v.norm()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        // Sums of some hundred terms of float32 whose twiddle factors are rounded.
        assert!((g - w).norm() <= 4e-6 * most, "{what}: [{i}] {g} and {w}");
    }
}

fn sizes(shape: &[i32]) -> Vec<usize> {
    shape.iter().map(|&n| n as usize).collect()
}

fn random(rng: &mut Rng, shape: &[i32]) -> Array {
    let i = Array::from_slice(&[num_complex::Complex32::new(0.0, 1.0)], ()).unwrap();
    let (a, b) = (rng.array(shape, -1.0, 1.0), rng.array(shape, -1.0, 1.0));
    a.astype(C64).unwrap().add(b.multiply(&i).unwrap()).unwrap()
}

#[rstest]
fn complex_transforms(
    #[values(&[7], &[3, 8], &[2, 5, 6], &[1, 1])] shape: &'static [i32],
    #[values(FftNorm::Backward, FftNorm::Ortho, FftNorm::Forward)] norm: FftNorm,
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let a = random(&mut rng, shape);
        let (x, ndim) = (complex(&a), shape.len());
        let all: Vec<usize> = (0..ndim).collect();
        let mut cases: Vec<Case> = vec![
            ("fft", fft::fft, false, vec![ndim - 1]),
            ("ifft", fft::ifft, true, vec![ndim - 1]),
            ("fftn", fft::fftn, false, all.clone()),
            ("ifftn", fft::ifftn, true, all),
        ];
        if ndim > 1 {
            cases.push(("fft2", fft::fft2, false, vec![ndim - 2, ndim - 1]));
            cases.push(("ifft2", fft::ifft2, true, vec![ndim - 2, ndim - 1]));
        }
        for (name, call, inverse, axes) in cases {
            // As it is, shorter and longer.
            for change in [0, -1, 3] {
                let mut to = sizes(shape);
                for &axis in &axes {
                    to[axis] = (to[axis] as i32 + change).max(1) as usize;
                }
                let n: f64 = axes.iter().map(|&axis| to[axis] as f64).product();
                let scale = match (norm, inverse) {
                    (FftNorm::Backward, false) | (FftNorm::Forward, true) => 1.0,
                    (FftNorm::Ortho, _) => n.sqrt().recip(),
                    _ => n.recip(),
                };
                let mut want = resized(&x, &sizes(shape), &to);
                for &axis in &axes {
                    want = transform(&want, &to, axis, if inverse { 1.0 } else { -1.0 });
                }
                let want: Vec<C> = want.iter().map(|v| v * scale).collect();
                let wanted: Vec<i32> = axes.iter().map(|&axis| to[axis] as i32).collect();
                let got = call(&a).sizes(wanted).norm(norm).call().unwrap();
                assert_eq!((got.dtype(), sizes(got.shape())), (C64, to));
                near(&complex(&got), &want, name);
                if change == 0 {
                    near(&complex(&call(&a).norm(norm).call().unwrap()), &want, name);
                }
            }
        }
    });
}

#[rstest]
fn real_transforms(
    #[values(&[7], &[8], &[3, 9, 4])] shape: &'static [i32],
    #[values(F32, F16, I32)] dtype: Dtype,
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let a = rng.array(shape, -8.0, 8.0).astype(dtype).unwrap();
        let (x, from, last) = (complex(&a), sizes(shape), shape.len() - 1);
        for n in [shape[last], shape[last] - 2, shape[last] + 3] {
            let mut to = from.clone();
            to[last] = n as usize;
            let whole = transform(&resized(&x, &from, &to), &to, last, -1.0);
            let got = fft::rfft(&a).n(n).call().unwrap();
            let mut half = to.clone();
            half[last] = to[last] / 2 + 1;
            assert_eq!(sizes(got.shape()), half);
            near(&complex(&got), &resized(&whole, &to, &half), "rfft");
            let again = fft::irfft(&got).n(n).call().unwrap();
            assert_eq!(again.dtype(), F32);
            near(&complex(&again), &resized(&x, &from, &to), "irfft");
        }
        if shape.len() > 1 {
            for axes in [vec![0, 2], vec![2, 0], vec![-1, -2]] {
                let spectrum = fft::rfftn(&a).axes(&axes[..]).call().unwrap();
                let place = |axis: i32| (axis + 3) as usize % 3;
                let halved = place(axes[axes.len() - 1]);
                let mut want = x.clone();
                for &axis in &axes {
                    want = transform(&want, &from, place(axis), -1.0);
                }
                let mut half = from.clone();
                half[halved] = from[halved] / 2 + 1;
                near(&complex(&spectrum), &resized(&want, &from, &half), "rfftn");
                let n: Vec<i32> = axes.iter().map(|&axis| shape[place(axis)]).collect();
                let again = fft::irfftn(&spectrum)
                    .axes(&axes[..])
                    .sizes(n)
                    .call()
                    .unwrap();
                near(&complex(&again), &x, "irfftn");
            }
            let two = fft::irfft2(&fft::rfft2(&a).call().unwrap()).call().unwrap();
            near(&complex(&two), &x, "rfft2");
        }
    });
}

/// A sum of squares of the spectrum has this derivative by Parseval.
#[test]
fn gradients() {
    on_worker(|| {
        let mut rng = Rng::new();
        let x = rng.array(&[3, 10], -1.0, 1.0);
        let g = zmlx::grad(|x: &Array| fft::fft(x).call()?.abs()?.square()?.sum(..))(&x).unwrap();
        let want: Vec<f64> = f32s(&x).iter().map(|&v| 20.0 * f64::from(v)).collect();
        close(&f32s(&g), &want, 1e-4);
    });
}

#[test]
fn shifts_and_frequencies() {
    on_worker(|| {
        for n in 1..9 {
            let (d, mut want): (f64, Vec<f64>) = (0.25, Vec::new());
            for k in 0..n {
                let k = if k < (n + 1) / 2 { k } else { k - n };
                want.push(f64::from(k) / (f64::from(n) * d));
            }
            let f = fft::fftfreq(n, d).unwrap();
            close(&f32s(&f), &want, 1e-6);
            let half: Vec<f64> = (0..=n / 2)
                .map(|k| f64::from(k) / (f64::from(n) * d))
                .collect();
            close(&f32s(&fft::rfftfreq(n, d).unwrap()), &half, 1e-6);
            // In rising order, and back.
            let shifted = fft::fftshift(&f, 0).unwrap();
            assert!(f32s(&shifted).is_sorted());
            assert_eq!(f32s(&fft::ifftshift(&shifted, 0).unwrap()), f32s(&f));
        }
        let x = Array::arange(6).unwrap().reshape((2, 3)).unwrap();
        assert_eq!(i32s(&fft::fftshift(&x, ..).unwrap()), [5, 3, 4, 2, 0, 1]);
        assert_eq!(i32s(&fft::fftshift(&x, 1).unwrap()), [2, 0, 1, 5, 3, 4]);
        assert_eq!(i32s(&fft::ifftshift(&x, [-1]).unwrap()), [1, 2, 0, 4, 5, 3]);
    });
}

#[rstest]
fn short_time(
    #[values(16, 15)] n_fft: i32,
    #[values(true, false)] center: bool,
    #[values(FramePad::Reflect, FramePad::Constant, FramePad::Edge)] pad: FramePad,
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let (hop, win, t) = (5, 12, 50);
        let x = rng.array(&[2, t], -1.0, 1.0);
        let window = rng.array(&[win], 0.5, 1.0);
        let got = fft::stft(&x, n_fft)
            .hop(hop)
            .win(win)
            .window(&window)
            .center(center)
            .pad(pad)
            .call()
            .unwrap();
        let (n, w) = (n_fft as usize, f32s(&window));
        let half = if center { n_fft / 2 } else { 0 };
        let before = (n - win as usize) / 2;
        let mut want = Vec::new();
        let frames = (t + 2 * half - n_fft) / hop + 1;
        for signal in f32s(&x).chunks(t as usize) {
            for frame in 0..frames {
                let piece: Vec<C> = (0..n)
                    .map(|j| {
                        let at = frame * hop + j as i32 - half;
                        let value = match pad {
                            FramePad::Reflect => {
                                signal[(at.abs()).min(2 * (t - 1) - at.abs()) as usize]
                            }
                            FramePad::Edge => signal[at.clamp(0, t - 1) as usize],
                            FramePad::Constant if (0..t).contains(&at) => signal[at as usize],
                            FramePad::Constant => 0.0,
                        };
                        let factor = j
                            .checked_sub(before)
                            .and_then(|j| w.get(j))
                            .copied()
                            .unwrap_or(0.0);
                        C::from(f64::from(value) * f64::from(factor))
                    })
                    .collect();
                want.extend(&transform(&piece, &[n], 0, -1.0)[..n / 2 + 1]);
            }
        }
        assert_eq!(got.shape(), [2, n_fft / 2 + 1, frames]);
        near(&complex(&got.swapaxes(-1, -2).unwrap()), &want, "stft");
    });
}

#[rstest]
fn back_from_short_times(
    #[values(true, false)] onesided: bool,
    #[values(FftNorm::Backward, FftNorm::Ortho)] norm: FftNorm,
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = rng.array(&[3, 64], -1.0, 1.0);
        let spectrum = fft::stft(&x, 16)
            .hop(4)
            .norm(norm)
            .onesided(onesided)
            .call()
            .unwrap();
        let bins = if onesided { 9 } else { 16 };
        assert_eq!(spectrum.shape(), [3, bins, 17]);
        let again = fft::istft(&spectrum, 16)
            .hop(4)
            .norm(norm)
            .onesided(onesided)
            .length(64)
            .call()
            .unwrap();
        near(&complex(&again), &complex(&x), "istft");
    });
}

#[test]
fn nothing_to_transform() {
    on_worker(|| {
        let none = Array::zeros((0, 4), F32).unwrap();
        for (a, shape) in [
            (fft::fft(&none).call(), [0, 4]),
            (fft::rfft(&none).call(), [0, 3]),
            (fft::irfft(&none).call(), [0, 6]),
            (fft::fft(&none).n(9).call(), [0, 9]),
        ] {
            let a = a.unwrap();
            a.eval().unwrap();
            assert_eq!(a.shape(), shape);
        }
    });
}

#[test]
fn refusals() {
    on_worker(|| {
        let x = Array::ones((2, 6), F32).unwrap();
        let complex = x.astype(C64).unwrap();
        let scalar = Array::from(1.0f32);
        let none = Array::zeros((2, 0), F32).unwrap();
        let refused = [
            (fft::fft(&x).axis(2).call(), "axis 2"),
            (fft::fft(&x).n(0).call(), "got [0]"),
            (fft::fft(&x).n(-3).call(), "-3"),
            (fft::fft(&none).call(), "got [0]"),
            (fft::fft(&scalar).call(), "`axes`"),
            (fft::fftn(&scalar).call(), "one axis at least"),
            (fft::fftn(&x).axes([0, -2]).call(), "different axes"),
            (
                fft::fftn(&x).axes([0, 1]).sizes([4]).call(),
                "a size for each",
            ),
            (fft::fft2(&Array::ones(3, F32).unwrap()).call(), "axis -2"),
            (fft::rfft(&complex).call(), "complex64"),
            (
                fft::irfft(&Array::ones((2, 1), C64).unwrap()).call(),
                "got [0]",
            ),
            (fft::fftfreq(0, 1.0), "`n`"),
            (fft::rfftfreq(4, 0.0), "`d`"),
            (fft::fftfreq(4, f64::NAN), "`d`"),
            (fft::fftshift(&x, 3), "axis 3"),
            (fft::stft(&x, 0).call(), "`n_fft`"),
            (fft::stft(&x, 16).call(), "9 elements at least"),
            (fft::stft(&x, 8).center(false).call(), "8 elements at least"),
            (fft::stft(&x, 4).hop(0).call(), "`hop`"),
            (fft::stft(&x, 4).win(5).call(), "`win`"),
            (fft::stft(&x, 4).window(&x).call(), "`window`"),
            (fft::stft(&complex, 4).onesided(true).call(), "complex64"),
            (fft::stft(&scalar, 4).call(), "`x`"),
            (fft::istft(&complex, 4).call(), "4 bins"),
            (fft::istft(&scalar, 4).call(), "`x`"),
        ];
        for (i, (result, text)) in refused.into_iter().enumerate() {
            let error = result.err().unwrap_or_else(|| panic!("{i}: {text}"));
            assert!(
                error.to_string().contains(text),
                "{i}: {error} lacks {text}"
            );
            assert!(
                error.site().unwrap().file().ends_with("fft.rs"),
                "{i}: {error}"
            );
        }
    });
}
