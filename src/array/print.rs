//! Arrays in text. Nothing here computes: a value is shown when it is there.

use std::fmt;

use super::Array;
use crate::bridge::array::ffi;

/// Where an array's values are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Traced,
    Failed,
    Lazy,
}

impl State {
    fn of(array: &Array) -> Self {
        // An error says that nobody can read the array now, for whatever reason.
        match ffi::ready(array.raw()) {
            Ok(true) => State::Ready,
            _ if array.is_tracer() => State::Traced,
            Ok(false) if ffi::check_failed(array.raw()).is_ok() => State::Lazy,
            _ => State::Failed,
        }
    }

    fn word(self) -> &'static str {
        match self {
            State::Ready => "evaluated",
            State::Traced => "traced",
            State::Failed => "failed",
            State::Lazy => "not evaluated",
        }
    }
}

impl fmt::Debug for Array {
    /// Shape and dtype, and the values when they are there and few: it never evaluates.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array({}, {:?}", self.dtype(), self.shape())?;
        match State::of(self) {
            State::Ready if self.size() <= 64 => match ffi::show(self.raw()) {
                Ok(text) => write!(f, ", {text})"),
                Err(_) => f.write_str(")"),
            },
            State::Ready => f.write_str(")"),
            state => write!(f, ", {})", state.word()),
        }
    }
}

impl fmt::Display for Array {
    /// The values as MLX prints them when they are there, otherwise shape, dtype and why not: printing never
    /// evaluates. See [`Array::to_text`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = State::of(self);
        if state == State::Ready
            && let Ok(text) = ffi::show(self.raw())
        {
            return f.write_str(&text);
        }
        let (dtype, shape) = (self.dtype(), self.shape());
        write!(f, "{dtype} array of shape {shape:?}, {}", state.word())
    }
}
