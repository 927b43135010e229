//! Indexing with a tuple of numbers, ranges and arrays: `x.index((1, .., 2..5, &idx))`.

use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use super::Array;
use super::plan::{Kept, new_axes, order};
use crate::Result;

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

pub(super) const FULL: IndexItem = IndexItem::Slice {
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
    /// [`Error::Argument`](crate::Error::Argument) for a number out of range, a step of 0, a second [`Ellipsis`] or
    /// an array of no integers; [`Error::Shape`](crate::Error::Shape) for more items than axes. Arrays with
    /// positions out of range as in [the notes on operations](crate::ops).
    #[track_caller]
    pub fn index(&self, index: impl IntoIndex) -> Result<Array> {
        let plan = self.plan(index.into_index())?;
        let part = self.slice(plan.start, plan.stop, plan.steps)?;
        if plan.taken.is_empty() {
            return part.squeeze(plan.dropped)?.with_new(&plan.kept, 0, 0);
        }
        part.take_together(&plan.taken, &plan.kept, plan.place)
    }

    /// Takes the positions of several arrays together and puts the axes in order.
    #[track_caller]
    pub(super) fn take_together(
        &self,
        taken: &[(i32, Array)],
        kept: &[Kept],
        place: usize,
    ) -> Result<Array> {
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
        let order = order(kept, place, lead, blocks.ndim() as i32);
        blocks.transpose(order)?.with_new(kept, place, lead)
    }

    /// Inserts the new axes; `lead` axes that are not in `kept` stand at `place`.
    #[track_caller]
    fn with_new(&self, kept: &[Kept], place: usize, lead: i32) -> Result<Array> {
        self.expand_dims(new_axes(kept, place, lead))
    }
}
