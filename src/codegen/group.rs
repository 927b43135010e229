//! How the threads of a GPU share rows out.

use super::pattern::Walk;

/// What the threads of a group do with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) walk: Walk,
    /// Threads.
    pub(crate) threads: u64,
    /// Elements that a thread loads at once.
    pub(crate) block: u64,
    /// Blocks of a thread that are under way at once.
    pub(crate) items: u64,
    /// Groups that share a row.
    pub(crate) parts: u64,
}

/// What decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) rows: u64,
    pub(crate) width: u64,
    /// Bytes of an element of the largest arrays.
    pub(crate) size: u64,
    /// Bytes of an element of the smallest array that is read.
    pub(crate) shortest: u64,
    /// Whether an element has at most 4 bytes in every array, as blocks want it.
    pub(crate) blocks: bool,
    /// Bytes that a thread holds for an element: of all inputs, those of the next row where it is loaded ahead, and a float
    /// for each sum over rows.
    pub(crate) held: u64,
    /// Passes over the row before anything is written.
    pub(crate) passes: u64,
    /// Whether something is written for each element of a row.
    pub(crate) maps: bool,
    /// Whether groups add up rows.
    pub(crate) sums_rows: bool,
    /// Bytes that one instruction loads.
    pub(crate) load: u64,
    /// Threads of a row that the author chose.
    pub(crate) threads: Option<u64>,
    /// Whether rows were cut into parts already.
    pub(crate) cut: bool,
}

/// So many bytes of a row in a thread's registers leave enough of them for the rest; 1024 threads have half as many. Groups that
/// go from row to row need fewer of them on a processor.
const HELD: u64 = 320;
const HELD_FOR_MANY_ROWS: u64 = 448;
const HELD_BY_MANY: u64 = 144;

/// Elements of a thread: 16 of 4 bytes, 32 of 2; no more than 16 where each has sums in registers besides.
const BYTES: u64 = 64;
const SUMMED: u64 = 16;

/// So many groups, each of which reads a whole row, get all that a large GPU's cache gives; more would wait for it.
const READERS: u64 = 64;

/// Processors of a large GPU, and threads on each that go from row to row: as many as its registers hold at once. With more,
/// some groups would begin when others end, and the last ones would have the GPU for themselves.
const PROCESSORS: u64 = 132;
const RESIDENT: u64 = 512;

impl Group {
    pub(crate) fn of(f: &Facts) -> Group {
        let widest = if f.blocks { f.load / f.size.max(1) } else { 1 };
        let mut block = widest.max(1);
        while block > 1 && (!f.width.is_multiple_of(block) || f.width < block) {
            block /= 2;
        }
        // Words hold blocks, so these have four bytes at least.
        if block > 1 && block * f.shortest < 4 {
            block = 1;
        }
        let held = f.held.max(1);
        let most = |threads: u64| match threads {
            1024 => HELD_BY_MANY / held,
            _ if f.sums_rows => HELD_FOR_MANY_ROWS / held,
            _ => HELD / held,
        };
        let elements = match f.sums_rows {
            true => SUMMED,
            false => 32,
        };
        let elements = (BYTES / f.size.max(2))
            .clamp(1, elements)
            .min(most(256).max(1));
        let threads = f.threads.unwrap_or_else(|| {
            let least = f.width.div_ceil(block).next_power_of_two().min(32);
            let threads = f.width.div_ceil(elements).next_power_of_two();
            threads.clamp(least, 1024)
        });
        let items = f.width.div_ceil(threads * block).max(1).next_power_of_two();
        if !f.cut && items * block <= most(threads).clamp(1, 32).max(block) {
            return Group {
                walk: Walk::Held,
                threads,
                block,
                items,
                parts: 1,
            };
        }
        // Long loops want more on the way than rows that are loaded once.
        let (threads, on_the_way) = match f.passes {
            0 => (256, 16),
            _ if f.size >= 4 => (1024, 16),
            _ => (512, 32),
        };
        let threads = f.threads.unwrap_or(threads);
        let items = (most(threads).clamp(1, on_the_way) / block).max(1);
        let items = 1 << items.ilog2();
        let step = f.width.div_ceil(threads * block * items).max(1);
        let parts = match f.passes {
            _ if f.cut || f.sums_rows || !f.maps => 1,
            0 => step,
            _ => (READERS / f.rows.max(1)).clamp(1, step),
        };
        Group {
            walk: Walk::Pieces,
            threads,
            block,
            items,
            parts: parts.min(65_535),
        }
    }

    /// Threads of a threadgroup: short rows share one, as a processor holds few of them but many threads.
    pub(crate) fn threadgroup(&self) -> u64 {
        match self.walk {
            Walk::Held if self.threads <= 32 => 256,
            _ => self.threads,
        }
    }

    /// Whether all threads have elements of a row, and as many: then a kernel need not ask.
    pub(crate) fn covers(&self, width: u64) -> bool {
        self.walk == Walk::Held && self.threads * self.block * self.items == width
    }

    /// How many groups add up this many rows.
    pub(crate) fn adders(&self, rows: u64) -> u64 {
        let groups = PROCESSORS * (RESIDENT / self.threads).max(1);
        groups.clamp(1, rows.div_ceil(4).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(rows: u64, width: u64, size: u64) -> Facts {
        Facts {
            rows,
            width,
            size,
            shortest: size,
            blocks: true,
            held: size,
            passes: 2,
            maps: true,
            sums_rows: false,
            load: 16,
            threads: None,
            cut: false,
        }
    }

    fn shape(f: &Facts) -> (Walk, u64, u64, u64, u64) {
        let g = Group::of(f);
        (g.walk, g.threads, g.block, g.items, g.parts)
    }

    #[test]
    fn rows_are_held_where_registers_do() {
        assert_eq!(shape(&facts(8192, 4096, 4)), (Walk::Held, 256, 4, 4, 1));
        assert_eq!(shape(&facts(8192, 4096, 2)), (Walk::Held, 128, 8, 4, 1));
        assert_eq!(shape(&facts(8192, 4095, 2)).2, 1);
        // Codes of a byte beside floats: a block of two of them is less than a word.
        let bytes = |width| Facts {
            shortest: 1,
            ..facts(100, width, 4)
        };
        assert_eq!((shape(&bytes(128)).2, shape(&bytes(130)).2), (4, 1));
        assert_eq!(shape(&facts(100, 128, 4)), (Walk::Held, 32, 4, 1, 1));
        // Words of a mask beside floats need blocks of four.
        let masked = |width| Facts {
            shortest: 1,
            ..facts(100, width, 4)
        };
        assert_eq!((shape(&masked(4)).2, shape(&masked(6)).2), (4, 1));
        // A row of 64 bytes takes four threads, and those of a threadgroup share it with other rows.
        assert_eq!(shape(&facts(1 << 26, 32, 2)), (Walk::Held, 4, 8, 1, 1));
        assert_eq!(Group::of(&facts(1 << 26, 32, 2)).threadgroup(), 256);
        assert_eq!(shape(&facts(3, 0, 4)), (Walk::Held, 1, 1, 1, 1));
        assert_eq!(shape(&facts(3, 1, 4)), (Walk::Held, 1, 1, 1, 1));
    }

    #[test]
    fn groups_that_add_up_rows_are_there_at_once() {
        let sums = |size, held| {
            let f = Facts {
                held,
                sums_rows: true,
                ..facts(8192, 4096, size)
            };
            let g = Group::of(&f);
            (g.walk, g.threads, g.block * g.items, g.adders(8192))
        };
        // rmsnorm's gradient: two rows and the next two, the weight, its sum.
        assert_eq!(sums(4, 24), (Walk::Held, 256, 16, 264));
        assert_eq!(sums(2, 14), (Walk::Held, 256, 16, 264));
        // That of layer norm has two sums.
        assert_eq!(sums(4, 28), (Walk::Held, 256, 16, 264));
        assert_eq!(Group::of(&facts(8192, 4096, 4)).adders(8), 2);
    }

    #[test]
    fn long_rows_go_by_pieces() {
        let parts = |f: &Facts| (Group::of(f).walk, Group::of(f).parts);
        assert_eq!(parts(&facts(16, 151_936, 4)), (Walk::Pieces, 4));
        assert_eq!(parts(&facts(1, 151_936, 4)), (Walk::Pieces, 10));
        assert_eq!(parts(&facts(4096, 151_936, 4)), (Walk::Pieces, 1));
        let reduces = Facts {
            maps: false,
            ..facts(1, 1_000_003, 4)
        };
        assert_eq!(parts(&reduces), (Walk::Pieces, 1));
        let many = Facts {
            held: 16,
            ..facts(100, 32_768, 4)
        };
        assert_eq!(Group::of(&many).walk, Walk::Pieces);
        for width in [1, 31, 33, 1000, 4097, 32_768, 1 << 20] {
            for held in [1, 2, 4, 12, 28, 100, 400] {
                for size in [1, 2, 4, 8] {
                    let f = Facts {
                        held,
                        blocks: size <= 4,
                        ..facts(7, width, size)
                    };
                    let g = Group::of(&f);
                    assert!(width.is_multiple_of(g.block) && g.items >= 1, "{f:?} {g:?}");
                    assert!(g.items.is_power_of_two() && g.threads.is_power_of_two());
                    let covers = g.threads * g.block * g.items >= width;
                    assert!(covers || g.walk == Walk::Pieces, "{f:?} {g:?}");
                }
            }
        }
    }
}
