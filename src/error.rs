//! What can go wrong, as values.
//!
//! MLX reports every problem as a C++ exception with a text, of which `mlx` makes one of these. Errors carry the
//! place in the caller's code that led to them.

pub(crate) mod kernel;
pub(crate) mod mismatch;
mod mlx;
pub(crate) mod waiting;

use std::fmt;
use std::panic::Location;

use self::kernel::EngineError;
use self::mismatch::Mismatch;

pub(crate) use self::mlx::launch_message;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where the failing call stands in the user's code.
pub type Site = &'static Location<'static>;

/// An error of this crate or of MLX.
///
/// `Debug` prints the same text as `Display`, so that a program whose `main` returns a [`Result`], and a failed `unwrap`, show
/// it as it is meant to be read.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes do not fit each other or the operation.
    #[error("{message} (at {at})")]
    Shape {
        /// What is wrong, for people.
        message: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// An element type does not fit the operation.
    #[error("{message} (at {at})")]
    Dtype {
        /// What is wrong, for people.
        message: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// Another argument is out of its range.
    #[error("{message} (at {at})")]
    Argument {
        /// Name of the argument where it is known, else empty.
        argument: String,
        /// What is wrong, for people.
        message: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// An expression is wrong: undeclared names, bad syntax, no known derivative.
    #[error("{message}\n  called at {at}")]
    Expression {
        /// What is wrong, for people.
        message: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// A custom kernel could not be lowered, compiled or run.
    #[error("{problem}\n  {context}called at {at}")]
    Kernel {
        /// The kernel's name.
        kernel: String,
        /// What the engine says.
        problem: Box<EngineError>,
        /// What the kernel was called with, for people.
        context: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// A custom kernel was stopped while it ran.
    #[error("kernel `{kernel}`: {message} (evaluated at {at})")]
    Launch {
        /// The kernel's name.
        kernel: String,
        /// What is wrong, for people.
        message: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// A file or stream could not be read or written.
    #[error("{message} (at {at})")]
    Io {
        /// What is wrong, for people.
        message: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// Data was asked for that is not there yet, or not in the layout asked for.
    #[error("{message} (at {at})")]
    NotReady {
        /// What is wrong, for people.
        message: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// There is not enough memory for a result. Nothing is lost but that. With MLX's CUDA build this is so of what a GPU's
    /// stream computes. What the CPU's streams and the program itself make lies in memory that the driver
    /// promises without having it, so the system may end the process instead.
    #[error("{message} (at {at})")]
    Memory {
        /// What is wrong, for people.
        message: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// MLX failed in another way; its own message.
    #[error("{message} (at {at})")]
    Mlx {
        /// What is wrong, for people.
        message: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// An error of an earlier asynchronous evaluation that surfaced now.
    #[error("an earlier asynchronous evaluation failed: {source}")]
    Earlier {
        /// What it failed with.
        source: Box<Error>,
    },
    /// A job will not run: its worker could not start or has ended, or the job was cancelled.
    #[error("worker: {message} (at {at})")]
    Worker {
        /// What is wrong, for people.
        message: String,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// Two functions that should agree do not; from [`crate::testing`].
    #[error("{found}\n  (at {at})")]
    Mismatch {
        /// How they differ.
        found: Box<Mismatch>,
        /// Where the failing call stands in the user's code.
        at: Site,
    },
    /// An error of the user's own, returned from a closure given to a transform.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An error of `std::fs` and `std::io`, for functions that give `zmlx::Result`. The place is the caller's, which a closure keeps and
    /// `map_err(Error::from_io)` does not.
    ///
    /// There is no `From<std::io::Error>`: with a second type that becomes an [`Error`], a closure such as `|x: &Array| Ok(x.exp()?)`
    /// would no longer compile without its error's type.
    ///
    /// ```
    /// fn weights(path: &str) -> zmlx::Result<Vec<u8>> {
    ///     std::fs::read(path).map_err(|e| zmlx::Error::from_io(e))
    /// }
    /// assert!(matches!(weights("/no/such/file"), Err(zmlx::Error::Io { .. })));
    /// ```
    #[track_caller]
    pub fn from_io(error: std::io::Error) -> Self {
        Error::io(error.to_string())
    }
}

/// For programs whose own functions return `std::io::Result`.
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        std::io::Error::other(error)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The place of an error, by the method that asks: shared or to be changed.
macro_rules! place {
    ($error:ident.$method:ident()) => {
        match $error {
            Error::Shape { at, .. }
            | Error::Dtype { at, .. }
            | Error::Argument { at, .. }
            | Error::Expression { at, .. }
            | Error::Kernel { at, .. }
            | Error::Launch { at, .. }
            | Error::Io { at, .. }
            | Error::NotReady { at, .. }
            | Error::Memory { at, .. }
            | Error::Mlx { at, .. }
            | Error::Worker { at, .. }
            | Error::Mismatch { at, .. } => Some(at),
            Error::Earlier { source } => source.$method(),
            Error::Other(_) => None,
        }
    };
}

impl Error {
    /// Where the failing call stands in the user's code, as far as the error knows: an error of your own does not.
    pub fn site(&self) -> Option<Site> {
        self.place().copied()
    }

    fn place(&self) -> Option<&Site> {
        place!(self.place())
    }

    /// [`site`](Self::site), to change it.
    fn place_mut(&mut self) -> Option<&mut Site> {
        place!(self.place_mut())
    }

    /// The same error, said of `place`, if its own place is not one of the user's.
    pub(crate) fn said_of(mut self, place: Site) -> Self {
        if let Some(at) = self.place_mut().filter(|at| !is_of_the_user(at)) {
            *at = place;
        }
        self
    }

    /// The same error with the caller's place. For one that was made where no caller could be known.
    #[track_caller]
    pub(crate) fn moved_here(mut self) -> Self {
        if let Some(at) = self.place_mut() {
            *at = Location::caller();
        }
        self
    }

    /// Wraps an error of your own, to return it from a closure given to a transform.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Error::Other(error.into())
    }

    #[track_caller]
    pub(crate) fn shape(message: String) -> Self {
        Error::Shape {
            message,
            at: Location::caller(),
        }
    }

    #[track_caller]
    pub(crate) fn dtype(message: String) -> Self {
        Error::Dtype {
            message,
            at: Location::caller(),
        }
    }

    #[track_caller]
    pub(crate) fn expression(message: String) -> Self {
        Error::Expression {
            message,
            at: Location::caller(),
        }
    }

    #[track_caller]
    pub(crate) fn io(message: String) -> Self {
        Error::Io {
            message,
            at: Location::caller(),
        }
    }

    #[track_caller]
    pub(crate) fn worker(message: String) -> Self {
        Error::Worker {
            message,
            at: Location::caller(),
        }
    }

    #[track_caller]
    pub(crate) fn not_ready(message: &str) -> Self {
        Error::NotReady {
            message: message.into(),
            at: Location::caller(),
        }
    }

    /// `argument`: expected this, got that.
    #[track_caller]
    pub(crate) fn argument(
        argument: &str,
        expected: impl fmt::Display,
        got: impl fmt::Display,
    ) -> Self {
        Error::Argument {
            argument: argument.into(),
            message: format!("`{argument}`: expected {expected}, got {got}"),
            at: Location::caller(),
        }
    }
}

/// There is no array called `name` among those of these names.
#[track_caller]
pub(crate) fn no_array<'a>(name: &str, names: impl ExactSizeIterator<Item = &'a String>) -> Error {
    const FEW: usize = 8;
    let more = names.len().saturating_sub(FEW);
    let mut known: Vec<_> = names.take(FEW).map(|n| format!("`{n}`")).collect();
    if more > 0 {
        known.push(format!("and {more} more"));
    }
    let known = match known.is_empty() {
        true => "none, as there are no arrays".to_owned(),
        false => known.join(", "),
    };
    Error::argument(
        "name",
        format_args!("the name of an array ({known})"),
        format_args!("`{name}`"),
    )
}

/// Whether a place lies outside of this crate and of Rust's library. Closures, tables of functions and methods given
/// as functions do not hand on the caller's place.
fn is_of_the_user(at: Site) -> bool {
    const THIS: &str = file!();
    let ours = THIS.strip_suffix("error.rs").unwrap_or(THIS);
    let rust = at.file().starts_with("/rustc/") || at.file().contains("/library/core/src/");
    !rust && !at.file().starts_with(ours)
}

/// Gives an error the caller's place, where closures in between have lost it.
pub(crate) trait Here: Sized {
    /// At the end of what a public function computes by closures.
    #[track_caller]
    fn here(self) -> Self;

    /// For closures that are returned: the place where the user asked for them.
    fn said_of(self, place: Site) -> Self;
}

impl<T> Here for Result<T> {
    #[track_caller]
    fn here(self) -> Self {
        match self {
            Ok(value) => Ok(value),
            Err(e) => Err(e.said_of(Location::caller())),
        }
    }

    fn said_of(self, place: Site) -> Self {
        self.map_err(|e| e.said_of(place))
    }
}

/// Turns a bridge result into this crate's, with the caller's location.
pub(crate) trait Lift<T> {
    #[track_caller]
    fn lift(self) -> Result<T>;
}

impl<T> Lift<T> for std::result::Result<T, cxx::Exception> {
    #[track_caller]
    fn lift(self) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(e) => Err(Error::from_bridge(&e)),
        }
    }
}
