//! The short way to kernels: expressions in, operations out.
//!
//! These are the names of the Python original's `zmlx.api`. What they describe are the operations of
//! [`autograd`](crate::autograd) and [`rowwise`](crate::rowwise), with the same options, so everything
//! has derivatives, `vmap` and any dtype.

use sha2::{Digest, Sha256};

use crate::autograd::{UnaryBuilder, unary_from_expr};
use crate::codegen::make::Make;
use crate::codegen::names;
use crate::codegen::op::Operation;
use crate::codegen::program::Span;
use crate::codegen::settings::{Settings, operations, options};
use crate::rowwise::MapReduceBuilder;
use crate::{Array, Error, Result};

pub use crate::rowwise::Pass;

/// Starts the description of an elementwise operation of `x`.
///
/// ```
/// # use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let relu2 = api::elementwise("x > 0 ? x * x : 0.0f").build()?;
/// assert_eq!(relu2.call(&3.0.into())?.item::<f32>()?, 9.0);
///
/// // With a derivative of one's own, in terms of x, the result y and the cotangent g.
/// let exp = api::elementwise("metal::exp(x)").name("my_exp").vjp("g * y").build()?;
/// let slope = grad(|x| exp.call(x))(&1.0.into())?;
/// assert!((slope.item::<f32>()? - 1f32.exp()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
///
/// The operation has a name for errors and profiles that is made of the expression, the same in every run, unless
/// [`name`](UnaryBuilder::name) gives another.
#[track_caller]
pub fn elementwise(expr: &str) -> UnaryBuilder {
    unary_from_expr(&format!("zmlx_ew_{}", digest(expr)), expr)
}

/// Eight hexadecimal digits of a text's SHA-256.
fn digest(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(4).map(|b| format!("{b:02x}")).collect()
}

/// Starts the description of a reduction of each row to one value.
///
/// ```
/// # use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let entropy = api::reduce("entropy").init("0.0f").update("acc - v * log(v + 1e-8f)").build()?;
/// let p = random::normal((8, 100))?.softmax(-1)?;
/// let h = entropy.call(&p)?;
/// assert_eq!(h.shape(), [8]);
///
/// let row_max = api::reduce("row_max").init("-INFINITY").update("max(acc, v)").build()?;
/// assert!(row_max.call(&p)?.array_equal(&p.max(-1)?, false)?.item::<bool>()?);
///
/// let mean = api::reduce("mean").init("0.0f").update("acc + v").finalize("s / D").build()?;
/// let slope = grad(|p| mean.call(p)?.sum(..))(&p)?;
/// assert!(slope.allclose(0.01, (1e-6, 1e-6))?.item::<bool>()?);
/// # Ok(())
/// # }
/// ```
///
/// # Names
/// `update` uses the element `v` (or `x`), the accumulator `acc`, `D`, `row` and `j`; `finalize` the
/// reduced value as `acc` or `s`, `D` and `row`. See [`rowwise`](crate::rowwise#reductions) for what updates may be.
pub fn reduce(name: &str) -> ReduceBuilder {
    ReduceBuilder {
        name: name.to_owned(),
        init: "0.0f".into(),
        update: String::new(),
        combine: None,
        finalize: "acc".into(),
        settings: Settings::default(),
    }
}

/// Describes a reduction; made by [`reduce`].
#[derive(Clone, Debug)]
#[must_use = "a description does nothing until `build`"]
pub struct ReduceBuilder {
    name: String,
    init: String,
    update: String,
    combine: Option<String>,
    finalize: String,
    settings: Settings,
}

options!(ReduceBuilder: prelude header compute_dtype output_dtype threadgroup vjp);

impl ReduceBuilder {
    /// What the accumulator starts as (default 0).
    pub fn init(mut self, expr: &str) -> Self {
        self.init = expr.to_owned();
        self
    }

    /// The accumulator `acc` with one more element `v`.
    pub fn update(mut self, expr: &str) -> Self {
        self.update = expr.to_owned();
        self
    }

    /// Two partial results `a` and `b` as one, for updates that are no sum, maximum or minimum. Without it those
    /// are done in order, by one thread a row.
    pub fn combine(mut self, expr: &str) -> Self {
        self.combine = Some(expr.to_owned());
        self
    }

    /// The result, from the reduced value `acc` or `s` (default `acc`).
    pub fn finalize(mut self, expr: &str) -> Self {
        self.finalize = expr.to_owned();
        self
    }

    /// Checks the description and makes the operation.
    ///
    /// # Errors
    /// As [`MapReduceBuilder::build`].
    #[track_caller]
    pub fn build(self) -> Result<Reduce> {
        names::check_op(&self.name)?;
        if self.update.trim().is_empty() {
            return Err(Error::argument(
                "update",
                "an expression of `acc` and `v`",
                "none",
            ));
        }
        let mut make = Make::new(&["v".to_owned()], &self.settings)?;
        make.alias("x", "v");
        make.reduction(
            "s",
            "acc",
            &self.init,
            &self.update,
            self.combine.as_deref(),
        )?;
        make.output("y", Span::Row, &self.finalize, Some(("acc", "s")))?;
        let op = make.finish(&self.name)?;
        Ok(Reduce { op })
    }
}

/// A reduction of rows; made by [`reduce`]. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Reduce {
    pub(crate) op: Operation,
}

operations!(Reduce);

impl Reduce {
    /// The reduced values of the rows along the last axis: lazy, of the input's shape without that axis.
    ///
    /// # Errors
    /// [`Error::Shape`] for an array without dimensions; [`Error::Dtype`] for float64 and complex arrays.
    #[track_caller]
    pub fn call(&self, x: &Array) -> Result<Array> {
        self.op.call1(&[x])
    }
}

/// Starts the description of an operation along rows in two passes; the same as
/// [`rowwise::map_reduce`](crate::rowwise::map_reduce).
///
/// ```
/// # use zmlx::prelude::*;
/// use zmlx::api::Pass;
/// # fn main() -> zmlx::Result<()> {
/// let softmax = api::map_reduce("my_softmax")
///     .pass1(Pass { init: "-INFINITY", update: "max(acc1, x)", reduce: "max(a, b)" })
///     .pass2(Pass { init: "0.0f", update: "acc2 + exp(x - s1)", reduce: "a + b" })
///     .write("exp(x - s1) / s2")
///     .threadgroup(256)
///     .build()?;
/// let x = random::normal((4, 1000))?;
/// assert!(softmax.call(&x)?.allclose(&x.softmax(-1)?, (1e-5, 1e-6))?.item::<bool>()?);
/// # Ok(())
/// # }
/// ```
pub fn map_reduce(name: &str) -> MapReduceBuilder {
    crate::rowwise::map_reduce(name)
}
