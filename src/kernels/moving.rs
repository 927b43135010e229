//! Rows that are moved by indices, as linear operations: each is the other's derivative. See `kernels/indexing.metal`.

use super::arguments::number;
use super::group::block_bytes;
use crate::codegen::blocks::as_on_gpu;
use crate::metal::{LONGEST, Launch, lines};
use crate::metal::{Made, build_once};
use crate::transforms::rules::{Rules, apply, each};
use crate::{Array, Dtype, Error, MetalKernel, Result};

/// A thread's share of a result of `rows` rows of `n`: its row and the elements from `from` to `to`.
pub(super) const SHARE: &str = "const size_t parts = (n + SPAN - 1) / SPAN, all = rows * parts;\n\
    const size_t id = size_t(thread_position_in_grid.y) * threads_per_grid.x + thread_position_in_grid.x;\n\
    if (id >= all) return;\n\
    const size_t row = all <= 0xffffffffu ? size_t(uint(id) / uint(parts)) : id / parts;\n\
    const size_t from = (id - row * parts) * SPAN, to = metal::min(n, from + SPAN);\n";

/// Elements of a thread on a CPU.
const SPAN: usize = 8192;

/// Shares a result of `rows` rows of `width` out. `sums` says that a thread has accumulators, which a CPU wants several of.
pub(super) fn share(
    launch: &mut Launch<'_>,
    rows: usize,
    width: usize,
    dtype: Dtype,
    others: Dtype,
    sums: bool,
) {
    let gpu = crate::stream::current().gpu;
    let size = dtype.size().max(others.size());
    let (vec, span) = if as_on_gpu(gpu) {
        let vec = (block_bytes(gpu) / size).max(1);
        let vec = if width >= 32 && width.is_multiple_of(vec) {
            vec
        } else {
            1
        };
        (vec, vec)
    } else if sums && width.is_multiple_of(64) {
        // Loops of 16 elements are unrolled before they could become vectors: they take three to five times as long.
        (64, SPAN)
    } else if sums && width >= 32 && width.is_multiple_of(16) {
        (16, SPAN)
    } else {
        (1, SPAN)
    };
    launch.set_template("VEC", (vec as i32).into());
    launch.set_template("SPAN", (span as i32).into());
    over(launch, rows * width.div_ceil(span));
}

/// A thread for each of `n` numbers.
pub(super) fn over(launch: &mut Launch<'_>, n: usize) {
    launch.set_grid(lines(n as u64, LONGEST));
    launch.set_threadgroup(256);
}

/// Keys in ascending order: the row that each index means, or `rows` where there is none, times their number, plus the
/// index's place. Equal rows stay in the order of their places.
#[track_caller]
pub(super) fn sorted_keys(indices: &Array, rows: usize, wrap: bool) -> Result<Array> {
    static MADE: Made<MetalKernel> = Made::new();
    let kernel = build_once(&MADE, "index_keys", &["indices", "rows"], &["out"], || {
        "const size_t count = indices_shape[0];\n\
         const size_t i = size_t(thread_position_in_grid.y) * threads_per_grid.x + thread_position_in_grid.x;\n\
         if (i >= count) return;\n\
         out[i] = long(kk_row_of<WRAP>(indices[i], size_t(rows)) * count + i);"
                .into()
    })?;
    let rows = number(rows as i64)?;
    let inputs = [indices, &*rows];
    let mut launch = kernel.launch(&inputs);
    launch.set_output(indices.shape(), Dtype::Int64);
    launch.set_template("WRAP", wrap.into());
    over(&mut launch, indices.size());
    let [keys] = launch.add()?;
    keys.sort(-1)
}

/// Where the keys of each of `rows` rows begin, and where those of the last one end: (`rows` + 1,), int64.
#[track_caller]
pub(super) fn starts(keys: &Array, rows: usize) -> Result<Array> {
    static MADE: Made<MetalKernel> = Made::new();
    let kernel = build_once(&MADE, "index_starts", &["keys", "rows"], &["out"], || {
        "const size_t count = keys_shape[0];\n\
         const size_t i = size_t(thread_position_in_grid.y) * threads_per_grid.x + thread_position_in_grid.x;\n\
         if (i > size_t(rows)) return;\n\
         out[i] = long(kk_below(keys, count, long(i * count)));"
            .into()
    })?;
    let Ok(ends) = i32::try_from(rows + 1) else {
        return Err(Error::shape(format!(
            "sums by row: expected fewer than 2^31 - 1 rows, got {rows}"
        )));
    };
    let given = number(rows as i64)?;
    let inputs = [keys, &*given];
    let shape = [ends];
    let mut launch = kernel.launch(&inputs);
    launch.set_output(&shape, Dtype::Int64);
    over(&mut launch, rows + 1);
    let [out] = launch.add()?;
    Ok(out)
}

/// The rows of `src`, (N, D), that `indices`, (M,), mean; zeros where there is none.
#[track_caller]
pub(super) fn gather(src: &Array, indices: &Array) -> Result<Array> {
    only(apply(&Gather, &[src, indices])?)
}

/// (N, D) with the sums of those rows of `updates`, (M, D), whose index means the row. Added in float32, in order of their
/// numbers unless it is `atomic`.
#[track_caller]
pub(super) fn scatter(
    updates: &Array,
    indices: &Array,
    rows: usize,
    atomic: bool,
) -> Result<Array> {
    only(apply(&Scatter { rows, atomic }, &[updates, indices])?)
}

#[track_caller]
pub(super) fn only(outputs: Vec<Array>) -> Result<Array> {
    crate::transforms::rules::only(outputs, "outputs")
}

/// Rows and width of an array of two axes.
pub(super) fn sizes(a: &Array) -> (usize, usize) {
    match a.shape() {
        &[n, d] => (n as usize, d as usize),
        _ => (0, 0),
    }
}

#[derive(Clone)]
struct Gather;

impl Rules for Gather {
    fn name(&self) -> &str {
        "gather"
    }

    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        static MADE: Made<MetalKernel> = Made::new();
        let (src, indices) = (inputs[0], inputs[1]);
        let (rows, width) = sizes(src);
        let shape = [indices.size() as i32, width as i32];
        if rows * width * indices.size() == 0 {
            return Ok(vec![Array::zeros(shape, src.dtype())?]);
        }
        let kernel = build_once(&MADE, "gather", &["src", "indices"], &["out"], || {
            format!(
                "const size_t rows = indices_shape[0], n = src_shape[1], known = src_shape[0];\n{SHARE}\
                 const size_t at = kk_row_of<true>(indices[row], known);\n\
                 kk_fetch<VEC>(src + (at < known ? at : 0) * n, at < known, out + row * n, from, to);"
            )
        })?;
        let mut launch = kernel.launch(inputs);
        launch.set_output(&shape, src.dtype());
        let dtype = src.dtype();
        share(&mut launch, indices.size(), width, dtype, dtype, false);
        let [out] = launch.add()?;
        Ok(vec![out])
    }

    fn vjp(&self, p: &[Array], g: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        let (rows, _) = sizes(&p[0]);
        Ok(vec![
            scatter(&g[0], &p[1], rows, false)?,
            p[1].zeros_like()?,
        ])
    }

    fn jvp(&self, p: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let t = match tangents[0] {
            Some(t) => t.clone(),
            None => p[0].zeros_like()?,
        };
        Ok(vec![gather(&t, &p[1])?])
    }

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        each(inputs, axes, |one| apply(self, one))
    }
}

#[derive(Clone)]
struct Scatter {
    rows: usize,
    atomic: bool,
}

impl Scatter {
    fn in_order(&self, updates: &Array, indices: &Array) -> Result<Array> {
        static MADE: Made<MetalKernel> = Made::new();
        let (_, width) = sizes(updates);
        let kernel = build_once(
            &MADE,
            "scatter_add",
            &["updates", "keys", "starts"],
            &["out"],
            || {
                format!(
                    "const size_t rows = starts_shape[0] - 1, n = updates_shape[1], count = updates_shape[0];\n{SHARE}\
                     kk_add_rows<VEC>(updates, count, n, kk_sorted(keys, size_t(starts[row]), size_t(starts[row + 1]), row * count), \
                     out + row * n, from, to);"
                )
            },
        )?;
        let keys = sorted_keys(indices, self.rows, true)?;
        let starts = starts(&keys, self.rows)?;
        let inputs = [updates, &keys, &starts];
        let shape = [self.rows as i32, width as i32];
        let mut launch = kernel.launch(&inputs);
        let dtype = updates.dtype();
        launch.set_output(&shape, dtype);
        share(&mut launch, self.rows, width, dtype, dtype, true);
        let [out] = launch.add()?;
        Ok(out)
    }

    fn at_once(&self, updates: &Array, indices: &Array) -> Result<Array> {
        static MADE: Made<MetalKernel> = Made::new();
        let (_, width) = sizes(updates);
        let kernel = MADE.get_or_make(|| {
                let source = "const size_t n = updates_shape[1], all = n * indices_shape[0];\n\
                     const size_t id = size_t(thread_position_in_grid.y) * threads_per_grid.x + thread_position_in_grid.x;\n\
                     if (id >= all) return;\n\
                     const size_t row = all <= 0xffffffffu ? size_t(uint(id) / uint(n)) : id / n;\n\
                     const size_t known = size_t(rows), at = kk_row_of<true>(indices[row], known);\n\
                     if (at < known) atomic_fetch_add_explicit(&out[at * n + (id - row * n)], float(updates[id]), memory_order_relaxed);";
                let inputs = ["updates", "indices", "rows"];
                MetalKernel::new("scatter_add_atomic", inputs, ["out"])
                    .header(crate::msl::header_for(source))
                    .source(source)
                    .atomic_outputs(true)
                    .build()
        })?;
        let rows = number(self.rows as i64)?;
        let inputs = [updates, indices, &*rows];
        let shape = [self.rows as i32, width as i32];
        let mut launch = kernel.launch(&inputs).init_value(0.0);
        launch.set_output(&shape, Dtype::Float32);
        over(&mut launch, updates.size());
        let [out] = launch.add()?;
        out.astype(updates.dtype())
    }
}

impl Rules for Scatter {
    fn name(&self) -> &str {
        "fused_scatter_add"
    }

    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let (updates, indices) = (inputs[0], inputs[1]);
        let (_, width) = sizes(updates);
        if updates.size() * self.rows == 0 {
            let shape = (self.rows, width);
            return Ok(vec![Array::zeros(shape, updates.dtype())?]);
        }
        Ok(vec![if self.atomic {
            self.at_once(updates, indices)?
        } else {
            self.in_order(updates, indices)?
        }])
    }

    fn vjp(&self, p: &[Array], g: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        Ok(vec![gather(&g[0], &p[1])?, p[1].zeros_like()?])
    }

    fn jvp(&self, p: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let t = match tangents[0] {
            Some(t) => t.clone(),
            None => p[0].zeros_like()?,
        };
        Ok(vec![scatter(&t, &p[1], self.rows, self.atomic)?])
    }

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        each(inputs, axes, |one| apply(self, one))
    }
}
