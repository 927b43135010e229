//! What an index does to an array.

use super::index::FULL;
use super::{Array, IndexItem};
use crate::{Error, Result};

/// One axis of the result of the slices, in the order of the index.
pub(super) enum Kept {
    Axis,
    New,
}

/// An index in parts: a slice, then arrays that take positions of it together, and the order of the axes.
pub(super) struct Plan {
    pub start: Vec<i32>,
    pub stop: Vec<i32>,
    pub steps: Vec<i32>,
    /// The axes of the result but those of the arrays.
    pub kept: Vec<Kept>,
    /// Axes of one position, where there are no arrays.
    pub dropped: Vec<i32>,
    /// Axes and what takes their positions.
    pub taken: Vec<(i32, Array)>,
    /// Where among `kept` the axes of the arrays come.
    pub place: usize,
}

impl Array {
    /// What an index does to this array.
    #[track_caller]
    pub(super) fn plan(&self, items: Vec<IndexItem>) -> Result<Plan> {
        let items = self.expand(items)?;
        let n = self.ndim();
        let (mut start, mut stop, mut steps) = (vec![0; n], self.shape().to_vec(), vec![1; n]);
        let arrays = items.iter().any(|i| matches!(i, IndexItem::Take(_)));
        let (mut kept, mut dropped, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        // Where among `kept` the result of the arrays goes, and whether something parts them.
        let (mut place, mut parted) = (None, false);
        let mut axis = 0;
        for item in &items {
            let i = axis as usize;
            let pick = match *item {
                IndexItem::NewAxis => {
                    kept.push(Kept::New);
                    continue;
                }
                IndexItem::Slice {
                    start: from,
                    stop: to,
                    step,
                } => {
                    (start[i], stop[i], steps[i]) = bounds(self.shape()[i], from, to, step)?;
                    kept.push(Kept::Axis);
                    axis += 1;
                    continue;
                }
                IndexItem::At(at) => {
                    let at = position(self.shape()[i], at, i)?;
                    if !arrays {
                        (start[i], stop[i]) = (at, at + 1);
                        dropped.push(axis);
                        axis += 1;
                        continue;
                    }
                    Array::scalar(at)?
                }
                IndexItem::Take(ref array) => array.clone(),
                IndexItem::Ellipsis => continue,
            };
            parted |= place.is_some_and(|p| p != kept.len());
            place.get_or_insert(kept.len());
            taken.push((axis, pick));
            axis += 1;
        }
        Ok(Plan {
            start,
            stop,
            steps,
            kept,
            dropped,
            taken,
            place: if parted { 0 } else { place.unwrap_or(0) },
        })
    }

    /// Items for every axis, the ellipsis written out.
    #[track_caller]
    fn expand(&self, items: Vec<IndexItem>) -> Result<Vec<IndexItem>> {
        let named = |i: &&IndexItem| !matches!(i, IndexItem::NewAxis | IndexItem::Ellipsis);
        let used = items.iter().filter(named).count();
        let Some(rest) = self.ndim().checked_sub(used) else {
            return Err(Error::shape(format!(
                "`index`: expected {} items at most for shape {:?}, got {used}",
                self.ndim(),
                self.shape()
            )));
        };
        let mut expanded = Vec::with_capacity(items.len() + rest);
        let mut seen = false;
        for item in items {
            if !matches!(item, IndexItem::Ellipsis) {
                expanded.push(item);
            } else if std::mem::replace(&mut seen, true) {
                return Err(Error::argument("index", "one ellipsis at most", "two"));
            } else {
                expanded.extend(std::iter::repeat_n(FULL, rest));
            }
        }
        if !seen {
            expanded.extend(std::iter::repeat_n(FULL, rest));
        }
        Ok(expanded)
    }
}

/// Where the new axes are in the result.
pub(super) fn new_axes(kept: &[Kept], place: usize, lead: i32) -> Vec<i32> {
    let new = kept.iter().enumerate();
    new.filter(|(_, k)| matches!(k, Kept::New))
        .map(|(i, _)| i as i32 + if i >= place { lead } else { 0 })
        .collect()
}

/// How the indices' dimensions, the first `lead` of `ndim`, move behind the axes kept before their place.
pub(super) fn order(kept: &[Kept], place: usize, lead: i32, ndim: i32) -> Vec<i32> {
    let before = kept[..place].iter();
    let before = before.filter(|k| matches!(k, Kept::Axis)).count() as i32;
    let mut order: Vec<i32> = (lead..lead + before).collect();
    order.extend(0..lead);
    order.extend(lead + before..ndim);
    order
}

#[track_caller]
fn position(n: i32, at: i64, axis: usize) -> Result<i32> {
    let i = if at < 0 { at + i64::from(n) } else { at };
    if (0..i64::from(n)).contains(&i) {
        return Ok(i as i32);
    }
    let expected = format!("a position from -{n} to below {n} on axis {axis}");
    if at == i64::MAX {
        return Err(Error::argument(
            "index",
            expected,
            format_args!("{at} or more"),
        ));
    }
    Err(Error::argument("index", expected, at))
}

/// Start, stop and step as MLX's slice takes them, where a stop of -1 means the end.
#[track_caller]
fn bounds(n: i32, from: Option<i64>, to: Option<i64>, step: i64) -> Result<(i32, i32, i32)> {
    if step == 0 {
        return Err(Error::argument("step", "a number other than 0", 0));
    }
    let n = i64::from(n);
    // Positions before the first and behind the last that a slice can name.
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let clip = |p: i64| (if p < 0 { p + n } else { p }).clamp(low, high);
    let first = from.map_or(if step > 0 { low } else { high }, clip);
    let last = to.map_or(if step > 0 { high } else { low }, clip);
    // MLX counts a negative stop from the end, so "before the first" is -n - 1.
    let last = if last < 0 { -n - 1 } else { last };
    let first = first.max(0);
    let step = step.clamp(-n.max(1), n.max(1));
    Ok((first as i32, last as i32, step as i32))
}
