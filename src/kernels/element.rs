//! Kernels of the catalog over elements.

use std::sync::OnceLock;

use super::arguments::with_axes;
use super::kernel::build;
use crate::codegen::blocks::block;
use crate::{Array, MetalKernel, Result};

/// A kernel over elements, with an output like its first input: an expression of the element `v`, as a
/// float, and its number `i`.
pub(crate) struct ElementKernel {
    name: &'static str,
    inputs: &'static [&'static str],
    value: &'static str,
    made: OnceLock<MetalKernel>,
    by_blocks: OnceLock<MetalKernel>,
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
        }
    }

    fn source(&self, by_blocks: bool) -> String {
        let (x, value) = (self.inputs[0], self.value);
        if !by_blocks {
            return format!(
                "const uint i = thread_position_in_grid.x;\n\
                 const float v = float({x}[i]);\n\
                 kk_store(out + i, {value});\n"
            );
        }
        // Two ways for the whole block: choosing for each element would cost an instruction each.
        format!(
            "const uint first = thread_position_in_grid.x * VEC;\n\
             if (kk_aligned<VEC>({x}) && kk_aligned<VEC>(out)) {{\n\
             const auto from = kk_load<VEC>({x}, thread_position_in_grid.x);\n\
             kk_block<O, VEC> to;\n\
             for (uint k = 0; k < VEC; ++k) {{\n\
             const uint i = first + k;\n\
             const float v = float(from.v[k]);\n\
             to.v[k] = O({value});\n\
             }}\n\
             kk_store_block(out, thread_position_in_grid.x, to);\n\
             }} else {{\n\
             for (uint i = first; i < first + VEC; ++i) {{\n\
             const float v = float({x}[i]);\n\
             kk_store(out + i, {value});\n\
             }}\n\
             }}\n"
        )
    }

    #[track_caller]
    pub(crate) fn launch(&self, inputs: &[&Array]) -> Result<Array> {
        let (shape, dtype, size) = (inputs[0].shape(), inputs[0].dtype(), inputs[0].size());
        let gpu = crate::stream::current().gpu;
        let block = block(gpu, size as u64, [dtype]) as usize;
        let made = if block > 1 {
            &self.by_blocks
        } else {
            &self.made
        };
        let kernel = build(made, self.name, self.inputs, &["out"], || {
            self.source(block > 1)
        })?;
        let inputs = with_axes(inputs)?;
        let mut launch = kernel.launch(&inputs);
        launch.set_output(shape, dtype);
        if block > 1 {
            launch.set_template("O", dtype.into());
            launch.set_template("VEC", (block as i32).into());
        }
        launch.set_grid((size / block).max(1));
        let [y] = launch.add()?;
        Ok(y)
    }
}
