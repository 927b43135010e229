//! From a description to a node of MLX's graph: checks, sizes, the launch.

use std::path::Path;
use std::time::Instant;

use smallvec::SmallVec;

use crate::array::element_count;
use crate::bridge::ArrayRef;
use crate::bridge::kernel::ffi;
use crate::error::Lift;
use crate::stream::current;
use crate::{Array, Error, Result};

use super::capture;
use super::dump;
use super::geometry::{Extent, IntoExtent, check_grid, check_threadgroup, default_threadgroup};
use super::launch::Launch;
use super::specialize::{CudaClass, Input, Inputs, Key, is_single};
use super::template::{self, check_dtype};

/// What a launch writes.
type Specs<'a> = SmallVec<[ffi::OutputSpec<'a>; 2]>;

/// Arrays that a launch gives, few of which are a list on the heap.
pub(crate) type Outputs = SmallVec<[Array; 2]>;

impl<'a> Launch<'a> {
    /// Adds the launch to the graph and gives its outputs.
    ///
    /// ```no_run
    /// # fn f(kernel: zmlx::MetalKernel, x: zmlx::Array) -> zmlx::Result<()> {
    /// let [y] = kernel.launch(&[&x]).run()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`run_vec`](Self::run_vec), and [`Error::Argument`] when `N` is not the number of outputs.
    #[track_caller]
    pub fn run<const N: usize>(self) -> Result<[Array; N]> {
        self.add()
    }

    /// [`run`](Self::run) in place.
    #[track_caller]
    pub(crate) fn add<const N: usize>(&self) -> Result<[Array; N]> {
        let kernel = self.kernel;
        if kernel.output_names().len() != N {
            return Err(Error::argument(
                "outputs",
                format_args!(
                    "a pattern of {}, one for each output of `{}`",
                    arrays(kernel.output_names().len()),
                    kernel.name()
                ),
                N,
            ));
        }
        let mut slots = [(); N].map(|()| no_output());
        let geometry = self.enqueue(&mut slots)?;
        let outputs = slots.map(|slot| Array::wrap(slot.array));
        self.finish(&outputs, geometry)?;
        Ok(outputs)
    }

    /// Adds the launch to the graph and gives its outputs, however many.
    ///
    /// The first launch with new dtypes or template arguments compiles the kernel.
    ///
    /// # Errors
    /// [`Error::Argument`], [`Error::Shape`] or [`Error::Dtype`] that name what does not fit;
    /// [`Error::Kernel`] when the kernel does not compile, with the line of its source.
    #[track_caller]
    pub fn run_vec(self) -> Result<Vec<Array>> {
        self.add_all().map(Outputs::into_vec)
    }

    /// [`run_vec`](Self::run_vec) in place.
    #[track_caller]
    pub(crate) fn add_all(&self) -> Result<Outputs> {
        let mut slots: SmallVec<[ffi::Slot; 2]> = SmallVec::new();
        slots.resize_with(self.kernel.output_names().len(), no_output);
        let geometry = self.enqueue(&mut slots)?;
        let outputs = slots.into_iter().map(|slot| Array::wrap(slot.array));
        let outputs: Outputs = outputs.collect();
        self.finish(&outputs, geometry)?;
        Ok(outputs)
    }

    /// Adds the launch to the graph, with as many outputs as the kernel has. Gives its sizes, unless there
    /// was nothing to write and so no launch.
    #[track_caller]
    fn enqueue(&self, slots: &mut [ffi::Slot]) -> Result<Option<ffi::Geometry>> {
        let inputs = self.read();
        self.check_inputs(&inputs)?;
        let outputs = self.resolve_outputs()?;
        let stream = current();
        if self.options.verbose {
            self.print_texts(&outputs)?;
        }
        if outputs.iter().all(|o| o.shape.contains(&0)) {
            // Nothing to write: legal, and no launch.
            template::check(&self.template, self.kernel)?;
            for (slot, o) in slots.iter_mut().zip(&outputs) {
                slot.array = Array::empty(o.shape, o.dtype)?.into_raw();
            }
            return Ok(None);
        }
        let geometry = self.resolve_geometry(&outputs)?;
        if dump::wanted() {
            dump::launch(self, &inputs, &outputs, &geometry)?;
        }
        if self.options.timed {
            self.eager("timed")?;
            crate::eval(&self.inputs)?;
            crate::synchronize()?;
        }
        let exporting = crate::transforms::exporting();
        if exporting || (stream.gpu && ffi::metal_available().lift()?) {
            self.run_native(&outputs, &geometry, stream, slots)?;
        } else if stream.gpu {
            if !ffi::cuda_available().lift()? {
                return Err(no_gpu());
            }
            let class = CudaClass::of(self, &outputs, &geometry);
            let code = self
                .kernel
                .specialization(&class.key(self, &inputs, &outputs));
            let plan = self.kernel.cuda_plan(&code, class, self, &outputs)?;
            ffi::cuda_launch(plan, &self.refs(), &outputs, &geometry, stream, slots).lift()?;
        } else {
            let key = Key::of(
                self,
                &inputs,
                &outputs,
                [u8::from(is_single(&geometry)), 0, 0],
            );
            let code = self.kernel.specialization(&key);
            let plan = self.kernel.host_plan(&code, self, &outputs, &geometry)?;
            ffi::host_launch(plan, &self.refs(), &outputs, &geometry, stream, slots).lift()?;
        }
        let read: usize = inputs.iter().map(|i| i.bytes).sum();
        let bytes = read as u64 + written(&outputs);
        self.kernel.inner.stats.launched(bytes);
        Ok(Some(geometry))
    }

    /// What follows a launch where that was asked for.
    #[track_caller]
    fn finish(&self, arrays: &[Array], geometry: Option<ffi::Geometry>) -> Result<()> {
        let Some(geometry) = geometry else {
            return Ok(());
        };
        if self.options.timed {
            let begin = Instant::now();
            crate::eval(arrays)?;
            crate::synchronize()?;
            let time = begin.elapsed();
            let outputs: usize = arrays.iter().map(Array::nbytes).sum();
            let inputs: usize = self.inputs.iter().map(|a| a.nbytes()).sum();
            let bytes = (inputs + outputs) as u64;
            self.kernel.inner.stats.timed(bytes, time);
        }
        if let Some(dir) = &self.kernel.captures {
            self.capture(dir, &geometry, arrays)?;
        }
        Ok(())
    }

    fn refs(&self) -> SmallVec<[ArrayRef<'a>; 4]> {
        self.inputs.iter().map(|a| a.as_ref_arg()).collect()
    }

    /// Bytes of the outputs that a thread writes, if each writes as many.
    pub(super) fn written_by_a_thread(&self, outputs: &[ffi::OutputSpec]) -> u64 {
        let threads = match self.grid {
            Some(Extent(grid)) => grid
                .iter()
                .fold(1, |all: u64, n| all.saturating_mul(n.unsigned_abs())),
            None => outputs.first().map_or(1, elements),
        };
        written(outputs) / threads.max(1)
    }

    /// Refuses to evaluate where arrays have no values yet.
    #[track_caller]
    fn eager(&self, argument: &str) -> Result<()> {
        if crate::transforms::exporting() || self.inputs.iter().any(|a| a.is_tracer()) {
            return Err(Error::argument(
                argument,
                "a launch outside of transforms",
                format_args!("one of `{}` inside", self.kernel.name()),
            ));
        }
        Ok(())
    }

    #[track_caller]
    fn capture(&self, dir: &Path, geometry: &ffi::Geometry, outputs: &[Array]) -> Result<()> {
        self.eager("capture")?;
        let sizes = (geometry.grid, geometry.threadgroup);
        capture::write(dir, self, sizes, outputs).map(drop)
    }

    #[track_caller]
    fn run_native(
        &self,
        outputs: &[ffi::OutputSpec<'_>],
        geometry: &ffi::Geometry,
        stream: crate::bridge::StreamRef,
        slots: &mut [ffi::Slot],
    ) -> Result<()> {
        let exporting = crate::transforms::exporting();
        // A file needs a GPU stream to say that the kernel is Metal's; there is one to name
        // even where there is no GPU.
        let stream = if exporting {
            crate::Device::GPU.default_stream()
        } else {
            stream
        };
        template::check(&self.template, self.kernel)?;
        let native = &self.kernel.inner.definition.native;
        let template = template::to_ffi(&self.template);
        let inputs = self.refs();
        let launched = if exporting {
            native.export_launch(&inputs, outputs, &template, geometry, stream, slots)
        } else {
            native.launch(&inputs, outputs, &template, geometry, stream, slots)
        };
        launched.lift()
    }

    pub(super) fn read(&self) -> Inputs {
        self.inputs.iter().map(|a| Input::of(a)).collect()
    }

    #[track_caller]
    pub(super) fn check_inputs(&self, inputs: &Inputs) -> Result<()> {
        let names = self.kernel.input_names();
        if self.inputs.len() != names.len() {
            return Err(Error::argument(
                "inputs",
                format_args!(
                    "{} for `{}` ({})",
                    arrays(names.len()),
                    self.kernel.name(),
                    names.join(", ")
                ),
                self.inputs.len(),
            ));
        }
        for (name, input) in names.iter().zip(inputs) {
            check_dtype(name, input.dtype)?;
        }
        Ok(())
    }

    #[track_caller]
    pub(super) fn resolve_outputs(&self) -> Result<Specs<'_>> {
        let names = self.kernel.output_names();
        let mut specs = Specs::new();
        if self.outputs.is_empty() {
            let Some(like) = self.inputs.first() else {
                return Err(Error::argument(
                    "output",
                    "shape and dtype of each output, as there is no input to be like",
                    "none",
                ));
            };
            let (shape, dtype) = (like.shape(), like.dtype());
            specs.extend(names.iter().map(|_| ffi::OutputSpec { shape, dtype }));
        } else {
            let given = self.outputs.iter();
            specs.extend(given.map(|&(ref shape, dtype)| ffi::OutputSpec { shape, dtype }));
        }
        if specs.len() != names.len() {
            return Err(Error::argument(
                "output",
                format_args!(
                    "a shape and dtype for each output of `{}` ({})",
                    self.kernel.name(),
                    names.join(", ")
                ),
                specs.len(),
            ));
        }
        if let Some(problem) = self.problem.take() {
            return Err(*problem);
        }
        for (spec, name) in specs.iter().zip(names) {
            element_count(spec.shape)?;
            check_dtype(name, spec.dtype)?;
        }
        Ok(specs)
    }

    #[track_caller]
    pub(super) fn resolve_geometry(
        &self,
        outputs: &[ffi::OutputSpec<'_>],
    ) -> Result<ffi::Geometry> {
        let grid = match self.grid {
            Some(grid) => grid,
            None => element_count(outputs[0].shape)?.into_extent(),
        };
        let grid = check_grid(grid)?;
        let threadgroup = match self.threadgroup {
            Some(t) => check_threadgroup(t)?,
            None => default_threadgroup(grid),
        };
        Ok(ffi::Geometry {
            grid,
            // As MLX does it: no dimension of a threadgroup is longer than the grid's.
            threadgroup: std::array::from_fn(|i| threadgroup[i].min(grid[i])),
            has_init: self.options.init_value.is_some(),
            init: self.options.init_value.unwrap_or(0.0),
        })
    }

    #[track_caller]
    fn print_texts(&self, outputs: &[ffi::OutputSpec<'_>]) -> Result<()> {
        let texts = self.kernel.texts(self, outputs)?;
        let name = self.kernel.name();
        println!("// kernel `{name}`: Metal\n{}", texts.msl);
        println!("// kernel `{name}`: host\n{}", texts.lowered);
        Ok(())
    }
}

/// `1 array`, `2 arrays`.
pub(crate) fn arrays(count: usize) -> String {
    format!("{count} array{}", if count == 1 { "" } else { "s" })
}

fn no_output() -> ffi::Slot {
    ffi::Slot {
        array: cxx::UniquePtr::null(),
    }
}

/// A launch on a GPU stream where MLX has no GPU.
#[track_caller]
fn no_gpu() -> Error {
    let info = crate::engine::info();
    let why = info.problems.first().map_or("", String::as_str);
    Error::argument(
        "stream",
        "one of a device that MLX has",
        format_args!("a GPU stream, but MLX finds no GPU ({why})"),
    )
}

/// Sizes that were checked: none is negative, and the product fits.
fn elements(output: &ffi::OutputSpec) -> u64 {
    let sizes = output.shape.iter();
    sizes.map(|&n| u64::from(n.unsigned_abs())).product()
}

/// Bytes of all outputs.
fn written(outputs: &[ffi::OutputSpec]) -> u64 {
    let bytes = |o: &ffi::OutputSpec| elements(o) * o.dtype.size() as u64;
    outputs.iter().map(bytes).sum()
}
