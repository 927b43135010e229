//! Kernels of the catalog over elements.

use std::sync::OnceLock;

use super::arguments::with_axes;
use super::kernel::build;
use crate::codegen::blocks::block;
use crate::metal::{LONGEST, lines};
use crate::{Array, MetalKernel, Result};

/// A kernel over elements, with an output like its first input: an expression of the element `v`, as a
/// float, and its number `i`.
pub(crate) struct ElementKernel {
    name: &'static str,
    inputs: &'static [&'static str],
    value: &'static str,
    made: OnceLock<MetalKernel>,
    by_blocks: OnceLock<MetalKernel>,
    /// The same for more threads than one axis of a grid has.
    in_lines: [OnceLock<MetalKernel>; 2],
}

impl ElementKernel {
    pub(crate) const fn new(
        name: &'static str,
        inputs: &'static [&'static str],
        value: &'static str,
    ) -> Self {
        ElementKernel {
            name,
            inputs,
            value,
            made: OnceLock::new(),
            by_blocks: OnceLock::new(),
            in_lines: [const { OnceLock::new() }; 2],
        }
    }

    fn source(&self, by_blocks: bool, in_lines: bool) -> String {
        let (x, value) = (self.inputs[0], self.value);
        // The thread's number, and that of its first element modulo 2^32.
        let (leave, at) = match in_lines {
            true => (
                "if (thread_position_in_grid.y + 1 == threads_per_grid.y && \
                 thread_position_in_grid.x + MISSING >= threads_per_grid.x) return;\n",
                "size_t(thread_position_in_grid.y) * threads_per_grid.x + thread_position_in_grid.x",
            ),
            false => ("", "thread_position_in_grid.x"),
        };
        let number = if in_lines { "size_t" } else { "uint" };
        if !by_blocks {
            return format!(
                "{leave}const {number} at = {at};\n\
                 const uint i = uint(at);\n\
                 const float v = float({x}[at]);\n\
                 kk_store(out + at, {value});\n"
            );
        }
        // Two ways for the whole block: choosing for each element would cost an instruction each.
        format!(
            "{leave}const {number} at = {at};\n\
             const uint first = uint(at) * VEC;\n\
             if (kk_aligned<VEC>({x}) && kk_aligned<VEC>(out)) {{\n\
             const auto from = kk_load<VEC>({x}, at);\n\
             kk_block<O, VEC> to;\n\
             for (uint k = 0; k < VEC; ++k) {{\n\
             const uint i = first + k;\n\
             const float v = float(from.v[k]);\n\
             to.v[k] = O({value});\n\
             }}\n\
             kk_store_block(out, at, to);\n\
             }} else {{\n\
             for (uint k = 0; k < VEC; ++k) {{\n\
             const size_t place = size_t(at) * VEC + k;\n\
             const uint i = uint(place);\n\
             const float v = float({x}[place]);\n\
             kk_store(out + place, {value});\n\
             }}\n\
             }}\n"
        )
    }

    #[track_caller]
    pub(crate) fn launch(&self, inputs: &[&Array]) -> Result<Array> {
        let (shape, dtype, size) = (inputs[0].shape(), inputs[0].dtype(), inputs[0].size());
        let gpu = crate::stream::current().gpu;
        let block = block(gpu, size as u64, [dtype]) as usize;
        let threads = (size / block).max(1);
        let (line, count) = lines(threads as u64, LONGEST);
        let made = match (block > 1, count > 1) {
            (false, false) => &self.made,
            (true, false) => &self.by_blocks,
            (by_blocks, true) => &self.in_lines[usize::from(by_blocks)],
        };
        let kernel = build(made, self.name, self.inputs, &["out"], || {
            self.source(block > 1, count > 1)
        })?;
        let inputs = with_axes(inputs)?;
        let mut launch = kernel.launch(&inputs);
        launch.set_output(shape, dtype);
        if block > 1 {
            launch.set_template("O", dtype.into());
            launch.set_template("VEC", (block as i32).into());
        }
        if count > 1 {
            let missing = line * count - threads as i64;
            launch.set_template("MISSING", (missing as i32).into());
        }
        launch.set_grid((line, count));
        let [y] = launch.add()?;
        Ok(y)
    }
}
