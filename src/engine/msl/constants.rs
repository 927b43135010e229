//! Function constants, which a pipeline sets on Metal. MLX's custom kernels cannot, so none has a value: those
//! that the kernel does not reach are zero, and `is_function_constant_defined` is false.

use std::collections::HashSet;

use super::{edits::Edits, source::Stream};

/// Gives the declarations an initializer, as C++ wants one. The first one that the kernel reads is the error:
/// its place in the stream.
pub fn initialize(stream: Stream<'_>, reached: &HashSet<&str>, edits: &mut Edits) -> Option<usize> {
    let mut used = None;
    for at in (1..stream.len()).filter(|&at| stream.str(at) == "function_constant") {
        // `constant bool name [[function_constant(0)]];`
        let Some(open) = at
            .checked_sub(2)
            .filter(|&open| stream.opens_attribute(open))
        else {
            continue;
        };
        let Some(close) = stream.close(open) else {
            continue;
        };
        let Some(name) = open.checked_sub(1).filter(|&name| stream.is_ident(name)) else {
            continue;
        };
        if stream.str(close + 1) != ";" {
            continue;
        }
        edits.insert_before(stream.tokens[close + 1], " = {}");
        if reached.contains(stream.str(name)) && is_read(stream, stream.str(name)) {
            used = used.or(Some(name));
        }
    }
    used
}

/// Whether the name stands anywhere but in its declaration and in questions whether it is defined.
fn is_read(stream: Stream<'_>, name: &str) -> bool {
    (0..stream.len()).any(|at| {
        stream.str(at) == name
            && !stream.opens_attribute(at + 1)
            && stream.str(at.wrapping_sub(2)) != "is_function_constant_defined"
            && !matches!(stream.before(at), "." | "->" | "::")
    })
}
