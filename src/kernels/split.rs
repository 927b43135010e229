//! Rows that one group of threads does not hold in registers, on GPUs: chunk by chunk, or by as many groups as
//! a row has chunks where rows are too few to occupy the chip. See `kernels/split.metal`.

use std::fmt::Write as _;

use crate::Dtype;
use crate::metal::Launch;

/// What a row function does with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// So many reductions, one after the other, then `kk_map`: groups share the writing, or all of the work
    /// if there is no reduction.
    Maps(u8),
    /// So many reductions, and little to write: no use for a second group.
    Adds(u8),
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
    /// Launches before the last, one for each reduction, if several groups add up a row.
    pub passes: u8,
}

/// The widest row that a group holds in registers, 32 elements a thread.
const WIDEST_KEPT: usize = 32 * 1024;

/// Elements of a thread that are on the way at once.
const ON_THE_WAY: usize = 16;

/// Rows that leave half of a large GPU's processors idle, a group each.
const FEW_ROWS: usize = 64;

/// From here on a few rows are worth another launch.
const WORTH_A_LAUNCH: usize = 64 * 1024;

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
        let few = rows <= FEW_ROWS;
        let least = match work {
            Work::Maps(0) if few => 8 * 1024,
            _ => WIDEST_KEPT,
        };
        if width <= least {
            return None;
        }
        let passes = match work {
            Work::Maps(passes) | Work::Adds(passes) => passes,
            Work::Scans => 1,
        };
        let tg = if passes == 0 { 256 } else { 512 };
        // `kk_cumsum_part` takes four blocks at most.
        let most = if work == Work::Scans { 4 } else { 16 };
        let items = (ON_THE_WAY / vec).min(most);
        let chunks = width.div_ceil(tg * vec * items);
        let (parts, passes) = match few && width >= WORTH_A_LAUNCH {
            _ if passes == 0 => (chunks, 0),
            true => (chunks, passes),
            // A group goes through any row as it is.
            false if work == Work::Scans => return None,
            false => (1, 0),
        };
        Some(Split {
            tg: tg as i32,
            vec: vec as i32,
            items: items as i32,
            parts,
            passes,
        })
    }

    /// All groups of `rows` rows.
    pub(super) fn on(&self, launch: &mut Launch<'_>, rows: usize) {
        launch.set_template("TG", self.tg.into());
        launch.set_template("VEC", self.vec.into());
        launch.set_template("ITEMS", self.items.into());
        launch.set_threadgroup(self.tg);
        launch.set_grid((self.parts.saturating_mul(self.tg as usize), rows));
    }
}

/// The text of a kernel that runs `call` for each row, or without reductions for each chunk of it.
pub(super) fn source(work: Work, x: &str, call: &str) -> String {
    let (passes, maps) = match work {
        Work::Maps(passes) => (passes, true),
        Work::Adds(passes) => (passes, false),
        Work::Scans => (0, false),
    };
    let mut text = head(x);
    let _ = writeln!(text, "kk_found<{passes}> found;\nfound.width = 0;");
    let mut run = |pass: u8, from: &str, before: &str, behind: &str| {
        let _ = write!(
            text,
            "{{\nuint from = {from};\n{before}{{\nfound.reductions = 0;\n\
             const kk_chunk<TG, VEC, ITEMS, {pass}, {passes}> g = {{group, part, parts, from, &found, \
             false, {{}}, nullptr, shared, index}};\n{call};\n}}\n{behind}}}\n"
        );
    };
    let next = "while ((from += TG * VEC * ITEMS) < found.width);\n";
    for pass in 0..passes {
        run(pass, "0", "do ", next);
    }
    match (passes, maps) {
        (0, true) => run(passes, "part * (TG * VEC * ITEMS)", "", ""),
        (_, true) => run(passes, "0", "do ", next),
        (_, false) => run(passes, "0", "", ""),
    }
    text
}

/// What all texts begin with.
fn head(x: &str) -> String {
    format!(
        "threadgroup float shared[32];\n\
         const size_t n = {x}_shape[{x}_ndim - 1];\n\
         const size_t row = threadgroup_position_in_grid.y;\n\
         const uint index = thread_position_in_threadgroup.x, part = threadgroup_position_in_grid.x;\n\
         const uint parts = threadgroups_per_grid.x;\n\
         const kk_group<TG, VEC, ITEMS> group = {{shared, index, thread_index_in_simdgroup, \
         simdgroup_index_in_threadgroup}};\n"
    )
}

/// The text of the launch for one pass of so many. It has the results of earlier ones as inputs `before0` and
/// so on, and gives `after`; the last one has the kernel's own outputs.
pub(super) fn pass_source(
    pass: u8,
    passes: u8,
    (inputs, outputs): (&[&str], &[&str]),
    call: &str,
) -> String {
    let mut before: Vec<String> = (0..pass)
        .map(|k| format!("before{k} + 2 * row * parts"))
        .collect();
    before.resize(2, "nullptr".to_owned());
    let before = before.join(", ");
    let mut text = head(inputs[0]);
    let after = if pass < passes {
        for y in outputs {
            let _ = writeln!(text, "device float* {y} = after;");
        }
        "after + 2 * (row * parts + part)"
    } else {
        "nullptr"
    };
    let _ = write!(
        text,
        "kk_found<{passes}> found;\nfound.reductions = 0;\n\
         const kk_chunk<TG, VEC, ITEMS, {pass}, {passes}> g = {{group, part, parts, \
         part * (TG * VEC * ITEMS), &found, true, {{{before}}}, {after}, shared, index}};\n{call};\n"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_where_that_pays() {
        let split = |work, rows, width| Split::of(work, rows, width, Dtype::Float32, 16);
        assert_eq!(split(Work::Maps(1), 8192, 4096), None);
        assert_eq!(split(Work::Maps(0), 8192, 16384), None);
        let shared = |work, rows, width| split(work, rows, width).map(|s| (s.parts, s.passes));
        assert_eq!(shared(Work::Maps(1), 16, 151_936), Some((19, 1)));
        assert_eq!(shared(Work::Maps(2), 1, 151_936), Some((19, 2)));
        assert_eq!(shared(Work::Maps(1), 4096, 151_936), Some((1, 0)));
        assert_eq!(shared(Work::Maps(1), 1, 40_000), Some((1, 0)));
        assert_eq!(shared(Work::Maps(0), 16, 75_968), Some((19, 0)));
        assert_eq!(shared(Work::Maps(0), 4096, 75_968), Some((19, 0)));
        assert_eq!(shared(Work::Scans, 16, 151_936), Some((19, 1)));
        assert_eq!(shared(Work::Scans, 4096, 151_936), None);
    }
}
