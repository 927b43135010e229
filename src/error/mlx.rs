//! What MLX and our own C++ say, as typed errors: the class of the exception and its text decide the variant, and the
//! text is kept.

use std::panic::Location;

use super::Error;

impl Error {
    /// Turns what came through the bridge into a typed error.
    #[track_caller]
    pub(super) fn from_bridge(e: &cxx::Exception) -> Self {
        let at = Location::caller();
        let text = e.what();
        let (kind, message) = match text.char_indices().nth(1) {
            Some((i, _)) => (text.as_bytes()[0], text[i..].to_owned()),
            None => (b'?', text.to_owned()),
        };
        let message = clearer(message);
        if kind == b'c'
            && let Some(original) = super::waiting::take()
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
        if let Some(message) = message.strip_prefix("[zmlx derivative] ") {
            return Error::Argument {
                argument: "gradient".into(),
                message: format!("`gradient`: {message}"),
                at,
            };
        }
        match kind {
            // A file that could not be read stays what is wrong, however often its array is asked for.
            b'f' if message
                .split_once(" has failed: ")
                .is_some_and(|(_, cause)| is_io(cause)) =>
            {
                Error::Io { message, at }
            }
            b'f' => Error::Mlx {
                message: readable(message),
                at,
            },
            b'i' => Error::Io { message, at },
            b'm' if message.starts_with("out of memory") => Error::Memory { message, at },
            b'm' => Error::Memory {
                message: format!("out of memory: {message}"),
                at,
            },
            _ if is_io(&message) => Error::Io { message, at },
            // A std::overflow_error: the only one MLX throws is about shapes.
            b'r' if message.contains("Shape dimension") => Error::Shape { message, at },
            b'a' | b'o' if is_shape(&message) => Error::Shape { message, at },
            b'a' if is_dtype(&message) => Error::Dtype { message, at },
            b'a' | b'o' => Error::Argument {
                // Our own C++ begins with it, as `Error::argument` does.
                argument: named(&message).unwrap_or_default().to_owned(),
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

/// MLX's sentences that do not say what was expected, said again. They may stand within those of what depends on it.
fn clearer(message: String) -> String {
    const SAID: [(&str, &str); 2] = [
        (
            "[MaskedScatter::eval_cpu] Source does not have enough elements for mask.",
            "[masked_scatter] `source`: expected an element for each true of the mask, got fewer",
        ),
        (
            "[Inverse::eval_cpu] LU",
            "[Inverse::eval_cpu] expected matrices that have an inverse, got a singular one: LU",
        ),
    ];
    SAID.iter().fold(message, |text, (theirs, ours)| {
        match text.contains(theirs) {
            true => text.replace(theirs, ours),
            false => text,
        }
    })
}

fn from_launch(message: &str) -> Option<(&str, &str)> {
    let (kernel, message) = message.strip_prefix("[zmlx kernel] ")?.split_once(": ")?;
    // The engine's own sentences begin with the kernel, too.
    let rest = message.strip_prefix(&format!("kernel `{kernel}`"));
    let rest = rest.map(|r| r.trim_start_matches(':').trim_start());
    Some((kernel, rest.unwrap_or(message)))
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

/// The name in "`name`: ...".
fn named(message: &str) -> Option<&str> {
    let (name, rest) = message.strip_prefix('`')?.split_once('`')?;
    rest.starts_with(": ").then_some(name)
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
    lower.contains("type")
        || lower.contains("not supported for complex64")
        || lower.contains("floating")
        || lower.contains("integral")
}
