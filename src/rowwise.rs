//! Operations along the last axis: passes that reduce each row, and what is written then.
//!
//! ```
//! use zmlx::prelude::*;
//! use zmlx::rowwise::{self, Pass};
//! # fn main() -> zmlx::Result<()> {
//! let softmax = rowwise::map_reduce("my_softmax")
//!     .pass(Pass { init: "-INFINITY", update: "max(acc1, x)", reduce: "max(a, b)" })
//!     .pass(Pass { init: "0.0f", update: "acc2 + exp(x - s1)", reduce: "a + b" })
//!     .write("exp(x - s1) / s2")
//!     .build()?;
//! let x = random::normal((4, 1000))?;
//! let w = random::normal((4, 1000))?;
//! let y = softmax.call(&x)?;
//! assert!(y.allclose(&x.softmax(-1)?, (1e-5, 1e-6))?.item::<bool>()?);
//!
//! let slope = grad(|z| (softmax.call(z)? * &w)?.sum(..))(&x)?;
//! let want = grad(|z| (z.softmax(-1)? * &w)?.sum(..))(&x)?;
//! assert!(slope.allclose(&want, (1e-5, 1e-6))?.item::<bool>()?);
//! # Ok(())
//! # }
//! ```
//!
//! Layer normalization:
//!
//! ```
//! # use zmlx::prelude::*;
//! # use zmlx::rowwise::{self, Pass};
//! # fn main() -> zmlx::Result<()> {
//! let layernorm = rowwise::map_reduce("my_layernorm")
//!     .inputs(["x", "weight"])
//!     .pass(Pass { init: "0.0f", update: "acc1 + x", reduce: "a + b" })
//!     .pass(Pass { init: "0.0f", update: "acc2 + (x - s1 / D) * (x - s1 / D)", reduce: "a + b" })
//!     .write("(x - s1 / D) * rsqrt(s2 / D + 1e-5f) * weight")
//!     .build()?;
//! let x = random::normal((4, 1000))?;
//! let weight = random::normal(1000)?;
//! let y = layernorm.call_all(&[&x, &weight])?.remove(0);
//! let want = fast::layer_norm(&x, Some(&weight), None, 1e-5)?;
//! assert!(y.allclose(&want, (1e-5, 1e-5))?.item::<bool>()?);
//! # Ok(())
//! # }
//! ```
//!
//! # Names
//! | in | may be used |
//! |---|---|
//! | everything | `D` (the row's length, a float), `row` (its number), `s1` ... of earlier passes |
//! | `update` of pass n | also the inputs, `acc` and `accn`, `j` (the place in the row), `elem` (that in the whole array) |
//! | `reduce` | `a` and `b`, two partial results |
//! | `write` | also the inputs, `j` and `elem` |
//! | `write_row` | only what everything may use, and inputs within `at` |
//!
//! An input with one value a row ([`index`](MapReduceBuilder::index)) and a parameter
//! ([`parameter`](MapReduceBuilder::parameter)) may be used everywhere.
//!
//! # Places and random numbers
//! `at(value, index)` is the value of an expression at one place of the row, such as the logit of a label: `at(x, label)`. It reads
//! one element and no pass over the row. The index is an integer and the same along the row; outside of `0 <= index < D` nothing is
//! read, and the value is NaN, or the number given as a third argument: `at(x, label, 0)`. Its gradient goes to that
//! element alone.
//!
//! `kk_random(a, b, elem)` is a number in [0, 1) that depends on two words of a seed (integers, taken modulo 2^32) and a
//! position of up to 64 bits alone, and `kk_random_bits(a, b, elem)` its 32 bits. Both have no derivative.
//!
//! # Reductions
//! An update that adds to the accumulator, or takes the larger or smaller of it and something, is
//! recognised: its initial value counts once, it has derivatives, and passes that do not need each other's
//! results are done in one. Any other is taken as it is: `init` must then leave a value unchanged when `reduce` joins
//! both, `reduce` must not depend on the order, and gradients need [`vjp`](MapReduceBuilder::vjp).
//! Without elements a row's reduction is its initial value.

use crate::codegen::make::Make;
use crate::codegen::names;
use crate::codegen::op::Operation;
use crate::codegen::program::{InputKind, Span};
use crate::codegen::settings::{Settings, operations, options};
use crate::{Array, Error, Result};

/// One reduction of a row, in MSL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass<'a> {
    /// What the accumulator starts as.
    pub init: &'a str,
    /// The accumulator with one more element.
    pub update: &'a str,
    /// Two partial results `a` and `b` as one.
    pub reduce: &'a str,
}

/// Starts the description of an operation along the last axis.
pub fn map_reduce(name: &str) -> MapReduceBuilder {
    MapReduceBuilder {
        name: name.to_owned(),
        inputs: vec!["x".into()],
        passes: Vec::new(),
        writes: Vec::new(),
        settings: Settings::default(),
    }
}

/// Describes an operation along the last axis; made by [`map_reduce`], finished by [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a description does nothing until `build`"]
pub struct MapReduceBuilder {
    name: String,
    inputs: Vec<String>,
    passes: Vec<Option<[String; 3]>>,
    writes: Vec<(Span, String)>,
    settings: Settings,
}

options!(MapReduceBuilder: prelude header compute_dtype output_dtype threadgroup vjp);

impl MapReduceBuilder {
    /// Names of the inputs (default: `x`). They broadcast to each other; each has a value for
    /// each element of a row.
    pub fn inputs<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.inputs = names.into_iter().map(Into::into).collect();
        self
    }

    /// A further input, after those of [`inputs`](Self::inputs): one integer a row, such as a label. It is read as
    /// a `long`, so exact whatever the dtype, and has no gradient. Its array has the shape of the rows, the last axis left out,
    /// and any dtype of integers; what a `long` cannot hold is the lowest `long`, which is the place of no element.
    ///
    /// ```
    /// # use zmlx::prelude::*;
    /// # use zmlx::rowwise;
    /// # fn main() -> zmlx::Result<()> {
    /// let pick = rowwise::map_reduce("pick").index("label").write_row("at(x, label)").build()?;
    /// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], (2, 3))?;
    /// let label = Array::from_slice(&[2u8, 0], 2)?;
    /// assert_eq!(pick.call_all(&[&x, &label])?[0].to_vec::<f32>()?, [3.0, 4.0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn index(self, name: &str) -> Self {
        self.more(name, Span::Row, InputKind::Index)
    }

    /// [`index`](Self::index) with one integer for each element of a row, or an array that broadcasts to that, such as the words
    /// of a seed.
    pub fn index_of_elements(self, name: &str) -> Self {
        self.more(name, Span::Element, InputKind::Index)
    }

    /// A further input, after those of [`inputs`](Self::inputs): one number for the whole call, an array of one float of 32
    /// or 16 bits. It has no gradient, and another number compiles nothing.
    ///
    /// ```
    /// # use zmlx::prelude::*;
    /// # use zmlx::rowwise::{self, Pass};
    /// # fn main() -> zmlx::Result<()> {
    /// let norm = rowwise::map_reduce("norm")
    ///     .parameter("eps")
    ///     .pass(Pass { init: "0.0f", update: "acc + x * x", reduce: "a + b" })
    ///     .write("x * rsqrt(s1 / D + eps)")
    ///     .build()?;
    /// let x = Array::zeros((2, 3), F32)?;
    /// let y = norm.call_all(&[&x, &1e-5.into()])?.remove(0);
    /// assert_eq!(y.to_vec::<f32>()?, [0.0; 6]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn parameter(self, name: &str) -> Self {
        self.more(name, Span::Element, InputKind::Parameter)
    }

    fn more(mut self, name: &str, span: Span, kind: InputKind) -> Self {
        self.settings.further_input(name, span, kind);
        self
    }

    /// The next reduction: the first is known to later expressions as `s1`.
    pub fn pass(mut self, pass: Pass<'_>) -> Self {
        self.passes.push(Some(owned(pass)));
        self
    }

    /// The reduction `s1`.
    pub fn pass1(self, pass: Pass<'_>) -> Self {
        self.set(0, pass)
    }

    /// The reduction `s2`.
    pub fn pass2(self, pass: Pass<'_>) -> Self {
        self.set(1, pass)
    }

    fn set(mut self, n: usize, pass: Pass<'_>) -> Self {
        if self.passes.len() <= n {
            self.passes.resize(n + 1, None);
        }
        self.passes[n] = Some(owned(pass));
        self
    }

    /// The next output: a value for each element.
    pub fn write(mut self, expr: &str) -> Self {
        self.writes.push((Span::Element, expr.to_owned()));
        self
    }

    /// The next output: one value for the row.
    pub fn write_row(mut self, expr: &str) -> Self {
        self.writes.push((Span::Row, expr.to_owned()));
        self
    }

    /// Checks the description and makes the operation. Nothing is compiled yet.
    ///
    /// # Errors
    /// [`Error::Expression`] for a wrong expression; [`Error::Argument`] for names that are empty or no identifiers, a missing
    /// output, an update that does not use its accumulator, a threadgroup that is no power of two up to
    /// 1024, or a gradient for an input that does not exist.
    #[track_caller]
    pub fn build(self) -> Result<MapReduce> {
        names::check_op(&self.name)?;
        let more = self.settings.more.iter().map(|i| &i.name);
        let all: Vec<&String> = self.inputs.iter().chain(more).collect();
        names::check_inputs("inputs", &all)?;
        names::check_rows("inputs", &all)?;
        if self.inputs.is_empty() || self.writes.is_empty() {
            let what = if self.inputs.is_empty() {
                "inputs"
            } else {
                "write"
            };
            return Err(Error::argument(what, "at least one", "none"));
        }
        let mut make = Make::new(&self.inputs, &self.settings)?;
        for (n, pass) in self.passes.iter().enumerate() {
            let name = format!("s{}", n + 1);
            let Some([init, update, reduce]) = pass else {
                return Err(Error::argument(
                    "pass",
                    format_args!("reduction `{name}` before those after it"),
                    "none",
                ));
            };
            make.reduction(&name, &format!("acc{}", n + 1), init, update, Some(reduce))?;
        }
        let single = self.writes.len() == 1;
        for (n, (span, text)) in self.writes.iter().enumerate() {
            let name = if single {
                "y".to_owned()
            } else {
                format!("y{}", n + 1)
            };
            make.output(&name, *span, text, None)?;
        }
        let op = make.finish(&self.name)?;
        Ok(MapReduce { op })
    }
}

fn owned(pass: Pass<'_>) -> [String; 3] {
    [pass.init, pass.update, pass.reduce].map(str::to_owned)
}

/// An operation along the last axis; made by [`map_reduce`]. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct MapReduce {
    pub(crate) op: Operation,
}

operations!(MapReduce);

impl MapReduce {
    /// The value of an operation with one input and one output: lazy. An output with one value a
    /// row has the input's shape without the last axis.
    ///
    /// # Errors
    /// [`Error::Shape`] for an array without dimensions; [`Error::Dtype`] for float64 and complex arrays;
    /// [`Error::Argument`] when the operation has other numbers of inputs and outputs.
    #[track_caller]
    pub fn call(&self, x: &Array) -> Result<Array> {
        self.op.call1(&[x])
    }

    /// All outputs for inputs in the order of their names: lazy.
    ///
    /// # Errors
    /// As [`call`](Self::call); [`Error::Shape`] when the inputs do not broadcast to each other.
    #[track_caller]
    pub fn call_all<A: AsRef<Array>>(&self, inputs: &[A]) -> Result<Vec<Array>> {
        let inputs: Vec<&Array> = inputs.iter().map(AsRef::as_ref).collect();
        self.op.call(&inputs)
    }
}
