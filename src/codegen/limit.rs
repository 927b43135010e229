//! How long a generated kernel may be.

use crate::{Error, Result};

use super::program::Program;

/// Parts of all expressions of an operation. What is longer keeps a compiler busy for minutes.
const MOST: usize = 16 * 1024;

/// Refuses an operation that no compiler takes in a time that anybody waits.
#[track_caller]
pub(crate) fn check(program: &Program) -> Result<()> {
    let reductions = program.reductions.iter().map(|r| &r.value);
    let all = reductions.chain(program.written());
    let parts: usize = all.map(crate::expr::Expr::node_count).sum();
    if parts <= MOST {
        return Ok(());
    }
    Err(Error::expression(format!(
        "the expressions of an operation (its derivatives are operations, too): expected at most {MOST} different \
         parts, got {parts}; split it into several operations"
    )))
}
