//! Few long rows on GPUs: each is shared by as many groups as it takes to occupy the chip. See `kernels/split.metal`.

use super::group::Group;
use crate::Dtype;
use crate::metal::Launch;

/// What groups can share of the work on a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// `kk_map` alone: groups share all of the work.
    Maps,
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

/// So many groups, each of which reads a whole row, get all that a large GPU's cache gives; more would wait for it. On average
/// a group that scans reads half of one.
const READERS: usize = 128;

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
            Sharing::Maps if rows <= FEW_ROWS => 8 * 1024,
            _ => WIDEST_KEPT,
        };
        if width <= least {
            return None;
        }
        let tg = if sharing == Sharing::Maps { 256 } else { 512 };
        // As measured: long loops want more on the way. `kk_cumsum_part` takes four blocks at most.
        let (on_the_way, most) = match sharing {
            Sharing::Scans => (2 * ON_THE_WAY, 4),
            _ => (ON_THE_WAY, 16),
        };
        let step = width.div_ceil(tg * on_the_way);
        let parts = match sharing {
            Sharing::Maps => step,
            Sharing::Scans | Sharing::Alone => (READERS / rows.max(1)).clamp(1, step),
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

/// The text of a kernel that runs `call` for each chunk of a row, see `kernels/split.metal`.
pub(super) fn source(sharing: Sharing, x: &str, call: &str) -> String {
    let from = match sharing {
        Sharing::Maps => "part * TG * VEC * ITEMS",
        Sharing::Scans | Sharing::Alone => "0",
    };
    format!(
        "threadgroup float shared[32];\n\
         const size_t n = {x}_shape[{x}_ndim - 1];\n\
         const size_t row = threadgroup_position_in_grid.y;\n\
         const uint index = thread_position_in_threadgroup.x, part = threadgroup_position_in_grid.x;\n\
         const kk_group<TG, VEC, ITEMS> group = {{shared, index, thread_index_in_simdgroup, \
         simdgroup_index_in_threadgroup}};\n\
         const kk_chunk<TG, VEC, ITEMS> g = {{group, part, threadgroups_per_grid.x, {from}, index}};\n\
         {call};\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_where_that_pays() {
        let split = |work, rows, width| Split::of(work, rows, width, Dtype::Float32, 16);
        assert_eq!(split(Sharing::Maps, 8192, 16384), None);
        let parts = |work, rows, width| split(work, rows, width).map(|s| s.parts);
        assert_eq!(parts(Sharing::Maps, 16, 75_968), Some(19));
        assert_eq!(parts(Sharing::Scans, 16, 151_936), Some(8));
    }
}
