//! A program as an operation: kernels for each pattern, launches, derivatives made when they are needed.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use crate::metal::{MetalKernel, Outputs};
use crate::{Array, Dtype, Error, Result};

use super::blocks;
use super::derived::Derived;
use super::explicit::{Explicit, Gradients};
use super::keep;
use super::kernels::{Kernels, output_type};
use super::layout::Layout;
use super::partial;
use super::pattern::{Form, MOST_BUFFERS, Pattern};
use super::program::{Output, OutputDtype, Program, Span};
use super::sizes::Sizes;
use super::text;
use super::whole::{WAYS, Way};

/// An operation made of a program. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub(crate) struct Operation {
    inner: Arc<Inner>,
    /// Wider dtypes for outputs that will be summed.
    dtypes: Option<Arc<[Option<Dtype>]>>,
}

struct Inner {
    name: String,
    program: Program,
    used: Vec<bool>,
    /// Which outputs are zeros, for which no kernel is needed.
    zero: Vec<bool>,
    /// The output that may keep values between passes.
    keeps: Option<usize>,
    explicit: Option<Explicit>,
    checked: bool,
    kernels: Kernels,
    derived: Derived,
    /// The same in integers, where that means the same.
    wholes: [OnceLock<Option<Operation>>; WAYS],
}

impl Operation {
    /// The operation of this name; with the author's gradients of its inputs, if there are any.
    #[track_caller]
    pub(crate) fn new(
        name: &str,
        program: Program,
        gradients: Option<Gradients>,
    ) -> Result<Operation> {
        Operation::with_checks(name, program, gradients, false)
    }

    /// The same, with kernels whose accesses are tested.
    #[track_caller]
    pub(crate) fn with_checks(
        name: &str,
        program: Program,
        gradients: Option<Gradients>,
        checked: bool,
    ) -> Result<Operation> {
        super::names::check_op(name)?;
        if program.inputs.is_empty() {
            return Err(Error::argument(
                "inputs",
                format_args!("at least one name of an input of `{name}`"),
                "none",
            ));
        }
        super::limit::check(&program)?;
        let program = program.prepared();
        let explicit = match gradients {
            Some(g) => Some(Explicit::new(name, &program, g, checked)?),
            None => None,
        };
        super::dtypes::check_compute(program.compute)?;
        let outputs = program.outputs.len();
        if program.inputs.len() + outputs + 1 > MOST_BUFFERS {
            return Err(Error::argument(
                "inputs",
                format_args!("at most {} inputs and outputs", MOST_BUFFERS - 1),
                program.inputs.len() + outputs,
            ));
        }
        let mut used = program.used();
        // A kernel without any input would not know its size.
        if !used.contains(&true)
            && let Some(first) = used.first_mut()
        {
            *first = true;
        }
        Ok(Operation {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                keeps: keep::kept(&program).map(|k| k.output),
                zero: program.outputs.iter().map(text::is_zero).collect(),
                program,
                used,
                explicit,
                checked,
                kernels: Kernels::default(),
                derived: Derived::default(),
                wholes: Default::default(),
            }),
            dtypes: None,
        })
    }

    /// The same operation with every access of its kernels tested on a CPU stream.
    #[track_caller]
    pub(crate) fn checked(&self) -> Result<Operation> {
        let i = &self.inner;
        let gradients = i.explicit.as_ref().map(Explicit::gradients);
        Operation::with_checks(&i.name, i.program.clone(), gradients, true)
    }

    /// The same operation of another program, which takes and gives what its own does.
    #[track_caller]
    pub(crate) fn with_program(&self, program: Program) -> Result<Operation> {
        let i = &self.inner;
        let gradients = i.explicit.as_ref().map(Explicit::gradients);
        Operation::with_checks(&i.name, program, gradients, i.checked)
    }

    /// The kernels that were made so far, those of derivatives, too.
    pub(crate) fn kernels(&self) -> Vec<MetalKernel> {
        let own = self.inner.kernels.iter();
        let mut all: Vec<MetalKernel> = own.map(|k| k.kernel.clone()).collect();
        all.extend(self.inner.derived.kernels());
        let explicit = self.inner.explicit.as_ref().map(Explicit::op);
        explicit.into_iter().for_each(|op| all.extend(op.kernels()));
        let wholes = self.inner.wholes.iter().filter_map(|w| w.get()?.as_ref());
        wholes.for_each(|op| all.extend(op.kernels()));
        all
    }

    pub(crate) fn op_name(&self) -> &str {
        &self.inner.name
    }

    pub(crate) fn program(&self) -> &Program {
        &self.inner.program
    }

    pub(crate) fn explicit(&self) -> Option<&Explicit> {
        self.inner.explicit.as_ref()
    }

    /// The same operation with these dtypes in place of its own.
    pub(super) fn with_dtypes(&self, dtypes: Vec<Option<Dtype>>) -> Operation {
        Operation {
            inner: Arc::clone(&self.inner),
            dtypes: Some(dtypes.into()),
        }
    }

    /// This operation's dtypes for another with the same outputs.
    pub(super) fn with_dtypes_of(&self, other: &Operation) -> Operation {
        Operation {
            inner: Arc::clone(&self.inner),
            dtypes: other.dtypes.clone(),
        }
    }

    /// What was made of this operation.
    pub(super) fn derived(&self) -> &Derived {
        &self.inner.derived
    }

    /// An operation of this program, whose name is this one's with an addition.
    #[track_caller]
    pub(super) fn another(&self, addition: &str, program: Program) -> Result<Operation> {
        let name = format!("{}{addition}", self.inner.name);
        Operation::with_checks(&name, program, None, self.inner.checked)
    }

    /// Whether a call is one launch that reads all inputs and gives all outputs.
    pub(super) fn reads_and_writes_all(&self) -> bool {
        let Inner { used, zero, .. } = &*self.inner;
        !self.inner.program.sums_rows() && used.iter().all(|u| *u) && !zero.contains(&true)
    }

    /// Which inputs the kernel reads.
    pub(super) fn used(&self) -> &[bool] {
        &self.inner.used
    }

    /// What a launch wrote as the operation's output: sums over rows are still one for each group.
    #[track_caller]
    fn finished(&self, i: usize, made: Array, layout: &Layout, inputs: &[&Array]) -> Result<Array> {
        let output = &self.inner.program.outputs[i];
        if output.span != Span::Summed {
            return Ok(made);
        }
        let dtype = self.dtype(i, inputs);
        let summed = match partial::on_this_stream() {
            true => partial::sum(&made, dtype)?,
            false => made.sum(0)?.astype(dtype)?,
        };
        summed.reshape(&*layout.output(output.span, output.count()))
    }

    /// The dtype of an output for these arguments.
    pub(super) fn dtype(&self, output: usize, inputs: &[&Array]) -> Dtype {
        let asked = self.dtypes.as_ref().and_then(|d| d[output]);
        asked.unwrap_or_else(|| match self.inner.program.outputs[output].dtype {
            OutputDtype::Fixed(d) => d,
            OutputDtype::Like(i) => inputs[i].dtype(),
        })
    }

    /// One lazy launch.
    #[track_caller]
    pub(crate) fn launch(&self, inputs: &[&Array]) -> Result<Outputs> {
        let Inner {
            program,
            used,
            zero,
            ..
        } = &*self.inner;
        let mut layout = Layout::of(&self.inner.name, program, used, inputs)?;
        let gpu = crate::stream::current().gpu;
        if program.exact
            && inputs[0].dtype().is_integral()
            && let Some(op) = self.in_integers(inputs, gpu)?
        {
            return op.launch(inputs);
        }
        for (input, a) in program.inputs.iter().zip(inputs) {
            super::kinds::check(&self.inner.name, input, a)?;
        }
        let read = inputs.iter().zip(used).filter(|(a, u)| **u && a.size() > 1);
        let written = 0..program.outputs.len();
        let dtypes = read
            .map(|(a, _)| a.dtype())
            .chain(written.map(|i| self.dtype(i, inputs)));
        let floats = blocks::floats(gpu, program.compute, dtypes.clone());
        if layout.pattern.form == Form::Flat {
            layout.block = match floats {
                true => blocks::of_floats(layout.width),
                false => blocks::block(gpu, layout.width, dtypes),
            };
            if layout.block > 1 {
                layout.pattern.form = Form::Blocks;
            }
        }
        layout.pattern.floats = floats && layout.pattern.form != Form::Flat;
        layout.pattern.ahead = !blocks::as_on_gpu(gpu) && layout.pattern.form == Form::Rows;
        let group = super::sizes::group(
            program,
            &layout,
            gpu,
            |i| inputs[i].dtype(),
            |i| self.dtype(i, inputs),
        );
        if let Some(group) = &group {
            layout.pattern.walk = group.walk;
        }
        if let Some(output) = self.inner.keeps
            && !gpu
        {
            let dtype = self.dtype(output, inputs);
            layout.pattern.keeps = keep::place(program, &layout, group.is_some(), dtype);
        }
        let zeros = |i: usize, output: &Output| {
            let shape = layout.output(output.span, output.count());
            Array::zeros(&*shape, self.dtype(i, inputs))
        };
        if layout.rows == 0 && program.sums_rows() {
            let outputs = program.outputs.iter().enumerate();
            return outputs.map(|(i, o)| zeros(i, o)).collect();
        }
        let kernel = self.kernel(&layout.pattern)?;

        let dims = match layout.pattern.form.has_dims() {
            true => Some(Array::from_slice(&layout.dims, layout.dims.len())?),
            false => None,
        };
        let mut read: SmallVec<[&Array; 4]> = SmallVec::new();
        read.extend(
            inputs
                .iter()
                .zip(used)
                .filter(|(_, u)| **u)
                .map(|(a, _)| *a),
        );
        read.extend(&dims);
        let groups = super::sizes::adders(layout.rows, group.as_ref()) as i32;
        let shapes: SmallVec<[_; 2]> = program
            .outputs
            .iter()
            .map(|o| match (layout.output(o.span, o.count()), o.span) {
                // Sums of each group.
                (row, Span::Summed) => Cow::Owned([&[groups], &*row].concat()),
                (shape, _) => shape,
            })
            .collect();
        let mut launch = kernel.launch(&read);
        let mut n = 0;
        for (i, output) in program.outputs.iter().enumerate() {
            if zero[i] {
                continue;
            }
            let dtype = match output.span {
                Span::Summed => Dtype::Float32,
                _ => self.dtype(i, inputs),
            };
            launch.set_template(output_type(n), dtype.into());
            launch.set_output(&shapes[i], dtype);
            n += 1;
        }
        if n > 0 {
            Sizes::of(program, &layout, group.as_ref(), gpu).apply(&mut launch);
        }
        let made = match n {
            0 => Outputs::new(),
            _ => launch.add_all()?,
        };
        if n == program.outputs.len() && !program.sums_rows() {
            return Ok(made);
        }
        let mut made = made.into_iter();
        let mut outputs = Outputs::new();
        for (i, output) in program.outputs.iter().enumerate() {
            outputs.push(match zero[i] {
                true => zeros(i, output)?,
                false => match made.next() {
                    Some(a) => self.finished(i, a, &layout, inputs)?,
                    None => zeros(i, output)?,
                },
            });
        }
        Ok(outputs)
    }

    /// The operation in integers, where all that is read are integers and it means the same.
    #[track_caller]
    fn in_integers(&self, inputs: &[&Array], gpu: bool) -> Result<Option<&Operation>> {
        let Inner { program, used, .. } = &*self.inner;
        let outputs = || (0..program.outputs.len()).map(|i| self.dtype(i, inputs));
        let Some(way) = Way::of(program, used, inputs, outputs(), gpu) else {
            return Ok(None);
        };
        let made = &self.inner.wholes[way.number()];
        if let Some(known) = made.get() {
            return Ok(known.as_ref());
        }
        let op = match way.program(program) {
            None => None,
            Some(p) => Some(Operation::with_checks(
                &self.inner.name,
                p,
                None,
                self.inner.checked,
            )?),
        };
        Ok(made.get_or_init(|| op).as_ref())
    }

    /// The kernel for a pattern.
    #[track_caller]
    fn kernel(&self, pattern: &Pattern) -> Result<&MetalKernel> {
        let kernels = &self.inner.kernels;
        match kernels.iter().find(|k| k.pattern == *pattern) {
            Some(known) => Ok(&known.kernel),
            None => Ok(kernels.keep(*pattern, self.build(pattern)?)),
        }
    }

    #[track_caller]
    fn build(&self, pattern: &Pattern) -> Result<MetalKernel> {
        let text = text::text(&self.inner.program, pattern);
        if text.outputs.is_empty() {
            // Nothing but zeros: never launched.
            return MetalKernel::new(&self.inner.name, text.inputs, ["zk_none"])
                .source("zk_none[0] = 0; // no output needs a kernel")
                .build();
        }
        let kernel = MetalKernel::new(&self.inner.name, text.inputs, text.outputs)
            .header(text.header)
            .source(text.source)
            .build()?;
        Ok(match self.inner.checked {
            true => kernel.checked(),
            false => kernel,
        })
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.inner.program.inputs.iter().map(|i| &i.name).collect();
        write!(f, "`{}` of {names:?}", self.inner.name)
    }
}
