//! Small arrays as parts of long ones, so that one launch changes all of them.

use std::collections::BTreeMap;
use std::fmt;

use super::num::Num;
use super::rule::Item;
use crate::codegen::blocks::as_on_gpu;
use crate::transforms::rules::traced;
use crate::{Array, Dtype, Result, ops};

/// What an optimizer remembers of arrays that it changed together, so that the next step need not put them together again. Nothing depends
/// on it: arrays that are not those of the last step are put together anew.
#[derive(Clone, Default)]
pub struct Flats {
    known: BTreeMap<(Dtype, Dtype), Flat>,
}

impl fmt::Debug for Flats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.known.values().map(|flat| flat.parts.len()))
            .finish()
    }
}

/// Values and two moments.
#[derive(Clone)]
struct Flat {
    long: [Array; 3],
    /// The parts of those that went out. Their identities tell them from others as long as they are held here.
    parts: Vec<[Array; 3]>,
}

/// A step of long arrays: values, gradients and moments in, values and moments out.
pub(super) type Change<'a> = dyn Fn([&Array; 4]) -> Result<[Array; 3]> + 'a;

impl Flats {
    /// Changes items of like dtypes together. Each has two moments in float32 of the shape of its values.
    #[track_caller]
    pub(super) fn change(
        &mut self,
        items: &[&Item<'_>],
        change: &Change<'_>,
    ) -> Result<Vec<[Array; 3]>> {
        let Some(first) = items.first() else {
            return Ok(Vec::new());
        };
        let key = (first.value.dtype(), first.grad.dtype());
        let known = self.known.remove(&key);
        let slot = |i: usize, slot: usize| match slot {
            0 => items[i].value,
            _ => &items[i].kept[slot - 1],
        };
        let long = |which: usize| match &known {
            Some(flat) if flat.is_of(items.len(), which, &slot) => Ok(flat.long[which].clone()),
            _ => together((0..items.len()).map(|i| slot(i, which))),
        };
        let grads = together(items.iter().map(|item| item.grad))?;
        let long = change([&long(0)?, &grads, &long(1)?, &long(2)?])?;
        let mut parts = Vec::with_capacity(items.len());
        let mut at = 0;
        for item in items {
            let end = at + item.value.size() as i32;
            let part = |long: &Array| {
                let part = long.slice([at], [end], [1])?;
                match item.value.ndim() {
                    1 => Ok(part),
                    _ => part.reshape(item.value.shape()),
                }
            };
            parts.push([part(&long[0])?, part(&long[1])?, part(&long[2])?]);
            at = end;
        }
        let changed = parts.clone();
        self.known.insert(key, Flat { long, parts });
        Ok(changed)
    }
}

impl Flat {
    /// Whether a long array is made of these, in this order.
    fn is_of<'a>(
        &self,
        count: usize,
        which: usize,
        slot: &impl Fn(usize, usize) -> &'a Array,
    ) -> bool {
        let same = |(i, part): (usize, &[Array; 3])| part[which].id() == slot(i, which).id();
        self.parts.len() == count && self.parts.iter().enumerate().all(same)
    }
}

/// All elements in a row.
#[track_caller]
fn together<'a>(arrays: impl Iterator<Item = &'a Array>) -> Result<Array> {
    let mut all = Vec::new();
    for array in arrays {
        all.push(match array.ndim() {
            1 => array.clone(),
            _ => array.reshape(-1i32)?,
        });
    }
    ops::concatenate(&all, 0)
}

/// The most elements of an array that shares a launch on a CPU: a launch costs as much as a copy of a few thousand gradients.
const MOST: usize = 1 << 13;

/// Which items share launches on a CPU: those of a rule with two moments, by dtypes, in order. Numbers of a step that is traced are not
/// known, and neither are arrays that a transform traces.
pub(super) fn small(items: &[(&str, Item<'_>)], numbers: [&Num; 2]) -> Vec<Vec<usize>> {
    let mut like: BTreeMap<(Dtype, Dtype), Vec<usize>> = BTreeMap::new();
    let gpu = as_on_gpu(crate::stream::current().gpu);
    if gpu || numbers.iter().any(|n| matches!(n, Num::Lazy(_))) {
        return Vec::new();
    }
    for (i, (_, item)) in items.iter().enumerate() {
        if (1..=MOST).contains(&item.value.size()) && is_plain(item) {
            let dtypes = (item.value.dtype(), item.grad.dtype());
            like.entry(dtypes).or_default().push(i);
        }
    }
    like.into_values().filter(|all| all.len() > 1).collect()
}

/// Whether it has moments that a run with another module did not leave, and dtypes that kernels take.
pub(super) fn is_plain(item: &Item<'_>) -> bool {
    let moment = |a: &Array| a.dtype() == Dtype::Float32 && a.shape() == item.value.shape();
    let moments = item.kept.len() == 2 && item.kept.iter().all(moment);
    let floats = [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16];
    let known = [item.value, item.grad].map(|a| floats.contains(&a.dtype()) && !traced(&[a]));
    moments && known == [true; 2] && item.grad.shape() == item.value.shape()
}
