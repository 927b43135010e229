//! Arrays that have no derivative: codes and images of integers.

use std::borrow::Cow;

use crate::transforms::rules::{Rules, apply, only, traced};
use crate::{Array, Error, Result};

/// The array itself, whose derivative is an error once a transform asks for it. Zeros would be wrong in silence.
#[track_caller]
pub(super) fn held<'a>(name: &'static str, x: &'a Array) -> Result<Cow<'a, Array>> {
    if !traced(&[x]) {
        return Ok(Cow::Borrowed(x));
    }
    Ok(Cow::Owned(only(apply(&Held { name }, &[x])?, name)?))
}

#[derive(Clone)]
struct Held {
    name: &'static str,
}

impl Held {
    #[track_caller]
    fn refused(&self, x: &Array) -> Error {
        let expected = "an array that nothing is differentiated by, as integers have no derivative";
        Error::argument(self.name, expected, x.dtype())
    }
}

impl Rules for Held {
    fn name(&self) -> &str {
        self.name
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        Ok(vec![inputs[0].clone()])
    }

    #[track_caller]
    fn vjp(&self, primals: &[Array], _: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        Err(self.refused(&primals[0]))
    }

    #[track_caller]
    fn jvp(&self, primals: &[Array], _: &[Option<&Array>]) -> Result<Vec<Array>> {
        Err(self.refused(&primals[0]))
    }

    #[track_caller]
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        // The mapped axis comes first.
        let axis = axes[0].unwrap_or(0) as i32;
        let x = inputs[0].moveaxis(axis, 0)?;
        apply(self, &[&x])
    }
}
