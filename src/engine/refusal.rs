//! What an engine refuses before it compiles, as an error.

use super::error::{CompileError, EngineError};
use super::msl::checked;

/// An error, where there is a refusal.
pub fn refused(refusal: Option<checked::Refusal>, kernel: &str) -> Result<(), EngineError> {
    let Some(refusal) = refusal else {
        return Ok(());
    };
    Err(EngineError::Compile(Box::new(CompileError {
        kernel: kernel.to_owned(),
        message: refusal.message,
        location: refusal.location,
        output: String::new(),
    })))
}

/// Refuses what Metal lacks and what would end the process, not only the launch.
pub fn danger(msl: &str, kernel: &str) -> Result<(), EngineError> {
    refused(checked::danger(msl), kernel)
}
