//! What a failed comparison of `crate::testing` says.

use std::fmt;

use crate::{Dtype, Error};

/// How two functions differ; inside [`Error::Mismatch`].
///
/// `Debug` prints the same report as `Display`, since that is what `unwrap` and tests print.
#[non_exhaustive]
pub struct Mismatch {
    /// What is not as it should be.
    pub what: What,
    /// The dtype of the case.
    pub dtype: Dtype,
    /// The shapes of its inputs.
    pub shapes: Vec<Vec<i32>>,
    /// How its inputs lay in memory.
    pub layout: Layout,
    /// `ZMLX_TEST_SEED` that repeats it.
    pub seed: u64,
}

/// What is not as it should be.
#[derive(Debug)]
#[non_exhaustive]
pub enum What {
    /// The function gives another number of outputs than the reference.
    Count {
        /// How many the function gives.
        got: usize,
        /// How many the reference gives.
        want: usize,
    },
    /// An output or gradient has another shape.
    Shape {
        /// Which one.
        of: Which,
        /// Its shape.
        got: Vec<i32>,
        /// The reference's.
        want: Vec<i32>,
    },
    /// An output or gradient has another dtype.
    Dtype {
        /// Which one.
        of: Which,
        /// Its dtype.
        got: Dtype,
        /// The reference's.
        want: Dtype,
    },
    /// Elements are off.
    Elements(Elements),
    /// The function fails.
    Failed(Box<Error>),
    /// The reference fails.
    ReferenceFailed(Box<Error>),
}

/// An output, or the gradient with respect to an input, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The output of this number, from 0.
    Output(usize),
    /// The gradient with respect to the input of this number, from 0.
    Gradient(usize),
}

/// What elements were compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Against {
    /// The reference function, or its gradient by MLX.
    Reference,
    /// Central differences of the reference function.
    Differences,
    /// The same function on the same inputs: it left memory unwritten, or threads race.
    SecondRun,
}

/// The elements that are off; the numbers are those of the one farthest outside its tolerance.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Elements {
    /// Which array they are of.
    pub of: Which,
    /// What they were compared with.
    pub against: Against,
    /// Its index.
    pub index: Vec<usize>,
    /// The function's number.
    pub got: f64,
    /// The number that it was compared with.
    pub want: f64,
    /// Infinite where NaN or an infinity is not matched.
    pub error: f64,
    /// What was allowed.
    pub tolerance: Tolerance,
    /// How many elements are off.
    pub wrong: usize,
    /// Out of how many.
    pub total: usize,
    /// The index of the first that is off.
    pub first: Vec<usize>,
}

/// How far a value may be from its reference: `atol + rtol * |reference|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The part in proportion to the reference.
    pub rtol: f64,
    /// The part that is the same for all.
    pub atol: f64,
}

/// How an input lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// Row-major without gaps.
    Contiguous,
    /// Column-major: the transpose of a contiguous array.
    Transposed,
    /// Every second element along the last axis, from the second on; NaN (or all bits set)
    /// lies between.
    Sliced,
}

/// A shape as Python and MLX write it.
pub(crate) fn shape_text(shape: &[i32]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => {
            let dims: Vec<_> = shape.iter().map(i32::to_string).collect();
            format!("({})", dims.join(", "))
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Output(i) => write!(f, "output {i}"),
            Which::Gradient(i) => write!(f, "gradient of input {i}"),
        }
    }
}

impl fmt::Display for Elements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Elements {
            of,
            index,
            got,
            want,
            ..
        } = self;
        let (wrong, total) = (self.wrong, self.total);
        match self.against {
            Against::SecondRun => write!(
                f,
                "{of} is not the same in two runs on the same inputs: {wrong} of {total} elements. It left \
                 memory unwritten, or threads race.\n  at {index:?}: {got}, then {want}"
            )?,
            Against::Differences => write!(
                f,
                "{of} differs from central differences of the reference\n  at {index:?}: got {got}, \
                 expected about {want}, error {:.2e}",
                self.error
            )?,
            Against::Reference => write!(
                f,
                "{of}: {wrong} of {total} elements are off\n  the worst at {index:?}: got {got}, expected \
                 {want}, error {:.2e}",
                self.error
            )?,
        }
        if self.against != Against::SecondRun {
            let Tolerance { rtol, atol } = self.tolerance;
            write!(f, " (allowed: {atol:.1e} + {rtol:.1e} * |expected|)")?;
        }
        if self.first != self.index {
            write!(f, "\n  the first at {:?}", self.first)?;
        }
        Ok(())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Count { got, want } => {
                write!(f, "outputs: got {got}, expected {want}")?;
            }
            What::Shape { of, got, want } => {
                let [got, want] = [got, want].map(|s| shape_text(s));
                write!(f, "{of}: got shape {got}, expected {want}")?;
            }
            What::Dtype { of, got, want } => {
                write!(f, "{of}: got {got}, expected {want}")?;
            }
            What::Elements(elements) => write!(f, "{elements}")?,
            What::Failed(e) => write!(f, "the function fails: {e}")?,
            What::ReferenceFailed(e) => write!(f, "the reference fails: {e}")?,
        }
        let shapes: Vec<_> = self.shapes.iter().map(|s| shape_text(s)).collect();
        write!(f, "\n  inputs: {} {}", self.dtype, shapes.join(", "))?;
        match self.layout {
            Layout::Contiguous => {}
            Layout::Transposed => write!(f, ", transposed in memory")?,
            Layout::Sliced => write!(f, ", every second element of an array")?,
        }
        write!(f, "; repeat with ZMLX_TEST_SEED={}", self.seed)
    }
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}\n")
    }
}

impl std::error::Error for Mismatch {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.what {
            What::Failed(e) | What::ReferenceFailed(e) => Some(e),
            _ => None,
        }
    }
}
