//! Tests on long-lived threads, and what those say where the test's own output goes.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;
use std::thread;

use zmlx::worker::{self, Job};

use super::rng::{again, begin_quietly, end};

thread_local! {
    /// What panics on this thread said since a body began; none where no body runs.
    static SAID: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs the body of a test on a few long-lived threads.
///
/// The test harness starts a thread for each test, and a thread that touches MLX costs
/// the process a stream and an operating system thread for good.
#[track_caller]
pub fn on_worker<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    start(body).finish()
}

/// Part of a test that runs on such a thread.
pub struct Running<T>(Job<Ended<T>>);

struct Ended<T> {
    outcome: thread::Result<T>,
    said: Vec<String>,
    seed: Option<u64>,
}

/// Begins a part of a test.
#[track_caller]
pub fn start<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Running<T> {
    listen();
    let pool = worker::shared().expect("threads");
    Running(pool.run(move || {
        SAID.set(Some(Vec::new()));
        begin_quietly();
        let outcome = catch_unwind(AssertUnwindSafe(body));
        let said = SAID.take().unwrap_or_default();
        let seed = end();
        Ok(Ended {
            outcome,
            said,
            seed,
        })
    }))
}

impl<T> Running<T> {
    /// Waits for the end. If it was a panic, what it said and the seed are printed here, since the harness shows of a test that
    /// failed what its own thread printed.
    #[track_caller]
    pub fn finish(self) -> T {
        let ended = self.0.wait().expect("the test's worker");
        if let Some(seed) = ended.seed {
            println!("{}", again(seed, thread::current().name()));
        }
        ended.outcome.unwrap_or_else(|panic| {
            for said in ended.said {
                eprintln!("{said}");
            }
            resume_unwind(panic)
        })
    }
}

/// Keeps what panics within bodies say, which would be printed where another test's output goes.
fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let kept = SAID.with_borrow_mut(|said| match said {
                Some(said) => {
                    said.push(info.to_string());
                    true
                }
                None => false,
            });
            if !kept {
                others(info);
            }
        }));
    });
}
