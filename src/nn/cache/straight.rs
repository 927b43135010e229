//! All positions, in order.

use super::Seen;
use super::strip::{Room, Strip};
use crate::{Array, Result};

/// How far room grows at a time.
pub(super) const STEP: i32 = 256;

#[derive(Clone, Debug)]
pub(super) struct Straight {
    room: Room,
    keys: Strip,
    values: Strip,
}

impl Straight {
    pub(super) fn growing() -> Self {
        Straight {
            room: Room::Steps(STEP),
            keys: Strip::default(),
            values: Strip::default(),
        }
    }

    pub(super) fn preallocated(positions: i32) -> Self {
        Straight {
            room: Room::Exactly(positions),
            ..Straight::growing()
        }
    }

    #[track_caller]
    pub(super) fn update(&mut self, keys: &Array, values: &Array, at: i32) -> Result<Seen> {
        let end = at + keys.shape()[2];
        self.keys.put("keys", keys, at, self.room)?;
        self.values.put("values", values, at, self.room)?;
        Ok(Seen {
            keys: self.keys.first(end)?,
            values: self.values.first(end)?,
            mask: None,
        })
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
