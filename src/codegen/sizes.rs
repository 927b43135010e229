//! How many threads a launch has, and the constants that depend on them.

use smallvec::{SmallVec, smallvec};

use super::layout::{Form, Layout};
use super::program::{Fold, Program};
use crate::metal::{LONGEST, lines};

/// Grid, threadgroup and template constants of a launch.
pub(super) struct Sizes {
    grid: [i64; 3],
    /// Of a threadgroup; 0 for as many as a launch takes by itself.
    threads: i64,
    template: SmallVec<[(&'static str, i32); 2]>,
}

impl Sizes {
    pub(super) fn of(program: &Program, layout: &Layout, gpu: bool) -> Sizes {
        match layout.pattern.form {
            Form::Flat => Sizes {
                grid: [layout.width as i64, 1, 1],
                threads: 0,
                template: SmallVec::new(),
            },
            Form::Blocks => Sizes {
                grid: [(layout.width / layout.block) as i64, 1, 1],
                threads: 0,
                template: smallvec![("VEC", layout.block as i32)],
            },
            Form::Serial | Form::SerialStrided => {
                let (x, y) = lines(layout.rows, LONGEST);
                Sizes {
                    grid: [x, y, 1],
                    threads: 0,
                    template: smallvec![("TG", 1), ("VEC", vector(program, gpu))],
                }
            }
            Form::Rows | Form::Strided => {
                let threads = threads(program, layout, gpu);
                let (x, y) = lines(layout.rows * layout.parts, LONGEST / threads);
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

/// Threads that share a row.
fn threads(program: &Program, layout: &Layout, gpu: bool) -> u64 {
    if let Some(t) = program.threads
        && (gpu || t.everywhere)
    {
        return u64::from(t.count);
    }
    if !gpu {
        return 1;
    }
    let part = layout.width.div_ceil(layout.parts);
    part.div_ceil(4).next_power_of_two().clamp(32, 1024)
}
