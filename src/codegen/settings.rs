//! What the author of an operation may ask for. Each option is written once here, and builders take those that they have.

use std::sync::Arc;

use crate::{Dtype, Error, Result};

use super::dtypes;
use super::op::Operation;
use super::program::{Input, InputKind, OutputDtype, Program, Span, Threads};

/// The options of an operation, as they were asked for.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) prelude: String,
    pub(crate) vjp_prelude: String,
    pub(crate) header: Option<Arc<str>>,
    pub(crate) compute: Option<Dtype>,
    pub(crate) output: Option<Dtype>,
    pub(crate) threads: Option<(i64, bool)>,
    pub(crate) vjp: Vec<(String, String)>,
    pub(crate) use_output: bool,
    /// Inputs after the plain ones: indices and parameters.
    pub(crate) more: Vec<Input>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            prelude: String::new(),
            vjp_prelude: String::new(),
            header: None,
            compute: None,
            output: None,
            threads: None,
            vjp: Vec::new(),
            use_output: true,
            more: Vec::new(),
        }
    }
}

impl Settings {
    pub(crate) fn further_input(&mut self, name: &str, span: Span, kind: InputKind) {
        self.more.push(Input::of(name, span, kind));
    }

    pub(crate) fn gradient(&mut self, input: &str, text: &str) {
        self.vjp.push((input.to_owned(), text.to_owned()));
    }

    /// Writes what was asked for into a program: the dtypes of arithmetic and outputs, the author's functions, the threads.
    #[track_caller]
    pub(crate) fn apply(&self, program: &mut Program) -> Result<()> {
        if let Some(dtype) = self.compute {
            dtypes::check_compute(dtype)?;
            program.compute = dtype;
            program.exact = false;
        }
        if let Some(text) = &self.header {
            program.header = Arc::clone(text);
        }
        if let Some(asked) = self.threads {
            program.threads = Some(check_threads(asked)?);
        }
        if let Some(dtype) = self.output {
            dtypes::check_output(dtype)?;
            for output in &mut program.outputs {
                output.dtype = OutputDtype::Fixed(dtype);
            }
        }
        Ok(())
    }

    /// An operation that is like another one but for these.
    #[track_caller]
    pub(crate) fn of(&self, op: &Operation) -> Result<Operation> {
        let mut program = op.program().clone();
        self.apply(&mut program)?;
        op.with_program(program)
    }
}

/// A threadgroup that reductions can use.
#[track_caller]
fn check_threads((threads, everywhere): (i64, bool)) -> Result<Threads> {
    let count = u32::try_from(threads)
        .ok()
        .filter(|&n| n.is_power_of_two() && n <= 1024);
    match count {
        Some(count) => Ok(Threads { count, everywhere }),
        None => Err(Error::argument(
            "threadgroup",
            "a power of two from 1 to 1024",
            threads,
        )),
    }
}

/// Gives a builder, which has a field `settings`, these options.
macro_rules! options {
    ($ty:ident: $($option:ident)+) => {
        impl $ty {
            $($crate::codegen::settings::options! { @$option })+
        }
    };
    (@prelude) => {
        /// Declarations `type name = expression;` of names that expressions of elements may use.
        pub fn prelude(mut self, text: &str) -> Self {
            text.clone_into(&mut self.settings.prelude);
            self
        }
    };
    (@header) => {
        /// MSL functions that the expressions may call.
        pub fn header(mut self, text: &str) -> Self {
            self.settings.header = Some(text.into());
            self
        }
    };
    (@compute_dtype) => {
        /// The dtype of the arithmetic (default float32; integers where all arrays hold them and the expressions
        /// give integers). Sums of float16 and bfloat16 are float32 in any case.
        pub fn compute_dtype(mut self, dtype: $crate::Dtype) -> Self {
            self.settings.compute = Some(dtype);
            self
        }
    };
    (@output_dtype) => {
        /// The dtype of the results (default: that of the first input).
        pub fn output_dtype(mut self, dtype: $crate::Dtype) -> Self {
            self.settings.output = Some(dtype);
            self
        }
    };
    (@threadgroup) => {
        /// Threads that share a row on a GPU: a power of two up to 1024. By default the row's length decides. On a
        /// CPU stream one thread walks a row in any case, as barriers cost a lot there.
        pub fn threadgroup(mut self, threads: i64) -> Self {
            self.settings.threads = Some((threads, false));
            self
        }

        /// [`threadgroup`](Self::threadgroup) also on CPU streams: slow, to see what a GPU will do.
        pub fn threadgroup_everywhere(mut self, threads: i64) -> Self {
            self.settings.threads = Some((threads, true));
            self
        }
    };
    (@vjp) => {
        /// The gradient of one input, an expression of the inputs, the output `y`, its cotangent `g`, and the reductions,
        /// where there are any. It has to be given for reductions without a derivative.
        pub fn vjp(mut self, input: &str, expr: &str) -> Self {
            self.settings.gradient(input, expr);
            self
        }
    };
    (@vjp_prelude) => {
        /// Declarations `type name = expression;` that the gradients may use. The forward kernel
        /// does not see them.
        pub fn vjp_prelude(mut self, text: &str) -> Self {
            text.clone_into(&mut self.settings.vjp_prelude);
            self
        }
    };
    (@use_output) => {
        /// Whether `y` in the gradients is the stored result, as rounded to its dtype (default), or
        /// computed again from the inputs.
        pub fn use_output(mut self, yes: bool) -> Self {
            self.settings.use_output = yes;
            self
        }
    };
}
pub(crate) use options;

/// What operations that are made already, with a field `op`, have in common.
macro_rules! operations {
    ($($ty:ident)+) => {$(
        impl $ty {
            /// The same operation with every access of its kernels tested on CPU streams; see
            /// [`MetalKernel::checked`](crate::MetalKernel::checked).
            #[track_caller]
            pub fn checked(&self) -> $crate::Result<Self> {
                let op = self.op.checked()?;
                Ok($ty { op })
            }

            /// The kernels that calls and derivatives have needed so far: one for each way in which arrays lie
            /// against each other.
            pub fn kernels(&self) -> Vec<$crate::MetalKernel> {
                self.op.kernels()
            }

            /// The name given at the definition.
            pub fn name(&self) -> &str {
                self.op.op_name()
            }
        }
    )+};
}
pub(crate) use operations;
