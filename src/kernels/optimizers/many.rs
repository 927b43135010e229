//! Steps of four small arrays by one launch: a model has many arrays of a few hundred elements, each of which costs a launch.

use std::fmt::Write as _;

use crate::metal::{Made, build_once};
use crate::{Array, Dtype, Error, MetalKernel, Result};

/// Arrays of a launch. Each has four inputs and three results, and a kernel has 30 buffers.
pub(crate) const FOUR: usize = 4;

/// The numbers of a step, the same for all arrays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) rate: f64,
    /// From 1.
    pub(crate) step: f64,
    pub(crate) betas: (f64, f64),
    pub(crate) eps: f64,
    pub(crate) decay: f64,
}

/// Whether a step of this size shares a launch. Below 8 elements an array lies in another address space; from some size on a GPU has
/// work enough for a launch of its own.
pub(crate) fn is_small(size: usize) -> bool {
    (8..=1 << 16).contains(&size)
}

/// [`adamw_step`](super::adamw_step) of four times `p`, `g`, `m`, `v`, checked by the caller: each four of one shape and small, all `p` of
/// one dtype, all `g` of one dtype, moments in float32. The results are `[p', m', v']` of each.
#[track_caller]
pub(crate) fn adamw_four(arrays: [[&Array; 4]; FOUR], with: &Numbers) -> Result<Vec<[Array; 3]>> {
    static MADE: Made<MetalKernel> = Made::new();
    let named = |names: &[&str]| -> Vec<String> {
        let each = (0..FOUR).flat_map(|k| names.iter().map(move |n| format!("{n}{k}")));
        each.collect()
    };
    let mut inputs = named(&["p", "g", "m", "v"]);
    inputs.push("numbers".into());
    let outputs = named(&["p_new", "m_new", "v_new"]);
    let [inputs, outputs] =
        [&inputs, &outputs].map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
    let kernel = build_once(&MADE, "adamw_four", &inputs, &outputs, source)?;

    let sizes = arrays.map(|[p, ..]| p.size());
    let one = |beta: f64| -(beta.ln().exp_m1());
    let corrected = |beta: f64| -1.0 / (with.step * beta.ln()).exp_m1();
    let (first, second) = with.betas;
    let numbers = [
        one(first),
        one(second),
        corrected(first),
        corrected(second),
        with.rate,
        with.eps,
        with.decay,
    ];
    // Sizes are small enough to be exact.
    let numbers: Vec<f32> = numbers
        .into_iter()
        .map(|n| n as f32)
        .chain(sizes.map(|n| n as f32))
        .collect();
    let numbers = Array::from_slice(&numbers, numbers.len())?;
    let mut all: Vec<&Array> = arrays.into_iter().flatten().collect();
    all.push(&numbers);
    let mut launch = kernel.launch(&all);
    for [p, ..] in arrays {
        launch.set_output(p.shape(), p.dtype());
        launch.set_output(p.shape(), Dtype::Float32);
        launch.set_output(p.shape(), Dtype::Float32);
    }
    launch.set_template("T", arrays[0][0].dtype().into());
    let most = sizes.into_iter().max().unwrap_or(1);
    launch.set_grid((most as i64, FOUR as i64));
    launch.set_threadgroup(256);
    let mut results = launch.run_vec()?.into_iter();
    let mut next = || {
        let missing = || Error::argument("outputs", 3 * FOUR, "fewer");
        results.next().ok_or_else(missing)
    };
    (0..FOUR).map(|_| Ok([next()?, next()?, next()?])).collect()
}

/// A thread takes an element of one array: the arrays are the rows of the grid.
fn source() -> String {
    let mut text = String::from(
        "const size_t i = thread_position_in_grid.x;\n\
         const uint which = thread_position_in_grid.y;\n\
         const float k1 = numbers[0], k2 = numbers[1], c1 = numbers[2], c2 = numbers[3];\n\
         const float lr = numbers[4], eps = numbers[5], wd = numbers[6];\n",
    );
    for k in 0..FOUR {
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "if (which == {k} && i < size_t(numbers[{at}])) {{\n\
               const float x = float(p{k}[i]), d = float(g{k}[i]);\n\
               const float first = (1.0f - k1) * m{k}[i] + k1 * d, second = (1.0f - k2) * v{k}[i] + k2 * (d * d);\n\
               p_new{k}[i] = T(x - lr * (first * c1 / (metal::sqrt(second * c2) + eps) + wd * x));\n\
               m_new{k}[i] = first;\n\
               v_new{k}[i] = second;\n\
             }}\n",
            at = 7 + k
        );
    }
    text
}
