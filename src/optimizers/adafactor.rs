//! Adafactor.

use super::optimizer::Optimizer;
use super::rule::{Changed, Item, Rule, Step};
use super::schedule::inverse_root;
use super::{moved, wide, zeros_like};
use crate::{Array, Dtype, Result, keepdims};

/// Adafactor (N. Shazeer and M. Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018, algorithms 4 and 5): the
/// second moment of a matrix is kept as means of its rows and columns, updates whose root mean square is above 1 are cut to
/// that, and the rate counts relative to that of the parameter.
///
/// Of more than two axes, the last two are rows and columns.
///
/// ```
/// use zmlx::{Array, nn::Tree, optim};
/// let mut model = Tree::from_iter([("w".to_owned(), Array::from(1.0f32))]);
/// let slope = Tree::from_iter([("w".to_owned(), Array::from(5.0f32))]);
/// let mut optimizer = optim::Adafactor::new(0.125).relative(false).weight_decay(0.0);
/// optimizer.update(&mut model, slope)?;
/// // The first step is as long as the rate, whatever the gradient.
/// assert!((model.get("w")?.item::<f32>()? - 0.875).abs() < 1e-5);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub type Adafactor = Optimizer<AdafactorRule>;

/// The rule of [`Adafactor`].
#[derive(Clone, Debug)]
pub struct AdafactorRule {
    clip: f64,
    decay_power: f64,
    decay: f64,
    relative: bool,
}

/// Added to squares of gradients.
const EPS1: f32 = 1e-30;
/// The least root mean square of a parameter that counts.
const EPS2: f32 = 1e-3;

impl Optimizer<AdafactorRule> {
    /// At a rate that is a part of each parameter's root mean square.
    pub fn new(rate: f64) -> Self {
        let rule = AdafactorRule {
            clip: 1.0,
            decay_power: 0.8,
            decay: 0.0,
            relative: true,
        };
        Optimizer::of(rule, rate)
    }

    /// At the rate of the paper, `min(0.01, 1 / sqrt(step))` of each parameter's root mean square.
    ///
    /// ```
    /// use zmlx::{Array, nn::Tree, optim};
    /// let mut model = Tree::from_iter([("w".to_owned(), Array::from(2.0f32))]);
    /// let slope = Tree::from_iter([("w".to_owned(), Array::from(5.0f32))]);
    /// optim::Adafactor::of_the_paper().update(&mut model, slope)?;
    /// assert!((model.get("w")?.item::<f32>()? - 1.98).abs() < 1e-5); // a hundredth of 2
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn of_the_paper() -> Self {
        Self::new(1.0).schedule(inverse_root(0.01))
    }

    /// Whether the rate is a part of each parameter's root mean square (default), or the same for all.
    pub fn relative(mut self, relative: bool) -> Self {
        self.rule.relative = relative;
        self
    }

    /// How much of the parameter goes away, times the rate.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.rule.decay = decay;
        self
    }
}

/// Root of the mean of squares.
#[track_caller]
fn rms(a: &Array) -> Result<Array> {
    a.square()?.mean(..)?.sqrt()
}

impl Rule for AdafactorRule {
    fn slots(&self, _: &str, value: &Array) -> &'static [&'static str] {
        match value.ndim() {
            0 | 1 => &["v"],
            _ => &["rows", "columns"],
        }
    }

    fn start(&self, _: &str, value: &Array) -> Result<Vec<Array>> {
        let [leading @ .., rows, columns] = value.shape() else {
            return Ok(vec![zeros_like(value)?]);
        };
        let zeros = |n: &i32| Array::zeros([leading, &[*n]].concat(), Dtype::Float32);
        Ok(vec![zeros(rows)?, zeros(columns)?])
    }

    fn change(&self, _: &str, item: &Item<'_>, step: &Step) -> Result<Changed> {
        if item.value.size() == 0 {
            return Ok((item.value.clone(), item.kept.to_vec()));
        }
        let grad = wide(item.grad)?;
        let squares = grad.square()?.add(EPS1)?;
        // What of the mean is new: t^-0.8, all of it at the first step.
        let share = step.number.powf(-self.decay_power)?;
        let mixed = |old: &Array, new: &Array| old.add(share.of(&new.subtract(old)?)?);
        let (kept, second) = match item.kept {
            [rows, columns] => {
                let rows = mixed(rows, &squares.mean(-1)?)?;
                let columns = mixed(columns, &squares.mean(-2)?)?;
                let part = rows.divide(rows.mean(keepdims(-1))?)?.expand_dims(-1)?;
                let second = part.multiply(columns.expand_dims(-2)?)?;
                (vec![rows, columns], second)
            }
            [v, ..] => {
                let v = mixed(v, &squares)?;
                (vec![v.clone()], v)
            }
            [] => return Err(crate::Error::argument("state", "moments", "none")),
        };
        let update = grad.multiply(second.rsqrt()?)?;
        let over = rms(&update)?
            .multiply((1.0 / self.clip) as f32)?
            .maximum(1.0f32)?;
        let mut update = update.divide(&over)?;
        if self.relative {
            update = update.multiply(rms(&wide(item.value)?)?.maximum(EPS2)?)?;
        }
        Ok((moved(item.value, &update, self.decay, &step.rate)?, kept))
    }
}
