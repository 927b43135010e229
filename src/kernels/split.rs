//! Rows that one group of threads does not hold in registers, on GPUs: each is shared by as many groups as
//! it takes to occupy the chip. See `kernels/split.metal`.

use std::fmt::Write as _;

use super::group::Group;
use crate::Dtype;
use crate::metal::Launch;

/// What groups can share of the work on a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// So many reductions, one after the other, then `kk_map`: groups share the writing, or all of the work
    /// if there is no reduction.
    Maps(u8),
    /// Adds up what comes before each element: groups share the writing.
    Scans,
    /// What no groups share.
    Alone,
}

/// How a row is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub group: Group,
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
        sharing: Sharing,
        rows: usize,
        width: usize,
        dtype: Dtype,
        block: usize,
    ) -> Option<Split> {
        if sharing == Sharing::Alone {
            return None;
        }
        let wide = block / dtype.size();
        let vec = if width.is_multiple_of(wide) { wide } else { 1 };
        let least = match sharing {
            Sharing::Maps(0) if rows <= FEW_ROWS => 8 * 1024,
            _ => WIDEST_KEPT,
        };
        if width <= least {
            return None;
        }
        let tg = match sharing {
            Sharing::Maps(0) => 256,
            Sharing::Maps(_) if dtype == Dtype::Float32 => 1024,
            _ => 512,
        };
        // As measured: long loops want more on the way.
        let on_the_way = if tg == 512 {
            2 * ON_THE_WAY
        } else {
            ON_THE_WAY
        };
        // `kk_cumsum_part` takes four blocks at most.
        let most = if sharing == Sharing::Scans { 4 } else { 16 };
        let step = width.div_ceil(tg * on_the_way);
        let parts = match sharing {
            Sharing::Maps(0) => step,
            Sharing::Maps(_) => (READERS / rows.max(1)).clamp(1, step),
            // On average a group reads half of the row.
            Sharing::Scans | Sharing::Alone => (2 * READERS / rows.max(1)).clamp(1, step),
        };
        Some(Split {
            group: Group {
                tg: tg as i32,
                vec: vec as i32,
                items: (on_the_way / vec).min(most) as i32,
            },
            parts,
        })
    }

    /// All groups of `rows` rows.
    pub(super) fn apply(&self, launch: &mut Launch<'_>, rows: usize) {
        self.group.apply(launch);
        launch.set_grid((self.parts.saturating_mul(self.group.tg as usize), rows));
    }
}

/// The text of a kernel that runs `call` for each row, see `kernels/split.metal`.
pub(super) fn source(sharing: Sharing, x: &str, call: &str) -> String {
    let (passes, whole) = match sharing {
        Sharing::Maps(passes) => (passes, true),
        Sharing::Scans | Sharing::Alone => (0, false),
    };
    let mut text = format!(
        "threadgroup float shared[32];\n\
         const size_t n = {x}_shape[{x}_ndim - 1];\n\
         const size_t row = threadgroup_position_in_grid.y;\n\
         const uint index = thread_position_in_threadgroup.x, part = threadgroup_position_in_grid.x;\n\
         const uint parts = threadgroups_per_grid.x, size = TG * VEC * ITEMS;\n\
         const kk_group<TG, VEC, ITEMS> group = {{shared, index, thread_index_in_simdgroup, \
         simdgroup_index_in_threadgroup}};\n\
         kk_found<{passes}> found;\nfound.width = 0;\n"
    );
    let mut run = |pass: u8, head: &str, tail: &str| {
        let _ = write!(
            text,
            "{head}{{\nfound.reductions = 0;\n\
             const kk_chunk<TG, VEC, ITEMS, {pass}, {passes}> g = {{group, part, parts, from, &found, \
             shared, index}};\n{call};\n}}\n{tail}"
        );
    };
    for pass in 0..passes {
        run(
            pass,
            "{\nuint from = 0;\ndo ",
            "while ((from += size) < found.width);\n}\n",
        );
    }
    if passes > 0 && whole {
        run(
            passes,
            "const uint each = ((found.width + size - 1) / size + parts - 1) / parts * size;\n\
             for (uint from = part * each, to = metal::min(from + each, found.width); from < to; \
             from += size) ",
            "",
        );
    } else {
        let from = if whole { "part * size" } else { "0" };
        run(passes, &format!("const uint from = {from};\n"), "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_where_that_pays() {
        let split = |work, rows, width| Split::of(work, rows, width, Dtype::Float32, 16);
        assert_eq!(split(Sharing::Maps(1), 8192, 4096), None);
        assert_eq!(split(Sharing::Maps(0), 8192, 16384), None);
        let parts = |work, rows, width| split(work, rows, width).map(|s| s.parts);
        assert_eq!(parts(Sharing::Maps(1), 16, 151_936), Some(4));
        assert_eq!(parts(Sharing::Maps(1), 1, 151_936), Some(10));
        assert_eq!(parts(Sharing::Maps(1), 4096, 151_936), Some(1));
        assert_eq!(parts(Sharing::Maps(0), 16, 75_968), Some(19));
        assert_eq!(parts(Sharing::Scans, 16, 151_936), Some(8));
    }
}
