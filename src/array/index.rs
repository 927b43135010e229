//! Indexing with a tuple of numbers, ranges and arrays: `x.index((1, .., 2..5, &idx))`.

use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use super::Array;
use crate::{Dtype, Error, Result};

/// A new axis of length 1, in [`Array::index`].
#[derive(Clone, Copy, Debug)]
pub struct NewAxis;

/// As many full axes as the others leave, in [`Array::index`]; at most once.
#[derive(Clone, Copy, Debug)]
pub struct Ellipsis;

/// What one item of an index does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum IndexItem {
    /// One position; the axis goes away.
    At(i64),
    /// Positions from `start` up to `stop` by `step`, as in Python.
    Slice {
        /// The first index; without it the first in the direction of the step.
        start: Option<i64>,
        /// The index that ends it, itself left out; without it all that follow.
        stop: Option<i64>,
        /// How far from one index to the next; not 0.
        step: i64,
    },
    /// The positions an array of integers holds.
    Take(Array),
    /// A further axis of length 1.
    NewAxis,
    /// All axes that the other items leave, as they are.
    Ellipsis,
}

const FULL: IndexItem = IndexItem::Slice {
    start: None,
    stop: None,
    step: 1,
};

/// A range by steps, in [`Array::index`]: `step(.., -1)` reverses, `step(1..9, 2)` takes
/// every second. Backwards, a range goes from its start down to, and without, its stop.
///
/// ```
/// use zmlx::{Array, step};
/// let x = Array::arange(6)?;
/// assert_eq!(x.index(step(.., -2))?.to_vec::<i32>()?, [5, 3, 1]);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn step(range: impl IntoIndexItem, by: i32) -> IndexItem {
    match range.into_item() {
        IndexItem::Slice {
            start,
            stop,
            step: 1,
        } => IndexItem::Slice {
            start,
            stop,
            step: i64::from(by),
        },
        other => other,
    }
}

/// One item of an index: a number, a range, [`NewAxis`], [`Ellipsis`], [`step`], an array.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no item of an index",
    note = "an item is an integer, a range of integers, `step(range, by)`, `NewAxis`, `Ellipsis` or an array of integers (`&Array`)"
)]
pub trait IntoIndexItem {
    /// The item.
    fn into_item(self) -> IndexItem;
}

/// An index: one item or a tuple of up to eight.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no index",
    note = "one item or a tuple of up to eight: an integer, a range of integers, `step(range, by)`, `NewAxis`, `Ellipsis`, an array of integers (`&Array`)"
)]
pub trait IntoIndex {
    /// The items, one for each axis from the first on.
    fn into_index(self) -> Vec<IndexItem>;
}

macro_rules! items {
    ($($ty:ty: $self:ident => $item:expr;)*) => {$(
        impl IntoIndexItem for $ty {
            fn into_item($self) -> IndexItem {
                $item
            }
        }
        impl IntoIndex for $ty {
            fn into_index(self) -> Vec<IndexItem> {
                vec![self.into_item()]
            }
        }
    )*};
}

fn slice(start: Option<i64>, stop: Option<i64>) -> IndexItem {
    IndexItem::Slice {
        start,
        stop,
        step: 1,
    }
}

/// The stop after an included last position; after -1 comes the end.
fn after(last: i64) -> Option<i64> {
    if last == -1 {
        None
    } else {
        Some(last.saturating_add(1))
    }
}

items! {
    IndexItem: self => self;
    NewAxis: self => IndexItem::NewAxis;
    Ellipsis: self => IndexItem::Ellipsis;
    RangeFull: self => FULL;
    &Array: self => IndexItem::Take(self.clone());
    Array: self => IndexItem::Take(self);
}

/// A position as it is; what an i64 does not reach is beyond every array.
trait Position: Copy {
    fn position(self) -> i64;
}

macro_rules! numbers {
    ($($ty:ty)*) => {$(
        impl Position for $ty {
            fn position(self) -> i64 {
                i64::try_from(self).unwrap_or(i64::MAX)
            }
        }
        items! {
            $ty: self => IndexItem::At(self.position());
            Range<$ty>: self => slice(Some(self.start.position()), Some(self.end.position()));
            RangeFrom<$ty>: self => slice(Some(self.start.position()), None);
            RangeTo<$ty>: self => slice(None, Some(self.end.position()));
            RangeInclusive<$ty>: self => slice(Some(self.start().position()), after(self.end().position()));
            RangeToInclusive<$ty>: self => slice(None, after(self.end.position()));
        }
    )*};
}
numbers!(i32 u32 usize);

macro_rules! tuples {
    ($(($($name:ident),+))*) => {$(
        #[allow(non_snake_case)]
        impl<$($name: IntoIndexItem),+> IntoIndex for ($($name,)+) {
            fn into_index(self) -> Vec<IndexItem> {
                let ($($name,)+) = self;
                vec![$($name.into_item()),+]
            }
        }
    )*};
}

tuples! {
    (A)
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
    (A, B, C, D, E, F)
    (A, B, C, D, E, F, G)
    (A, B, C, D, E, F, G, H)
}

/// One axis of the result of the slices, in the order of the index.
enum Kept {
    Axis,
    New,
}

impl Array {
    /// The part of the array that an index names, as in MLX for Python and NumPy.
    ///
    /// - A number takes one position and drops the axis; negative counts from the end.
    /// - A range takes its positions, cut to the array: `2..5`, `..=3`, `-2..`; `..` is the
    ///   whole axis. [`step`] gives it a step.
    /// - An array of integers takes the positions it holds; the axis becomes its shape.
    ///   Several arrays, and numbers beside them, broadcast and are taken together; their
    ///   shape comes in the place of the first, or first of all when a range parts them.
    /// - [`NewAxis`] inserts an axis of length 1, [`Ellipsis`] skips axes. Axes not named
    ///   stay whole.
    ///
    /// ```
    /// use zmlx::{Array, Ellipsis, NewAxis, step};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::arange(24)?.reshape((2, 3, 4))?;
    /// assert_eq!(x.index((1, 0, 2..))?.to_vec::<i32>()?, [14, 15]);
    /// assert_eq!(x.index((.., -1, step(.., -2)))?.to_vec::<i32>()?, [11, 9, 23, 21]);
    /// assert_eq!(x.index((Ellipsis, 0, NewAxis))?.shape(), [2, 3, 1]);
    /// let rows = Array::from_slice(&[2, 0], 2)?;
    /// assert_eq!(x.index((0, &rows, 1))?.to_vec::<i32>()?, [9, 1]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a number out of range, a step of 0, a second [`Ellipsis`] or
    /// an array of no integers; [`Error::Shape`] for more items than axes. Arrays with
    /// positions out of range as in [the notes on operations](crate::ops).
    #[track_caller]
    pub fn index(&self, index: impl IntoIndex) -> Result<Array> {
        let items = self.expand(index.into_index())?;
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
                    // Beside uint64 a signed number would make floats.
                    let wide = |i: &IndexItem| matches!(i, IndexItem::Take(a) if a.dtype() == Dtype::Uint64);
                    if items.iter().any(wide) {
                        Array::scalar(at as u64)?
                    } else {
                        Array::scalar(at)?
                    }
                }
                IndexItem::Take(ref array) => array.clone(),
                IndexItem::Ellipsis => continue,
            };
            parted |= place.is_some_and(|p| p != kept.len());
            place.get_or_insert(kept.len());
            taken.push((axis, pick));
            axis += 1;
        }
        let part = self.slice(start, stop, steps)?;
        if taken.is_empty() {
            return part.squeeze(dropped)?.with_new(&kept, 0, 0);
        }
        let place = if parted { 0 } else { place.unwrap_or(0) };
        part.take_together(&taken, &kept, place)
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

    /// Takes the positions of several arrays together and puts the axes in order.
    #[track_caller]
    fn take_together(&self, taken: &[(i32, Array)], kept: &[Kept], place: usize) -> Result<Array> {
        let (axes, indices): (Vec<i32>, Vec<&Array>) =
            taken.iter().map(|(axis, array)| (*axis, array)).unzip();
        let mut sizes = self.shape().to_vec();
        for &axis in &axes {
            sizes[axis as usize] = 1;
        }
        let blocks = self.gather(indices, axes.as_slice(), sizes)?;
        // Dimensions: those of the indices, then all of the array, taken ones with length 1.
        let lead = (blocks.ndim() - self.ndim()) as i32;
        let ones: Vec<i32> = axes.iter().map(|axis| axis + lead).collect();
        let blocks = blocks.squeeze(ones)?;
        // The indices' dimensions move behind the axes kept before their place.
        let before = kept[..place]
            .iter()
            .filter(|k| matches!(k, Kept::Axis))
            .count() as i32;
        let mut order: Vec<i32> = (lead..lead + before).collect();
        order.extend(0..lead);
        order.extend(lead + before..blocks.ndim() as i32);
        blocks.transpose(order)?.with_new(kept, place, lead)
    }

    /// Inserts the new axes; `lead` axes that are not in `kept` stand at `place`.
    #[track_caller]
    fn with_new(&self, kept: &[Kept], place: usize, lead: i32) -> Result<Array> {
        let new: Vec<i32> = kept
            .iter()
            .enumerate()
            .filter(|(_, k)| matches!(k, Kept::New))
            .map(|(i, _)| i as i32 + if i >= place { lead } else { 0 })
            .collect();
        self.expand_dims(new)
    }
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
