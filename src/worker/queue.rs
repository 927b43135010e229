//! The queue of jobs between those who send them and the threads that run them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A job as the queue holds it; it runs with the state of the thread that takes it.
pub(super) type Task<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Jobs that have not begun, first come first served.
pub(super) struct Queue<S> {
    state: Mutex<State<S>>,
    /// Signalled for each new job, and when the queue closes.
    work: Condvar,
    /// Signalled for each job that leaves, and when the queue closes.
    room: Condvar,
}

struct State<S> {
    waiting: VecDeque<(u64, Task<S>)>,
    next: u64,
    capacity: usize,
    closed: bool,
}

/// Why a job was not taken.
pub(super) enum Refused {
    Full,
    Closed,
}

/// The right to put one job into a queue that has room for it.
pub(super) struct Room<'a, S> {
    queue: &'a Queue<S>,
    state: MutexGuard<'a, State<S>>,
}

impl<S> Queue<S> {
    pub(super) fn new(capacity: usize) -> Self {
        Queue {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                next: 0,
                capacity,
                closed: false,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
        }
    }

    /// No code of a user's runs under the lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for a job; waits for it where `wait` says so.
    pub(super) fn room(&self, wait: bool) -> Result<Room<'_, S>, Refused> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(Refused::Closed);
            }
            if state.waiting.len() < state.capacity {
                return Ok(Room { queue: self, state });
            }
            if !wait {
                return Err(Refused::Full);
            }
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next job; waits for one. `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Task<S>> {
        let mut state = self.lock();
        loop {
            if let Some((_, task)) = state.waiting.pop_front() {
                self.room.notify_one();
                return Some(task);
            }
            if state.closed {
                return None;
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes a job out again that has not begun.
    pub(super) fn remove(&self, number: u64) -> Option<Task<S>> {
        let mut state = self.lock();
        let at = state
            .waiting
            .binary_search_by_key(&number, |(n, _)| *n)
            .ok()?;
        let (_, task) = state.waiting.remove(at)?;
        self.room.notify_one();
        Some(task)
    }

    /// How many jobs have not begun.
    pub(super) fn depth(&self) -> usize {
        self.lock().waiting.len()
    }

    /// How many jobs may wait.
    pub(super) fn capacity(&self) -> usize {
        self.lock().capacity
    }

    /// Takes no more jobs; those that wait still run.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    /// Takes no more jobs and gives back those that wait.
    pub(super) fn drain(&self) -> VecDeque<(u64, Task<S>)> {
        self.close();
        std::mem::take(&mut self.lock().waiting)
    }
}

impl<S> Room<'_, S> {
    /// Puts the job at the end and gives its number.
    pub(super) fn push(mut self, task: Task<S>) -> u64 {
        let number = self.state.next;
        self.state.next += 1;
        self.state.waiting.push_back((number, task));
        drop(self.state);
        self.queue.work.notify_one();
        number
    }
}
