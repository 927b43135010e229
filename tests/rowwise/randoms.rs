//! Random numbers by their position. Limits of statistics are six standard deviations: there are some thousand checks, and
//! one of a billion is beyond by chance.

use zmlx::api::Pass;
use zmlx::elementwise::Map;
use zmlx::prelude::*;
use zmlx::{Result, grad, vmap};

use crate::common::{Rng, on_worker, random_bits};
use crate::toolkit::{check, normal};

/// The bits at positions from a number on, as far as an array is long.
fn bits() -> Map {
    let names = ["x", "a", "b", "from"];
    let map = elementwise::map(
        "bits",
        names,
        "kk_random_bits(a, b, elem + from) + 0 * int(x)",
    );
    let indices = ["a", "b", "from"];
    let map = indices.iter().fold(map, |map, name| map?.index(name));
    map.unwrap().output_dtype(Dtype::Uint32).unwrap()
}

fn drawn(op: &Map, [a, b]: [u32; 2], from: u64, size: usize) -> Result<Vec<u32>> {
    let x = Array::zeros(size, F32)?;
    let (a, b, from) = (
        Array::scalar(a)?,
        Array::scalar(b)?,
        Array::scalar(from as i64)?,
    );
    op.call(&[&x, &a, &b, &from])?.to_vec()
}

#[test]
fn positions_of_64_bits() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let op = bits();
        let start = 1u64 << 32;
        for from in [0, 5, start - 500, start, 3 * start - 7, rng.next() >> 2] {
            let seed = [rng.next() as u32, rng.next() as u32];
            let got = drawn(&op, seed, from, 1000)?;
            let want = (0..1000).map(|i| random_bits(seed, from + i));
            assert_eq!(got, want.collect::<Vec<_>>(), "from {from}");
        }
        Ok(())
    })
    .unwrap();
}

/// The number of an element beyond 2^32, of an array that nobody stores.
#[test]
fn elements_beyond_32_bits() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let op = rowwise::map_reduce("far")
            .inputs(["x"])
            .index("place")
            .index_of_elements("a")
            .index_of_elements("b")
            .write_row("at(float(kk_random_bits(a, b, elem) >> 8) + x, place)")
            .build()?;
        let (rows, width) = (5000usize, 1usize << 20);
        let x = Array::zeros(width, F32)?;
        let [a, b] = [rng.next() as u32, rng.next() as u32];
        let place: Vec<i64> = (0..rows)
            .map(|_| (rng.next() % width as u64) as i64)
            .collect();
        let index = Array::from_slice(&place, rows)?;
        let y = op.call_all(&[&x, &index, &Array::scalar(a)?, &Array::scalar(b)?])?;
        let got = y[0].to_vec::<f32>()?;
        for (row, (got, place)) in got.into_iter().zip(place).enumerate() {
            let at = (row * width) as u64 + place as u64;
            assert_eq!(got, (random_bits([a, b], at) >> 8) as f32, "element {at}");
        }
        Ok(())
    })
    .unwrap();
}

/// In rows, in broadcast arrays, in sums, in blocks: the same number belongs to the same element.
#[test]
fn every_way_of_reading_counts_alike() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let [a, b] = [rng.next() as u32, rng.next() as u32];
        let (first, second) = (Array::scalar(a)?, Array::scalar(b)?);
        let unit = |at: u64| f64::from(random_bits([a, b], at) >> 8) / f64::from(1 << 24);
        let want: Vec<f32> = (0..12 * 33).map(|at| unit(at) as f32).collect();
        let op = rowwise::map_reduce("rows")
            .index_of_elements("a")
            .index_of_elements("b")
            .pass(Pass {
                init: "0.0f",
                update: "acc + kk_random(a, b, elem)",
                reduce: "a + b",
            })
            .write("x * kk_random(a, b, elem)")
            .write_row("s1")
            .build()?;
        let x = normal(&mut rng, &[3, 4, 33]);
        let y = op.call_all(&[&x, &first, &second])?;
        let numbers = Array::from_slice(&want, (3, 4, 33))?;
        check(&y[0], &(&x * &numbers)?, 1e-6, "rows");
        check(&y[1], &numbers.sum(-1)?, 1e-5, "sums");
        let got = grad(|x| op.call_all(&[x, &first, &second])?[0].sum(..))(&x)?;
        check(&got, &numbers, 1e-6, "gradient");
        let map = elementwise::map("map", ["x", "w", "a", "b"], "x * w * kk_random(a, b, elem)")?;
        let map = map.index("a")?.index("b")?;
        let w = normal(&mut rng, &[4, 1]);
        let y = map.call(&[&x, &w, &first, &second])?;
        check(&y, &((&x * &w)? * &numbers)?, 1e-6, "broadcast");
        Ok(())
    })
    .unwrap();
}

/// A mapped axis is no part of the array that is counted.
#[test]
fn mapped_axes_are_not_counted() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let counted = elementwise::unary("counted", "x + elem")?;
        let x = normal(&mut rng, &[3, 2, 5]);
        let places = Array::arange(10)?.astype(F32)?.reshape((2, 5))?;
        let got = vmap(|p: &[Array]| Ok(vec![counted.call(&p[0])?])).call([&x])?;
        check(&got[0], &(&x + &places)?, 1e-6, "elements");
        let rows = rowwise::map_reduce("rows").write("x + row").build()?;
        let got = vmap(|p: &[Array]| Ok(vec![rows.call(&p[0])?])).call([&x])?;
        let numbers = Array::from_slice(&[0.0f32, 1.0], (2, 1))?;
        check(&got[0], &(&x + &numbers)?, 1e-6, "rows");
        Ok(())
    })
    .unwrap();
}

#[track_caller]
fn chance(sigmas: f64, what: &str) {
    assert!(
        sigmas.abs() < 6.0,
        "{what}: {sigmas:.1} standard deviations"
    );
}

/// Standard deviations by which the covariance of bits of two sequences is off zero, as an average over all 32 bits.
fn covariance(a: &[u32], b: &[u32]) -> f64 {
    let equal: u32 = a.iter().zip(b).map(|(a, b)| (a ^ b).count_zeros()).sum();
    let n = 32.0 * a.len().min(b.len()) as f64;
    (f64::from(equal) - n / 2.0) / (n / 4.0).sqrt()
}

/// Rate, lags and a chi-square of the upper bits, below, across and above 2^32.
#[test]
fn statistics_around_32_bits() {
    const SIZE: usize = 1 << 17;
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let op = bits();
        let start = 1u64 << 32;
        for seed in [[rng.next() as u32, rng.next() as u32], [0, 0], [1, 0]] {
            let below = drawn(&op, seed, 0, SIZE)?;
            for from in [start - SIZE as u64 / 2, start, 2 * start, 77 * start] {
                let what = format!("seed {seed:?}, from {from}");
                let all = drawn(&op, seed, from, SIZE)?;
                let ones: u32 = all.iter().map(|v| v.count_ones()).sum();
                let n = 32.0 * SIZE as f64;
                chance((f64::from(ones) - n / 2.0) / (n / 4.0).sqrt(), &what);
                for p in [0.1, 0.9] {
                    let limit = (p * 2f64.powi(32)) as u32;
                    let kept = all.iter().filter(|&&v| v < limit).count() as f64;
                    let n = SIZE as f64;
                    chance(
                        (kept - n * p) / (n * p * (1.0 - p)).sqrt(),
                        &format!("{what}, p = {p}"),
                    );
                }
                let mut counts = [0f64; 256];
                all.iter().for_each(|v| counts[(v >> 24) as usize] += 1.0);
                let mean = SIZE as f64 / 256.0;
                let square: f64 = counts.iter().map(|c| (c - mean).powi(2) / mean).sum();
                chance(
                    (square - 255.0) / 510f64.sqrt(),
                    &format!("{what}, chi-square"),
                );
                for lag in (1..=64).chain([100, 1000, 1024, 4096, 65536]) {
                    let what = format!("{what}, lag {lag}");
                    chance(covariance(&all, &all[lag..]), &what);
                    // No stripes: what lies 2^32 apart is another sequence, shifted or not.
                    chance(
                        covariance(&all, &below[lag - 1..]),
                        &format!("{what} from 0 on"),
                    );
                    chance(
                        covariance(&below, &all[lag - 1..]),
                        &format!("{what} of the start"),
                    );
                }
            }
        }
        Ok(())
    })
    .unwrap();
}
