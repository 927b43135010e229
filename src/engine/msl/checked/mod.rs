//! The checked mode's part of the lowering: address spaces become types.
//!
//! `device T*` turns into `zmlx_device_ptr<T>`, a pointer that knows its buffer; arrays in
//! threadgroup memory and constant tables get such a pointer as a handle; and what Metal refuses
//! although C++ takes it is refused here. All of it is lexical: what these passes do not recognize
//! stays a raw pointer, which goes unchecked or does not compile.

pub(super) mod addresses;
mod calls;
mod dangers;
mod pointers;
mod refusals;
pub(super) mod variables;

pub use dangers::danger;
pub use pointers::{type_after, type_around};
pub use refusals::{Refusal, recursion, refuse};

use super::{edits::Edits, source::Stream, spaces::Aliases};

/// Rewrites one stream, before the pass over address spaces, which leaves alone what this touched.
pub fn rewrite(stream: Stream<'_>, aliases: &Aliases<'_>, edits: &mut Edits) {
    let variables = variables::rewrite(stream, aliases, edits);
    pointers::rewrite(stream, aliases, edits);
    pointers::casts(stream, edits);
    addresses::rewrite(stream, &variables, edits);
    addresses::arrows(stream, edits);
}

/// The bracket that the one at `close` closes.
fn open_of(stream: Stream<'_>, close: usize) -> Option<usize> {
    let mut depth = 0usize;
    for at in (0..=close).rev() {
        match stream.str(at) {
            ")" | "]" | "}" => depth += 1,
            "(" | "[" | "{" => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether the bracket at `open` begins the body of a structure.
pub fn is_struct_body(stream: Stream<'_>, open: usize) -> bool {
    (0..open)
        .rev()
        .take_while(|&at| !matches!(stream.str(at), ";" | "{" | "}" | ")"))
        .any(|at| matches!(stream.str(at), "struct" | "class" | "union"))
}
