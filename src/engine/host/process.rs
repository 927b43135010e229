//! Runs a compiler for so long and no longer.

use std::{
    io::{self, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::engine::compile_limit::{COMPILE_TIMEOUT, compile_limit};

/// How much of what a compiler says is kept. Errors in templates are long, and the first one counts.
const MOST: usize = 4 << 20;

/// How a compiler ended, and what it said.
pub struct Ended {
    pub status: ExitStatus,
    /// What it wrote to its standard error, or to its output where that was asked for.
    pub words: String,
}

/// Why it did not end by itself.
pub enum Problem {
    /// It could not be run.
    System(io::Error),
    /// It was ended.
    Late(Duration),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System(e) => write!(f, "{e}"),
            Self::Late(limit) => write!(
                f,
                "it did not finish within {limit:?} and was ended ({COMPILE_TIMEOUT} sets the limit in seconds)"
            ),
        }
    }
}

/// Runs a compiler to its end and gives what it writes to its standard error.
///
/// It is the head of a process group, as a compiler starts others, which end with it when it is late.
pub fn run(command: &mut Command) -> Result<Ended, Problem> {
    run_within(command, false, compile_limit())
}

/// Runs a command that has little to do, and gives its output.
pub fn ask(command: &mut Command) -> Result<Ended, Problem> {
    run_within(command, true, compile_limit().min(Duration::from_secs(30)))
}

fn run_within(command: &mut Command, output: bool, limit: Duration) -> Result<Ended, Problem> {
    let (out, err) = match output {
        true => (Stdio::piped(), Stdio::null()),
        false => (Stdio::null(), Stdio::piped()),
    };
    let end = Instant::now() + limit;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn()
        .map_err(Problem::System)?;
    let words: Arc<Mutex<Vec<u8>>> = Arc::default();
    let pipe: Option<Box<dyn Read + Send>> = match output {
        true => child.stdout.take().map(|p| Box::new(p) as _),
        false => child.stderr.take().map(|p| Box::new(p) as _),
    };
    let heard = pipe.map_or_else(
        || Err(io::Error::other("it has no output")),
        |p| listen(p, &words),
    );
    let waited = match heard {
        Ok(silent) => wait(&mut child, &silent, end),
        Err(e) => Err(e),
    };
    let status = match waited {
        Ok(Some(status)) => status,
        other => {
            stop(&mut child);
            return Err(other.map_or_else(Problem::System, |_| Problem::Late(limit)));
        }
    };
    let said = words.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Ended {
        status,
        words: String::from_utf8_lossy(&said).into_owned(),
    })
}

/// Collects what comes out of a pipe, on a thread of its own; the channel closes where the pipe does.
fn listen(mut pipe: Box<dyn Read + Send>, words: &Arc<Mutex<Vec<u8>>>) -> io::Result<Receiver<()>> {
    let (sender, receiver) = channel();
    let words = Arc::clone(words);
    thread::Builder::new()
        .name("zmlx compiler".to_owned())
        .spawn(move || {
            let mut buffer = [0; 4096];
            // What is too much is read all the same, lest the compiler wait for a reader.
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
                let room = MOST.saturating_sub(words.len());
                words.extend_from_slice(&buffer[..n.min(room)]);
            }
            drop(sender);
        })?;
    Ok(receiver)
}

/// Waits for the end of a process; nothing when the time is over.
fn wait(child: &mut Child, silent: &Receiver<()>, end: Instant) -> io::Result<Option<ExitStatus>> {
    /// A process may go on when its output is closed, and others that it started may keep that open.
    const STEP: Duration = Duration::from_millis(50);
    let mut quiet = false;
    loop {
        if !quiet {
            quiet = matches!(
                silent.recv_timeout(STEP),
                Err(RecvTimeoutError::Disconnected)
            );
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > end {
            return Ok(None);
        }
        if quiet {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Ends a process and those that it started: with a chance to tidy up, and then without.
fn stop(child: &mut Child) {
    let group = Pid::from_child(child);
    for (signal, patience) in [(Signal::TERM, 1000), (Signal::KILL, 1000)] {
        // A group that is gone is what is wanted.
        let _ = kill_process_group(group, signal);
        let end = Instant::now() + Duration::from_millis(patience);
        while Instant::now() < end {
            if !matches!(child.try_wait(), Ok(None)) {
                // The others of the group may not have listened.
                let _ = kill_process_group(group, Signal::KILL);
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What ended a compiler that has said nothing about the text: a signal, a lack of memory or disk, a fault of
/// its own. The next time may be another.
pub fn was_stopped(ended: &Ended) -> bool {
    const SIGNS: [&str; 16] = [
        "internal compiler error",
        "fatal error: killed",
        "killed signal",
        "terminated signal",
        "terminated program",
        "ld terminated with signal",
        "frontend command failed",
        "unable to execute command",
        "out of memory",
        "virtual memory exhausted",
        "cannot allocate memory",
        "no space left on device",
        "disk quota exceeded",
        "error writing to",
        "input/output error",
        "resource temporarily unavailable",
    ];
    let words = ended.words.to_lowercase();
    ended.status.signal().is_some() || SIGNS.iter().any(|sign| words.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str, limit: u64) -> Result<Ended, Problem> {
        let mut command = Command::new("/bin/sh");
        run_within(
            command.args(["-c", text]),
            false,
            Duration::from_millis(limit),
        )
    }

    #[test]
    fn words_and_status() {
        let ended = shell("echo one >&2; echo lost; exit 3", 10_000)
            .ok()
            .unwrap();
        assert_eq!(
            (ended.words.as_str(), ended.status.code()),
            ("one\n", Some(3))
        );
        let ended = shell("head -c 9000000 /dev/zero >&2", 60_000).ok().unwrap();
        assert_eq!((ended.words.len(), ended.status.code()), (MOST, Some(0)));
        let missing = run(&mut Command::new("/no/such/compiler"));
        assert!(matches!(missing, Err(Problem::System(_))));
    }

    /// A process that goes on without an output, and one whose output others keep open.
    #[test]
    fn output_and_end_are_two_things() {
        let began = Instant::now();
        let ended = shell("exec 2>&-; sleep 0.2; exit 4", 10_000).ok().unwrap();
        assert_eq!(ended.status.code(), Some(4));
        let ended = shell("sleep 100 & exit 5", 10_000).ok().unwrap();
        assert_eq!(ended.status.code(), Some(5));
        assert!(began.elapsed() < Duration::from_secs(9));
    }

    #[test]
    fn who_is_late_ends_with_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alive");
        let alive = path.display();
        for stubborn in ["", "trap '' TERM;"] {
            let began = Instant::now();
            // A process of its own, which says that it lives.
            let text =
                format!("{stubborn} (while :; do date > {alive}; sleep 0.02; done) & wait; wait");
            let late = shell(&text, 300);
            assert!(matches!(late, Err(Problem::Late(_))));
            assert!(began.elapsed() < Duration::from_secs(5));
            thread::sleep(Duration::from_millis(100));
            let _ = std::fs::remove_file(&path);
            thread::sleep(Duration::from_millis(200));
            assert!(!path.exists());
        }
    }

    #[test]
    fn signs_of_an_end_from_outside() {
        let ended = |words: &str, status| Ended {
            status: ExitStatus::from_raw(status),
            words: words.to_owned(),
        };
        assert!(was_stopped(&ended("", 9)));
        assert!(was_stopped(&ended(
            "c++: fatal error: Killed signal terminated program cc1plus",
            256
        )));
        assert!(was_stopped(&ended(
            "<source>:1:1: fatal error: error writing to /tmp/x: No space left on device",
            256
        )));
        assert!(!was_stopped(&ended(
            "<source>:1:1: error: `x` was not declared in this scope",
            256
        )));
    }
}
