//! Operations from raw MSL for both directions.

use std::sync::Arc;

use crate::codegen::names;
use crate::metal::MetalKernel;
use crate::transforms::rules::{Rules, apply, mapped_first};
use crate::{Array, Dtype, Error, Result, ops};

use super::missing;

/// Starts the description of an operation whose kernels are written by hand.
///
/// The forward source reads the inputs and writes the outputs by name, one thread for each element of the first output. The
/// backward source reads the inputs, the cotangents and, if asked, the outputs, and writes `d` + name for each
/// input. `T` is the compute dtype; `O` the dtype of the first output (of the first gradient, in the backward
/// kernel).
///
/// ```
/// # use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let gate = autograd::nary_from_expr("fused_gate", ["x", "gate"], ["out"])
///     .forward(
///         "uint i = thread_position_in_grid.x;
///          T g = T(gate[i]);
///          out[i] = O(T(x[i]) / (T(1) + metal::exp(-g)));",
///     )
///     .backward(
///         "uint i = thread_position_in_grid.x;
///          T s = T(1) / (T(1) + metal::exp(-T(gate[i])));
///          T c = T(cotan[i]);
///          dx[i] = O(c * s);
///          dgate[i] = O(c * T(x[i]) * s * (T(1) - s));",
///     )
///     .build()?;
/// let [x, g] = [random::normal(100)?, random::normal(100)?];
/// let y = gate.call(&[&x, &g])?.remove(0);
/// assert!(y.allclose((&x * g.sigmoid())?, 1e-5)?.item::<bool>()?);
/// # Ok(())
/// # }
/// ```
///
/// # Cotangents
/// With one output its cotangent is `cotan`; with several they are `cotan_` + name of the output.
pub fn nary_from_expr<I, O>(name: &str, inputs: I, outputs: O) -> NaryBuilder
where
    I: IntoIterator<Item: Into<String>>,
    O: IntoIterator<Item: Into<String>>,
{
    NaryBuilder {
        name: name.to_owned(),
        inputs: inputs.into_iter().map(Into::into).collect(),
        outputs: outputs.into_iter().map(Into::into).collect(),
        forward: String::new(),
        backward: None,
        header: String::new(),
        compute: Dtype::Float32,
        shapes: None,
        use_outputs: false,
        elementwise: false,
    }
}

type Shapes = dyn Fn(&[&Array]) -> Result<Vec<(Vec<i32>, Dtype)>> + Send + Sync;

/// Describes an operation of raw kernels; made by [`nary_from_expr`].
#[must_use = "a description does nothing until `build`"]
pub struct NaryBuilder {
    name: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    forward: String,
    backward: Option<String>,
    header: String,
    compute: Dtype,
    shapes: Option<Arc<Shapes>>,
    use_outputs: bool,
    elementwise: bool,
}

impl NaryBuilder {
    /// The body of the forward kernel.
    pub fn forward(mut self, source: &str) -> Self {
        self.forward = source.to_owned();
        self
    }

    /// The body of the backward kernel, run by one thread for each element of the first output.
    pub fn backward(mut self, source: &str) -> Self {
        self.backward = Some(source.to_owned());
        self
    }

    /// MSL functions for both kernels. Functions of [`msl::DEFAULT_HEADER`](crate::msl::DEFAULT_HEADER) come by themselves.
    pub fn header(mut self, text: &str) -> Self {
        self.header = text.to_owned();
        self
    }

    /// What `T` is (default float32).
    pub fn compute_dtype(mut self, dtype: Dtype) -> Self {
        self.compute = dtype;
        self
    }

    /// Shape and dtype of each output, from the inputs. By default each is like the first input.
    pub fn output_shapes<F>(mut self, shapes: F) -> Self
    where
        F: Fn(&[&Array]) -> Result<Vec<(Vec<i32>, Dtype)>> + Send + Sync + 'static,
    {
        self.shapes = Some(Arc::new(shapes));
        self
    }

    /// Whether the backward kernel reads the outputs, too, by their names (default: no).
    pub fn use_outputs(mut self, yes: bool) -> Self {
        self.use_outputs = yes;
        self
    }

    /// Promises that all arrays have one shape and that element i of the outputs depends on elements i of the inputs
    /// only. Then `vmap` is one launch, and there is a Jacobian-vector product: the backward kernel with
    /// tangents in place of cotangents.
    pub fn elementwise(mut self) -> Self {
        self.elementwise = true;
        self
    }

    /// Checks the description and makes the operation. Nothing is compiled yet.
    ///
    /// # Errors
    /// [`Error::Argument`] that names what is missing or no identifier.
    #[track_caller]
    pub fn build(self) -> Result<Nary> {
        names::check_op(&self.name)?;
        if self.inputs.is_empty() {
            return Err(missing("inputs", "at least one name"));
        }
        if self.forward.trim().is_empty() {
            return Err(missing("forward", "the body of the forward kernel"));
        }
        crate::codegen::dtypes::check_compute(self.compute)?;
        let kernel = |name: &str, inputs: &[String], outputs: &[String], source: &str| {
            let library = crate::msl::header_for(&format!("{}\n{source}", self.header));
            MetalKernel::new(name, inputs, outputs)
                .header(format!("{library}{}", self.header))
                .source(source)
                .build()
        };
        let forward = kernel(&self.name, &self.inputs, &self.outputs, &self.forward)?;
        let backward = match &self.backward {
            None => None,
            Some(source) => {
                let mut inputs = self.inputs.clone();
                match self.outputs.as_slice() {
                    [_] => inputs.push("cotan".into()),
                    several => inputs.extend(several.iter().map(|o| format!("cotan_{o}"))),
                }
                if self.use_outputs {
                    inputs.extend(self.outputs.iter().cloned());
                }
                let outputs: Vec<_> = self.inputs.iter().map(|i| format!("d{i}")).collect();
                Some(kernel(
                    &format!("{}_vjp", self.name),
                    &inputs,
                    &outputs,
                    source,
                )?)
            }
        };
        Ok(Nary {
            inner: Arc::new(Inner {
                name: self.name,
                forward,
                backward,
                compute: self.compute,
                shapes: self.shapes,
                use_outputs: self.use_outputs,
                elementwise: self.elementwise,
            }),
        })
    }
}

impl std::fmt::Debug for NaryBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NaryBuilder")
            .field("name", &self.name)
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

/// An operation of raw kernels; made by [`nary_from_expr`]. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Nary {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    forward: MetalKernel,
    backward: Option<MetalKernel>,
    compute: Dtype,
    shapes: Option<Arc<Shapes>>,
    use_outputs: bool,
    elementwise: bool,
}

impl Nary {
    /// All outputs for inputs in the order of their names: lazy.
    ///
    /// # Errors
    /// As [`Launch::run_vec`](crate::metal::Launch::run_vec); in a gradient [`Error::Argument`] where there is no
    /// backward kernel, or for second derivatives, which raw kernels do not have.
    #[track_caller]
    pub fn call<A: AsRef<Array>>(&self, inputs: &[A]) -> Result<Vec<Array>> {
        let inputs: Vec<&Array> = inputs.iter().map(AsRef::as_ref).collect();
        apply(self, &inputs)
    }

    /// Both kernels, for a look at them or for [`MetalKernel::checked`].
    pub fn kernels(&self) -> Vec<MetalKernel> {
        let forward = std::iter::once(self.inner.forward.clone());
        forward.chain(self.inner.backward.clone()).collect()
    }

    #[track_caller]
    fn check_count(&self, inputs: usize) -> Result<()> {
        let names = self.inner.forward.input_names();
        if inputs != names.len() {
            return Err(Error::argument(
                "inputs",
                format_args!(
                    "{} arrays for `{}` ({})",
                    names.len(),
                    self.inner.name,
                    names.join(", ")
                ),
                inputs,
            ));
        }
        Ok(())
    }

    #[track_caller]
    fn outputs(&self, inputs: &[&Array]) -> Result<Vec<(Vec<i32>, Dtype)>> {
        let names = self.inner.forward.output_names();
        let specs = match &self.inner.shapes {
            Some(shapes) => shapes(inputs)?,
            None => {
                let like = (inputs[0].shape().to_vec(), inputs[0].dtype());
                vec![like; names.len()]
            }
        };
        if specs.len() != names.len() {
            return Err(Error::argument(
                "output_shapes",
                format_args!("a shape and dtype for each output ({})", names.join(", ")),
                specs.len(),
            ));
        }
        Ok(specs)
    }
}

impl Rules for Nary {
    fn name(&self) -> &str {
        &self.inner.name
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        self.check_count(inputs.len())?;
        let mut launch = self.inner.forward.launch(inputs);
        let specs = self.outputs(inputs)?;
        launch = launch.template("T", self.inner.compute);
        launch = launch.template("O", specs[0].1);
        for (shape, dtype) in specs {
            launch = launch.output(shape, dtype);
        }
        launch.run_vec()
    }

    #[track_caller]
    fn vjp(
        &self,
        primals: &[Array],
        cotangents: &[Array],
        outputs: &[Array],
    ) -> Result<Vec<Array>> {
        let backward = Backward(self.clone());
        let mut args: Vec<&Array> = primals.iter().chain(cotangents).collect();
        if self.inner.use_outputs {
            args.extend(outputs);
        }
        apply(&backward, &args)
    }

    #[track_caller]
    fn jvp(&self, primals: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        if !self.inner.elementwise || self.inner.forward.output_names().len() != 1 {
            return Err(Error::argument(
                "jvp",
                format_args!(
                    "an operation with one output that is declared `elementwise` (`{}` is not)",
                    self.inner.name
                ),
                "a raw kernel",
            ));
        }
        let outputs = match self.inner.use_outputs {
            true => apply(self, &primals.iter().collect::<Vec<_>>())?,
            false => Vec::new(),
        };
        let mut sum: Option<Array> = None;
        for (i, tangent) in tangents.iter().enumerate() {
            let Some(tangent) = tangent else { continue };
            let part = self
                .vjp(primals, std::slice::from_ref(*tangent), &outputs)?
                .swap_remove(i);
            sum = Some(match sum {
                None => part,
                Some(s) => (s + part)?,
            });
        }
        match sum {
            Some(sum) => Ok(vec![sum]),
            None => Ok(vec![primals[0].zeros_like()?]),
        }
    }

    #[track_caller]
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<(Vec<Array>, Vec<usize>)> {
        mapped(self, self.inner.elementwise, inputs, axes)
    }
}

/// The backward kernel as an operation: what it cannot do is said in words.
#[derive(Clone)]
struct Backward(Nary);

impl Rules for Backward {
    fn name(&self) -> &str {
        &self.0.inner.name
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let inner = &self.0.inner;
        let Some(kernel) = &inner.backward else {
            return Err(Error::argument(
                "backward",
                format_args!("the source of a backward kernel for `{}`", inner.name),
                "none",
            ));
        };
        let primals = inner.forward.input_names().len();
        let threads = inputs[primals].size();
        let mut launch = kernel
            .launch(inputs)
            .template("T", inner.compute)
            .template("O", inputs[0].dtype());
        for a in &inputs[..primals] {
            launch = launch.output(a.shape(), a.dtype());
        }
        launch.grid(threads.max(1)).run_vec()
    }

    #[track_caller]
    fn vjp(&self, _: &[Array], _: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        Err(self.no_second("vjp"))
    }

    #[track_caller]
    fn jvp(&self, _: &[Array], _: &[Option<&Array>]) -> Result<Vec<Array>> {
        Err(self.no_second("jvp"))
    }

    #[track_caller]
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<(Vec<Array>, Vec<usize>)> {
        mapped(self, self.0.inner.elementwise, inputs, axes)
    }
}

impl Backward {
    #[track_caller]
    fn no_second(&self, what: &str) -> Error {
        Error::argument(
            what,
            format_args!(
                "first derivatives of `{}`, whose backward kernel is written by hand (operations from expressions have all)",
                self.0.inner.name
            ),
            "a second derivative",
        )
    }
}

/// A raw operation under `vmap`: one launch where elements do not meet, otherwise one for each element of the
/// mapped axis.
#[track_caller]
fn mapped<R: Rules>(
    op: &R,
    elementwise: bool,
    inputs: &[Array],
    axes: &[Option<usize>],
) -> Result<(Vec<Array>, Vec<usize>)> {
    let moved = mapped_first(inputs, axes)?;
    let count = moved
        .iter()
        .find(|(_, mapped)| *mapped)
        .map_or(0, |(a, _)| a.shape()[0]);
    if elementwise || count == 0 {
        let mut args = Vec::with_capacity(moved.len());
        for (a, mapped) in moved {
            args.push(match mapped {
                true => a,
                false => {
                    let mut shape = vec![count];
                    shape.extend(a.shape());
                    a.broadcast_to(shape)?
                }
            });
        }
        let outputs = apply(op, &args.iter().collect::<Vec<_>>())?;
        let front = vec![0; outputs.len()];
        return Ok((outputs, front));
    }
    let mut all: Vec<Vec<Array>> = Vec::new();
    for n in 0..count {
        let args = moved
            .iter()
            .map(|(a, mapped)| match mapped {
                true => a.take(&Array::from(n), 0),
                false => Ok(a.clone()),
            })
            .collect::<Result<Vec<_>>>()?;
        for (i, output) in apply(op, &args.iter().collect::<Vec<_>>())?
            .into_iter()
            .enumerate()
        {
            if all.len() <= i {
                all.push(Vec::new());
            }
            all[i].push(output);
        }
    }
    let outputs = all
        .iter()
        .map(|o| ops::stack(o, 0))
        .collect::<Result<Vec<_>>>()?;
    let front = vec![0; outputs.len()];
    Ok((outputs, front))
}

#[cfg(test)]
mod tests {
    static_assertions::assert_impl_all!(super::Nary: Send, Sync, Clone);
}
