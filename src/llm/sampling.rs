//! Which token comes next.

use crate::{Error, Result};

/// How tokens are chosen from their logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; 0 takes the most likely token.
    pub temperature: f32,
    /// Only so many of the most likely tokens; 0 for all.
    pub top_k: usize,
    /// Only the most likely tokens that together have this probability (A. Holtzman and others, "The Curious Case of Neural
    /// Text Degeneration", 2020); 1 for all.
    pub top_p: f32,
    /// Only tokens with at least this share of the most likely one's probability; 0 for all.
    pub min_p: f32,
    /// What logits of tokens that are there already are divided by if positive, multiplied with if negative (N. Keskar and others,
    /// "CTRL", 2019); 1 for none.
    pub repetition_penalty: f32,
    /// What makes the choice repeatable.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 0,
        }
    }
}

impl Sampling {
    /// Refuses numbers that mean nothing.
    ///
    /// # Errors
    /// [`Error::Argument`] with the name of the number.
    #[track_caller]
    pub fn check(&self) -> Result<()> {
        let within = |name: &str, n: f32, low: f32, high: f32| {
            if n >= low && n <= high {
                return Ok(());
            }
            Err(Error::argument(
                name,
                format_args!("a number from {low} to {high}"),
                n,
            ))
        };
        within("temperature", self.temperature, 0.0, 100.0)?;
        within("top_p", self.top_p, 0.0, 1.0)?;
        within("min_p", self.min_p, 0.0, 1.0)?;
        within("repetition_penalty", self.repetition_penalty, 0.01, 100.0)
    }
}

/// A chosen token.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// Its number.
    pub token: u32,
    /// The logarithm of its probability by the model, before temperature and the like, where probabilities were asked for.
    pub log_probability: Option<f32>,
    /// The most likely tokens with theirs, as many as were asked for.
    pub top: Vec<(u32, f32)>,
}

/// Chooses the tokens of one sequence.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    state: u64,
    /// Tokens that are there, where repetition is punished.
    seen: std::collections::HashSet<u32>,
}

impl Sampler {
    /// One that has seen the tokens of the prompt.
    pub fn new(sampling: Sampling, prompt: &[u32]) -> Self {
        let punished = sampling.repetition_penalty != 1.0;
        Sampler {
            state: sampling.seed,
            seen: prompt.iter().copied().filter(|_| punished).collect(),
            sampling,
        }
    }

    /// The next token by the logits of all; with `top` also the probabilities of it and of so many most likely ones. Logits that are
    /// NaN are never chosen unless all are.
    pub fn choose(&mut self, logits: &[f32], top: Option<usize>) -> Chosen {
        // Of a large vocabulary it takes as long as all the rest.
        let total = top.map(|_| log_sum_exp(logits));
        let best = |count: usize| {
            let mut order: Vec<u32> = (0..logits.len() as u32).collect();
            let by = |a: &u32, b: &u32| better(logits, *a, *b);
            if count < order.len() {
                order.select_nth_unstable_by(count, by);
                order.truncate(count);
            }
            order.sort_unstable_by(by);
            order
        };
        let tops = match top.zip(total) {
            None | Some((0, _)) => Vec::new(),
            Some((top, total)) => best(top)
                .into_iter()
                .map(|t| (t, logits[t as usize] - total))
                .collect(),
        };
        let token = if self.sampling.repetition_penalty == 1.0 {
            self.pick(logits)
        } else {
            let mut punished = logits.to_vec();
            for &token in &self.seen {
                if let Some(logit) = punished.get_mut(token as usize) {
                    let penalty = self.sampling.repetition_penalty;
                    *logit = if *logit > 0.0 {
                        *logit / penalty
                    } else {
                        *logit * penalty
                    };
                }
            }
            let token = self.pick(&punished);
            self.seen.insert(token);
            token
        };
        Chosen {
            token,
            log_probability: total.and_then(|total| Some(logits.get(token as usize)? - total)),
            top: tops,
        }
    }

    fn pick(&mut self, logits: &[f32]) -> u32 {
        let first = most_likely(logits);
        let Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
            ..
        } = self.sampling;
        if temperature == 0.0 || top_k == 1 {
            return first;
        }
        // Relative to the largest, so that the exponentials stay below 1.
        let largest = logits.get(first as usize).copied().unwrap_or(0.0);
        // What is below exp(-40) of the largest is never chosen: all of a vocabulary together are far below the numbers' rounding.
        let least = largest - 40.0 * temperature;
        let mut kept: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
        kept.retain(|(_, logit)| *logit >= least);
        for (_, weight) in &mut kept {
            *weight = ((*weight - largest) / temperature).exp();
        }
        kept.retain(|(_, weight)| *weight >= min_p);
        let by = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if top_k > 0 && top_k < kept.len() {
            kept.select_nth_unstable_by(top_k, by);
            kept.truncate(top_k);
        }
        if top_p < 1.0 {
            kept.sort_unstable_by(by);
            let limit = f64::from(top_p) * kept.iter().map(|(_, w)| f64::from(*w)).sum::<f64>();
            let mut sum = 0.0;
            // The one that crosses the limit stays.
            let count = kept.iter().take_while(|(_, w)| {
                let before = sum;
                sum += f64::from(*w);
                before < limit
            });
            let count = count.count().max(1);
            kept.truncate(count);
        }
        let total: f64 = kept.iter().map(|(_, w)| f64::from(*w)).sum();
        let mut point = self.uniform() * total;
        for (token, weight) in &kept {
            point -= f64::from(*weight);
            if point < 0.0 {
                return *token;
            }
        }
        // Rounding may leave a little behind the last one.
        kept.last().map_or(first, |(token, _)| *token)
    }

    /// Uniform in [0, 1): splitmix64 (G. Steele and others, "Fast Splittable Pseudorandom Number Generators", 2014).
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The first of the largest logits.
fn most_likely(logits: &[f32]) -> u32 {
    let (mut best, mut at) = (f32::NEG_INFINITY, 0);
    for (number, &logit) in (0..).zip(logits) {
        // False for NaN.
        if logit > best {
            (best, at) = (logit, number);
        }
    }
    at
}

/// The larger logit first, of equal ones the lower token, NaN last.
fn better(logits: &[f32], a: u32, b: u32) -> std::cmp::Ordering {
    let of = |t: u32| {
        let logit = logits[t as usize];
        if logit.is_nan() {
            f32::NEG_INFINITY
        } else {
            logit
        }
    };
    of(b).total_cmp(&of(a)).then(a.cmp(&b))
}

fn log_sum_exp(logits: &[f32]) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|l| f64::from(l - largest).exp()).sum();
    largest + sum.ln() as f32
}
