//! Values that are computed once although two passes need them.
//!
//! A softmax needs `exp(x - s1)` for its sum and again for its result. On a CPU computing it takes longer
//! than a store and a load in cache, so the pass of the sum writes it to the output, and the last pass
//! finds it there where the output is as exact as the arithmetic: float32 both. With an output of 16 bits it waits in an
//! array of the thread, if a row is no longer than that. On a GPU the memory is the slower part, and it is computed twice.

use crate::Dtype;
use crate::expr::Expr;

use super::layout::Layout;
use super::pattern::{Form, Keeps};
use super::program::{Fold, Program, Span};
use super::text::Writer;

/// What waits in the output of this number.
pub(crate) struct Kept {
    /// Number of the output.
    pub(crate) output: usize,
    pub(crate) value: Expr,
    /// The pass that computes it.
    pub(crate) level: usize,
}

/// The longest row whose values wait in an array of the thread: 32 KiB, which a CPU's nearest cache holds.
pub(crate) const ASIDE: u64 = 8192;

/// That array.
const ARRAY: &str = "zk_aside";

/// Where the value waits in a call on a CPU whose output has this dtype. `grouped`: threads share rows out as on a GPU.
pub(crate) fn place(program: &Program, layout: &Layout<'_>, grouped: bool, dtype: Dtype) -> Keeps {
    // One thread a row, unless the author wants more.
    let alone = !grouped && !program.threads.is_some_and(|t| t.everywhere && t.count > 1);
    match dtype {
        Dtype::Float32 => Keeps::InOutput,
        Dtype::Float16 | Dtype::Bfloat16
            if alone && layout.pattern.form == Form::Rows && layout.width <= ASIDE =>
        {
            Keeps::Aside
        }
        _ => Keeps::No,
    }
}

impl Writer<'_> {
    /// Declares the array.
    pub(super) fn aside(&mut self) {
        if self.pattern.keeps == Keeps::Aside && self.kept.is_some() {
            self.line(format!("float {ARRAY}[{ASIDE}];"));
        }
    }

    /// Where element `j` of the row waits; `output` is its place in the output.
    pub(super) fn waits(&self, output: &str, j: &str) -> String {
        match self.pattern.keeps {
            Keeps::Aside => format!("{ARRAY}[{j}]"),
            _ => output.to_owned(),
        }
    }
}

/// The name of the value in the last pass.
pub(crate) const NAME: &str = "zk_kept";

/// The largest part of the first output that the last pass over the row computes, too, if it is worth it.
pub(crate) fn kept(program: &Program) -> Option<Kept> {
    if program.compute != Dtype::Float32 || program.is_serial() {
        return None;
    }
    let output = program
        .outputs
        .iter()
        .position(|o| o.span == Span::Element && o.others.is_empty() && !super::text::is_zero(o))?;
    let levels = program.levels();
    let level = *levels.iter().max()?;
    let mut computed: Vec<Expr> = Vec::new();
    for (r, &l) in program.reductions.iter().zip(&levels) {
        if l == level && !matches!(r.fold, Fold::Custom(_) | Fold::At(_)) {
            computed.extend(r.value.parts());
        }
    }
    let worth = |e: &Expr| !e.functions().is_empty() && !program.is_row_level(e);
    // Arguments come before what uses them, so the last one found is not part of a larger one.
    let parts = program.outputs[output].value.parts();
    let value = parts
        .into_iter()
        .rev()
        .find(|e| computed.contains(e) && worth(e))?;
    Some(Kept {
        output,
        value,
        level,
    })
}
