//! The last positions of a window.

use super::Seen;
use super::strip::{Room, Strip};
use crate::nn::attention::window_mask;
use crate::ops::concatenate;
use crate::{Array, Result};

/// Position p stands in slot `p % window`. A single position sees all slots in any order, as its softmax does not tell; several
/// positions see what was there in order, and themselves behind.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    window: i32,
    keys: Strip,
    values: Strip,
}

impl Ring {
    pub(super) fn new(window: i32) -> Self {
        Ring {
            window,
            keys: Strip::default(),
            values: Strip::default(),
        }
    }

    pub(super) fn window(&self) -> i32 {
        self.window
    }

    /// Takes in positions, which see no further back than `narrower`, if that is less than what is kept.
    #[track_caller]
    pub(super) fn update(
        &mut self,
        keys: &Array,
        values: &Array,
        at: i32,
        narrower: Option<i32>,
    ) -> Result<Seen> {
        let (window, count) = (self.window, keys.shape()[2]);
        let sees = narrower.map_or(window, |w| w.min(window));
        if count == 1 {
            let room = Room::Exactly(window);
            self.keys.put("keys", keys, at % window, room)?;
            self.values.put("values", values, at % window, room)?;
            let kept = (at + 1).min(window);
            return Ok(Seen {
                keys: self.keys.first(kept)?,
                values: self.values.first(kept)?,
                mask: match sees < kept {
                    true => Some(slots_within(at, kept, window, sees)?),
                    false => None,
                },
            });
        }
        let seen = Seen {
            keys: self.in_order(&self.keys, keys, at)?,
            values: self.in_order(&self.values, values, at)?,
            mask: None,
        };
        self.keep(&seen, at + count)?;
        let total = seen.keys.shape()[2];
        let mask = match total > sees {
            true => Some(window_mask(count, total, sees)?),
            false => None,
        };
        Ok(Seen { mask, ..seen })
    }

    /// What is there, the oldest first, and `new`.
    #[track_caller]
    fn in_order(&self, strip: &Strip, new: &Array, at: i32) -> Result<Array> {
        let (kept, next) = (at.min(self.window), at % self.window);
        if kept == 0 {
            return Ok(new.clone());
        }
        let mut parts = Vec::new();
        if at > self.window && next > 0 {
            parts.push(strip.part(next, kept)?);
            parts.push(strip.part(0, next)?);
        } else {
            parts.push(strip.first(kept)?);
        }
        parts.push(new.astype(parts[0].dtype())?);
        concatenate(parts, 2)
    }

    /// Keeps the last positions of what is in order, where `end` is the number of the next one.
    #[track_caller]
    fn keep(&mut self, seen: &Seen, end: i32) -> Result<()> {
        let window = self.window;
        let room = Room::Exactly(window);
        let kept = end.min(window);
        // The oldest one that is kept stands in slot `first`.
        let first = (end - kept) % window;
        let mut fresh = [Strip::default(), Strip::default()];
        for (strip, all) in fresh.iter_mut().zip([&seen.keys, &seen.values]) {
            let total = all.shape()[2];
            let cut = |from: i32, to: i32| {
                let &[batch, heads, _, width] = all.shape() else {
                    return Ok(all.clone());
                };
                all.slice([0, 0, from, 0], [batch, heads, to, width], [1; 4])
            };
            let oldest = total - kept;
            let head = (window - first).min(kept);
            if head > 0 {
                strip.put("keys", &cut(oldest, oldest + head)?, first, room)?;
            }
            if kept > head {
                strip.put("keys", &cut(oldest + head, total)?, 0, room)?;
            }
        }
        let [keys, values] = fresh;
        (self.keys, self.values) = (keys, values);
        Ok(())
    }

    pub(super) fn arrays(&self) -> Vec<&Array> {
        let strips = [&self.keys, &self.values];
        strips.into_iter().filter_map(Strip::array).collect()
    }

    pub(super) fn reset(&mut self) {
        self.keys.reset();
        self.values.reset();
    }
}

/// Which of the first `kept` slots of a ring of `window` hold one of the last `sees` positions up to `at`, (1, kept).
#[track_caller]
fn slots_within(at: i32, kept: i32, window: i32, sees: i32) -> Result<Array> {
    let back = Array::from(at).subtract(Array::arange(kept)?)?;
    back.remainder(window)?.less(sees)?.expand_dims(0)
}
