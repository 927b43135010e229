//! Starts the processes of a group that MLX's ring connects.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::io::place;
use crate::{Error, Result};

/// The addresses of a group of processes that [`Backend::Ring`](super::Backend) connects, and what starts these processes.
///
/// ```no_run
/// use std::process::Command;
/// use zmlx::distributed::{Ring, Said};
/// # fn main() -> zmlx::Result<()> {
/// // Two processes of this machine.
/// let ring = Ring::local(2)?;
/// let ended = ring.run([0, 1], Said::ByAll, |_rank| Command::new("target/release/examples/data_parallel"))?;
/// assert!(ended.success());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Ring {
    addresses: Vec<String>,
    /// What MLX reads. It goes with the ring.
    file: NamedTempFile,
}

/// Whose words [`Ring::run`] prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Those of all processes, line by line, with the rank in front.
    ByAll,
    /// The standard output of the first one only, as it comes. Errors are printed of all.
    ByFirst,
}

impl Ring {
    /// As many processes of this machine, at ports that are free now.
    ///
    /// # Errors
    /// [`Error::Argument`] for no process, [`Error::Io`] where the system has no ports.
    #[track_caller]
    pub fn local(count: usize) -> Result<Self> {
        if count == 0 {
            return Err(Error::argument("count", "1 or more", 0));
        }
        let addresses = || -> std::io::Result<Vec<String>> {
            // All at once, as a port that is free again could come twice.
            let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0"));
            let listeners: Vec<TcpListener> = listeners.collect::<std::io::Result<_>>()?;
            let addresses = listeners.iter().map(|l| Ok(l.local_addr()?.to_string()));
            addresses.collect()
        };
        match addresses() {
            Ok(addresses) => Ring::of(addresses),
            Err(e) => Err(Error::io(format!("ports of this machine: {e}"))),
        }
    }

    /// Processes at these addresses, an `address:port` for each in the order of ranks.
    ///
    /// # Errors
    /// [`Error::Argument`] for no address and for one without a port, [`Error::Io`] where no temporary file can be written.
    #[track_caller]
    pub fn of(addresses: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let addresses: Vec<String> = addresses.into_iter().map(Into::into).collect();
        let has_port = |a: &String| {
            let port = a.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            matches!(port, Some(Ok(1..)))
        };
        if let Some(bad) = addresses.iter().find(|a| !has_port(a)) {
            let expected = "an `address:port` for each process";
            return Err(Error::argument(
                "addresses",
                expected,
                format_args!("`{bad}`"),
            ));
        }
        if addresses.is_empty() {
            return Err(Error::argument("addresses", "at least one", "none"));
        }
        // A process may listen at several addresses; here each has one.
        let lists: Vec<[&String; 1]> = addresses.iter().map(|a| [a]).collect();
        let write = || -> std::io::Result<NamedTempFile> {
            let mut file = NamedTempFile::new()?;
            serde_json::to_writer(&mut file, &lists)?;
            file.flush()?;
            Ok(file)
        };
        match write() {
            Ok(file) => Ok(Ring { addresses, file }),
            Err(e) => Err(Error::io(format!("the list of addresses: {e}"))),
        }
    }

    /// Processes at the addresses of a file: an `address:port` a line, in the order of ranks. What stands behind a `#` is not read.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; otherwise as [`of`](Self::of).
    #[track_caller]
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = match place::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) => return Err(Error::io(format!("`{}`: {e}", path.display()))),
        };
        let lines = text
            .lines()
            .map(|l| l.split('#').next().unwrap_or("").trim());
        Ring::of(lines.filter(|l| !l.is_empty()))
    }

    /// The addresses in the order of ranks.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Gives a command what a process of this rank needs. The file that it names is there as long as the ring.
    ///
    /// # Errors
    /// [`Error::Argument`] for a rank that the ring has not.
    #[track_caller]
    pub fn set<'c>(&self, command: &'c mut Command, rank: usize) -> Result<&'c mut Command> {
        self.check(rank)?;
        command.env("MLX_RANK", rank.to_string());
        Ok(command.env("MLX_HOSTFILE", self.file.path()))
    }

    /// Starts the processes of these ranks, those of this machine, and waits for them. The first that fails ends the others, and what it ended
    /// with is the result.
    ///
    /// # Errors
    /// [`Error::Argument`] for no rank or one that the ring has not, [`Error::Io`] where a process cannot be started; those that were are
    /// ended.
    #[track_caller]
    pub fn run(
        &self,
        ranks: impl IntoIterator<Item = usize>,
        said: Said,
        mut command: impl FnMut(usize) -> Command,
    ) -> Result<ExitStatus> {
        let ranks: Vec<usize> = ranks.into_iter().collect();
        let Some(&first) = ranks.first() else {
            return Err(Error::argument("ranks", "at least one", "none"));
        };
        for &rank in &ranks {
            self.check(rank)?;
        }
        let mut started = Started(Vec::new());
        let mut pipes = Vec::new();
        for rank in ranks {
            let mut command = command(rank);
            self.set(&mut command, rank)?;
            match said {
                Said::ByAll => command.stdout(Stdio::piped()).stderr(Stdio::piped()),
                Said::ByFirst if rank == first => &mut command,
                Said::ByFirst => command.stdout(Stdio::null()),
            };
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(e) => {
                    let program = command.get_program().to_string_lossy();
                    return Err(Error::io(format!("`{program}`: {e}")));
                }
            };
            pipes.extend(child.stdout.take().map(|pipe| pass_on(rank, pipe, false)));
            pipes.extend(child.stderr.take().map(|pipe| pass_on(rank, pipe, true)));
            started.0.push(child);
        }
        let ended = match started.wait() {
            Ok(ended) => ended,
            Err(e) => return Err(Error::io(format!("waiting for the processes: {e}"))),
        };
        drop(started);
        for pipe in pipes {
            // It fails where it panicked, and then there is nothing more to print.
            let _ = pipe.join();
        }
        Ok(ended)
    }

    #[track_caller]
    fn check(&self, rank: usize) -> Result<()> {
        let count = self.addresses.len();
        match rank < count {
            true => Ok(()),
            false => Err(Error::argument("rank", format_args!("below {count}"), rank)),
        }
    }
}

/// Processes that do not outlive this.
struct Started(Vec<Child>);

impl Started {
    /// Waits until all have ended well, or one has not.
    fn wait(&mut self) -> std::io::Result<ExitStatus> {
        loop {
            let mut last = None;
            let mut running = Vec::new();
            let mut failed = None;
            for mut child in self.0.drain(..) {
                match child.try_wait()? {
                    None => running.push(child),
                    Some(ended) if ended.success() => last = Some(ended),
                    Some(ended) => failed = failed.or(Some(ended)),
                }
            }
            self.0 = running;
            match (failed, last) {
                (Some(ended), _) => return Ok(ended),
                (None, Some(ended)) if self.0.is_empty() => return Ok(ended),
                _ => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has just ended cannot be ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Prints what comes, line by line, behind the rank.
fn pass_on(
    rank: usize,
    from: impl Read + Send + 'static,
    to_error: bool,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(|line| line.ok()) {
            match to_error {
                true => eprintln!("[{rank}] {line}"),
                false => println!("[{rank}] {line}"),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", text]);
        command
    }

    #[test]
    fn settings_of_each_process() -> Result<()> {
        let ring = Ring::local(3)?;
        assert_eq!(ring.addresses().len(), 3);
        let text = r#"case "$MLX_RANK" in [012]) grep -q '^\[\["127.0.0.1:[0-9]*"\],\["127' "$MLX_HOSTFILE";; *) exit 9;; esac"#;
        assert!(ring.run(0..3, Said::ByFirst, |_| shell(text))?.success());
        Ok(())
    }

    #[test]
    fn who_fails_ends_the_others() -> Result<()> {
        let begun = std::time::Instant::now();
        let ended = Ring::local(3)?.run(0..3, Said::ByAll, |rank| {
            shell(if rank == 1 {
                "exit 5"
            } else {
                "exec sleep 100"
            })
        })?;
        assert_eq!(ended.code(), Some(5));
        // One that cannot be started does, too.
        let refused = Ring::local(2)?.run(0..2, Said::ByAll, |rank| match rank {
            0 => shell("exec sleep 100"),
            _ => Command::new("/no/such/program"),
        });
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("/no/such/program")
        );
        assert!(begun.elapsed() < Duration::from_secs(60));
        Ok(())
    }

    #[test]
    fn files_of_addresses() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        std::fs::write(
            &path,
            "# two machines\n10.0.0.1:5000\n\n  host-b:6000 # the second\n",
        )
        .unwrap();
        assert_eq!(
            Ring::read(&path)?.addresses(),
            ["10.0.0.1:5000", "host-b:6000"]
        );
        for (bad, words) in [
            ("10.0.0.1\n", "`10.0.0.1`"),
            ("10.0.0.1:99999\n", "`10.0.0.1:99999`"),
            ("# nothing\n", "got none"),
        ] {
            std::fs::write(&path, bad).unwrap();
            let error = Ring::read(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(Ring::read(dir.path().join("none")).is_err());
        let ring = Ring::of(["a:1"])?;
        for ranks in [vec![], vec![1]] {
            assert!(ring.run(ranks, Said::ByAll, |_| shell("exit 0")).is_err());
        }
        Ok(())
    }
}
