//! How a call's arrays lie against each other, and what that means for the kernel's text.
//!
//! MLX hands a kernel row-major arrays. Against the shape of the result each is one of a few
//! patterns; a kernel's text depends on the patterns, and not on any size.

use std::borrow::Cow;

use crate::{Array, Error, Result};

use super::pattern::{Access, Form, Pattern};
use super::program::{Input, Program, Span};
use super::strides::{access, collapse, dims_of, strides};

/// A call's shapes.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) pattern: Pattern,
    /// Of outputs with a value for each element.
    pub(crate) shape: Cow<'a, [i32]>,
    /// How many of its dimensions an output with a value a row has.
    pub(crate) lead: usize,
    /// Elements of a row, and rows.
    pub(crate) width: u64,
    pub(crate) rows: u64,
    /// Elements of a block.
    pub(crate) block: u64,
    /// Parts that a long row of an elementwise operation is cut into, for as many threadgroups.
    pub(crate) parts: u64,
    /// The sizes that a strided form reads; see [`super::text`].
    pub(crate) dims: Vec<i64>,
}

/// Above this many elements indices of 32 bits may not do.
pub(super) const FLAT_LIMIT: u64 = i32::MAX as u64;

impl<'a> Layout<'a> {
    /// The layout of a call with these arguments, of which the kernel reads some.
    #[track_caller]
    pub(crate) fn of(
        op: &str,
        program: &Program,
        used: &[bool],
        inputs: &[&'a Array],
    ) -> Result<Layout<'a>> {
        if inputs.len() != program.inputs.len() {
            let names: Vec<_> = program.inputs.iter().map(|i| i.name.as_str()).collect();
            return Err(Error::argument(
                "inputs",
                format_args!(
                    "{} for `{op}` ({})",
                    crate::metal::arrays(names.len()),
                    names.join(", ")
                ),
                inputs.len(),
            ));
        }
        let simple = match program.by_rows {
            _ if program.has_parts() => None,
            false => flat(used, inputs).or_else(|| plain(program, used, inputs)),
            true => plain(program, used, inputs),
        };
        if let Some(layout) = simple {
            return Ok(layout);
        }
        let shape = common_shape(op, program, inputs)?;
        if program.by_rows {
            by_rows(op, program, used, inputs, shape)
        } else {
            Ok(elementwise(used, inputs, shape))
        }
    }

    /// The shape of an output whose rows are made of so many parts.
    pub(crate) fn output(&self, span: Span, parts: usize) -> Cow<'_, [i32]> {
        let shape = match span {
            Span::Element => &self.shape,
            Span::Row => &self.shape[..self.lead],
            Span::Summed => &self.shape[self.lead..],
        };
        if parts == 1 {
            return Cow::Borrowed(shape);
        }
        let mut shape = shape.to_vec();
        if let Some(last) = shape.last_mut() {
            *last = last.saturating_mul(parts as i32);
        }
        Cow::Owned(shape)
    }
}

/// The layout where every array has the result's shape or is a single number.
fn flat<'a>(used: &[bool], inputs: &[&'a Array]) -> Option<Layout<'a>> {
    let shape = inputs.iter().map(|a| a.shape()).max_by_key(|s| s.len())?;
    let size = count(shape);
    if size > FLAT_LIMIT {
        return None;
    }
    let mut pattern = Pattern::unread(Form::Flat);
    for (i, a) in inputs.iter().enumerate() {
        let access = if a.shape() == shape && !shape.is_empty() {
            Access::Full
        } else if a.ndim() == 0 {
            Access::Value
        } else if a.size() == 1 {
            Access::First
        } else {
            return None;
        };
        if used[i] {
            pattern.read(i, access);
        }
    }
    Some(Layout {
        pattern,
        shape: Cow::Borrowed(shape),
        lead: 0,
        width: size,
        rows: 1,
        block: 1,
        parts: 1,
        dims: Vec::new(),
    })
}

/// The layout where one array has the result's shape, and each other is that, a row for all, a number a row, or
/// one number. It needs no table of sizes.
fn plain<'a>(program: &Program, used: &[bool], inputs: &[&'a Array]) -> Option<Layout<'a>> {
    let form = match program.by_rows && program.is_serial() {
        true => Form::Serial,
        false => Form::Rows,
    };
    let shape = inputs
        .iter()
        .map(|a| a.shape())
        .max_by_key(|s| (s.len(), count(s)))?;
    let (&last, lead) = shape.split_last()?;
    let (width, rows) = (last as u64, count(lead));
    // Few long rows are cut into parts, which needs the table.
    if rows > MOST_ROWS || (!program.by_rows && width > PART && rows < 64) {
        return None;
    }
    let mut pattern = Pattern::unread(form);
    let mut length_known = false;
    for (i, a) in inputs.iter().enumerate() {
        let own = a.shape();
        if program.inputs[i].span == Span::Row {
            if own != lead || own.is_empty() {
                return None;
            }
            if used[i] {
                pattern.read(i, Access::Column);
            }
            continue;
        }
        let access = if own == shape {
            Access::Full
        } else if own.is_empty() {
            Access::Value
        } else if a.size() == 1 {
            Access::First
        } else if own.last() == Some(&last) && own[..own.len() - 1].iter().all(|&d| d == 1) {
            Access::Shared
        } else if own.len() == shape.len() && own.last() == Some(&1) && own[..lead.len()] == *lead {
            Access::Column
        } else {
            return None;
        };
        if used[i] {
            length_known |= access == Access::Full;
            pattern.read(i, access);
        }
    }
    length_known.then(|| Layout {
        pattern,
        shape: Cow::Borrowed(shape),
        lead: match program.by_rows {
            true => lead.len(),
            false => 0,
        },
        width,
        rows,
        block: 1,
        parts: 1,
        dims: Vec::new(),
    })
}

/// The shape that all arguments broadcast to.
#[track_caller]
fn common_shape(op: &str, program: &Program, inputs: &[&Array]) -> Result<Vec<i32>> {
    let mut shape: Vec<i32> = Vec::new();
    for (input, a) in program.inputs.iter().zip(inputs) {
        let mut own = of_parts(op, input, a)?.into_owned();
        if input.span == Span::Row || (program.by_rows && own.is_empty()) {
            own.push(1);
        }
        if own.len() > shape.len() {
            let missing = own.len() - shape.len();
            shape.splice(0..0, std::iter::repeat_n(1, missing));
        }
        let offset = shape.len() - own.len();
        for (to, &d) in shape[offset..].iter_mut().zip(&own) {
            if *to == 1 {
                *to = d;
            } else if d != 1 && d != *to {
                return Err(mismatch(op, program, inputs));
            }
        }
    }
    if program.by_rows
        && !program
            .inputs
            .iter()
            .zip(inputs)
            .any(|(i, a)| i.span == Span::Element && a.ndim() > 0)
    {
        return Err(Error::shape(format!(
            "`{op}`: expected an array with at least one dimension, whose last is the row, got a scalar"
        )));
    }
    Ok(shape)
}

/// The shape of an input's parts.
#[track_caller]
fn of_parts<'a>(op: &str, input: &Input, a: &'a Array) -> Result<Cow<'a, [i32]>> {
    let parts = input.count() as i32;
    if parts == 1 {
        return Ok(Cow::Borrowed(a.shape()));
    }
    let mut shape = a.shape().to_vec();
    match shape.last_mut() {
        Some(last) if *last % parts == 0 => *last /= parts,
        _ => {
            return Err(Error::shape(format!(
                "`{op}`: expected a last axis of `{}` that is a multiple of {parts}, got shape {:?}",
                input.name,
                a.shape()
            )));
        }
    }
    Ok(Cow::Owned(shape))
}

#[track_caller]
fn mismatch(op: &str, program: &Program, inputs: &[&Array]) -> Error {
    let all: Vec<_> = program
        .inputs
        .iter()
        .zip(inputs)
        .map(|(i, a)| {
            let a_row = if i.span == Span::Row {
                ", one value a row"
            } else {
                ""
            };
            format!("`{}` {:?}{a_row}", i.name, a.shape())
        })
        .collect();
    Error::shape(format!(
        "`{op}`: expected shapes that broadcast to each other (equal or 1, aligned at the last axis), got {}",
        all.join(", ")
    ))
}

fn count(shape: &[i32]) -> u64 {
    shape.iter().map(|&d| d.max(0) as u64).product()
}

/// Elements of a part of a long row of an elementwise operation.
pub(super) const PART: u64 = 1 << 15;

/// An elementwise operation whose arrays differ in shape: walked by rows of the last dimension that is left
/// when dimensions are joined.
fn elementwise(used: &[bool], inputs: &[&Array], shape: Vec<i32>) -> Layout<'static> {
    let mut all: Vec<Vec<i64>> = inputs.iter().map(|a| strides(a.shape(), &shape)).collect();
    let mut sizes = collapse(&shape, &mut all);
    if sizes.is_empty() {
        sizes.push(1);
        all.iter_mut().for_each(|s| s.push(0));
    }
    let width = sizes.pop().unwrap_or(1) as u64;
    let steps: Vec<i64> = all.iter_mut().map(|s| s.pop().unwrap_or(0)).collect();
    let lead: Vec<i32> = sizes.iter().map(|&d| d as i32).collect();
    let rows = count(&lead);
    let accesses: Vec<Access> = (0..inputs.len())
        .map(|i| match used[i] {
            false => Access::Unused,
            true if inputs[i].ndim() == 0 => Access::Value,
            true => access(&all[i], &lead, steps[i], width),
        })
        .collect();
    let parts = width.div_ceil(PART).max(1);
    let dims = dims_of(rows, width, parts, &lead, &accesses, &all);
    Layout {
        pattern: Pattern::new(Form::Strided, accesses),
        shape: Cow::Owned(shape),
        lead: 0,
        width,
        rows,
        block: 1,
        parts,
        dims,
    }
}

/// An operation along the last axis.
#[track_caller]
fn by_rows(
    op: &str,
    program: &Program,
    used: &[bool],
    inputs: &[&Array],
    shape: Vec<i32>,
) -> Result<Layout<'static>> {
    let lead = shape.len() - 1;
    let width = shape[lead] as u64;
    let rows = count(&shape[..lead]);
    let mut all = Vec::with_capacity(inputs.len());
    let mut accesses = Vec::with_capacity(inputs.len());
    let mut length_known = false;
    for ((input, a), &used) in program.inputs.iter().zip(inputs).zip(used) {
        let own = of_parts(op, input, a)?;
        let parts = input.count();
        let mut s = match input.span {
            Span::Element | Span::Summed => strides(&own, &shape),
            Span::Row => {
                let mut s = strides(a.shape(), &shape[..lead]);
                s.push(0);
                s
            }
        };
        let step = s.pop().unwrap_or(0);
        let way = match used {
            false => Access::Unused,
            true if a.ndim() == 0 => Access::Value,
            true if input.span == Span::Element && *own == *shape && rows <= FLAT_LIMIT => {
                Access::Full
            }
            true => access(&s, &shape[..lead], step, width),
        };
        let way = match parts {
            1 => way,
            _ => match way.of_parts(own.last() == shape.last()) {
                Some(way) => way,
                None => return Err(mismatch(op, program, inputs)),
            },
        };
        // In memory the parts of a row follow each other.
        s.iter_mut().for_each(|step| *step *= parts as i64);
        length_known |= way == Access::Full && input.span == Span::Element && a.ndim() > 0 && {
            own.last() == shape.last()
        };
        accesses.push(way);
        all.push(s);
    }
    let plain = length_known
        && rows <= MOST_ROWS
        && !accesses
            .iter()
            .any(|a| matches!(a, Access::Rows | Access::Starts));
    let form = match (program.is_serial(), plain) {
        (false, true) => Form::Rows,
        (false, false) => Form::Strided,
        (true, true) => Form::Serial,
        (true, false) => Form::SerialStrided,
    };
    if rows > u64::from(u32::MAX) {
        return Err(Error::shape(format!(
            "expected at most {} rows, got {rows}: split the array",
            u32::MAX
        )));
    }
    let dims = if plain {
        Vec::new()
    } else {
        dims_of(rows, width, 1, &shape[..lead], &accesses, &all)
    };
    Ok(Layout {
        pattern: Pattern::new(form, accesses),
        shape: Cow::Owned(shape),
        lead,
        width,
        rows,
        block: 1,
        parts: 1,
        dims,
    })
}

/// Rows up to which a grid has one dimension, whatever the threadgroup.
const MOST_ROWS: u64 = (i32::MAX / 1024) as u64;
