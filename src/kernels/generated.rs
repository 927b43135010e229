//! Operations of the catalog that are made of a program.

use crate::Result;
use crate::codegen::op::Operation;
use crate::metal::Made;

/// An operation that is made when it is first needed.
pub(super) struct Generated {
    make: fn() -> Result<Operation>,
    made: Made<Operation>,
}

impl Generated {
    pub(super) const fn new(make: fn() -> Result<Operation>) -> Self {
        Generated {
            make,
            made: Made::new(),
        }
    }

    #[track_caller]
    pub(super) fn op(&self) -> Result<&Operation> {
        self.made.get_or_make(self.make)
    }
}
