//! Numbers for Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use zmlx::llm::Counts;

/// What was counted since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Texts that were asked for and taken.
    pub taken: AtomicU64,
    /// Requests that were refused as too many waited.
    pub busy: AtomicU64,
    /// Requests that were refused as wrong.
    pub wrong: AtomicU64,
    /// Texts whose client went away.
    pub left: AtomicU64,
    /// Texts that took too long.
    pub late: AtomicU64,
    /// Texts that failed.
    pub failed: AtomicU64,
    /// Microseconds to first tokens, all together, and how many there were.
    pub first_token_micros: AtomicU64,
    pub first_tokens: AtomicU64,
    counts: Mutex<Counts>,
}

pub fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}

impl Metrics {
    /// What the engine says of itself.
    pub fn publish(&self, counts: Counts) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    pub fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In the text format of Prometheus.
    pub fn text(&self) -> String {
        let c = self.counts();
        let of = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        let mut text = String::new();
        let mut say = |name: &str, kind: &str, help: &str, value: f64| {
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            );
        };
        for (name, help, value) in [
            ("zmlx_texts_total", "Texts taken.", of(&self.taken)),
            (
                "zmlx_busy_total",
                "Requests refused as too many waited.",
                of(&self.busy),
            ),
            (
                "zmlx_wrong_total",
                "Requests refused as wrong.",
                of(&self.wrong),
            ),
            (
                "zmlx_left_total",
                "Texts whose client went away, or had enough at a stop string.",
                of(&self.left),
            ),
            (
                "zmlx_late_total",
                "Texts that took too long.",
                of(&self.late),
            ),
            ("zmlx_failed_total", "Texts that failed.", of(&self.failed)),
            ("zmlx_steps_total", "Computations.", c.steps as f64),
            (
                "zmlx_prompt_tokens_total",
                "Tokens of prompts computed.",
                c.prompt_tokens as f64,
            ),
            (
                "zmlx_shared_tokens_total",
                "Tokens of prompts found in the cache.",
                c.shared_tokens as f64,
            ),
            (
                "zmlx_generated_tokens_total",
                "Tokens generated.",
                c.generated_tokens as f64,
            ),
        ] {
            say(name, "counter", help, value);
        }
        for (name, help, value) in [
            ("zmlx_running", "Texts that are computed.", c.running as f64),
            ("zmlx_waiting", "Texts that wait.", c.waiting as f64),
            ("zmlx_pages", "Pages of the cache.", c.pages as f64),
            (
                "zmlx_free_pages",
                "Pages that no text uses.",
                c.free_pages as f64,
            ),
        ] {
            say(name, "gauge", help, value);
        }
        let (sum, count) = (of(&self.first_token_micros) / 1e6, of(&self.first_tokens));
        let name = "zmlx_first_token_seconds";
        let _ = write!(
            text,
            "# HELP {name} Time from a request to its first token.\n# TYPE {name} summary\n{name}_sum {sum}\n{name}_count {count}\n"
        );
        text
    }
}
