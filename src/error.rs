//! What can go wrong, as values.
//!
//! MLX reports every problem as a C++ exception with a text. The class of the
//! exception and the text decide the variant here; the text is kept. Errors
//! carry the place in the caller's code that led to them.

use std::fmt;
use std::panic::Location;

use crate::engine::EngineError;
use crate::testing::Mismatch;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where the failing call stands in the user's code.
pub type Site = &'static Location<'static>;

/// An error of this crate or of MLX.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes do not fit each other or the operation.
    #[error("{message} (at {at})")]
    Shape { message: String, at: Site },
    /// An element type does not fit the operation.
    #[error("{message} (at {at})")]
    Dtype { message: String, at: Site },
    /// Another argument is out of its range.
    #[error("{message} (at {at})")]
    Argument {
        /// Name of the argument where it is known, else empty.
        argument: String,
        message: String,
        at: Site,
    },
    /// An expression is wrong: undeclared names, bad syntax, no known derivative.
    #[error("{message}\n  called at {at}")]
    Expression { message: String, at: Site },
    /// A custom kernel could not be lowered, compiled or run.
    #[error("{problem}\n  {context}called at {at}")]
    Kernel {
        kernel: String,
        problem: Box<EngineError>,
        /// What the kernel was called with, for people.
        context: String,
        at: Site,
    },
    /// A custom kernel was stopped while it ran.
    #[error("kernel `{kernel}`: {message} (evaluated at {at})")]
    Launch {
        kernel: String,
        message: String,
        at: Site,
    },
    /// A file or stream could not be read or written.
    #[error("{message} (at {at})")]
    Io { message: String, at: Site },
    /// Data was asked for that is not there yet, or not in the layout asked for.
    #[error("{message} (at {at})")]
    NotReady { message: String, at: Site },
    /// MLX failed in another way; its own message.
    #[error("{message} (at {at})")]
    Mlx { message: String, at: Site },
    /// An error of an earlier asynchronous evaluation that surfaced now.
    #[error("an earlier asynchronous evaluation failed: {source}")]
    Earlier { source: Box<Error> },
    /// A job will not run: its worker could not start or has ended, or the job was cancelled.
    #[error("worker: {message} (at {at})")]
    Worker { message: String, at: Site },
    /// Two functions that should agree do not; from [`crate::testing`].
    #[error("{found}\n  (at {at})")]
    Mismatch { found: Box<Mismatch>, at: Site },
    /// An error of the user's own, returned from a closure given to a transform.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
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

    /// Turns what came through the bridge into a typed error.
    #[track_caller]
    fn from_bridge(e: &cxx::Exception) -> Self {
        let at = Location::caller();
        let text = e.what();
        let (kind, message) = match text.char_indices().nth(1) {
            Some((i, _)) => (text.as_bytes()[0], text[i..].to_owned()),
            None => (b'?', text.to_owned()),
        };
        if kind == b'c'
            && let Some(original) = crate::bridge::callback::take_failure()
        {
            return original;
        }
        if let Some((kernel, message)) = from_launch(&message) {
            return Error::Launch {
                kernel: kernel.to_owned(),
                message: message.to_owned(),
                at,
            };
        }
        match kind {
            b'f' => Error::Mlx {
                message: readable(message),
                at,
            },
            b'i' => Error::Io { message, at },
            _ if is_io(&message) => Error::Io { message, at },
            // A std::overflow_error: the only one MLX throws is about shapes.
            b'r' if message.contains("Shape dimension") => Error::Shape { message, at },
            b'a' | b'o' if is_shape(&message) => Error::Shape { message, at },
            b'a' if is_dtype(&message) => Error::Dtype { message, at },
            b'a' | b'o' => Error::Argument {
                argument: String::new(),
                message,
                at,
            },
            _ => Error::Mlx { message, at },
        }
    }
}

/// What the host engine said when a kernel failed on one of MLX's stream threads.
pub(crate) fn launch_message(kernel: &str, message: &str) -> String {
    format!("[zmlx kernel] {kernel}: {message}")
}

fn from_launch(message: &str) -> Option<(&str, &str)> {
    message.strip_prefix("[zmlx kernel] ")?.split_once(": ")
}

/// The error of a kernel within the text of what depends on it, as people read it.
fn readable(message: String) -> String {
    match message.split_once("[zmlx kernel] ") {
        Some((before, rest)) => match rest.split_once(": ") {
            Some((kernel, said)) => format!("{before}kernel `{kernel}`: {said}"),
            None => message,
        },
        None => message,
    }
}

fn is_io(message: &str) -> bool {
    const OPS: [&str; 9] = [
        "[load]",
        "[save]",
        "[load_safetensors]",
        "[save_safetensors]",
        "[load_gguf]",
        "[save_gguf]",
        "[import_function] Failed to open",
        "[export_function] Failed to open",
        "[read]",
    ];
    OPS.iter().any(|op| message.starts_with(op))
}

fn is_shape(message: &str) -> bool {
    const WORDS: [&str; 8] = [
        "shape",
        "broadcast",
        "dimension",
        "axis",
        "axes",
        "size",
        "ndim",
        "reshape",
    ];
    let lower = message.to_lowercase();
    WORDS.iter().any(|w| lower.contains(w))
}

fn is_dtype(message: &str) -> bool {
    let lower = message.to_lowercase();
    lower.contains("type") || lower.contains("floating") || lower.contains("integral")
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
