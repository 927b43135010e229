//! One call of a kernel, as it is described; [`super::run`] makes a node of it.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Write as _;
use std::panic::Location;
use std::path::Path;

use smallvec::SmallVec;

use crate::stream::current;
use crate::{Array, Dtype, Error, IntoShape, Result};

use super::MetalKernel;
use super::dump;
use super::geometry::{Extent, IntoExtent};
use super::kernel::KernelSource;
use super::template::TemplateArg;

/// A launch under description; made by [`MetalKernel::launch`], finished by [`run`](Self::run).
#[must_use = "a launch does nothing until `run`"]
pub struct Launch<'a> {
    pub(super) kernel: &'a MetalKernel,
    pub(super) inputs: SmallVec<[&'a Array; 4]>,
    pub(super) template: SmallVec<[(&'a str, TemplateArg); 3]>,
    pub(super) outputs: SmallVec<[(Cow<'a, [i32]>, Dtype); 1]>,
    /// What was wrong with a shape.
    pub(super) problem: Cell<Option<Box<Error>>>,
    pub(super) grid: Option<Extent>,
    pub(super) threadgroup: Option<Extent>,
    pub(super) options: Options,
}

/// What every kind of launch can be asked for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    /// What the outputs are filled with first.
    pub(crate) init_value: Option<f32>,
    pub(crate) verbose: bool,
    pub(crate) timed: bool,
}

/// The methods of a launch that set its [`Options`].
macro_rules! options {
    () => {
        /// Fills the outputs with this value first; without, they start as arbitrary memory.
        pub fn init_value(mut self, value: f32) -> Self {
            self.options.init_value = Some(value);
            self
        }

        /// Prints the generated Metal text, and what the engine made of it (for a tuned launch, what was chosen as
        /// well). Evaluates nothing; see [`timed`](Self::timed).
        pub fn verbose(mut self, yes: bool) -> Self {
            self.options.verbose = yes;
            self
        }

        /// Measures the launch for [`MetalKernel::stats`]: **evaluates** the inputs, and then the
        /// outputs with a clock around that alone. Compiling is not part of the time; what the
        /// evaluation itself costs, some microseconds, is.
        ///
        /// Inside a transform or an export such a launch is an [`Error::Argument`].
        pub fn timed(mut self, yes: bool) -> Self {
            self.options.timed = yes;
            self
        }
    };
}
pub(crate) use options;

impl<'a> Launch<'a> {
    pub(super) fn new(kernel: &'a MetalKernel, inputs: impl Iterator<Item = &'a Array>) -> Self {
        Launch {
            kernel,
            inputs: inputs.collect(),
            template: SmallVec::new(),
            outputs: SmallVec::new(),
            problem: Cell::new(None),
            grid: None,
            threadgroup: None,
            options: Options::default(),
        }
    }

    /// A template argument: an integer from 0 to `i32::MAX`, a `bool` or a [`Dtype`]. Each distinct value compiles
    /// the kernel anew, so sizes are better read from `name_shape`.
    pub fn template(mut self, name: &'a str, value: impl Into<TemplateArg>) -> Self {
        self.set_template(name, value.into());
        self
    }

    /// Shape and dtype of the next output. Without any, every output is like the first input.
    #[track_caller]
    pub fn output(mut self, shape: impl IntoShape, dtype: Dtype) -> Self {
        match shape.into_shape() {
            Ok(shape) => self.outputs.push((Cow::Owned(shape), dtype)),
            Err(e) => {
                self.outputs.push((Cow::Borrowed(&[]), dtype));
                // The first one counts.
                let first = self.problem.take().unwrap_or_else(|| e.into());
                self.problem.set(Some(first));
            }
        }
        self
    }

    /// How many threads run, along each dimension. Default: one for each element of the first output.
    pub fn grid(mut self, grid: impl IntoExtent) -> Self {
        self.set_grid(grid);
        self
    }

    /// Threads of a threadgroup. Groups at the edge of the grid are smaller, as Metal
    /// dispatches them.
    pub fn threadgroup(mut self, threadgroup: impl IntoExtent) -> Self {
        self.set_threadgroup(threadgroup);
        self
    }

    // The same in place, and with shapes that are known to be good: what operations call, as a launch is too large
    // to be handed on at no cost.

    #[inline]
    pub(crate) fn set_template(&mut self, name: &'a str, value: TemplateArg) {
        self.template.push((name, value));
    }

    /// The shape of an array.
    #[inline]
    pub(crate) fn set_output(&mut self, shape: &'a [i32], dtype: Dtype) {
        self.outputs.push((Cow::Borrowed(shape), dtype));
    }

    #[inline]
    pub(crate) fn set_grid(&mut self, grid: impl IntoExtent) {
        self.grid = Some(grid.into_extent());
    }

    #[inline]
    pub(crate) fn set_threadgroup(&mut self, threadgroup: impl IntoExtent) {
        self.threadgroup = Some(threadgroup.into_extent());
    }

    options!();

    pub(crate) fn with(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Writes the folder of [`profile::dump`](crate::profile::dump).
    #[track_caller]
    pub(crate) fn dump(self, dir: &Path) -> Result<std::path::PathBuf> {
        crate::stream::enter();
        self.check_inputs(&self.read())?;
        let outputs = self.resolve_outputs()?;
        let geometry = self.resolve_geometry(&outputs)?;
        dump::write(dir, &self, &outputs, &geometry)
    }

    /// The texts that this launch compiles. Runs nothing.
    ///
    /// # Errors
    /// As [`run_vec`](Self::run_vec), compiler errors aside.
    #[track_caller]
    pub fn source(self) -> Result<KernelSource> {
        crate::stream::enter();
        self.check_inputs(&self.read())?;
        let outputs = self.resolve_outputs()?;
        self.kernel.texts(&self, &outputs)
    }

    /// What the kernel was called with, for error messages.
    pub(super) fn describe(&self) -> String {
        let mut text = String::from("inputs: ");
        for (i, (name, a)) in self
            .kernel
            .input_names()
            .iter()
            .zip(&self.inputs)
            .enumerate()
        {
            let comma = if i > 0 { ", " } else { "" };
            let _ = write!(text, "{comma}{name}: {} {:?}", a.dtype(), a.shape());
        }
        for (name, value) in &self.template {
            let _ = match value {
                TemplateArg::Int(n) => write!(text, ", {name} = {n}"),
                TemplateArg::TooLarge(n) => write!(text, ", {name} = {n}"),
                TemplateArg::Bool(b) => write!(text, ", {name} = {b}"),
                TemplateArg::Dtype(d) => write!(text, ", {name} = {d}"),
            };
        }
        text.push_str(match current().gpu {
            true => "  engine: cuda  ",
            false => "  engine: cpu  ",
        });
        text
    }

    /// Where the launch stands in the user's code.
    #[track_caller]
    pub(super) fn site() -> &'static Location<'static> {
        Location::caller()
    }
}
