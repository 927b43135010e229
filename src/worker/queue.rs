//! The jobs that wait for a thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard};

/// A job, given the state of the thread that runs it, or told that it will not run.
pub(super) type Task<S> = Box<dyn FnOnce(Result<&mut S, NotRun>) + Send>;

/// Why a job does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotRun {
    Ended,
    Cancelled,
    Full,
}

/// Jobs in the order they came, for one thread or several.
pub(super) struct Queue<S> {
    inner: Mutex<Inner<S>>,
    came: Condvar,
    left: Condvar,
    capacity: usize,
}

struct Inner<S> {
    waiting: VecDeque<(u64, Task<S>)>,
    next: u64,
    open: bool,
}

impl<S> Queue<S> {
    /// A queue that holds at most `capacity` jobs that wait.
    pub(super) fn new(capacity: usize) -> Self {
        Queue {
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                next: 0,
                open: true,
            }),
            came: Condvar::new(),
            left: Condvar::new(),
            capacity,
        }
    }

    /// No code of a job runs under the lock, so a panic cannot leave it half done.
    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Puts a job at the end; waits for room first, or does not, and gives its number.
    pub(super) fn push(&self, task: Task<S>, wait: bool) -> Option<u64> {
        let mut inner = self.lock();
        while wait && inner.open && inner.waiting.len() >= self.capacity {
            inner = self.left.wait(inner).unwrap_or_else(|e| e.into_inner());
        }
        let why = match inner.open {
            false => NotRun::Ended,
            true if inner.waiting.len() >= self.capacity => NotRun::Full,
            true => {
                let number = inner.next;
                inner.next += 1;
                inner.waiting.push_back((number, task));
                drop(inner);
                self.came.notify_one();
                return Some(number);
            }
        };
        drop(inner);
        task(Err(why));
        None
    }

    /// The next job; none when the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Task<S>> {
        let mut inner = self.lock();
        loop {
            if let Some((_, task)) = inner.waiting.pop_front() {
                drop(inner);
                self.left.notify_one();
                return Some(task);
            }
            if !inner.open {
                return None;
            }
            inner = self.came.wait(inner).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// Takes a job out that still waits.
    pub(super) fn cancel(&self, number: u64) -> bool {
        let mut inner = self.lock();
        // Numbers grow along the queue.
        let found = inner.waiting.binary_search_by_key(&number, |(n, _)| *n);
        let task = found.ok().and_then(|at| inner.waiting.remove(at));
        drop(inner);
        let Some((_, task)) = task else {
            return false;
        };
        self.left.notify_one();
        task(Err(NotRun::Cancelled));
        true
    }

    /// Takes all jobs out that still wait, and says how many.
    pub(super) fn cancel_all(&self) -> usize {
        let waiting = std::mem::take(&mut self.lock().waiting);
        self.left.notify_all();
        let count = waiting.len();
        for (_, task) in waiting {
            task(Err(NotRun::Cancelled));
        }
        count
    }

    /// Takes no more jobs; those that wait stay.
    pub(super) fn close(&self) {
        self.lock().open = false;
        self.came.notify_all();
        self.left.notify_all();
    }

    /// How many jobs wait.
    pub(super) fn depth(&self) -> usize {
        self.lock().waiting.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }
}

impl<S> fmt::Debug for Queue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("waiting", &self.depth())
            .finish()
    }
}
