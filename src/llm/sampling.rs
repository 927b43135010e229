//! Which token comes next.

use std::collections::HashSet;

use crate::kernels::attention::logsumexp_lastdim;
use crate::kernels::reductions::topk_lastdim;
use crate::kernels::sampling::{repetition_penalty, sample};
use crate::ops::where_;
use crate::{Array, Dtype, Error, Result};

/// How tokens are chosen from their logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; 0 takes the most likely token.
    pub temperature: f32,
    /// Only so many of the most likely tokens; 0 for all. Limits are applied as
    /// [`kernels::sampling::sample`](crate::kernels::sampling::sample) says.
    pub top_k: usize,
    /// Only the most likely tokens that together have this probability (A. Holtzman and others, "The Curious Case of Neural
    /// Text Degeneration", 2020); 1 for all.
    pub top_p: f32,
    /// Only tokens with at least this share of the most likely one's probability; 0 for all.
    pub min_p: f32,
    /// What logits of tokens that are there already are divided by if positive, multiplied with if negative (N. Keskar and others,
    /// "CTRL", 2019); 1 for none.
    pub repetition_penalty: f32,
    /// What makes the choice repeatable, on every engine and in any company.
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
    /// How many tokens were chosen.
    draws: u64,
    /// Tokens that are there, where repetition is punished.
    seen: HashSet<u32>,
}

impl Sampler {
    /// One that has seen the tokens of the prompt.
    pub fn new(sampling: Sampling, prompt: &[u32]) -> Self {
        let punished = sampling.repetition_penalty != 1.0;
        Sampler {
            draws: 0,
            seen: prompt.iter().copied().filter(|_| punished).collect(),
            sampling,
        }
    }

    /// The next token by the logits of all, (D,); with `top` also the probabilities of it and of so many most likely ones. Logits that
    /// are NaN are never chosen unless all are. **Evaluates** them.
    ///
    /// ```
    /// use zmlx::{Array, llm::{Sampler, Sampling}};
    /// let logits = Array::from_slice(&[0.5f32, 2.0, 1.0], 3)?;
    /// let mut sampler = Sampler::new(Sampling { temperature: 0.8, top_k: 2, seed: 7, ..Sampling::default() }, &[]);
    /// let chosen = sampler.choose(&logits, Some(1))?;
    /// assert!([1, 2].contains(&chosen.token));
    /// assert_eq!(chosen.top[0].0, 1);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for logits of another shape, [`Error::Dtype`](crate::Error::Dtype) for another dtype than
    /// float32, float16 and bfloat16, and what the operations fail with.
    #[track_caller]
    pub fn choose(&mut self, logits: &Array, top: Option<usize>) -> Result<Chosen> {
        if logits.ndim() != 1 {
            return Err(Error::shape(format!(
                "`logits`: expected one axis, got shape {:?}",
                logits.shape()
            )));
        }
        let choice = Choice::new(&logits.expand_dims(0)?, vec![(&*self, top)])?;
        crate::eval(choice.arrays())?;
        let chosen = choice.read()?.swap_remove(0);
        self.took(chosen.token);
        Ok(chosen)
    }

    /// Goes on behind a token that a [`Choice`] gave.
    pub(super) fn took(&mut self, token: u32) {
        self.draws += 1;
        if self.sampling.repetition_penalty != 1.0 {
            self.seen.insert(token);
        }
    }
}

/// The next tokens of several sequences, in the graph.
#[derive(Debug)]
pub(super) struct Choice {
    tokens: Array,
    probabilities: Option<Probabilities>,
    tops: Vec<Option<usize>>,
}

/// Logarithms of probabilities of all rows: of the chosen tokens (R,), of the most likely ones (R, N), and which these are.
#[derive(Debug)]
struct Probabilities {
    chosen: Array,
    best: Option<[Array; 2]>,
}

impl Choice {
    /// Of a row of logits for each sequence, and of how many tokens probabilities are told.
    #[track_caller]
    pub(super) fn new(logits: &Array, rows: Vec<(&Sampler, Option<usize>)>) -> Result<Self> {
        let punished = punished(logits, &rows)?;
        let tokens = draw(punished.as_ref().unwrap_or(logits), &rows)?;
        let tops: Vec<Option<usize>> = rows.iter().map(|r| r.1).collect();
        let probabilities = match tops.iter().flatten().max() {
            Some(&most) => Some(Probabilities::new(logits, &tokens, most)?),
            None => None,
        };
        Ok(Choice {
            tokens,
            probabilities,
            tops,
        })
    }

    /// The tokens, (R,), uint32.
    pub(super) fn tokens(&self) -> &Array {
        &self.tokens
    }

    /// What has to be evaluated.
    pub(super) fn arrays(&self) -> Vec<&Array> {
        let mut all = vec![&self.tokens];
        if let Some(p) = &self.probabilities {
            all.push(&p.chosen);
            all.extend(p.best.iter().flatten());
        }
        all
    }

    /// The tokens, in the order of the rows.
    #[track_caller]
    pub(super) fn read(&self) -> Result<Vec<Chosen>> {
        let tokens = self.tokens.to_vec::<u32>()?;
        let chosen = tokens.iter().map(|&token| Chosen {
            token,
            log_probability: None,
            top: Vec::new(),
        });
        let mut chosen: Vec<Chosen> = chosen.collect();
        let Some(p) = &self.probabilities else {
            return Ok(chosen);
        };
        let own = p.chosen.to_vec::<f32>()?;
        let best = match &p.best {
            Some([values, places]) => {
                let all = places.to_vec::<u32>()?.into_iter();
                all.zip(values.to_vec::<f32>()?).collect()
            }
            None => Vec::new(),
        };
        let each = best.len() / tokens.len().max(1);
        for (row, (chosen, top)) in chosen.iter_mut().zip(&self.tops).enumerate() {
            if let Some(top) = *top {
                chosen.log_probability = Some(own[row]);
                chosen.top = best[row * each..][..top.min(each)].to_vec();
            }
        }
        Ok(chosen)
    }
}

impl Probabilities {
    #[track_caller]
    fn new(logits: &Array, tokens: &Array, most: usize) -> Result<Self> {
        let logits = logits.astype(Dtype::Float32)?;
        let least = Array::full((), f32::NEG_INFINITY, Dtype::Float32)?;
        let logits = where_(&logits.isnan()?, &least, &logits)?;
        let total = logsumexp_lastdim(&logits)?.expand_dims(-1)?;
        let own = logits.take_along_axis(&tokens.expand_dims(-1)?, -1)?;
        let most = most.min(logits.shape()[1] as usize);
        let best = match most {
            0 => None,
            _ => {
                let (values, places) = topk_lastdim(&logits, most)?;
                Some([values.subtract(&total)?, places])
            }
        };
        Ok(Probabilities {
            chosen: own.subtract(&total)?.squeeze(-1)?,
            best,
        })
    }
}

/// The logits with those of tokens that are there made less likely, where a sequence wants it.
#[track_caller]
fn punished(logits: &Array, rows: &[(&Sampler, Option<usize>)]) -> Result<Option<Array>> {
    let Some(most) = rows.iter().map(|r| r.0.seen.len()).max().filter(|&n| n > 0) else {
        return Ok(None);
    };
    // A size in steps, so that not every token makes arrays of another size.
    let width = most.next_power_of_two();
    let mut tokens = vec![-1i64; rows.len() * width];
    for (row, (sampler, _)) in tokens.chunks_mut(width).zip(rows) {
        for (place, &token) in row.iter_mut().zip(&sampler.seen) {
            *place = token.into();
        }
    }
    let tokens = Array::from_slice(&tokens, (rows.len(), width))?;
    let penalties = rows.iter().map(|r| r.0.sampling.repetition_penalty);
    let penalties = Array::from_iter(penalties)?;
    repetition_penalty(logits, &tokens, &penalties).map(Some)
}

#[track_caller]
fn draw(logits: &Array, rows: &[(&Sampler, Option<usize>)]) -> Result<Array> {
    if rows.iter().all(|r| r.0.sampling.temperature == 0.0) {
        return sample(logits).temperature(0.0).call();
    }
    let floats =
        |of: fn(&Sampling) -> f32| Array::from_iter(rows.iter().map(|r| of(&r.0.sampling)));
    let integers = |of: fn(&Sampler) -> u64| Array::from_iter(rows.iter().map(|r| of(r.0) as i64));
    sample(logits)
        .temperature(&floats(|s| s.temperature)?)
        .top_k(&integers(|s| s.sampling.top_k.min(1 << 24) as u64)?)
        .top_p(&floats(|s| s.top_p)?)
        .min_p(&floats(|s| s.min_p)?)
        .seed(&integers(|s| s.sampling.seed)?)
        .draw(&integers(|s| s.draws)?)
        .call()
}

/// A function, as a closure would be taken for the caller.
#[track_caller]
fn within(name: &str, n: f32, low: f32, high: f32) -> Result<()> {
    if n >= low && n <= high {
        return Ok(());
    }
    let expected = format!("a number from {low} to {high}");
    Err(Error::argument(name, expected, n))
}
