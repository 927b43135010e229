//! Mixtures of experts: which experts a token goes to, the tokens in the order of their experts, and back.

mod gate;
mod table;

pub(super) use table::TABLE;

use gate::Gate;

use super::arguments::{check_float, check_integers, check_shape, number};
use super::moving::{self, SHARE, gather, only, over, scatter, share, sizes};
use super::selection::{check_width, two};
use crate::metal::{Made, build_once};
use crate::ops::concatenate;
use crate::transforms::rules::{Rules, apply, each};
use crate::{Array, Dtype, Error, MetalKernel, Result};

/// The two largest of the last axis: the softmax of both, and their indices. Of equal ones the first comes first.
///
/// `x`: (..., E), float32, float16 or bfloat16, with E of at least 1. The weights are (..., 2) of its dtype, the larger one first,
/// and add up to 1: the softmax over all experts, divided by what both have of it. The indices are (..., 2), uint32. With one expert
/// the weights are 1 and 0, the indices 0 and 0. NaN counts as the largest number and makes both weights NaN; two equal
/// infinities weigh a half each.
///
/// The weights are differentiable any number of times.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 2.0, 1.0, 2.0], 4)?;
/// let (weights, indices) = kernels::moe::top2_gating_softmax(&x)?;
/// assert_eq!(weights.to_vec::<f32>()?, [0.5, 0.5]);
/// assert_eq!(indices.to_vec::<u32>()?, [1, 3]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for a scalar or E = 0, [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn top2_gating_softmax(x: &Array) -> Result<(Array, Array)> {
    check_float("x", x)?;
    check_width(x, 1)?;
    if x.shape().last() == Some(&1) {
        let one = x.ones_like()?;
        let weights = concatenate([&one, &one.zeros_like()?], -1)?;
        let indices = Array::zeros(weights.shape(), Dtype::Uint32)?;
        return Ok((weights, indices));
    }
    two(apply(&Gate, &[x])?)
}

/// Tokens in the order of the experts that they go to: what [`moe_dispatch`] gives.
///
/// Slot k of token t is row `places[t, k]`. Rows `starts[e]` to `starts[e + 1]` belong to expert e, in the order of tokens.
pub struct Dispatch {
    /// (T K, D), where T is the number of tokens: a copy of the token for each slot. Behind the last expert's rows stand
    /// zeros for the slots that go to none.
    pub rows: Array,
    /// (T K,), uint32: the expert of each row, in ascending order; the number of experts for rows of none.
    pub experts: Array,
    /// (experts + 1,), uint32: where the rows of each expert begin.
    pub starts: Array,
    /// (..., K), uint32: the row of each slot; 4294967295 for a slot that goes to no expert.
    pub places: Array,
}

/// Brings tokens to the experts that `indices` name.
///
/// `x`: (..., D), float32, float16 or bfloat16; `indices`: (..., K), integers of any dtype, K of at least 1: the experts of each
/// token, from 0 to `experts` - 1. A slot with another number goes to no expert, and [`Dispatch::combine`] adds nothing for it.
///
/// The original's `moe_dispatch(x, indices)` gives (..., K, D) and never looks at the values of `indices`, so that what follows cannot
/// tell which expert a row is for. Here the rows are grouped by expert, as products of experts want them. How many experts there
/// are is an argument of its own, as the length of [`starts`](Dispatch::starts) follows from it, and no shape depends on
/// values that are not computed yet.
///
/// Differentiable any number of times in `x`; gradients of slots are added in float32, in order.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[10.0f32, 20.0], (2, 1))?;
/// let indices = Array::from_slice(&[2u32, 0, 0, 1], (2, 2))?;
/// let sent = kernels::moe::moe_dispatch(&x, &indices, 3)?;
/// assert_eq!(sent.rows.to_vec::<f32>()?, [10.0, 20.0, 20.0, 10.0]);
/// assert_eq!(sent.experts.to_vec::<u32>()?, [0, 0, 1, 2]);
/// assert_eq!(sent.starts.to_vec::<u32>()?, [0, 2, 3, 4]);
/// // Expert e multiplies by e + 1.
/// let scales = (sent.experts.astype(zmlx::Dtype::Float32)? + 1.0)?.expand_dims(1)?;
/// let weights = Array::from_slice(&[0.5f32, 0.5, 0.25, 0.75], (2, 2))?;
/// let y = sent.combine(&(&sent.rows * &scales)?, &weights)?;
/// assert_eq!(y.to_vec::<f32>()?, [20.0, 35.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] where the shapes do not fit each other, [`Error::Dtype`] for other dtypes, [`Error::Argument`] for no experts
/// or more than 2^31 - 2.
#[track_caller]
pub fn moe_dispatch(x: &Array, indices: &Array, experts: usize) -> Result<Dispatch> {
    check_float("x", x)?;
    check_integers("indices", indices)?;
    let [leading @ .., width] = x.shape() else {
        return Err(Error::shape(
            "`x`: expected an array with at least one axis, got a scalar".into(),
        ));
    };
    let k = match indices.shape() {
        [tokens @ .., k] if tokens == leading && *k > 0 => *k,
        found => {
            return Err(Error::shape(format!(
                "`indices`: expected shape {leading:?} and an axis of at least 1, got {found:?}"
            )));
        }
    };
    if experts == 0 || experts >= i32::MAX as usize {
        return Err(Error::argument(
            "experts",
            "a number from 1 to 2^31 - 2",
            experts,
        ));
    }
    let tokens: i64 = leading.iter().map(|&n| i64::from(n)).product();
    let Ok(slots) = i32::try_from(tokens * i64::from(k)) else {
        let expected = "fewer than 2^31 tokens times slots";
        return Err(Error::argument("indices", expected, tokens * i64::from(k)));
    };
    if slots == 0 {
        return Ok(Dispatch {
            rows: Array::zeros((0, *width), x.dtype())?,
            experts: Array::zeros(0, Dtype::Uint32)?,
            starts: Array::zeros(experts as i32 + 1, Dtype::Uint32)?,
            places: Array::zeros(indices.shape(), Dtype::Uint32)?,
        });
    }
    // Nothing flows through the choice.
    let flat = indices.stop_gradient()?.reshape(slots)?;
    let keys = moving::sorted_keys(&flat, experts, false)?;
    let [tokens_of, experts_of, places] = slots_of(&keys, k, experts)?;
    let starts = moving::starts(&keys, experts)?.astype(Dtype::Uint32)?;
    let flat_x = x.reshape((tokens as i32, *width))?;
    Ok(Dispatch {
        rows: gather(&flat_x, &tokens_of)?,
        experts: experts_of,
        starts,
        places: places.reshape(indices.shape())?,
    })
}

impl Dispatch {
    /// Adds up what the experts made of a token's rows: `sum over k of weights[t, k] outputs[places[t, k]]`.
    ///
    /// `outputs`: (T K, C), a row for each of [`rows`](Dispatch::rows); `weights`: (..., K); both float32, float16 or bfloat16.
    /// The result is (..., C) of the dtype of `outputs`. Added in float32. Differentiable any number of times in both.
    ///
    /// # Errors
    /// [`Error::Shape`] where the shapes do not fit each other, [`Error::Dtype`] for another dtype.
    #[track_caller]
    pub fn combine(&self, outputs: &Array, weights: &Array) -> Result<Array> {
        check_float("outputs", outputs)?;
        check_float("weights", weights)?;
        check_shape("weights", weights, self.places.shape())?;
        let slots = self.places.size() as i32;
        let width = match outputs.shape() {
            &[rows, width] if rows == slots => width,
            found => {
                return Err(Error::shape(format!(
                    "`outputs`: expected shape ({slots}, C), got {found:?}"
                )));
            }
        };
        let [leading @ .., k] = self.places.shape() else {
            return Err(Error::shape("`places`: expected an axis of slots".into()));
        };
        let shape = [leading, &[width]].concat();
        if slots == 0 {
            return Array::zeros(shape, outputs.dtype());
        }
        let weights = weights.reshape((slots / k, *k))?;
        let places = self.places.reshape((slots / k, *k))?;
        let combine = Combine { slots: false };
        only(apply(&combine, &[outputs, &weights, &places])?)?.reshape(shape)
    }
}

/// The weighted sum of each token's slots: `sum over k of weights[..., k] expert_outputs[..., k, :]`.
///
/// `expert_outputs`: (..., K, D); `weights`: (..., K); both float32, float16 or bfloat16. The result is (..., D) of the dtype of
/// `expert_outputs`. Added in float32. Rows that are grouped by expert go through [`Dispatch::combine`].
///
/// Differentiable any number of times in both.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let outputs = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let weights = Array::from_slice(&[0.25f32, 0.5], 2)?;
/// assert_eq!(kernels::moe::moe_combine(&outputs, &weights)?.to_vec::<f32>()?, [1.75, 2.5]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] where the shapes do not fit each other, [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn moe_combine(expert_outputs: &Array, weights: &Array) -> Result<Array> {
    check_float("expert_outputs", expert_outputs)?;
    check_float("weights", weights)?;
    let [leading @ .., k, width] = expert_outputs.shape() else {
        return Err(Error::shape(format!(
            "`expert_outputs`: expected shape (..., K, D), got {:?}",
            expert_outputs.shape()
        )));
    };
    check_shape("weights", weights, &[leading, &[*k]].concat())?;
    let shape = [leading, &[*width]].concat();
    if expert_outputs.size() == 0 {
        return Array::zeros(shape, expert_outputs.dtype());
    }
    let slots = super::arguments::count("weights", weights)?;
    let rows = expert_outputs.reshape((slots, *width))?;
    let weights = weights.reshape((slots / k, *k))?;
    only(apply(&Combine { slots: true }, &[&rows, &weights])?)?.reshape(shape)
}

/// Of sorted keys: the token of each row (int64, -1 for none), its expert, and the row of each slot.
#[track_caller]
fn slots_of(keys: &Array, k: i32, experts: usize) -> Result<[Array; 3]> {
    static MADE: Made<MetalKernel> = Made::new();
    let names = ["keys", "slots", "known"];
    let outputs = ["tokens", "experts", "places"];
    let kernel = build_once(&MADE, "moe_slots", &names, &outputs, || {
        "const size_t count = keys_shape[0];\n\
         const size_t i = size_t(thread_position_in_grid.y) * threads_per_grid.x + thread_position_in_grid.x;\n\
         if (i >= count) return;\n\
         const size_t key = size_t(keys[i]), expert = key / count, slot = key - expert * count;\n\
         const bool valid = expert < size_t(known);\n\
         tokens[i] = valid ? long(slot / slots) : long(-1) - long(count);\n\
         experts[i] = uint(expert);\n\
         places[slot] = valid ? uint(i) : 0xffffffffu;"
            .into()
    })?;
    let (slots, known) = (number(k as u32)?, number(experts as i64)?);
    let inputs = [keys, &*slots, &*known];
    let mut launch = kernel.launch(&inputs);
    launch.set_output(keys.shape(), Dtype::Int64);
    launch.set_output(keys.shape(), Dtype::Uint32);
    launch.set_output(keys.shape(), Dtype::Uint32);
    over(&mut launch, keys.size());
    launch.add()
}

fn wide(a: &Array) -> Result<Array> {
    a.astype(Dtype::Float32)
}

/// Rows (R, D), weights (T, K), and places (T, K) unless slot k of token t is row t K + k.
#[derive(Clone)]
struct Combine {
    slots: bool,
}

impl Rules for Combine {
    fn name(&self) -> &str {
        "moe_combine"
    }

    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        static MADE: [Made<MetalKernel>; 2] = [const { Made::new() }; 2];
        let (rows, weights) = (inputs[0], inputs[1]);
        let (_, width) = sizes(rows);
        let (tokens, _) = sizes(weights);
        if tokens * width == 0 {
            return Ok(vec![Array::zeros((tokens, width), rows.dtype())?]);
        }
        let names = ["x", "weights", "places"];
        let (name, list) = match self.slots {
            true => ("moe_combine_slots", "kk_slots(weights, "),
            false => ("moe_combine", "kk_weighed(places, weights, "),
        };
        let names = &names[..inputs.len()];
        let kernel = build_once(
            &MADE[usize::from(self.slots)],
            name,
            names,
            &["out"],
            || {
                format!(
                    "const size_t rows = weights_shape[0], slots = weights_shape[1], n = x_shape[1], count = x_shape[0];\n{SHARE}\
                 kk_add_rows<VEC>(x, count, n, {list}row * slots, (row + 1) * slots), out + row * n, from, to);"
                )
            },
        )?;
        let shape = [tokens as i32, width as i32];
        let mut launch = kernel.launch(inputs);
        let dtype = rows.dtype();
        launch.set_output(&shape, dtype);
        share(&mut launch, tokens, width, dtype, dtype, true);
        let [out] = launch.add()?;
        Ok(vec![out])
    }

    fn vjp(&self, p: &[Array], g: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        let (rows, weights) = (&p[0], &p[1]);
        let (count, width) = sizes(rows);
        let (tokens, k) = sizes(weights);
        let g = wide(&g[0])?.expand_dims(1)?;
        let sent = wide(weights)?.expand_dims(2)?.multiply(&g)?;
        let sent = sent.astype(rows.dtype())?.reshape((tokens * k, width))?;
        let (drows, fetched) = match p.get(2) {
            None => (sent, rows.clone()),
            Some(places) => {
                let flat = places.reshape((tokens * k) as i32)?;
                (scatter(&sent, &flat, count, false)?, gather(rows, &flat)?)
            }
        };
        let fetched = wide(&fetched)?.reshape((tokens, k, width))?;
        let dweights = fetched.multiply(&g)?.sum(-1)?.astype(weights.dtype())?;
        let mut gradients = vec![drows, dweights];
        if let Some(places) = p.get(2) {
            gradients.push(places.zeros_like()?);
        }
        Ok(gradients)
    }

    fn jvp(&self, p: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let mut sum: Option<Array> = None;
        for i in 0..2 {
            let Some(t) = tangents[i] else { continue };
            let mut all: Vec<&Array> = p.iter().collect();
            all[i] = t;
            let part = only(apply(self, &all)?)?;
            sum = Some(match sum {
                Some(other) => other.add(&part)?,
                None => part,
            });
        }
        Ok(vec![match sum {
            Some(t) => t,
            None => Array::zeros((sizes(&p[1]).0, sizes(&p[0]).1), p[0].dtype())?,
        }])
    }

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        each(inputs, axes, |one| apply(self, one))
    }
}
