//! Optimizers: how gradients change parameters.
//!
//! [`Optimizer::update`] changes the trained parameters of a module. What an optimizer keeps for each parameter is a tree, too: it is
//! evaluated with the model, saved and loaded. It is in float32 where parameters have 16 bits. [`Schedule`]s change the rate,
//! [`Optimizer::group`] has other settings for some parameters.
//!
//! ```
//! use zmlx::nn::{self, ModuleExt};
//! use zmlx::optim;
//! use zmlx::prelude::*;
//! # fn main() -> zmlx::Result<()> {
//! let mut model = nn::Linear::new(4, 2, &mut nn::Init::seed(7))?;
//! let mut optimizer = optim::AdamW::new(3e-4)
//!     .weight_decay(0.1)
//!     .schedule(optim::warmup(10).then(optim::cosine(300)))
//!     .group(|name| name.ends_with("bias"), |o| o.weight_decay(0.0));
//! let step = nn::value_and_grad(&model, |m, x: &Array| m.forward(x)?.square()?.mean(..));
//! let (loss, grads) = step(&model, &Array::ones((3, 4), F32)?)?;
//! optimizer.update(&mut model, nn::clip_norm(grads, 1.0)?)?;
//! nn::eval_all((&model, &optimizer, &loss))?;
//!
//! let state = optimizer.state()?; // "bias.m", "bias.v", ..., "step"
//! let mut resumed = optim::AdamW::new(3e-4);
//! resumed.load_state(&model, &state)?;
//! assert_eq!(resumed.step(), 1);
//! # Ok(())
//! # }
//! ```

mod adafactor;
mod adam;
mod flat;
mod lion;
mod muon;
mod num;
mod optimizer;
mod rule;
mod schedule;
mod sgd;

pub use self::adafactor::{Adafactor, AdafactorRule};
pub use self::adam::{Adam, AdamRule, AdamW, AdamWRule};
pub use self::flat::Flats;
pub use self::lion::{Lion, LionRule};
pub use self::muon::{Muon, MuonRule};
pub use self::optimizer::Optimizer;
pub use self::rule::{Changed, Item, Rule, Step};
pub use self::schedule::{
    Schedule, constant, cosine, exponential, inverse_root, linear, steps, warmup,
};
pub use self::sgd::{Sgd, SgdRule};

use crate::{Array, Dtype, Result};

/// The same in float32.
#[track_caller]
fn wide(a: &Array) -> Result<Array> {
    a.astype(Dtype::Float32)
}

/// Zeros of a parameter's shape, in float32.
#[track_caller]
fn zeros_like(a: &Array) -> Result<Array> {
    Array::zeros(a.shape(), Dtype::Float32)
}

/// `value (1 - rate decay) - rate update`, in float32, and back in the parameter's dtype.
#[track_caller]
fn moved(value: &Array, update: &Array, decay: f64, rate: &num::Num) -> Result<Array> {
    let wide_value = wide(value)?;
    let all = match decay == 0.0 {
        true => update.clone(),
        false => update.add(wide_value.multiply(decay as f32)?)?,
    };
    wide_value.subtract(rate.of(&all)?)?.astype(value.dtype())
}
