//! One launch on its way through the pool: who runs which threadgroups, and what stops it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use super::{
    HostKernel,
    abi::Launch,
    checked::Report,
    coroutine::{Order, Scheduler, Stopped},
    crash::{self, Running},
    loader::{Loaded, Module},
    pool, threadgroup,
    watch::Watch,
};

/// A launch expected to take less than this runs on the calling thread alone: waking helpers takes
/// some ten microseconds.
const WORTH_SHARING_NS: u64 = 30_000;

/// One launch under way.
pub(super) struct Job<'a> {
    pub(super) kernel: &'a HostKernel,
    pub(super) loaded: &'a Loaded,
    /// How many OS threads may take part.
    pub(super) busy: usize,
    pub(super) running: Running<'a>,
    pub(super) launch: &'a Launch,
    pub(super) report: Option<&'a Report>,
    pub(super) order: Order,
    pub(super) watch: Watch,
    pub(super) failure: Mutex<Option<Stopped>>,
}

impl Job<'_> {
    /// Runs all `total` groups.
    pub(super) fn run(&self, total: u32) {
        if self.busy == 1 {
            return self.groups(0, total);
        }
        let threads = u64::from(self.launch.threadgroup.iter().product::<u32>());
        let known = self.kernel.cost.load(Ordering::Relaxed);
        let expected = known.saturating_mul(threads).saturating_mul(total.into()) / 1000;
        let start = Instant::now();
        let mut done = 0;
        if expected < 4 * WORTH_SHARING_NS {
            // Work alone for a while, in growing pieces, to see whether it is worth sharing.
            let mut piece = (total / 64).max(1);
            if known > 0 && expected < WORTH_SHARING_NS {
                piece = total;
            }
            while done < total {
                let end = total.min(done.saturating_add(piece));
                self.groups(done, end);
                done = end;
                if start.elapsed().as_nanos() as u64 > WORTH_SHARING_NS {
                    break;
                }
                piece = piece.saturating_mul(2);
            }
        }
        let mut busy = 1;
        if done < total && !self.watch.is_stopped() {
            busy = self.busy.min((total - done) as usize);
            self.share(done, total, busy);
        }
        let spent = start.elapsed().as_nanos() as u64;
        let cost = spent.saturating_mul(1000 * busy as u64) / (threads * u64::from(total)).max(1);
        self.kernel.cost.store(cost.max(1), Ordering::Relaxed);
    }

    /// Runs the groups `from..total` on `busy` threads, which claim pieces as they go.
    fn share(&self, from: u32, total: u32, busy: usize) {
        let piece = ((total - from) / (busy as u32 * 8)).max(1);
        let next = AtomicU32::new(from);
        pool::share(busy - 1, || {
            while !self.watch.is_stopped() {
                let start = next.fetch_add(piece, Ordering::Relaxed);
                if start >= total {
                    break;
                }
                self.groups(start, total.min(start + piece));
            }
        });
    }

    /// Runs the groups `from..to` on this thread.
    fn groups(&self, from: u32, to: u32) {
        let result = crash::watched(&self.running, || {
            self.watch
                .run(&self.loaded.code, || self.run_groups(from, to))
        });
        if let Err(stopped) = result {
            self.watch.stop();
            self.failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(stopped);
        }
    }

    fn run_groups(&self, from: u32, to: u32) -> Result<(), Stopped> {
        if self.watch.is_over() {
            return Err(Stopped::Expired);
        }
        threadgroup::prepare(self.loaded).map_err(Stopped::Threadgroup)?;
        if let Some((hooks, report)) = self.loaded.hooks.zip(self.report) {
            // SAFETY: both outlive the groups that run now, and no others read them.
            unsafe { (hooks.begin)(self.launch, report) };
        }
        match self.loaded.module {
            Module::Loop(run) => {
                // SAFETY: the record describes the buffers of this kernel, for which the launch's
                // caller vouches, and the range is within its groups.
                let run = || unsafe { run(self.launch, from, to) };
                let stopped = match self.loaded.depth.own() {
                    None => run(),
                    Some(kind) => Scheduler::on_stack(kind, run).map_err(Stopped::Stack)?,
                };
                match stopped {
                    0 => Ok(()),
                    _ => Err(Stopped::Expired),
                }
            }
            Module::Coroutines(thread, current) => Scheduler::with(|scheduler| {
                let stack = self.loaded.depth.coroutine();
                let result = (from..to).try_for_each(|group| {
                    if self.watch.is_stopped() {
                        return Ok(());
                    }
                    if self.watch.is_over() {
                        return Err(Stopped::Expired);
                    }
                    let threads = self.threads_of(group);
                    // SAFETY: as above, for each of the group's threads.
                    unsafe {
                        scheduler.run(
                            (thread, current),
                            self.launch,
                            group,
                            threads,
                            self.order,
                            stack,
                        )
                    }
                });
                let switches = std::mem::take(&mut scheduler.switches);
                self.kernel.switches.fetch_add(switches, Ordering::Relaxed);
                result
            }),
        }
    }

    /// Threads of a group: fewer at the grid's edges.
    fn threads_of(&self, group: u32) -> u32 {
        let Launch {
            grid,
            threadgroup,
            groups,
            ..
        } = self.launch;
        let [x, y] = [groups[0], groups[1]];
        let position = [group % x, group / x % y, group / x / y];
        (0..3)
            .map(|d| (grid[d] - position[d] * threadgroup[d]).min(threadgroup[d]))
            .product()
    }
}
