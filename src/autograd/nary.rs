//! Operations from raw MSL for both directions.

use std::sync::Arc;

use crate::codegen::names;
use crate::metal::MetalKernel;
use crate::transforms::rules::apply;
use crate::{Array, Dtype, Error, Result};

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
/// let gate = autograd::nary_from_source("fused_gate", ["x", "gate"], ["out"])
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
/// assert!(y.allclose((&x * g.sigmoid())?, (1e-5, 1e-6))?.item::<bool>()?);
/// # Ok(())
/// # }
/// ```
///
/// The Python original calls this `nary_from_expr`, and so may you; what it takes are the bodies of kernels, no expressions.
///
/// # Cotangents
/// With one output its cotangent is `cotan`; with several they are `cotan_` + name of the output.
pub fn nary_from_source<I, O>(name: &str, inputs: I, outputs: O) -> NaryBuilder
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

/// Describes an operation of raw kernels; made by [`nary_from_source`].
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

    /// What `T` is (default float32, which rounds integers above 2^24).
    pub fn compute_dtype(mut self, dtype: Dtype) -> Self {
        self.compute = dtype;
        self
    }

    /// Shape and dtype of each output, from the inputs. By default each is like the first input, and then all inputs but
    /// scalars must have its shape.
    pub fn output_shapes<F>(mut self, shapes: F) -> Self
    where
        F: Fn(&[&Array]) -> Result<Vec<(Vec<i32>, Dtype)>> + Send + Sync + 'static,
    {
        self.shapes = Some(Arc::new(shapes));
        self
    }

    /// Whether the backward kernel reads the outputs, too, by their names (default: no).
    pub fn use_output(mut self, yes: bool) -> Self {
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
    /// [`Error::Argument`] that names what is missing or no identifier, and an output or gradient that the text
    /// never mentions.
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
        let forward = kernel(
            &self.header,
            &self.name,
            &self.inputs,
            &self.outputs,
            &self.forward,
        )?;
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
                    &self.header,
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

/// A kernel with the author's header and what it uses of the library. A function, as a closure would be taken for the caller.
#[track_caller]
fn kernel(
    header: &str,
    name: &str,
    inputs: &[String],
    outputs: &[String],
    source: &str,
) -> Result<MetalKernel> {
    MetalKernel::new(name, inputs, outputs)
        .header(crate::msl::header_with(header, source))
        .source(source)
        .build()
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

/// An operation of raw kernels; made by [`nary_from_source`]. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Nary {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) name: String,
    pub(super) forward: MetalKernel,
    pub(super) backward: Option<MetalKernel>,
    pub(super) compute: Dtype,
    shapes: Option<Arc<Shapes>>,
    pub(super) use_outputs: bool,
    pub(super) elementwise: bool,
}

impl std::fmt::Debug for Nary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nary")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}

impl Nary {
    /// All outputs for inputs in the order of their names: lazy.
    ///
    /// # Errors
    /// As [`Launch::run_vec`](crate::metal::Launch::run_vec); [`Error::Shape`] for inputs of several shapes without
    /// [`output_shapes`](NaryBuilder::output_shapes); in a gradient [`Error::Argument`] where there is no
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
    pub(super) fn check_count(&self, inputs: usize) -> Result<()> {
        let names = self.inner.forward.input_names();
        if inputs != names.len() {
            return Err(Error::argument(
                "inputs",
                format_args!(
                    "{} for `{}` ({})",
                    crate::metal::arrays(names.len()),
                    self.inner.name,
                    names.join(", ")
                ),
                inputs,
            ));
        }
        Ok(())
    }

    #[track_caller]
    pub(super) fn outputs(&self, inputs: &[&Array]) -> Result<Vec<(Vec<i32>, Dtype)>> {
        let names = self.inner.forward.output_names();
        let specs = match &self.inner.shapes {
            Some(shapes) => shapes(inputs)?,
            None => {
                self.check_shapes(inputs, "output_shapes")?;
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
        if self.inner.elementwise && self.inner.shapes.is_some() {
            self.check_shapes(inputs, "elementwise")?;
            let shape = inputs[0].shape();
            for ((given, _), name) in specs.iter().zip(names) {
                if given != shape {
                    return Err(Error::shape(format!(
                        "`elementwise`: expected shape {shape:?} for output `{name}` of `{}`, as its inputs have, got {given:?}",
                        self.inner.name
                    )));
                }
            }
        }
        Ok(specs)
    }

    /// Refuses inputs of several shapes where a thread of each element of the first one reads them all. A scalar arrives as a
    /// number, which has no index.
    #[track_caller]
    fn check_shapes(&self, inputs: &[&Array], argument: &str) -> Result<()> {
        let names = self.inner.forward.input_names();
        let first = inputs[0].shape();
        for (a, name) in inputs.iter().zip(names).skip(1) {
            if a.ndim() > 0 && a.shape() != first {
                return Err(Error::shape(format!(
                    "`{name}` of `{}`: expected shape {first:?}, as `{}` has, got {:?} (by default every output is like the \
                     first input, and each thread reads the same element of all; broadcast the array, or give \
                     `output_shapes` and index it as it lies){}",
                    self.inner.name,
                    names[0],
                    a.shape(),
                    if argument == "elementwise" {
                        "; `elementwise` promises one shape"
                    } else {
                        ""
                    },
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    static_assertions::assert_impl_all!(super::Nary: Send, Sync, Clone);
}
