//! Kernels of the catalog: what each is made of, and how one over rows is launched.

use std::sync::OnceLock;

use crate::metal::Launch;
use crate::{Array, Dtype, Error, MetalKernel, Result};

/// A kernel whose threadgroups work on one row each: `call` runs with the row's number `row`, the
/// width `n` of the first input's last axis and the group `g` (see `kernels/rows.metal`).
///
/// The functions that `call` names come from `kernels/*.metal`.
pub(crate) struct RowKernel {
    name: &'static str,
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
    call: &'static str,
    made: OnceLock<MetalKernel>,
}

impl RowKernel {
    pub(crate) const fn new(
        name: &'static str,
        inputs: &'static [&'static str],
        outputs: &'static [&'static str],
        call: &'static str,
    ) -> Self {
        RowKernel {
            name,
            inputs,
            outputs,
            call,
            made: OnceLock::new(),
        }
    }

    fn kernel(&self) -> Result<&MetalKernel> {
        if let Some(kernel) = self.made.get() {
            return Ok(kernel);
        }
        let width = self.inputs[0];
        let source = format!(
            "threadgroup float shared[32];\n\
             const size_t n = {width}_shape[{width}_ndim - 1];\n\
             const size_t row = threadgroup_position_in_grid.x;\n\
             const kk_group g = {{shared, thread_position_in_threadgroup.x, \
             thread_index_in_simdgroup, simdgroup_index_in_threadgroup}};\n{};\n",
            self.call
        );
        let made = MetalKernel::new(self.name, self.inputs.to_vec(), self.outputs.to_vec())
            .header(crate::msl::header_for(&source))
            .source(source)
            .build()?;
        Ok(self.made.get_or_init(|| made))
    }

    /// One threadgroup for each of `rows` rows of about `width` elements.
    #[track_caller]
    pub(crate) fn launch<const N: usize>(
        &self,
        inputs: &[&Array],
        outputs: [(&[i32], Dtype); N],
        rows: usize,
        width: usize,
    ) -> Result<[Array; N]> {
        let (tg, vec) = group(width);
        let mut launch = self.kernel()?.launch(inputs);
        for (shape, dtype) in outputs {
            launch = launch.output(shape, dtype);
        }
        let threads = rows.saturating_mul(tg as usize);
        sized(launch, tg, vec).grid(threads).threadgroup(tg).run()
    }
}

fn sized(launch: Launch<'_>, tg: i32, vec: i32) -> Launch<'_> {
    launch.template("TG", tg).template("VEC", vec)
}

/// Threads of a row's group, and consecutive elements that each takes at a time.
///
/// On a CPU one thread walks the row, with enough accumulators for its vector registers. On a
/// GPU a group is as wide as gives each thread a few blocks.
fn group(width: usize) -> (i32, i32) {
    if !crate::stream::current().gpu {
        return (1, 64);
    }
    let vec = 4;
    let threads = width.div_ceil(4 * vec as usize).next_power_of_two();
    (threads.clamp(32, 1024) as i32, vec)
}

/// Number of rows and width of an array over whose last axis a function works.
///
/// # Errors
/// [`Error::Shape`] for an array without axes.
#[track_caller]
pub(crate) fn rows_of(name: &str, x: &Array) -> Result<(usize, usize)> {
    match x.shape().split_last() {
        Some((&n, leading)) => Ok((leading.iter().map(|&n| n as usize).product(), n as usize)),
        None => Err(Error::shape(format!(
            "`{name}`: expected an array with at least one axis, got a scalar"
        ))),
    }
}

/// Refuses what is no floating type that Metal has.
#[track_caller]
pub(crate) fn check_float(name: &str, x: &Array) -> Result<()> {
    match x.dtype() {
        Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16 => Ok(()),
        other => Err(Error::dtype(format!(
            "`{name}`: expected float32, float16 or bfloat16, got {other}"
        ))),
    }
}
