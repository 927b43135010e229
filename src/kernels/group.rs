//! Groups of threads that share a row.

use crate::metal::Launch;

/// Threads of a row, and what each takes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub tg: i32,
    pub vec: i32,
    pub items: i32,
}

impl Group {
    /// For a row whose elements are added up, on a GPU: 16 elements a thread, in blocks of 16 bytes, and a simdgroup for
    /// short rows.
    pub(super) fn of_scan(width: usize, size: usize, block_bytes: usize) -> Group {
        let wide = block_bytes / size;
        let vec = match width {
            ..=32 => 1,
            33..=128 => wide.min(4),
            _ => wide,
        };
        let tg = width.div_ceil(16).next_power_of_two().clamp(32, 512);
        let items = width.div_ceil(tg * vec).next_power_of_two();
        Group {
            tg: tg as i32,
            vec: vec as i32,
            items: items.min((16 / vec).min(4)) as i32,
        }
    }

    /// Rows of one simdgroup share a threadgroup: a processor holds few groups, but many threads.
    pub(super) fn apply(&self, launch: &mut Launch<'_>) {
        let threadgroup = if self.tg == 32 { 256 } else { self.tg };
        launch.set_template("TG", self.tg.into());
        launch.set_template("VEC", self.vec.into());
        launch.set_template("ITEMS", self.items.into());
        launch.set_threadgroup(threadgroup);
    }
}

/// What one instruction loads or stores on a GPU. On a CPU, where its way is tested only, arrays begin at multiples
/// of 8 bytes.
pub(super) fn block_bytes(gpu: bool) -> usize {
    if gpu { 16 } else { 8 }
}
