//! How the work of attention over a cache is shared out.

use super::few::Few;
use super::few_launch::Shares;
use crate::Array;
use crate::codegen::blocks::as_on_gpu;

/// (KV, keys of a sequence at most, D).
pub(super) fn cache_of(few: &Few, p: &[&Array]) -> (i32, i64, i32) {
    let (keys, width) = (p[1].shape(), p[0].shape()[3]);
    match few.paged {
        true => (
            keys[2],
            i64::from(p[5].shape()[1]) * i64::from(keys[1]),
            width,
        ),
        false => (keys[1], i64::from(keys[2]), width),
    }
}

/// How the work is shared out.
pub(super) struct Plan {
    pub gpu: bool,
    /// Queries of a group.
    pub rows: i32,
    pub shares: Shares,
    /// Threads of a group and of a token.
    pub threads: i32,
    pub team: i32,
    /// Elements of a thread, and how many of them are neighbours.
    pub width: i32,
    pub unit: i32,
    /// Tokens of a team at a time.
    pub tokens: i32,
}

/// Groups that keep a large GPU busy.
const GROUPS: i64 = 528;

impl Plan {
    pub fn of(few: &Few, p: &[&Array]) -> Plan {
        let &[batch, heads, queries, _] = p[0].shape() else {
            unreachable!("checked before")
        };
        let (kv, length, width) = cache_of(few, p);
        let total = i64::from(heads / kv) * i64::from(queries);
        let gpu = as_on_gpu(crate::stream::current().gpu);
        let most = if gpu { 8 } else { 4 };
        let rows = match total {
            1..=4 => total,
            _ => most,
        };
        let chunks = (total + rows - 1) / rows;
        let groups = i64::from(batch) * i64::from(kv) * chunks;
        let mut plan = Plan {
            gpu,
            rows: rows as i32,
            shares: Shares { chunks, parts: 1 },
            threads: 1,
            team: 1,
            width,
            unit: width,
            tokens: 32,
        };
        if gpu {
            plan.team = (width + 7) / 8;
            plan.team = (plan.team as u32).next_power_of_two().clamp(4, 32) as i32;
            plan.unit = 8;
            plan.width = 8
                * (((width + 8 * plan.team - 1) / (8 * plan.team)) as u32).next_power_of_two()
                    as i32;
            plan.threads = 128;
            plan.tokens = 4;
            let each = i64::from(plan.threads / plan.team * plan.tokens);
            let most = (length / (2 * each)).max(1);
            plan.shares.parts = ((GROUPS + groups - 1) / groups).clamp(1, most.min(64));
        } else {
            let steps = [16, 32, 64, 96, 128, 192, 256];
            let step = steps.into_iter().find(|&n| n >= width);
            plan.width = step.unwrap_or_else(|| (width as u32).next_power_of_two() as i32);
            plan.unit = plan.width;
            let wanted = 2 * crate::engine::host::threads() as i64;
            plan.shares.parts = ((wanted + groups - 1) / groups).clamp(1, (length / 256).max(1));
        }
        plan
    }
}
