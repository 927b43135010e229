//! How attention over tiles is shared out: threads of a threadgroup, and what they look at together.

use super::flash_op::Flash;
use crate::codegen::blocks::{as_on_gpu, multiplies_for_teams};
use crate::{Array, Dtype};

/// Threads of a threadgroup, and the queries and keys that it looks at together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiles {
    /// Threads that hold a tile together: one, a simdgroup, or four of them (`kernels/tiles.metal`).
    pub lanes: i32,
    pub threads: i32,
    pub queries: i32,
    pub keys: i32,
    /// Blocks of keys and values in threadgroup memory.
    pub stages: i32,
    /// D rounded up.
    pub width: i32,
    /// How many share the keys of [`Pass::Dkv`].
    pub across: i32,
}

/// What a kernel keeps in threadgroup memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    Dq,
    Dkv,
}

/// Threadgroup memory of Apple's GPUs, and what leaves room for two threadgroups on a processor of NVIDIA's.
const SMALL: i32 = 32 * 1024;
const LARGE: i32 = 112 * 1024;

/// Threadgroups that keep a large GPU busy.
const BUSY: u64 = 264;

impl Tiles {
    pub(super) fn of(pass: Pass, flash: &Flash, q: &Array) -> Tiles {
        let (dtype, width) = (q.dtype(), q.shape()[3]);
        let steps = [32, 64, 96, 128, 192, 256];
        let step = steps.into_iter().find(|&n| n >= width).unwrap_or(256);
        if !as_on_gpu(crate::stream::current().gpu) {
            return Tiles {
                lanes: 1,
                threads: 1,
                queries: if pass == Pass::Dkv { 64 } else { 96 },
                keys: 64,
                stages: 1,
                width: step,
                across: 1,
            };
        }
        if let Some(tiles) = Tiles::of_teams(pass, q, step) {
            return tiles;
        }
        let limit = if cfg!(target_os = "macos") {
            SMALL
        } else {
            LARGE
        };
        let choices = [
            (128, 128, 64, 2),
            (128, 64, 64, 2),
            (128, 64, 64, 1),
            (128, 64, 32, 2),
            (128, 64, 32, 1),
            (64, 32, 32, 1),
            (32, 16, 16, 1),
        ];
        let all = choices.map(|(threads, queries, keys, stages)| Tiles {
            lanes: 32,
            threads,
            queries,
            keys,
            stages,
            width: step,
            across: 1,
        });
        let fits = |t: &&Tiles| {
            // More queries of a simdgroup read keys and values less often. Their sums fill the registers, so nothing else may need many.
            let many = t.queries == 128;
            let may = pass == Pass::Forward && flash.cap == 0.0 && groups(q, 128) >= BUSY;
            t.bytes(pass, dtype) <= limit
                && (pass != Pass::Dkv || t.keys >= t.threads / 2)
                && (!many || may)
        };
        all.iter().find(fits).copied().unwrap_or(all[all.len() - 1])
    }

    /// Teams of simdgroups, where the GPU multiplies for them and there is work for all of it.
    fn of_teams(pass: Pass, a: &Array, width: i32) -> Option<Tiles> {
        let rows = a.shape()[2];
        let fits = a.dtype().size() == 2 && width % 64 == 0;
        let busy = rows >= 128 && groups(a, 128) >= BUSY / 2;
        if !fits || !multiplies_for_teams(busy) {
            return None;
        }
        // Threads, rows of the other side, and stages: the fastest of those tried (docs/PERFORMANCE.md) that threads have registers for.
        let (threads, other, stages) = match (pass, width) {
            (Pass::Forward, 128) | (Pass::Dq, 128) => (256, 128, 2),
            (Pass::Forward, _) => (256, 64, 2),
            (Pass::Dq, 64) => (128, 128, 2),
            (Pass::Dq, 192) => (256, 64, 2),
            (Pass::Dq, _) => (256, 64, 1),
            (Pass::Dkv, 64) => (256, 128, 2),
            (Pass::Dkv, 128) => (256, 64, 2),
            (Pass::Dkv, 256) => (256, 64, 2),
            (Pass::Dkv, _) => return None,
        };
        let across = if (pass, width) == (Pass::Dkv, 256) {
            2
        } else {
            1
        };
        let own = threads / 2 / across;
        let (queries, keys) = match pass {
            Pass::Dkv => (other, own),
            _ => (own, other),
        };
        Some(Tiles {
            lanes: 128,
            threads,
            queries,
            keys,
            stages,
            width,
            across,
        })
    }

    /// Threadgroup memory of simdgroups by themselves.
    fn bytes(&self, pass: Pass, dtype: Dtype) -> i32 {
        let row = self.width + 8;
        let elements = match pass {
            Pass::Forward => row * (self.queries + 2 * self.stages * self.keys),
            Pass::Dq => row * (2 * self.queries + 2 * self.stages * self.keys),
            Pass::Dkv => row * (2 * self.stages * self.queries + 2 * self.keys),
        };
        // Two numbers a query besides.
        elements * dtype.size() as i32 + 8 * self.stages * self.queries
    }
}

/// Threadgroups that go over the rows of an array by so many.
pub(super) fn groups(a: &Array, rows: i32) -> u64 {
    let blocks = (a.shape()[2] + rows - 1) / rows;
    a.shape()[0] as u64 * a.shape()[1] as u64 * blocks as u64
}
