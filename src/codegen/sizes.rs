//! How many threads a launch has, and the constants that depend on them.

use smallvec::{SmallVec, smallvec};

use super::blocks::as_on_gpu;
use super::group::{Facts, Group};
use super::layout::Layout;
use super::pattern::{Access, Form, Walk};
use super::program::{Fold, Program, Span};
use crate::Dtype;
use crate::metal::{LONGEST, lines};

/// Grid, threadgroup and template constants of a launch.
pub(super) struct Sizes {
    grid: [i64; 3],
    /// Of a threadgroup; 0 for as many as a launch takes by itself.
    threads: i64,
    template: SmallVec<[(&'static str, i32); 3]>,
}

/// Rows that are worth a group of a CPU, and groups that are enough for the largest, where groups add up rows.
const ROWS_A_GROUP: u64 = 16;
const MOST_GROUPS: u64 = 512;

impl Sizes {
    pub(super) fn of(
        program: &Program,
        layout: &Layout,
        group: Option<&Group>,
        gpu: bool,
    ) -> Sizes {
        let rows = match program.adds_rows() {
            true => adders(layout.rows, group),
            false => layout.rows,
        };
        match (layout.pattern.form, group) {
            (Form::Flat, _) => Sizes {
                grid: [layout.width as i64, 1, 1],
                threads: 0,
                template: SmallVec::new(),
            },
            (Form::Blocks, _) => Sizes {
                grid: [(layout.width / layout.block) as i64, 1, 1],
                threads: 0,
                template: smallvec![("VEC", layout.block as i32)],
            },
            (Form::Serial | Form::SerialStrided, _) => {
                let (x, y) = lines(rows, LONGEST);
                Sizes {
                    grid: [x, y, 1],
                    threads: 0,
                    template: smallvec![("TG", 1), ("VEC", vector(program, gpu))],
                }
            }
            (Form::Rows | Form::Strided, Some(group)) => {
                let (x, y) = lines(rows * layout.parts, LONGEST / group.threads);
                let mut template = smallvec![
                    ("TG", group.threads as i32),
                    ("VEC", group.block as i32),
                    ("ITEMS", group.items as i32)
                ];
                if group.walk == Walk::Held {
                    template.push(("WHOLE", i32::from(group.covers(layout.width))));
                }
                Sizes {
                    grid: [x * group.threads as i64, y, group.parts as i64],
                    threads: group.threadgroup() as i64,
                    template,
                }
            }
            (Form::Rows | Form::Strided, None) => {
                // One thread a row, unless the author wants more.
                let threads = match program.threads {
                    Some(t) if t.everywhere => u64::from(t.count),
                    _ => 1,
                };
                let (x, y) = lines(rows * layout.parts, LONGEST / threads);
                Sizes {
                    grid: [x * threads as i64, y, 1],
                    threads: threads as i64,
                    template: smallvec![("TG", threads as i32), ("VEC", vector(program, gpu))],
                }
            }
        }
    }

    pub(super) fn apply(self, launch: &mut crate::metal::Launch<'_>) {
        for (name, value) in self.template {
            launch.set_template(name, value.into());
        }
        // An empty grid belongs to outputs without elements, which are not launched.
        launch.set_grid(self.grid.map(|n| n.max(1)));
        if self.threads > 0 {
            launch.set_threadgroup(self.threads);
        }
    }
}

/// How many groups add up this many rows.
pub(super) fn adders(rows: u64, group: Option<&Group>) -> u64 {
    match group {
        Some(group) => group.adders(rows),
        None => rows.div_ceil(ROWS_A_GROUP).clamp(1, MOST_GROUPS),
    }
}

/// How threads share rows out as on a GPU, where they do. `read` and `written` are dtypes of inputs and outputs.
pub(super) fn group(
    program: &Program,
    layout: &Layout,
    gpu: bool,
    read: impl Fn(usize) -> Dtype,
    written: impl Fn(usize) -> Dtype,
) -> Option<Group> {
    let by_groups = matches!(layout.pattern.form, Form::Rows | Form::Strided);
    if !by_groups || !as_on_gpu(gpu) {
        return None;
    }
    let (mut size, mut longest, mut shortest, mut held) = (1, 1, 4, 0);
    for (i, input) in program.inputs.iter().enumerate() {
        let access = layout.pattern.access(i);
        if input.span != Span::Row && matches!(access, Access::Full | Access::Shared | Access::Rows)
        {
            let bytes = read(i).size() as u64;
            let ahead = program.sums_rows() && access == Access::Full;
            held += bytes * input.count() as u64 * if ahead { 2 } else { 1 };
            longest = bytes.max(longest);
            shortest = bytes.min(shortest);
            if access == Access::Full {
                size = bytes.max(size);
            }
        }
    }
    for (i, output) in program.outputs.iter().enumerate() {
        match output.span {
            _ if super::text::is_zero(output) => {}
            Span::Element => {
                let bytes = written(i).size() as u64;
                longest = bytes.max(longest);
                size = bytes.max(size);
            }
            Span::Summed => held += 4 * output.count() as u64,
            Span::Row => {}
        }
    }
    let mut group = Group::of(&Facts {
        rows: layout.rows,
        width: layout.width.div_ceil(layout.parts),
        size,
        shortest,
        blocks: longest <= 4,
        held,
        passes: program.levels().into_iter().max().unwrap_or(0) as u64,
        maps: program.outputs.iter().any(|o| o.span == Span::Element),
        sums_rows: program.adds_rows(),
        // On a CPU, where this way is tested only, arrays begin at multiples of 8 bytes.
        load: if gpu { 16 } else { 8 },
        threads: program.threads.map(|t| u64::from(t.count)),
        cut: layout.parts > 1,
    });
    if !gpu && group.walk == Walk::Held && group.items * group.block * group.threads <= 32 {
        // A CPU changes between threads slowly.
        group.items *= group.threads;
        group.threads = 1;
    }
    Some(group)
}

/// Accumulators of a thread: on a CPU enough to fill vector registers, with fewer for each of several reductions.
fn vector(program: &Program, gpu: bool) -> i32 {
    if gpu {
        return 4;
    }
    // The value at a place needs none.
    let folds = program.reductions.iter();
    match folds.filter(|r| !matches!(r.fold, Fold::At(_))).count() {
        0..=2 => 64,
        3..=4 => 32,
        _ => 16,
    }
}
