//! Times several functions in turns.

use std::time::{Duration, Instant};

use crate::{Array, Error, Result};

/// How long and how often [`measure`] runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Each contender runs this long before it counts. Default: 30 ms.
    pub warm_up: Duration,
    /// Each contender is sampled for this long. Default: 300 ms.
    pub time: Duration,
    /// Samples taken even where that takes longer; of calls that take more than two seconds, one. Default: 5.
    pub min_samples: usize,
    /// No more samples than this. Default: 1000.
    pub max_samples: usize,
    /// Calls in one evaluation, fewer where their outputs together have more than 8 GiB; `None` (the default) takes as many as
    /// make a sample last 100 us, up to 32 and to 4 MiB of outputs.
    pub batch: Option<usize>,
    /// Whether only the fastest tenth of the samples counts, which is what a machine that others use, too, can do.
    /// Default: false.
    pub fastest: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            warm_up: Duration::from_millis(30),
            time: Duration::from_millis(300),
            min_samples: 5,
            max_samples: 1000,
            batch: None,
            fastest: false,
        }
    }
}

impl Settings {
    /// A handful of samples: to see that everything runs.
    pub fn quick() -> Self {
        Settings {
            warm_up: Duration::ZERO,
            time: Duration::ZERO,
            min_samples: 3,
            ..Settings::default()
        }
    }

    /// The same with this many calls in one evaluation, which share its wait.
    pub fn batch(self, calls: usize) -> Self {
        Settings {
            batch: Some(calls.max(1)),
            ..self
        }
    }

    /// The same where only the fastest tenth of the samples counts.
    pub fn fastest(self, fastest: bool) -> Self {
        Settings { fastest, ..self }
    }

    /// The same with another time for samples.
    pub fn time(self, time: Duration) -> Self {
        Settings { time, ..self }
    }

    /// The same with another time for warming up.
    pub fn warm_up(self, warm_up: Duration) -> Self {
        Settings { warm_up, ..self }
    }

    fn batch_for(&self, one: Duration, bytes: usize) -> usize {
        const SAMPLE: f64 = 100e-6;
        const BYTES: usize = 4 << 20;
        const HELD: usize = 8 << 30;
        match self.batch {
            Some(calls) => calls.min(HELD / bytes.max(1)).max(1),
            None => {
                let calls = (SAMPLE / one.as_secs_f64().max(1e-9)) as usize;
                calls.min(BYTES / bytes.max(1)).clamp(1, 32)
            }
        }
    }
}

/// A name, and a function whose outputs are evaluated and thrown away.
pub type Contender<'a> = (&'a str, &'a dyn Fn() -> Result<Vec<Array>>);

/// What one call takes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Time {
    /// Median of the samples that count, in microseconds.
    pub median_us: f64,
    /// Median distance of the samples from their median.
    pub mad_us: f64,
    /// The shortest sample.
    pub min_us: f64,
    /// The very first call, which may compile.
    pub first_us: f64,
    /// How many samples count.
    pub samples: usize,
    /// Calls in one sample.
    pub batch: usize,
}

/// What became of one contender.
#[derive(Debug)]
#[non_exhaustive]
pub struct Measurement {
    /// The contender's name.
    pub name: String,
    /// Its time, or why it has none.
    pub time: Result<Time>,
}

/// Times the contenders, one sample of each in turn, so that what slows the machine for a while
/// slows all of them.
///
/// A contender is called and its outputs are evaluated on the current stream until it is warm, then until the
/// settings' time is over. One that fails is left out from then on; the others go on.
///
/// ```
/// use zmlx::{bench, prelude::*};
/// # fn main() -> zmlx::Result<()> {
/// let x = random::normal((64, 64))?;
/// let results = bench::measure(
///     &[
///         ("exp", &|| Ok(vec![x.exp()?])),
///         ("tanh", &|| Ok(vec![x.tanh()?])),
///     ],
///     &bench::Settings::quick(),
/// );
/// for r in results {
///     println!("{}: {:.1} us", r.name, r.time?.median_us);
/// }
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn measure(contenders: &[Contender<'_>], settings: &Settings) -> Vec<Measurement> {
    let mut racers = Vec::with_capacity(contenders.len());
    for (_, f) in contenders {
        racers.push(Racer::start(*f, settings));
    }
    for round in 0.. {
        let mut running = false;
        // Another one begins each round: what comes after a large output finds other caches.
        for i in 0..racers.len() {
            let n = racers.len();
            let racer = &mut racers[(i + round) % n];
            running |= racer.sample(settings);
        }
        if !running {
            break;
        }
    }
    let named = contenders.iter().map(|(name, _)| (*name).to_owned());
    named
        .zip(racers)
        .map(|(name, racer)| Measurement {
            name,
            time: racer.finish(settings),
        })
        .collect()
}

/// A call that takes longer is timed once.
const SLOW: Duration = Duration::from_secs(2);

struct Racer<'a> {
    f: &'a dyn Fn() -> Result<Vec<Array>>,
    first: Duration,
    batch: usize,
    /// Seconds a call.
    samples: Vec<f64>,
    spent: Duration,
    failure: Option<Error>,
}

impl<'a> Racer<'a> {
    #[track_caller]
    fn start(f: &'a dyn Fn() -> Result<Vec<Array>>, settings: &Settings) -> Self {
        let mut racer = Racer {
            f,
            first: Duration::ZERO,
            batch: 1,
            samples: Vec::new(),
            spent: Duration::ZERO,
            failure: None,
        };
        if let Err(e) = racer.warm(settings) {
            racer.failure = Some(e);
        }
        racer
    }

    #[track_caller]
    fn warm(&mut self, settings: &Settings) -> Result<()> {
        self.first = self.time(1)?.0;
        let start = Instant::now();
        let (mut one, mut bytes) = self.time(1)?;
        if one > SLOW {
            // Once more, as others may have kept the machine busy.
            one = one.min(self.time(1)?.0);
        }
        if one > SLOW {
            self.samples.push(one.as_secs_f64());
            return Ok(());
        }
        while start.elapsed() < settings.warm_up {
            let (time, size) = self.time(1)?;
            (one, bytes) = (one.min(time), size);
        }
        self.batch = settings.batch_for(one, bytes);
        if self.batch > 1 {
            self.time(self.batch)?;
        }
        Ok(())
    }

    /// The time of `batch` calls, and the bytes that the last one gave.
    #[track_caller]
    fn time(&self, batch: usize) -> Result<(Duration, usize)> {
        let start = Instant::now();
        let mut outputs = Vec::new();
        let mut last = 0;
        for _ in 0..batch {
            last = outputs.len();
            outputs.extend((self.f)()?);
        }
        if !outputs.is_empty() {
            crate::eval(&outputs)?;
        }
        let time = start.elapsed();
        Ok((time, outputs[last..].iter().map(Array::nbytes).sum()))
    }

    /// False when it has enough.
    #[track_caller]
    fn sample(&mut self, settings: &Settings) -> bool {
        let n = self.samples.len();
        let over = self.spent >= settings.time || n >= settings.max_samples;
        let slow = self
            .samples
            .first()
            .is_some_and(|s| *s > SLOW.as_secs_f64());
        if self.failure.is_some() || slow || (n >= settings.min_samples.max(1) && over) {
            return false;
        }
        match self.time(self.batch) {
            Ok((time, _)) => {
                self.spent += time;
                self.samples.push(time.as_secs_f64() / self.batch as f64);
            }
            Err(e) => self.failure = Some(e),
        }
        true
    }

    fn finish(self, settings: &Settings) -> Result<Time> {
        if let Some(e) = self.failure {
            return Err(e);
        }
        let mut us: Vec<f64> = self.samples.iter().map(|s| s * 1e6).collect();
        if settings.fastest {
            us.sort_by(f64::total_cmp);
            us.truncate(us.len().div_ceil(10));
        }
        let median = median(&us);
        Ok(Time {
            median_us: median,
            mad_us: mad(&us, median),
            min_us: us.iter().copied().fold(f64::INFINITY, f64::min),
            first_us: self.first.as_secs_f64() * 1e6,
            samples: us.len(),
            batch: self.batch,
        })
    }
}

/// The middle, or the mean of both middles; NaN of nothing.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => f64::NAN,
        _ => (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0,
    }
}

/// The median distance from the median.
fn mad(values: &[f64], median_of_values: f64) -> f64 {
    let distances: Vec<f64> = values
        .iter()
        .map(|v| (v - median_of_values).abs())
        .collect();
    median(&distances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
        let values = [1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0];
        assert_eq!(mad(&values, median(&values)), 1.0);
        // One slow sample moves neither.
        let values = [10.0, 11.0, 12.0, 13.0, 1e9];
        assert_eq!((median(&values), mad(&values, 12.0)), (12.0, 1.0));
    }

    #[test]
    fn batches_grow_for_short_calls_only() {
        let auto = Settings::default();
        let us = Duration::from_micros;
        assert_eq!(auto.batch_for(us(10), 1000), 10);
        assert_eq!(auto.batch_for(us(1), 1000), 32);
        assert_eq!(auto.batch_for(us(500), 1000), 1);
        assert_eq!(auto.batch_for(us(10), 1 << 20), 4);
        assert_eq!(auto.batch_for(us(10), 1 << 30), 1);
        assert_eq!(auto.clone().batch(7).batch_for(us(500), 1 << 30), 7);
        assert_eq!(auto.clone().batch(7).batch_for(us(500), 3 << 30), 2);
        assert_eq!(auto.batch(7).batch_for(us(500), 9 << 30), 1);
    }
}
