//! Tokens drawn from logits: which may come, how often, and that they are those of the random numbers of seed and draw.

use zmlx::Result;
use zmlx::kernels::sampling::sample;
use zmlx::prelude::*;

use crate::chance::{chance, chi_square};
use crate::common::{Rng, on_worker};
use crate::process;
use crate::tolerance::numbers;

mod calls;
mod reference;
use reference::{OPTIONS, Options, kept, token, words};

/// All options, widths around those of groups and of what is collected, every dtype, ties included.
fn as_defined() -> Result<()> {
    let mut rng = Rng::new();
    let (mut doubtful, mut all) = (0, 0);
    for dtype in [F32, F16, BF16] {
        for (rows, width) in [
            (1, 1),
            (3, 2),
            (2, 33),
            (5, 512),
            (2, 513),
            (3, 2049),
            (2, 50_000),
        ] {
            let seed = rng.next();
            let x = (&random::with_key(&random::key(seed)?).normal((rows, width))? * 3.0)?;
            let x = x.astype(dtype)?;
            let values = numbers(&x)?;
            for (o, draw) in OPTIONS.iter().zip([0u64, 1, 77, 1 << 20, 1 << 33, 5, 6, 7]) {
                let call = sample(&x).temperature(o.temperature).top_k(o.top_k);
                let call = call.top_p(o.top_p).min_p(o.min_p).seed(seed).draw(draw);
                let got = call.call()?;
                assert_eq!((got.shape(), got.dtype()), (&[rows][..], Dtype::Uint32));
                let got = got.to_vec::<u32>()?;
                for (row, (logits, &got)) in values.chunks(width as usize).zip(&got).enumerate() {
                    let (want, doubt) = token(logits, *o, words(seed, row as u64), draw);
                    all += 1;
                    doubtful += i32::from(doubt);
                    assert!(
                        got == want || doubt,
                        "{dtype} {rows} x {width}, row {row}, {o:?}, seed {seed}, draw {draw}: {got}, expected {want}"
                    );
                }
            }
        }
    }
    assert!(
        doubtful * 20 < all,
        "{doubtful} of {all} are too near to tell"
    );
    Ok(())
}

#[test]
fn tokens_are_those_of_the_random_numbers() {
    on_worker(as_defined).unwrap();
}

/// How rows are shared out is settled once in a process.
#[test]
fn tokens_as_on_a_gpu() {
    let environment = [("ZMLX_ROW_GROUPS", "gpu"), ("ZMLX_ENGINE", "cpu")];
    process::run("sampling::in_the_way_of_gpus", &environment, 1);
}

#[test]
#[ignore = "run by tokens_as_on_a_gpu"]
fn in_the_way_of_gpus() {
    assert!(std::env::var_os("ZMLX_ROW_GROUPS").is_some());
    on_worker(as_defined).unwrap();
}

/// Rows of one seed, draws of one row, and seeds: each gives tokens as often as their probabilities say.
#[test]
fn tokens_come_as_often_as_they_should() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        const DRAWS: i32 = 1 << 15;
        let logits: Vec<f32> = vec![1.0, 3.0, 2.5, f32::NAN, 2.0, f32::NEG_INFINITY, 3.0, 0.0];
        let known: Vec<f64> = logits
            .iter()
            .map(|&l| {
                if l.is_nan() {
                    f64::NEG_INFINITY
                } else {
                    l.into()
                }
            })
            .collect();
        let x = Array::from_slice(&logits, (1, 8))?.broadcast_to((DRAWS, 8))?;
        let counting = Array::arange(DRAWS)?;
        let still = Array::full(DRAWS, 5, Dtype::Int64)?;
        for o in OPTIONS.iter().copied().chain([
            Options {
                top_k: 3,
                ..OPTIONS[0]
            },
            Options {
                top_p: 0.5,
                ..OPTIONS[0]
            },
        ]) {
            let kept = kept(&known, o, 1.0);
            let total: f64 = kept.iter().map(|k| k.1).sum();
            let share = |i: usize| kept.iter().find(|k| k.0 == i).map_or(0.0, |k| k.1 / total);
            let seed = rng.next();
            let call = sample(&x)
                .temperature(o.temperature)
                .top_k(o.top_k)
                .top_p(o.top_p)
                .min_p(o.min_p);
            let calls = [
                ("rows", call.seed(seed)),
                ("draws", call.seed(&still).draw(&counting)),
                ("seeds", call.seed(&counting).draw(seed)),
            ];
            for (what, call) in calls {
                let mut counts = [0u32; 8];
                for token in call.call()?.to_vec::<u32>()? {
                    counts[token as usize] += 1;
                }
                assert!(
                    (0..8).all(|i| counts[i] == 0 || share(i) > 0.0),
                    "{what} {o:?}: {counts:?}"
                );
                if kept.len() > 1 {
                    chance(
                        chi_square(&counts, share),
                        &format!("{what} of seed {seed}, {o:?}"),
                    );
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Each row has options of its own, and is drawn as it is alone.
#[test]
fn rows_with_options_of_their_own() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let x = random::normal((8, 3000))?;
        let f = |get: fn(&Options) -> f32| Array::from_iter(OPTIONS.iter().map(get));
        let temperature = f(|o| o.temperature)?.index(0..8)?;
        let k = Array::from_iter(OPTIONS.iter().map(|o| o.top_k as i32))?;
        let seeds: Vec<u64> = (0..8).map(|_| rng.next()).collect();
        let draws: Vec<u32> = (0..8).map(|_| rng.next() as u32).collect();
        let (seed, draw) = (Array::from_slice(&seeds, 8)?, Array::from_slice(&draws, 8)?);
        let (p, least) = (f(|o| o.top_p)?, f(|o| o.min_p)?);
        let all = sample(&x)
            .temperature(&temperature)
            .top_k(&k)
            .top_p(&p)
            .min_p(&least);
        let all = all.seed(&seed).draw(&draw).call()?.to_vec::<u32>()?;
        for (i, o) in OPTIONS.iter().enumerate() {
            let row = x.index(i as i32)?;
            let one = sample(&row)
                .temperature(o.temperature)
                .top_k(o.top_k)
                .top_p(o.top_p);
            let one = one
                .min_p(o.min_p)
                .seed(seeds[i])
                .draw(u64::from(draws[i]))
                .call()?;
            assert_eq!(one.shape(), [0i32; 0]);
            assert_eq!(one.item::<u32>()?, all[i], "{o:?}");
        }
        // What is out of range in an array has no error, and the documented meaning.
        let odd = |v: f32| Array::full(8, v, F32);
        let greedy = x.argmax(-1)?.to_vec::<u32>()?;
        for v in [-1.0, f32::NAN, 0.0] {
            assert_eq!(
                sample(&x).temperature(&odd(v)?).call()?.to_vec::<u32>()?,
                greedy
            );
        }
        let plain = sample(&x).seed(&seed).call()?.to_vec::<u32>()?;
        for v in [1.0, 2.0, f32::NAN] {
            assert_eq!(
                sample(&x)
                    .seed(&seed)
                    .top_p(&odd(v)?)
                    .call()?
                    .to_vec::<u32>()?,
                plain
            );
        }
        let none = Array::full(8, -3, I32)?;
        assert_eq!(
            sample(&x)
                .seed(&seed)
                .top_k(&none)
                .call()?
                .to_vec::<u32>()?,
            plain
        );
        assert_eq!(
            sample(&x)
                .seed(&seed)
                .top_p(&odd(-1.0)?)
                .call()?
                .to_vec::<u32>()?,
            greedy
        );
        assert_eq!(
            sample(&x)
                .seed(&seed)
                .min_p(&odd(7.0)?)
                .call()?
                .to_vec::<u32>()?,
            greedy
        );
        Ok(())
    })
    .unwrap();
}

#[test]
fn logits_that_are_no_numbers() {
    on_worker(|| -> Result<()> {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        for (row, want) in [
            ([nan, nan, nan], 0),
            ([-inf, -inf, -inf], 0),
            ([nan, -inf, nan], 0),
            ([1.0, inf, inf], 1),
            ([nan, -inf, 2.0], 2),
            ([-inf, -0.0, nan], 1),
        ] {
            for dtype in [F32, F16, BF16] {
                let x = Array::from_slice(&row, (1, 3))?.astype(dtype)?;
                for call in [
                    sample(&x),
                    sample(&x).temperature(0.0),
                    sample(&x).top_p(0.5),
                    sample(&x).top_k(2).top_p(0.3),
                ] {
                    assert_eq!(call.call()?.to_vec::<u32>()?, [want], "{row:?} {dtype}");
                }
            }
        }
        // Both zeros are equal, and the first of equal ones is the most likely.
        let x = Array::from_slice(&[-0.0f32, 0.0, -1.0], 3)?;
        for seed in 0..20 {
            assert_eq!(sample(&x).top_k(1).seed(seed).call()?.item::<u32>()?, 0);
            assert!(sample(&x).top_k(2).seed(seed).call()?.item::<u32>()? < 2);
        }
        for shape in [&[0, 7][..], &[2, 0, 7], &[0, 3, 7]] {
            let y = sample(&Array::zeros(shape, F32)?).call()?;
            assert_eq!(y.shape(), &shape[..shape.len() - 1]);
        }
        Ok(())
    })
    .unwrap();
}
