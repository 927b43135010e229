//! What transforms make of operations from raw kernels.

use crate::transforms::rules::{Rules, apply, each, repeated};
use crate::{Array, Error, Result};

use super::nary::Nary;

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
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
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
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
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
) -> Result<Vec<Array>> {
    if elementwise {
        let args = repeated(inputs.len(), inputs, axes)?;
        return apply(op, &args.iter().collect::<Vec<_>>());
    }
    each(inputs, axes, |one| apply(op, one))
}
