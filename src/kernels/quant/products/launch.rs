//! Launches of products with quantized matrices.

use smallvec::SmallVec;

use super::super::super::arguments::number;
use super::product::{Product, Then};
use super::text::{Kernels, arguments, names};
use super::unpack::unpack;
use super::weight::QuantFormat;
use crate::codegen::blocks::as_on_gpu;
use crate::metal::Launch;
use crate::ops::QuantMode;
use crate::{Array, Dtype, Result};

/// What a text is made from.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    formats: SmallVec<[QuantFormat; 2]>,
    then: Then,
    way: Way,
}

/// Who works on what.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    /// A thread on a block of rows of the matrix.
    Walk,
    /// The same with x rounded to 8 bits.
    WalkRounded,
    /// A simdgroup on a few rows of the matrix.
    Lanes,
    /// The simdgroups of a threadgroup on the same rows of the matrix, 16 or 32, by fragments: each has a part of k.
    Fragments,
    /// The simdgroups of a threadgroup on rows of their own, by fragments, with x in threadgroup memory.
    Shared,
}

static KERNELS: Kernels<Key> = Kernels::new();

/// Rows of the matrix of a thread, where one thread works on rows.
const ROWS: i32 = 32;
/// Simdgroups of a threadgroup.
const SIMDS: i64 = 4;
/// Up to so many rows of x a GPU reads the matrix as it is.
const FEW: usize = 32;
/// The same where it can multiply fragments, with chunks of x in threadgroup memory and without.
const FRAGMENTS: usize = 128;
const FRAGMENTS_OF_ANY_K: usize = 64;
/// Up to so many rows of x simdgroups share out k, not rows of the matrix.
const SPLIT: usize = 8;

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
    let fragments = by_fragments(product, inputs.x, slots);
    if gpu && !product.then.experts && slots > FEW && !fragments {
        return match product.is_plain() {
            true => {
                let dtype = inputs.x.dtype();
                let w = unpack(product.formats[0], inputs.parts[0], &product.shape, dtype)?;
                inputs.x.matmul(&w.transpose(..)?)
            }
            false => product.composite(all),
        };
    }
    let way = match gpu {
        false if product.by_bytes() => Way::WalkRounded,
        false => Way::Walk,
        true if fragments && slots > SPLIT && k % 128 == 0 => Way::Shared,
        true if fragments => Way::Fragments,
        true => Way::Lanes,
    };
    let key = Key {
        formats: product.formats.clone(),
        then: product.then,
        way,
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
    share_out(&mut launch, way, slots as i64, i64::from(n));
    let [y] = launch.add()?;
    Ok(y)
}

/// Whether fragments can: codes of 4 bits and x of 16 bits.
fn by_fragments(product: &Product, x: &Array, slots: usize) -> bool {
    let four = |f: &QuantFormat| matches!(f, QuantFormat::Mlx(q) if q.mode == QuantMode::Affine && q.bits == 4);
    let most = match product.sizes().2 % 128 {
        0 => FRAGMENTS,
        _ => FRAGMENTS_OF_ANY_K,
    };
    product.formats.iter().all(four)
        && !product.then.experts
        && x.dtype() != Dtype::Float32
        && slots <= most
}

/// How many times eight rows of x a threadgroup works on.
fn columns(slots: i64) -> i32 {
    match slots {
        ..=8 => 1,
        9..=16 => 2,
        17..=32 => 4,
        _ => 8,
    }
}

/// Who works on which rows of the matrix and which slots.
fn share_out(launch: &mut Launch<'_>, way: Way, slots: i64, n: i64) {
    // Of numbers above zero.
    let divided = |n: i64, by: i64| (n + by - 1) / by;
    let many =
        [1, 2, 4, 8][usize::from(slots > 1) + usize::from(slots > 2) + usize::from(slots > 4)];
    match way {
        Way::Walk | Way::WalkRounded => {
            // More rows take the matrix apart less often.
            let many = if slots > 8 { 16 } else { many };
            // Where each block of rows rounds x for itself, blocks of many rows do it less often.
            let rows = match way {
                Way::WalkRounded if slots > 16 => 4 * ROWS,
                Way::WalkRounded if slots > 4 => 2 * ROWS,
                _ => ROWS,
            };
            launch.set_template("M", many.into());
            launch.set_template("ROWS", rows.into());
            let groups = divided(slots, i64::from(many));
            launch.set_grid((groups, divided(n, i64::from(rows))));
            launch.set_threadgroup(1);
        }
        Way::Lanes => {
            let rows = if many > 1 { 2 } else { 4 };
            launch.set_template("M", many.into());
            launch.set_template("ROWS", rows.into());
            let groups = divided(n, i64::from(rows) * SIMDS);
            launch.set_grid((groups * SIMDS * 32, divided(slots, i64::from(many))));
            launch.set_threadgroup(SIMDS * 32);
        }
        Way::Fragments | Way::Shared => {
            let columns = columns(slots);
            let shared = way == Way::Shared;
            let blocks = if shared && columns <= 2 { 1 } else { 2 };
            launch.set_template("COLUMNS", columns.into());
            launch.set_template("BLOCKS", blocks.into());
            launch.set_template("SIMDS", (SIMDS as i32).into());
            if !shared {
                launch.set_template("AHEAD", 1.into());
            }
            let rows = 16 * i64::from(blocks) * if shared { SIMDS } else { 1 };
            let groups = divided(n, rows) * SIMDS * 32;
            launch.set_grid((groups, divided(slots, i64::from(8 * columns))));
            launch.set_threadgroup(SIMDS * 32);
        }
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
    if matches!(key.way, Way::Fragments | Way::Shared) {
        return source_of_fragments(key);
    }
    let then = key.then;
    let lanes = key.way == Way::Lanes;
    let mut text = String::from(
        "const size_t k = x_shape[1], chunks = k / 32, n = size_t(columns), each = size_t(share), slots = x_shape[0] * each;\n",
    );
    // Where the first slot and the first row of the matrix are.
    text += match lanes {
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
        let bytes = match key.way {
            Way::WalkRounded => format.reader_of_bytes(which),
            _ => None,
        };
        let reader = bytes.unwrap_or_else(|| format.reader(which));
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
        let (walk, lane) = match key.way {
            Way::Walk => ("kk_walk", ""),
            Way::WalkRounded => ("kk_walk_rounded", ""),
            _ => ("kk_lanes", "lane, "),
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
    if lanes {
        text += "if (lane != uint(m * ROWS + r) % 32) continue;\n";
    }
    text += "float y = sums[m * ROWS + r];\n";
    text += &follows(key, "ups[m * ROWS + r]");
    text += "out[place] = O(y);\n}\n";
    text + end
}

/// What becomes of the sum `y` of a row of the matrix, number r behind `row`, at `place`.
fn follows(key: &Key, up: &str) -> String {
    let then = key.then;
    let mut text = String::new();
    if then.bias {
        text += "y += float(bias[row + r]);\n";
    }
    if then.silu {
        text += "y = kk_silu(y);\n";
    }
    if key.formats.len() > 1 {
        text += &format!("y *= {up};\n");
    }
    if then.experts {
        text += "if (!known) y = 0.0f;\n";
    }
    if then.residual {
        text += "y += float(residual[place]);\n";
    }
    text
}

fn source_of_fragments(key: &Key) -> String {
    let shared = key.way == Way::Shared;
    let mut text = String::from(
        "const size_t k = x_shape[1], chunks = k / 32, n = size_t(columns);\n\
         const uint lane = thread_index_in_simdgroup, simd = simdgroup_index_in_threadgroup;\n\
         const size_t from = size_t(threadgroup_position_in_grid.y) * (8 * COLUMNS);\n\
         const int many = int(metal::min(size_t(8 * COLUMNS), x_shape[0] - from));\n\
         const auto part = x + from * k;\n",
    );
    // Simdgroups behind the last row work on it, too, as all have to meet at barriers.
    text += match shared {
        true => {
            "const size_t first = (size_t(threadgroup_position_in_grid.x) * SIMDS + simd) * (16 * BLOCKS), row = metal::min(first, n - 1);\n\
             const int rows = int(metal::min(size_t(16 * BLOCKS), n - row));\n\
             threadgroup kk_block<uint, 4> stage[2 * COLUMNS * 128];\n"
        }
        false => {
            "const size_t row = size_t(threadgroup_position_in_grid.x) * (16 * BLOCKS);\n\
             const int rows = int(metal::min(size_t(16 * BLOCKS), n - row));\n\
             threadgroup float shared[SIMDS * BLOCKS * COLUMNS * 128];\n"
        }
    };
    for (which, format) in key.formats.iter().enumerate() {
        let sums = ["sums", "ups"][which];
        let reader = format.reader(which);
        text += &format!(
            "const auto matrix{which} = {reader};\nmetal::float4 {sums}[BLOCKS * COLUMNS];\n"
        );
        text += &match shared {
            true => format!(
                "kk_fragments_all<BLOCKS, COLUMNS, SIMDS>(matrix{which}, row, part, k, rows, many, simd, lane, stage, {sums}, O(0.0f));\n"
            ),
            false => format!(
                "kk_fragments<BLOCKS, COLUMNS, AHEAD>(matrix{which}, row, part, k, rows, many, simd, SIMDS, lane, {sums}, O(0.0f));\n\
                 kk_fragments_added<BLOCKS * COLUMNS, SIMDS>({sums}, shared, lane, simd);\n"
            ),
        };
    }
    text += match shared {
        true => "if (first >= n) return;\n",
        false => "if (simd != 0) return;\n",
    };
    text += "#pragma unroll\n\
             for (int block = 0; block < BLOCKS; ++block)\n#pragma unroll\n  for (int column = 0; column < COLUMNS; ++column)\n#pragma unroll\n    for (int i = 0; i < 4; ++i) {\n\
             const int r = block * 16 + int(lane / 4) + i / 2 * 8, m = column * 8 + int(lane % 4) * 2 + i % 2;\n\
             if (r >= rows || m >= many) continue;\n\
             const size_t place = (from + m) * n + row + r;\n\
             float y = sums[block * COLUMNS + column][i];\n";
    text += &follows(key, "ups[block * COLUMNS + column][i]");
    text + "out[place] = O(y);\n}\n"
}
