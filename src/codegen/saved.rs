//! Values that a call saves for its gradient.
//!
//! A gradient mostly needs reductions that the call has done: the sum of a softmax, the scale of a norm.
//! Where a gradient is under way, the call's kernel writes them, one float32 a row, and the gradient's kernel reads
//! them and does not walk the row for them once more. They are exactly what the kernel used. Users do not
//! see them.
//!
//! A GPU that has the whole row in its registers reduces it again in less time than it would wait for the values, and a gradient
//! whose value nobody asks for then needs no kernel but its own.

use crate::{Array, Dtype};

use super::group::{Facts, Group};
use super::pattern::Walk;
use super::program::{Input, InputKind, Output, OutputDtype, Program, Span};
use super::terms::variable;

/// Whether calls of this program may save anything: reductions are then float32 in the kernel, too.
pub(super) fn may_save(program: &Program) -> bool {
    program.saves
        && program.by_rows
        && program.compute == Dtype::Float32
        && !program.reductions.is_empty()
}

/// Whether this call is one in float32, and not in integers: then no gradient flows.
pub(super) fn is_floating(used: &[bool], inputs: &[&Array]) -> bool {
    let mut read = inputs.iter().zip(used).filter(|(_, u)| **u);
    read.any(|(a, _)| a.dtype().is_floating())
}

/// Whether the gradient's kernel on a GPU has all of a row in its registers.
pub(super) fn is_reduced_again(program: &Program, inputs: &[&Array]) -> bool {
    let rows = inputs.iter().max_by_key(|a| a.size());
    let Some((&width, lead)) = rows.and_then(|a| a.shape().split_last()) else {
        return false;
    };
    let shares = |a: &Array| a.size() == width as usize && !lead.is_empty();
    let (mut held, mut size, mut shortest) = (0, 1, 4);
    let elements = program.inputs.iter().zip(inputs);
    let elements = elements.filter(|(input, _)| input.span != Span::Row);
    let sums_rows = elements.clone().any(|(_, a)| shares(a));
    let ahead = if sums_rows { 2 } else { 1 };
    for (_, a) in elements {
        let bytes = a.dtype().size() as u64;
        size = bytes.max(size);
        shortest = bytes.min(shortest);
        held += if shares(a) { bytes + 4 } else { bytes * ahead };
    }
    // A cotangent has the dtype of its output, which is no wider than the inputs'.
    let outputs = program.outputs.iter().filter(|o| o.span == Span::Element);
    held += outputs.count() as u64 * size * ahead;
    let group = Group::of(&Facts {
        rows: lead.iter().map(|&d| d as u64).product(),
        width: width as u64,
        size,
        shortest,
        blocks: size <= 4,
        held,
        passes: 1,
        maps: true,
        sums_rows,
        load: 16,
        threads: program.threads.map(|t| u64::from(t.count)),
        cut: false,
    });
    group.walk == Walk::Held
}

/// The author's gradients with the call's reductions as inputs, of those that they mention. They have no others.
pub(super) fn reading(gradients: &Program) -> Program {
    let mut made = gradients.clone();
    let reductions = std::mem::take(&mut made.reductions);
    let mentioned: Vec<_> = made.written().map(|e| e.variables()).collect();
    for r in reductions {
        if mentioned.iter().any(|names| names.contains(&r.name)) {
            made.inputs.push(row(&r.name));
        }
    }
    made
}

/// A value of the row that was saved, as an input.
pub(super) fn row(name: &str) -> Input {
    Input {
        name: name.to_owned(),
        span: Span::Row,
        kind: InputKind::Value,
        parts: Vec::new(),
    }
}

/// Which reductions of a call these gradients read, in the order of their inputs.
pub(super) fn names(gradients: &Program, forward: &Program) -> Vec<String> {
    let saved = gradients.inputs.iter().map(|i| &i.name);
    let is = |n: &&String| forward.reductions.iter().any(|r| r.name == **n);
    saved.filter(is).cloned().collect()
}

/// The program with these reductions as further outputs.
pub(super) fn writing(program: &Program, names: &[String]) -> Program {
    let mut made = program.clone();
    let mut taken = program.taken();
    for name in names {
        made.outputs.push(Output {
            name: super::names::fresh(&format!("{name}_saved"), &mut taken),
            span: Span::Row,
            value: variable(name),
            others: Vec::new(),
            dtype: OutputDtype::Fixed(Dtype::Float32),
        });
    }
    made
}
