//! The elements of quantized matrices as numbers.

use super::super::super::arguments::number;
use super::text::{Kernels, arguments, names};
use super::weight::QuantFormat;
use crate::codegen::blocks::as_on_gpu;
use crate::metal::{LONGEST, lines};
use crate::{Array, Dtype, Result};

static KERNELS: Kernels<QuantFormat> = Kernels::new();

/// All elements of a matrix of this shape.
#[track_caller]
pub(super) fn unpack(
    format: QuantFormat,
    parts: &[Array],
    shape: &[i32],
    dtype: Dtype,
) -> Result<Array> {
    if shape.contains(&0) {
        return Array::zeros(shape, dtype);
    }
    let kernel = KERNELS.get(format, || {
        let mut inputs = names(0)[..format.parts()].to_vec();
        inputs.extend(["columns", "rows"]);
        ("dequantize_matrix".into(), inputs, source(format))
    })?;
    let &[.., k] = shape else {
        return Array::zeros(shape, dtype);
    };
    let rows: usize = shape[..shape.len() - 1]
        .iter()
        .map(|&n| n as usize)
        .product();
    let arrays = arguments(format, parts)?;
    let (columns, count) = (number(i64::from(k))?, number(rows as i64)?);
    let mut inputs: Vec<&Array> = arrays.iter().collect();
    inputs.extend([&*columns, &*count]);
    // Chunks of a thread.
    let gpu = as_on_gpu(crate::stream::current().gpu);
    let span = if gpu { 1 } else { 32 };
    let threads = rows * (k as usize / 32).div_ceil(span);
    let mut launch = kernel.launch(&inputs);
    format.set_scales(0, parts, &mut launch);
    launch.set_template("O", dtype.into());
    launch.set_template("SPAN", (span as i32).into());
    launch.set_output(shape, dtype);
    launch.set_grid(lines(threads as u64, LONGEST));
    if gpu {
        launch.set_threadgroup(256);
    }
    let [out] = launch.add()?;
    Ok(out)
}

fn source(format: QuantFormat) -> String {
    let reader = format.reader(0);
    format!(
        "const size_t chunks = size_t(columns) / 32, spans = (chunks + SPAN - 1) / SPAN;\n\
         const size_t id = size_t(thread_position_in_grid.y) * threads_per_grid.x + thread_position_in_grid.x;\n\
         const size_t row = id / spans, from = id % spans * SPAN;\n\
         if (row >= size_t(rows)) return;\n\
         const auto matrix = {reader};\n\
         kk_unpack<O, SPAN == 1>(matrix.row(row), from, metal::min(chunks, from + SPAN), out + row * chunks * 32);\n"
    )
}
