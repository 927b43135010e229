//! Runs the threads of a threadgroup as coroutines that stop where threads meet.
//!
//! All threads run until each has stopped at a simdgroup operation or a barrier, or has ended. Then
//! the lanes that wait at a simdgroup operation go on, as one set for each simdgroup; only if there
//! are none are all threads at a barrier, and go on together. All simdgroups therefore come up to
//! each such point before any passes it, and a thread that has returned counts as arrived, so that
//! no barrier waits for ever.
//!
//! Lanes of one simdgroup that took different branches wait at operations on different lines. Those
//! at the earliest line go first, and so catch up with the others, as on a GPU.

use std::{cell::Cell, ffi::c_void, fmt, io, ptr};

use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::{
    abi::{Context, Current, Launch, SLOT_WORDS, Thread},
    patrol,
    stacks::{self, Spare, Stack},
};
use crate::engine::error::Region;

/// Threads in a simdgroup.
const WIDTH: usize = 32;

type Body = Coroutine<(), u32, bool, Stack>;

/// In which order the threads of a threadgroup run between two meeting points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// By index.
    #[default]
    Forward,
    /// From the last to the first: a correct kernel gives the same.
    Reverse,
}

impl Order {
    /// `Reverse` where `ZMLX_THREAD_ORDER` is `reverse`; looked at once.
    pub fn from_env() -> Self {
        static ORDER: std::sync::OnceLock<Order> = std::sync::OnceLock::new();
        *ORDER.get_or_init(|| match std::env::var("ZMLX_THREAD_ORDER") {
            Ok(word) if word == "reverse" => Order::Reverse,
            _ => Order::Forward,
        })
    }
}

/// Where a barrier stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierSite(u32);

impl BarrierSite {
    /// Set for barriers in the header, as `kernels/runtime/host/sync.h` does.
    const HEADER: u32 = 1 << 23;
}

impl fmt::Display for BarrierSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let region = match self.0 & Self::HEADER {
            0 => Region::Source,
            _ => Region::Header,
        };
        write!(f, "{region} line {}", self.0 & !Self::HEADER)
    }
}

/// Why a threadgroup did not finish.
#[derive(Debug)]
pub enum Stopped {
    /// A loop was told that time is up.
    Expired,
    /// Threads wait at two different barriers.
    Diverged([BarrierSite; 2]),
    /// There is no memory for a stack.
    Stack(io::Error),
    /// There is no memory for what a threadgroup shares.
    Threadgroup(io::Error),
}

/// What the lanes of one simdgroup wait for, as bit masks.
#[derive(Clone, Copy, Default)]
struct Waiting {
    operation: u32,
    barrier: u32,
    simd_barrier: u32,
    /// The earliest line of the operations waited for.
    line: u32,
    /// Lanes that wait at that line.
    earliest: u32,
}

impl Waiting {
    fn add_operation(&mut self, lane: u32, line: u32) {
        if self.operation == 0 || line < self.line {
            (self.line, self.earliest) = (line, 0);
        }
        self.operation |= lane;
        self.earliest |= if line == self.line { lane } else { 0 };
    }
}

/// Stacks and records that threadgroups reuse one after the other. One for each OS thread.
#[derive(Default)]
pub struct Scheduler {
    stacks: Spare,
    bodies: Vec<Option<Body>>,
    /// The line of the operation that each thread waits at.
    lines: Vec<u32>,
    contexts: Vec<Context>,
    slots: Vec<u64>,
    /// For each simdgroup: the lanes that take part, and the half of the exchange area of each.
    active: Vec<[u32; 2]>,
    waiting: Vec<Waiting>,
    runnable: Vec<u32>,
    /// The barrier that the first thread waits at.
    barrier: Option<u32>,
    /// Switches into a thread since the last time that it was asked.
    pub switches: u64,
}

thread_local! {
    static SCHEDULER: Cell<Option<Box<Scheduler>>> = const { Cell::new(None) };
}

impl Scheduler {
    /// Lends this OS thread's scheduler to `work`.
    pub fn with<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        let mut scheduler = SCHEDULER.take().unwrap_or_default();
        let result = work(&mut scheduler);
        scheduler.stacks.trim();
        SCHEDULER.set(Some(scheduler));
        result
    }

    /// Calls `work` on a stack of its own.
    pub fn on_stack<R>(kind: stacks::Kind, work: impl FnOnce() -> R) -> io::Result<R> {
        let mut stack = Self::with(|scheduler| scheduler.stacks.take(kind))?;
        let result = corosensei::on_stack(&mut stack, work);
        Self::with(|scheduler| scheduler.stacks.give(stack));
        Ok(result)
    }

    /// Runs the `threads` threads of `group`, each on a stack of the kind `stack`.
    ///
    /// # Safety
    /// `launch` is complete, and stays valid until this returns; `thread` and `current` belong to the
    /// kernel that it describes.
    pub unsafe fn run(
        &mut self,
        (thread, current): (Thread, Current),
        launch: &Launch,
        group: u32,
        threads: u32,
        order: Order,
        stack: stacks::Kind,
    ) -> Result<(), Stopped> {
        let result = self
            .start(thread, launch, group, threads, stack)
            .and_then(|()| {
                // SAFETY: the function only takes the address of a variable of this OS thread, on
                // which all the coroutines run.
                let current = unsafe { current() };
                patrol::coroutines(current, || self.finish(current, threads, order))
            });
        self.reclaim();
        result
    }

    /// Makes a coroutine for each thread.
    fn start(
        &mut self,
        thread: Thread,
        launch: &Launch,
        group: u32,
        threads: u32,
        stack: stacks::Kind,
    ) -> Result<(), Stopped> {
        let count = threads as usize;
        let groups = count.div_ceil(WIDTH);
        self.active.clear();
        self.active.resize(groups, [0; 2]);
        self.lines.resize(self.lines.len().max(count), 0);
        self.waiting.clear();
        self.waiting.resize(groups, Waiting::default());
        self.slots
            .resize(self.slots.len().max(groups * SLOT_WORDS), 0);
        self.contexts.clear();
        let (slots, active) = (self.slots.as_mut_ptr(), self.active.as_ptr());
        self.contexts.extend((0..count).map(|index| {
            let simd = index / WIDTH;
            Context {
                suspend,
                lane: (index % WIDTH) as u32,
                simd: simd as u32,
                simd_size: (count - simd * WIDTH).min(WIDTH) as u32,
                parity: 0,
                slots: slots.wrapping_add(simd * SLOT_WORDS),
                active: active.wrapping_add(simd).cast(),
                user: ptr::null(),
            }
        }));
        let contexts = self.contexts.as_mut_ptr();
        let launch = ptr::from_ref(launch);
        for index in 0..threads {
            let stack = self.stacks.take(stack).map_err(Stopped::Stack)?;
            let context = contexts.wrapping_add(index as usize);
            let body = move |yielder: &Yielder<(), u32>, ()| {
                // SAFETY: the contexts outlive the coroutines (`reclaim` ends them first) and this
                // one is touched by its own thread only. `run`'s caller vouches for the kernel.
                unsafe {
                    (*context).user = ptr::from_ref(yielder).cast::<c_void>();
                    thread(launch, group, index) == 0
                }
            };
            self.bodies.push(Some(Coroutine::with_stack(stack, body)));
        }
        Ok(())
    }

    /// Switches between the threads until all have ended.
    fn finish(
        &mut self,
        current: *mut *mut Context,
        threads: u32,
        order: Order,
    ) -> Result<(), Stopped> {
        self.runnable.clear();
        self.runnable.extend(0..threads);
        self.barrier = None;
        while !self.runnable.is_empty() {
            if order == Order::Reverse {
                self.runnable.reverse();
            }
            self.switches += self.runnable.len() as u64;
            for at in 0..self.runnable.len() {
                let index = self.runnable[at] as usize;
                let Some(body) = self.bodies[index].as_mut() else {
                    continue;
                };
                // SAFETY: the variable lives as long as this OS thread, and nobody else writes it.
                unsafe { *current = &raw mut self.contexts[index] };
                match body.resume(()) {
                    CoroutineResult::Yield(kind) => {
                        let waiting = &mut self.waiting[index / WIDTH];
                        let lane = 1 << (index % WIDTH);
                        match kind & 0xff {
                            1 => {
                                self.lines[index] = kind >> 8;
                                waiting.add_operation(lane, kind >> 8);
                            }
                            2 => {
                                waiting.barrier |= lane;
                                let first = *self.barrier.get_or_insert(kind >> 8);
                                if first != kind >> 8 {
                                    let sites = [first, kind >> 8].map(BarrierSite);
                                    return Err(Stopped::Diverged(sites));
                                }
                            }
                            3 => waiting.simd_barrier |= lane,
                            _ => return Err(Stopped::Expired),
                        }
                    }
                    CoroutineResult::Return(true) => {
                        if let Some(ended) = self.bodies[index].take() {
                            self.stacks.give(ended.into_stack());
                        }
                    }
                    CoroutineResult::Return(false) => return Err(Stopped::Expired),
                }
            }
            self.release();
        }
        Ok(())
    }

    /// Decides who goes on, once all have stopped.
    fn release(&mut self) {
        self.runnable.clear();
        for simd in 0..self.waiting.len() {
            let waiting = &mut self.waiting[simd];
            let next = if waiting.operation != 0 {
                let next = waiting.earliest;
                waiting.operation &= !next;
                self.active[simd] = [next, self.parities(simd)];
                self.renew(simd);
                next
            } else {
                std::mem::take(&mut waiting.simd_barrier)
            };
            push_lanes(&mut self.runnable, simd, next);
        }
        if self.runnable.is_empty() {
            self.barrier = None;
            for (simd, waiting) in self.waiting.iter_mut().enumerate() {
                push_lanes(
                    &mut self.runnable,
                    simd,
                    std::mem::take(&mut waiting.barrier),
                );
            }
        }
    }

    /// Which half of the exchange area each lane of a simdgroup wrote, as a bit mask.
    fn parities(&self, simd: usize) -> u32 {
        let lanes = self
            .contexts
            .iter()
            .skip(simd * WIDTH)
            .take(WIDTH)
            .enumerate();
        lanes.fold(0, |bits, (lane, context)| {
            bits | (context.parity & 1) << lane
        })
    }

    /// Finds the earliest line among the lanes that still wait at an operation.
    fn renew(&mut self, simd: usize) {
        let mut left = std::mem::take(&mut self.waiting[simd].operation);
        while left != 0 {
            let lane = left.trailing_zeros();
            let line = self.lines[simd * WIDTH + lane as usize];
            self.waiting[simd].add_operation(1 << lane, line);
            left &= left - 1;
        }
    }

    /// Takes the stacks of threads that did not end.
    fn reclaim(&mut self) {
        for mut body in self.bodies.drain(..).flatten() {
            if body.started() && !body.done() {
                // SAFETY: the frames on this stack are the kernel's, which own nothing: MSL has no
                // destructors with effects. Unwinding is no choice, since they are C++ frames.
                unsafe { body.force_reset() };
            }
            if body.done() {
                self.stacks.give(body.into_stack());
            }
        }
    }
}

fn push_lanes(runnable: &mut Vec<u32>, simd: usize, mut lanes: u32) {
    while lanes != 0 {
        runnable.push((simd * WIDTH) as u32 + lanes.trailing_zeros());
        lanes &= lanes - 1;
    }
}

/// What the kernel calls to stop: switches back to [`Scheduler::finish`].
extern "C" fn suspend(context: *mut Context, kind: u32) {
    // SAFETY: a kernel calls this within the coroutine of `context` only, whose yielder lives as
    // long as the coroutine.
    let yielder = unsafe { &*(*context).user.cast::<Yielder<(), u32>>() };
    yielder.suspend(kind);
}
