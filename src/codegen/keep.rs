//! Values that are computed once although two passes need them.
//!
//! A softmax needs `exp(x - s1)` for its sum and again for its result. On a CPU computing it takes longer
//! than a store and a load in cache, so the pass of the sum writes it to the output, and the last pass
//! finds it there. Only where the output is as exact as the arithmetic: float32 both. On a GPU the
//! memory is the slower part, and it is computed twice.

use crate::Dtype;
use crate::expr::Expr;

use super::program::{Fold, Program, Span};

/// What waits in the output of this number.
pub(crate) struct Kept {
    /// Number of the output.
    pub(crate) output: usize,
    pub(crate) value: Expr,
    /// The pass that computes it.
    pub(crate) level: usize,
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
