//! Operations of the catalog that are made of a program.

use std::sync::OnceLock;

use crate::Result;
use crate::codegen::op::Operation;

/// An operation that is made when it is first needed.
pub(super) struct Generated {
    make: fn() -> Result<Operation>,
    made: OnceLock<Operation>,
}

impl Generated {
    pub(super) const fn new(make: fn() -> Result<Operation>) -> Self {
        Generated {
            make,
            made: OnceLock::new(),
        }
    }

    #[track_caller]
    pub(super) fn op(&self) -> Result<&Operation> {
        match self.made.get() {
            Some(op) => Ok(op),
            None => {
                let op = (self.make)()?;
                Ok(self.made.get_or_init(|| op))
            }
        }
    }
}
