//! Functions of the catalog as operations: forward and backward by kernels, the rest from a
//! composite of MLX's operations.

use crate::transforms::rules::{Rules, apply, mapped_first};
use crate::{Array, Dtype, Error, Result, jvp, vjp};

/// Gradients from parameters, inputs, cotangents and outputs.
type Vjp<P> = fn(&P, &[Array], &[Array], &[Array]) -> Result<Vec<Array>>;

/// What a function of the catalog consists of. `P` are the arguments that are no arrays.
///
/// Outputs beyond those that the user sees are what the backward kernels need again.
pub(crate) struct Op<P: 'static> {
    pub name: &'static str,
    /// How many inputs, from the first on, may have any number of leading axes in common. The
    /// others are shared by all rows.
    pub rows: usize,
    /// How many outputs the user sees; they have the dtype of the first input.
    pub visible: usize,
    /// By kernels.
    pub forward: fn(&P, &[&Array]) -> Result<Vec<Array>>,
    /// Gradients of all inputs, by kernels; zeros for an input without one.
    pub vjp: Vjp<P>,
    /// The same outputs by MLX's operations in the inputs' dtype: what forward-mode and second
    /// derivatives come from, what tests run in float64 and benchmarks compare with.
    pub composite: fn(&P, &[Array]) -> Result<Vec<Array>>,
}

impl<P: Clone> Op<P> {
    /// Calls the function.
    #[track_caller]
    pub(crate) fn call(&'static self, params: P, inputs: &[&Array]) -> Result<Vec<Array>> {
        apply(&Forward { op: self, params }, inputs)
    }

    /// Calls the function and keeps its first output.
    #[track_caller]
    pub(crate) fn call1(&'static self, params: P, inputs: &[&Array]) -> Result<Array> {
        let outputs = self.call(params, inputs)?;
        outputs
            .into_iter()
            .next()
            .ok_or_else(|| Error::argument("outputs", "at least one", "none"))
    }
}

impl<P> Op<P> {
    /// The composite in float32, whose outputs have the dtypes of the kernels' outputs.
    fn derivable(&self, params: &P, inputs: &[Array]) -> Result<Vec<Array>> {
        let wide = |a: &Array| match a.dtype() {
            Dtype::Float16 | Dtype::Bfloat16 => a.astype(Dtype::Float32),
            _ => Ok(a.clone()),
        };
        let inputs32 = inputs.iter().map(wide).collect::<Result<Vec<_>>>()?;
        let mut outputs = (self.composite)(params, &inputs32)?;
        for y in outputs.iter_mut().take(self.visible) {
            *y = y.astype(inputs[0].dtype())?;
        }
        Ok(outputs)
    }
}

struct Forward<P: 'static> {
    op: &'static Op<P>,
    params: P,
}

impl<P: Clone> Clone for Forward<P> {
    fn clone(&self) -> Self {
        Forward {
            op: self.op,
            params: self.params.clone(),
        }
    }
}

impl<P: Clone + 'static> Rules for Forward<P> {
    fn name(&self) -> &str {
        self.op.name
    }

    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        (self.op.forward)(&self.params, inputs)
    }

    fn vjp(
        &self,
        primals: &[Array],
        cotangents: &[Array],
        outputs: &[Array],
    ) -> Result<Vec<Array>> {
        let backward = Backward {
            op: self.op,
            params: self.params.clone(),
            inputs: primals.len(),
        };
        let all: Vec<&Array> = primals.iter().chain(cotangents).chain(outputs).collect();
        apply(&backward, &all)
    }

    fn jvp(&self, primals: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        forward_mode(|p| self.op.derivable(&self.params, p), primals, tangents)
    }

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<(Vec<Array>, Vec<usize>)> {
        let shared = axes.get(self.op.rows..).unwrap_or_default();
        let outputs = if shared.iter().all(Option::is_none) {
            self.op.call(
                self.params.clone(),
                &batched(self.op.rows, inputs, axes)?
                    .iter()
                    .collect::<Vec<_>>(),
            )?
        } else {
            each(inputs, axes, |one| self.op.call(self.params.clone(), one))?
        };
        let at = vec![0; outputs.len()];
        Ok((outputs, at))
    }
}

/// The gradient as an operation of inputs, cotangents and outputs. The outputs are functions of the
/// inputs, so what would flow through them is counted with those.
struct Backward<P: 'static> {
    op: &'static Op<P>,
    params: P,
    inputs: usize,
}

impl<P: Clone> Clone for Backward<P> {
    fn clone(&self) -> Self {
        Backward {
            op: self.op,
            params: self.params.clone(),
            inputs: self.inputs,
        }
    }
}

impl<P: Clone + 'static> Backward<P> {
    /// How many of the arrays are inputs and cotangents; as many outputs as cotangents follow.
    fn independent(&self, all: usize) -> usize {
        self.inputs + (all - self.inputs) / 2
    }

    fn composite(&self, p: &[Array]) -> Result<Vec<Array>> {
        let (primals, cotangents) = p.split_at(self.inputs);
        reverse_mode(|p| self.op.derivable(&self.params, p), primals, cotangents)
    }
}

impl<P: Clone + 'static> Rules for Backward<P> {
    fn name(&self) -> &str {
        self.op.name
    }

    fn forward(&self, all: &[&Array]) -> Result<Vec<Array>> {
        let all: Vec<Array> = all.iter().map(|&a| a.clone()).collect();
        let (primals, rest) = all.split_at(self.inputs);
        let (cotangents, outputs) = rest.split_at(rest.len() / 2);
        (self.op.vjp)(&self.params, primals, cotangents, outputs)
    }

    fn vjp(&self, all: &[Array], cotangents: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        let (independent, outputs) = all.split_at(self.independent(all.len()));
        let mut gradients = reverse_mode(|p| self.composite(p), independent, cotangents)?;
        for y in outputs {
            gradients.push(y.zeros_like()?);
        }
        Ok(gradients)
    }

    fn jvp(&self, all: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let n = self.independent(all.len());
        forward_mode(|p| self.composite(p), &all[..n], &tangents[..n])
    }

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<(Vec<Array>, Vec<usize>)> {
        let outputs = each(inputs, axes, |one| apply(self, one))?;
        let at = vec![0; outputs.len()];
        Ok((outputs, at))
    }
}

/// Which arrays have derivatives.
fn floating(arrays: &[Array]) -> Vec<usize> {
    let is = |&i: &usize| arrays[i].dtype().is_floating();
    (0..arrays.len()).filter(is).collect()
}

/// `f` as a function of some of its arguments, at `all`.
fn in_those<'a>(
    f: impl Fn(&[Array]) -> Result<Vec<Array>> + 'a,
    all: &'a [Array],
    those: &'a [usize],
) -> impl Fn(&[Array]) -> Result<Vec<Array>> + 'a {
    move |some| {
        let mut p = all.to_vec();
        for (&i, a) in those.iter().zip(some) {
            p[i] = a.clone();
        }
        f(&p)
    }
}

/// Tangents of a function that MLX can differentiate in its floating arguments.
fn forward_mode(
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    primals: &[Array],
    tangents: &[Option<&Array>],
) -> Result<Vec<Array>> {
    let those = floating(primals);
    let some: Vec<&Array> = those.iter().map(|&i| &primals[i]).collect();
    let tangents = those
        .iter()
        .map(|&i| tangents[i].map_or_else(|| primals[i].zeros_like(), |t| Ok(t.clone())))
        .collect::<Result<Vec<_>>>()?;
    Ok(jvp(in_those(f, primals, &those), some, tangents)?.1)
}

/// Gradients of such a function, zeros for the other arguments.
fn reverse_mode(
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    primals: &[Array],
    cotangents: &[Array],
) -> Result<Vec<Array>> {
    let those = floating(primals);
    let some: Vec<&Array> = those.iter().map(|&i| &primals[i]).collect();
    let mut gradients = primals
        .iter()
        .map(Array::zeros_like)
        .collect::<Result<Vec<_>>>()?;
    let (_, found) = vjp(in_those(f, primals, &those), some, cotangents)?;
    for (&i, gradient) in those.iter().zip(found) {
        gradients[i] = gradient;
    }
    Ok(gradients)
}

/// Inputs with the mapped axis as a further leading axis of each of the first `rows`.
fn batched(rows: usize, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
    let moved = mapped_first(inputs, axes)?;
    let size = moved
        .iter()
        .find(|(_, mapped)| *mapped)
        .map_or(1, |(a, _)| a.shape()[0]);
    moved
        .into_iter()
        .enumerate()
        .map(|(i, (a, mapped))| {
            if mapped || i >= rows {
                return Ok(a);
            }
            let shape: Vec<i32> = std::iter::once(size)
                .chain(a.shape().iter().copied())
                .collect();
            a.broadcast_to(shape)
        })
        .collect()
}

/// Calls `f` for each index of the mapped axes and stacks what it gives along a new first axis.
pub(super) fn each(
    inputs: &[Array],
    axes: &[Option<usize>],
    f: impl Fn(&[&Array]) -> Result<Vec<Array>>,
) -> Result<Vec<Array>> {
    let moved = mapped_first(inputs, axes)?;
    let size = moved
        .iter()
        .find(|(_, mapped)| *mapped)
        .map_or(0, |(a, _)| a.shape()[0]);
    let mut columns: Vec<Vec<Array>> = Vec::new();
    for index in 0..size {
        let one = moved
            .iter()
            .map(|(a, mapped)| {
                if *mapped {
                    a.index(index)
                } else {
                    Ok(a.clone())
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let outputs = f(&one.iter().collect::<Vec<_>>())?;
        columns.resize_with(outputs.len(), Vec::new);
        for (column, y) in columns.iter_mut().zip(outputs) {
            column.push(y);
        }
    }
    columns.iter().map(|c| crate::ops::stack(c, 0)).collect()
}
