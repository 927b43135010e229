//! An array with room for more along its third axis.

use crate::{Array, Error, Result};

/// (batch, heads, room, features), the first positions of which hold values.
#[derive(Clone, Debug, Default)]
pub(super) struct Strip {
    buffer: Option<Array>,
}

/// How much room is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    /// A multiple of so many positions.
    Steps(i32),
    /// So many positions and no more.
    Exactly(i32),
}

impl Strip {
    /// Puts values at the positions from `at` on. Fails before anything changes.
    #[track_caller]
    pub(super) fn put(&mut self, name: &str, new: &Array, at: i32, room: Room) -> Result<()> {
        let &[batch, heads, count, width] = new.shape() else {
            let shape = new.shape();
            return Err(Error::shape(format!(
                "`{name}`: expected 4 axes, got {shape:?}"
            )));
        };
        if let Some(buffer) = &self.buffer {
            let kept = buffer.shape();
            if [kept[0], kept[1], kept[3]] != [batch, heads, width] {
                return Err(Error::shape(format!(
                    "`{name}`: expected shape ({}, {}, positions, {}) as before, got {:?}",
                    kept[0],
                    kept[1],
                    kept[3],
                    new.shape()
                )));
            }
        }
        let end = at + count;
        let need = match room {
            Room::Steps(step) => end.checked_add(step - 1).map_or(end, |n| n / step * step),
            Room::Exactly(most) if end > most => {
                let expected = format!("no more than {most} positions in all");
                return Err(Error::argument(name, expected, end));
            }
            Room::Exactly(most) => most,
        };
        let buffer = match &self.buffer {
            Some(buffer) if buffer.shape()[2] >= need => buffer.clone(),
            Some(buffer) => {
                let more = need - buffer.shape()[2];
                let more = Array::zeros((batch, heads, more, width), buffer.dtype())?;
                crate::ops::concatenate([buffer, &more], 2)?
            }
            None => Array::zeros((batch, heads, need, width), new.dtype())?,
        };
        // The buffer that is kept has no other owner while this runs, so MLX writes in place.
        self.buffer = None;
        let new = new.astype(buffer.dtype())?;
        let changed = buffer.slice_update(&new, [0, 0, at, 0], [batch, heads, end, width], [1; 4]);
        match changed {
            Ok(changed) => self.buffer = Some(changed),
            Err(e) => {
                self.buffer = Some(buffer);
                return Err(e);
            }
        }
        Ok(())
    }

    /// The first `count` positions.
    #[track_caller]
    pub(super) fn first(&self, count: i32) -> Result<Array> {
        self.part(0, count)
    }

    /// The positions from `start` up to, and without, `end`.
    #[track_caller]
    pub(super) fn part(&self, start: i32, end: i32) -> Result<Array> {
        let Some(buffer) = &self.buffer else {
            return Err(Error::not_ready("the cache holds nothing yet"));
        };
        let &[batch, heads, room, width] = buffer.shape() else {
            return Err(Error::not_ready("the cache holds no positions"));
        };
        if (start, end) == (0, room) {
            return Ok(buffer.clone());
        }
        buffer.slice([0, 0, start, 0], [batch, heads, end, width], [1; 4])
    }

    pub(super) fn array(&self) -> Option<&Array> {
        self.buffer.as_ref()
    }

    pub(super) fn reset(&mut self) {
        self.buffer = None;
    }
}
