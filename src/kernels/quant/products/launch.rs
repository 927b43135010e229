//! Launches of products with quantized matrices.

use smallvec::SmallVec;

use super::super::super::arguments::number;
use super::product::{Product, Then};
use super::text::{Kernels, arguments, names};
use super::unpack::unpack;
use super::weight::QuantFormat;
use crate::codegen::blocks::as_on_gpu;
use crate::{Array, Result};

/// What a text is made from.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    formats: SmallVec<[QuantFormat; 2]>,
    then: Then,
    /// Simdgroups work on rows, not single threads.
    lanes: bool,
}

static KERNELS: Kernels<Key> = Kernels::new();

/// Rows of the matrix of a thread, where one thread works on rows.
const ROWS: i32 = 32;
/// Simdgroups of a threadgroup.
const SIMDS: i64 = 4;
/// Up to so many rows of x a GPU reads the matrix as it is.
const FEW: usize = 32;

/// The product and what follows.
#[track_caller]
pub(super) fn launch(product: &Product, all: &[Array]) -> Result<Array> {
    let inputs = product.inputs(all);
    let (count, n, k) = product.sizes();
    let out = product.result(inputs.x);
    if out.contains(&0) || count == 0 {
        return match inputs.residual {
            Some(residual) => residual.astype(inputs.x.dtype()),
            None => Array::zeros(out, inputs.x.dtype()),
        };
    }
    let rows = inputs.x.size() / k as usize;
    let share = product.slots.unwrap_or(1);
    let slots = rows * share as usize;
    let gpu = as_on_gpu(crate::stream::current().gpu);
    if gpu && !product.then.experts && slots > FEW {
        return match product.is_plain() {
            true => {
                let dtype = inputs.x.dtype();
                let w = unpack(product.formats[0], inputs.parts[0], &product.shape, dtype)?;
                inputs.x.matmul(&w.transpose(..)?)
            }
            false => product.composite(all),
        };
    }
    let key = Key {
        formats: product.formats.clone(),
        then: product.then,
        lanes: gpu,
    };
    let kernel = KERNELS.get(key.clone(), || describe(&key))?;
    let x = inputs.x.reshape((rows as i32, k))?;
    let (columns, matrices) = (number(i64::from(n))?, number(i64::from(count))?);
    let share = number(i64::from(share))?;
    let mut arrays: SmallVec<[Array; 8]> = SmallVec::new();
    arrays.push(x);
    let flat = |a: Option<&Array>| a.map(|a| a.reshape(-1)).transpose();
    arrays.extend(flat(inputs.residual)?);
    arrays.extend(flat(inputs.experts)?);
    arrays.extend(flat(inputs.bias)?);
    for (&format, parts) in product.formats.iter().zip(&inputs.parts) {
        arrays.extend(arguments(format, parts)?);
    }
    let mut given: SmallVec<[&Array; 12]> = arrays.iter().collect();
    given.extend([&*columns, &*matrices, &*share]);
    let mut launch = kernel.launch(&given);
    for (which, (format, parts)) in product.formats.iter().zip(&inputs.parts).enumerate() {
        format.set_scales(which, parts, &mut launch);
    }
    launch.set_template("O", inputs.x.dtype().into());
    launch.set_output(&out, inputs.x.dtype());
    // Rows of x at a time.
    let many =
        [1, 2, 4, 8][usize::from(slots > 1) + usize::from(slots > 2) + usize::from(slots > 4)];
    launch.set_template("M", many.into());
    let groups = (slots as i64).div_ceil_by(i64::from(many));
    if gpu {
        let each = if many > 1 { 2 } else { 4 };
        launch.set_template("ROWS", each.into());
        let simds = i64::from(n).div_ceil_by(i64::from(each) * SIMDS);
        launch.set_grid((simds * SIMDS * 32, groups));
        launch.set_threadgroup(SIMDS * 32);
    } else {
        launch.set_template("ROWS", ROWS.into());
        launch.set_grid((groups, i64::from(n).div_ceil_by(i64::from(ROWS))));
        launch.set_threadgroup(1);
    }
    let [y] = launch.add()?;
    Ok(y)
}

/// Division that rounds up, of numbers above zero.
trait DivCeil {
    fn div_ceil_by(self, by: i64) -> i64;
}
impl DivCeil for i64 {
    fn div_ceil_by(self, by: i64) -> i64 {
        (self + by - 1) / by
    }
}

/// Name, inputs and source.
fn describe(key: &Key) -> (String, Vec<&'static str>, String) {
    let then = key.then;
    let mut inputs = vec!["x"];
    let optional = [
        (then.residual, "residual"),
        (then.experts, "experts"),
        (then.bias, "bias"),
    ];
    inputs.extend(optional.into_iter().filter(|o| o.0).map(|o| o.1));
    for (which, format) in key.formats.iter().enumerate() {
        inputs.extend(&names(which)[..format.parts()]);
    }
    inputs.extend(["columns", "matrices", "share"]);
    let name = match then.experts {
        true => "gather_quantized_matmul",
        false => "quantized_matmul",
    };
    (name.into(), inputs, source(key))
}

fn source(key: &Key) -> String {
    let then = key.then;
    let mut text = String::from(
        "const size_t k = x_shape[1], chunks = k / 32, n = size_t(columns), each = size_t(share), slots = x_shape[0] * each;\n",
    );
    // Where the first slot and the first row of the matrix are.
    text += match key.lanes {
        true => {
            "const size_t first = thread_position_in_grid.x / 32 * ROWS, from = size_t(thread_position_in_grid.y) * M;\n\
             const uint lane = thread_index_in_simdgroup;\n\
             if (first >= n) return;\n"
        }
        false => {
            "const size_t first = size_t(thread_position_in_grid.y) * ROWS, from = size_t(thread_position_in_grid.x) * M;\n"
        }
    };
    text += "const int many = int(metal::min(size_t(M), slots - from)), rows = int(metal::min(size_t(ROWS), n - first));\n";
    let sums = ["sums", "ups"];
    for (which, format) in key.formats.iter().enumerate() {
        let reader = format.reader(which);
        let sums = sums[which];
        text += &format!("const auto matrix{which} = {reader};\nfloat {sums}[M * ROWS];\n");
    }
    // A run of neighbours with one matrix.
    let (begin, end, row) = match then.experts {
        true => (
            "for (int at = 0; at < many;) {\n\
             const size_t expert = size_t(experts[from + at]);\n\
             int next = at + 1;\n\
             while (next < many && size_t(experts[from + next]) == expert) ++next;\n\
             const bool known = expert < size_t(matrices);\n\
             const size_t row = (known ? expert * n : 0) + first;\n",
            "at = next;\n}\n",
            "row",
        ),
        false => (
            "const int at = 0, next = many;\nconst size_t row = first;\n",
            "",
            "row",
        ),
    };
    text += begin;
    if then.experts {
        text += "if (known) {\n";
    }
    for (which, sums) in sums.iter().enumerate().take(key.formats.len()) {
        let (walk, lane) = match key.lanes {
            true => ("kk_lanes", "lane, "),
            false => ("kk_walk", ""),
        };
        let call = |m: &str| {
            format!(
                "{walk}<{m}, ROWS>(matrix{which}.row({row}), x, k, from + at, each, next - at, rows, {lane}{sums});\n"
            )
        };
        text += &match then.experts {
            // Slots seldom have neighbours where they are few.
            true => format!(
                "if (M > 1 && next - at == 1) {}else {}",
                call("1"),
                call("M")
            ),
            false => call("M"),
        };
    }
    if then.experts {
        text += "}\n";
    }
    text += "for (int m = 0; m < next - at; ++m)\n  for (int r = 0; r < rows; ++r) {\n\
             const size_t place = (from + at + m) * n + first + r;\n";
    if key.lanes {
        text += "if (lane != uint(m * ROWS + r) % 32) continue;\n";
    }
    text += "float y = sums[m * ROWS + r];\n";
    if then.bias {
        text += "y += float(bias[row + r]);\n";
    }
    if then.silu {
        text += "y = kk_silu(y);\n";
    }
    if key.formats.len() > 1 {
        text += "y *= ups[m * ROWS + r];\n";
    }
    if then.experts {
        text += "if (!known) y = 0.0f;\n";
    }
    if then.residual {
        text += "y += float(residual[place]);\n";
    }
    text += "out[place] = O(y);\n}\n";
    text + end
}
