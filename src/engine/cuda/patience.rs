//! Waits for a compiler that nobody can end, for so long and no longer.
//!
//! NVRTC works in the caller's thread. It asks now and then whether to go on, but not while it reads a text: templates
//! and constant expressions alone can keep it busy for hours. So it has a thread of its own, which is left behind when it
//! is late. Such a thread ends as soon as the compiler asks. Until then others may have to wait: the compiler reads
//! one text at a time in a process.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

/// What a main thread has is not enough for every text that a compiler can read.
const STACK: usize = 64 << 20;

/// Why there is no result.
pub enum Problem {
    /// It is not there yet.
    Late(Reason),
    /// The system has no thread for it, or the thread ended without a result.
    System(io::Error),
}

/// What is known of why it takes so long.
#[derive(Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing.
    Slow,
    /// The thread of an earlier call still works on the same, and nothing was begun.
    Again,
    /// The thread of an earlier call still works on something else.
    Busy,
}

/// The threads that were left behind, by what they work on. A thread's token goes with the thread.
static BEHIND: Mutex<Vec<(u64, Weak<()>)>> = Mutex::new(Vec::new());

/// The result of `work`, which `of` tells from other work.
pub fn within<T: Send + 'static>(
    limit: Duration,
    of: impl Hash,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    let key = hasher.finish();
    let behind = || {
        let mut behind = BEHIND.lock().unwrap_or_else(PoisonError::into_inner);
        behind.retain(|(_, token)| token.strong_count() > 0);
        behind
    };
    // A program that tries again and again does not take one core after another.
    if behind().iter().any(|(k, _)| *k == key) {
        return Err(Problem::Late(Reason::Again));
    }
    let (sender, receiver) = channel();
    let token = Arc::new(());
    let left = Arc::downgrade(&token);
    thread::Builder::new()
        .name("zmlx compiler".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let _token = token;
            // Nobody may be there to take it.
            let _ = sender.send(work());
        })
        .map_err(Problem::System)?;
    match receiver.recv_timeout(limit) {
        Ok(result) => Ok(result),
        Err(RecvTimeoutError::Timeout) => {
            let mut behind = behind();
            let reason = match behind.is_empty() {
                true => Reason::Slow,
                false => Reason::Busy,
            };
            behind.push((key, left));
            Err(Problem::Late(reason))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Problem::System(io::Error::other(
            "its thread ended without a result",
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn late_work_is_left_behind() {
        let (go, wait) = channel::<()>();
        let began = Instant::now();
        let short = Duration::from_millis(100);
        let late = within(short, "one", move || wait.recv());
        assert!(matches!(late, Err(Problem::Late(_))));
        // The same is not begun again while it goes on, other work is.
        let again = within(short, "one", || panic!("begun again"));
        assert!(matches!(again, Err(Problem::Late(Reason::Again))));
        let long = Duration::from_secs(100);
        assert_eq!(within(long, "two", || 2).ok(), Some(2));
        let (end, wait) = channel::<()>();
        let other = within(short, "three", move || wait.recv());
        assert!(matches!(other, Err(Problem::Late(Reason::Busy))));
        drop((go, end));
        // The thread ends now, and the work may begin anew.
        let anew = loop {
            match within(long, "one", || 1) {
                Err(Problem::Late(Reason::Again)) => thread::sleep(Duration::from_millis(1)),
                other => break other,
            }
        };
        assert_eq!(anew.ok(), Some(1));
        assert!(began.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn a_thread_that_panics() {
        let ended = within(Duration::from_secs(100), "panic", || {
            std::panic::resume_unwind(Box::new(()))
        });
        let ended: Result<(), Problem> = ended;
        assert!(matches!(ended, Err(Problem::System(_))));
    }
}
