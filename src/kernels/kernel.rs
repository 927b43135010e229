//! Kernels of the catalog over rows: what each is made of, and how it is launched.

use super::arguments::with_axes;
use super::group::{Group, block_bytes};
use super::split::{self, Split};
use crate::codegen::blocks::as_on_gpu;
use crate::metal::{LONGEST, Made, build_once, lines};
use crate::{Array, Dtype, MetalKernel, Result};

/// A kernel over the rows of its first input.
///
/// Its text runs with the width `n` of that input's last axis and the thread's place `g` in its
/// threadgroup (see `kernels/rows.metal`); the functions that it names come from
/// `kernels/*.metal`. An input without axes arrives as an array of one element.
pub(crate) struct RowKernel {
    name: &'static str,
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
    /// The statement for each row, whose number is `row`.
    call: &'static str,
    /// `VEC` on a CPU for first inputs of 4 and of 2 bytes.
    vec_on_cpu: [i32; 2],
    /// What it does with a row that several groups may share.
    shared: split::Sharing,
    made: Made<MetalKernel>,
    made_split: Made<MetalKernel>,
    made_in_lines: Made<MetalKernel>,
}

impl RowKernel {
    /// A kernel that runs `call` once for each row.
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
            vec_on_cpu: [64; 2],
            shared: split::Sharing::Maps,
            made: Made::new(),
            made_split: Made::new(),
            made_in_lines: Made::new(),
        }
    }

    /// A kernel whose threads take `VEC` neighbours each, one after the other: so many on a CPU for
    /// first inputs of 4 and of 2 bytes.
    pub(crate) const fn scans(mut self, four: i32, two: i32) -> Self {
        self.vec_on_cpu = [four, two];
        self.shared = split::Sharing::Scans;
        self
    }

    /// A kernel whose rows no groups share.
    pub(crate) const fn alone(mut self) -> Self {
        self.shared = split::Sharing::Alone;
        self
    }

    fn kernel(&self) -> Result<&MetalKernel> {
        build_once(&self.made, self.name, self.inputs, self.outputs, || {
            self.source(false)
        })
    }

    /// The kernel for more threads than one axis of a grid has: it goes on along the next.
    fn kernel_in_lines(&self) -> Result<&MetalKernel> {
        let name = format!("{}_lines", self.name);
        build_once(
            &self.made_in_lines,
            &name,
            self.inputs,
            self.outputs,
            || self.source(true),
        )
    }

    fn source(&self, in_lines: bool) -> String {
        let x = self.inputs[0];
        let call = self.call;
        let row = match in_lines {
            true => {
                "const size_t line = threads_per_grid.x / TG, place = thread_position_in_grid.x / TG;\n\
                 if (thread_position_in_grid.y + 1 == threads_per_grid.y && place + MISSING >= line) return;\n\
                 const size_t row = thread_position_in_grid.y * line + place;"
            }
            false => "const size_t row = thread_position_in_grid.x / TG;",
        };
        format!(
            "threadgroup float shared[32];\n\
             const size_t n = {x}_shape[{x}_ndim - 1];\n\
             const kk_group<TG, VEC, ITEMS> g = {{shared, thread_position_in_grid.x % TG, \
             thread_index_in_simdgroup, simdgroup_index_in_threadgroup}};\n{row}\n{call};\n"
        )
    }

    /// How a row of `width` elements is shared out, see `kernels/rows.metal`.
    fn group(&self, gpu: bool, width: usize, dtype: Dtype) -> Group {
        if !as_on_gpu(gpu) {
            let [four, two] = self.vec_on_cpu;
            let vec = if dtype == Dtype::Float32 { four } else { two };
            return Group {
                tg: 1,
                vec,
                items: 0,
            };
        }
        if self.shared == split::Sharing::Scans {
            return Group::of_scan(width, dtype.size(), block_bytes(gpu));
        }
        // Elements of a thread, and of a load: 16 or 8 bytes where rows are made of such blocks.
        let (elements, wide) = match dtype {
            Dtype::Float32 => (16, 4),
            _ if width.is_multiple_of(8) && width >= 32 * 8 => (32, 8),
            _ => (32, 4),
        };
        let blocks = gpu && width.is_multiple_of(wide) && width >= 32 * wide;
        let vec = if blocks { wide } else { 1 };
        let tg = width.div_ceil(elements).next_power_of_two().clamp(32, 1024);
        let items = width.div_ceil(tg * vec).next_power_of_two();
        // Wider rows than the registers hold are read again by each pass.
        let (vec, items) = if items * vec > 32 {
            (4, 0)
        } else {
            (vec, items)
        };
        Group {
            tg: tg as i32,
            vec: vec as i32,
            items: items as i32,
        }
    }

    /// One group of threads for each of `rows` rows, of which the widest pass has `width` elements.
    #[track_caller]
    pub(crate) fn launch<const N: usize>(
        &self,
        inputs: &[&Array],
        outputs: [(&[i32], Dtype); N],
        rows: usize,
        width: usize,
    ) -> Result<[Array; N]> {
        let dtype = inputs[0].dtype();
        let gpu = crate::stream::current().gpu;
        let split = self.split(gpu, rows, width, dtype);
        let inputs = with_axes(inputs)?;
        let group = self.group(gpu, width, dtype);
        let (line, count) = lines(rows as u64, LONGEST / group.tg as u64);
        let kernel = match split {
            Some(_) => self.split_kernel()?,
            None if count > 1 => self.kernel_in_lines()?,
            None => self.kernel()?,
        };
        let mut launch = kernel.launch(&inputs);
        for (shape, dtype) in outputs {
            launch.set_output(shape, dtype);
        }
        match split {
            Some(split) => split.apply(&mut launch, rows),
            None => {
                group.apply(&mut launch);
                if count > 1 {
                    let missing = line * count - rows as i64;
                    launch.set_template("MISSING", (missing as i32).into());
                }
                launch.set_grid((line * i64::from(group.tg), count));
            }
        }
        launch.add()
    }

    /// How several groups share a row, where they do.
    fn split(&self, gpu: bool, rows: usize, width: usize, dtype: Dtype) -> Option<Split> {
        if !as_on_gpu(gpu) {
            return None;
        }
        Split::of(self.shared, rows, width, dtype, block_bytes(gpu))
    }

    fn split_kernel(&self) -> Result<&MetalKernel> {
        if let Some(kernel) = self.made_split.get() {
            return Ok(kernel);
        }
        let name = format!("{}_split", self.name);
        build_once(&self.made_split, &name, self.inputs, self.outputs, || {
            split::source(self.shared, self.inputs[0], self.call)
        })
    }
}
