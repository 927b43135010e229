//! Rows that one group of threads does not hold in registers, on GPUs: each is shared by as many groups as
//! it takes to occupy the chip. See `kernels/split.metal`.

use crate::Dtype;

/// What a row kernel does with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Each element by itself: groups share the work.
    Maps,
    /// Adds it up, then writes each element: groups share the writing.
    AddsAndMaps,
    /// Adds it up and writes little: no use for a second group.
    Adds,
    /// Adds up what comes before each element: groups share the writing.
    Scans,
}

/// How a row is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub tg: i32,
    pub vec: i32,
    pub items: i32,
    /// Groups of a row.
    pub parts: usize,
}

/// The widest row that a group holds in registers, 32 elements a thread.
const WIDEST_KEPT: usize = 32 * 1024;

/// Elements of a thread that are on the way at once.
const ON_THE_WAY: usize = 16;

/// So many groups, each of which reads a whole row, get all that a large GPU's cache gives; more would wait for it.
const READERS: usize = 64;

/// Rows that leave processors of a large GPU idle, a group each.
const FEW_ROWS: usize = 128;

impl Split {
    /// How `rows` rows of `width` elements of a first input of `dtype` are shared out, if that is better
    /// than a group for each row with the row in registers. `block` is how many bytes one instruction loads.
    pub(super) fn of(
        work: Work,
        rows: usize,
        width: usize,
        dtype: Dtype,
        block: usize,
    ) -> Option<Split> {
        let wide = block / dtype.size();
        let vec = if width.is_multiple_of(wide) { wide } else { 1 };
        let least = match work {
            Work::Maps if rows <= FEW_ROWS => 8 * 1024,
            _ => WIDEST_KEPT,
        };
        if width <= least {
            return None;
        }
        let tg = match work {
            Work::Maps => 256,
            // What `kk_cumsum_part` takes.
            Work::Scans => 512,
            _ => 1024,
        };
        let step = width.div_ceil(tg * ON_THE_WAY);
        let parts = match work {
            Work::Maps => step,
            Work::AddsAndMaps => (READERS / rows.max(1)).clamp(1, step),
            // On average a group reads half of the row.
            Work::Scans => (2 * READERS / rows.max(1)).clamp(1, step),
            Work::Adds => 1,
        };
        Some(Split {
            tg: tg as i32,
            vec: vec as i32,
            items: (ON_THE_WAY / vec).min(8) as i32,
            parts,
        })
    }
}

/// The text of a kernel that runs `call` for each row, see `kk_part`.
pub(super) fn source(inputs: &[&str], call: &str) -> String {
    let x = inputs[0];
    let aligned: Vec<String> = inputs
        .iter()
        .map(|p| format!("reinterpret_cast<size_t>({p}) % (sizeof(*{p}) * VEC) == 0"))
        .collect();
    let group = |vec: &str, items: &str| {
        format!(
            "const kk_part<TG, {vec}, {items}> g = {{shared, thread_position_in_threadgroup.x, \
             thread_index_in_simdgroup, simdgroup_index_in_threadgroup, \
             threadgroup_position_in_grid.x, threadgroups_per_grid.x}};\n{call};"
        )
    };
    format!(
        "threadgroup float shared[32];\n\
         const size_t n = {x}_shape[{x}_ndim - 1];\n\
         const size_t row = threadgroup_position_in_grid.y;\n\
         if (VEC > 1 && {}) {{\n{}\n}} else {{\n{}\n}}\n",
        aligned.join(" && "),
        group("VEC", "ITEMS"),
        group("1", "VEC * ITEMS")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_where_that_pays() {
        let split = |work, rows, width| Split::of(work, rows, width, Dtype::Float32, 16);
        assert_eq!(split(Work::AddsAndMaps, 8192, 4096), None);
        assert_eq!(split(Work::Maps, 8192, 16384), None);
        let parts = |work, rows, width| split(work, rows, width).map(|s| s.parts);
        assert_eq!(parts(Work::AddsAndMaps, 16, 151_936), Some(4));
        assert_eq!(parts(Work::AddsAndMaps, 1, 151_936), Some(10));
        assert_eq!(parts(Work::AddsAndMaps, 4096, 151_936), Some(1));
        assert_eq!(parts(Work::Adds, 1, 1_000_003), Some(1));
        assert_eq!(parts(Work::Maps, 16, 75_968), Some(19));
        assert_eq!(parts(Work::Scans, 16, 151_936), Some(8));
    }
}
