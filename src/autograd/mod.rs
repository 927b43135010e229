//! Operations with derivatives of their author's.
//!
//! Where a derivative is not given it is derived. An explicit one is for expressions that call functions
//! of a header, for formulas that are better than what the rules find, and for raw kernels.
//!
//! ```
//! use zmlx::prelude::*;
//! # fn main() -> zmlx::Result<()> {
//! let exp = autograd::unary_from_expr("my_exp", "metal::exp(x)").vjp("g * y").build()?;
//! let x = random::normal(100)?;
//! let slope = grad(|x| exp.call(x)?.sum(..))(&x)?;
//! assert!(slope.allclose(&x.exp()?, (1e-6, 1e-6))?.item::<bool>()?);
//! # Ok(())
//! # }
//! ```

mod nary;
mod nary_rules;

use std::sync::Arc;

use crate::codegen::explicit::{COTANGENT, Gradients, OUTPUT};
use crate::codegen::op::Operation;
use crate::codegen::program::{OutputDtype, Program};
use crate::codegen::scope::Scope;
use crate::codegen::{dtypes, names};
use crate::elementwise::{Binary, Map, Unary, binary_scope};
use crate::expr::{Expr, IntoExpr};
use crate::{Dtype, Error, Result};

pub use nary::{Nary, NaryBuilder, nary_from_expr};

/// Starts the description of an operation of `x` with a derivative of its own.
///
/// The expression is as for [`elementwise::unary`](crate::elementwise::unary).
///
/// ```
/// # use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// // Rounds, and passes gradients as if it did not.
/// let round = autograd::unary_from_expr("round_ste", "metal::rint(x)").vjp("g").build()?;
/// let x = Array::from_slice(&[0.4f32, 1.6], 2)?;
/// let slope = grad(|x| (round.call(x)? * 3.0)?.sum(..))(&x)?;
/// assert_eq!(slope.to_vec::<f32>()?, [3.0, 3.0]);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn unary_from_expr<M>(name: &str, expr: impl IntoExpr<1, M>) -> UnaryBuilder {
    let scope = Scope::of(&["x"]).with(names::ELEMENTWISE);
    let value = scope.read(expr, ["x"]);
    UnaryBuilder(Description::new(name, &["x"], scope, value))
}

/// Starts the description of an operation of `a` and `b` with derivatives of its own.
///
/// ```
/// # use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let safe = autograd::binary_from_expr("safe_mul", "a == 0 || b == 0 ? 0.0f : a * b")
///     .vjp_lhs("b == 0 ? 0.0f : g * b")
///     .vjp_rhs("a == 0 ? 0.0f : g * a")
///     .build()?;
/// let y = safe.call(&0.0.into(), f32::INFINITY)?;
/// assert_eq!(y.item::<f32>()?, 0.0);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn binary_from_expr<M>(name: &str, expr: impl IntoExpr<2, M>) -> BinaryBuilder {
    let scope = binary_scope();
    let value = scope.read(expr, ["a", "b"]);
    BinaryBuilder(Description::new(name, &["a", "b"], scope, value))
}

/// Starts the description of an operation of named arrays with derivatives of its own.
///
/// ```
/// # use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let gate = autograd::map_from_expr("gate", ["x", "w"], "x * kk_sigmoid(w)")
///     .vjp("x", "g * kk_sigmoid(w)")
///     .build()?;                                // that of w is derived
/// let y = gate.call(&[&Array::ones(3, F32)?, &0.0.into()])?;
/// assert_eq!(y.to_vec::<f32>()?, [0.5; 3]);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn map_from_expr<const N: usize, M>(
    name: &str,
    inputs: [&str; N],
    expr: impl IntoExpr<N, M>,
) -> MapBuilder {
    let scope = Scope::of(&inputs).with(names::ELEMENTWISE);
    let value = match names::check_inputs("inputs", &inputs) {
        Ok(()) => scope.read(expr, inputs),
        Err(e) => Err(e),
    };
    MapBuilder(Description::new(name, &inputs, scope, value))
}

/// What the builders have in common.
#[derive(Debug)]
struct Description {
    name: String,
    inputs: Vec<String>,
    scope: Scope,
    value: Result<Expr>,
    vjp: Vec<(String, String)>,
    prelude: String,
    use_output: bool,
    header: String,
    compute: Option<Dtype>,
    output: Option<Dtype>,
}

impl Description {
    fn new(name: &str, inputs: &[&str], scope: Scope, value: Result<Expr>) -> Self {
        Description {
            name: name.to_owned(),
            inputs: inputs.iter().map(|n| (*n).to_owned()).collect(),
            scope,
            value,
            vjp: Vec::new(),
            prelude: String::new(),
            use_output: true,
            header: String::new(),
            compute: None,
            output: None,
        }
    }

    #[track_caller]
    fn build(self) -> Result<Operation> {
        names::check_op(&self.name)?;
        let value = self.value?;
        let inputs: Vec<&str> = self.inputs.iter().map(String::as_str).collect();
        let mut program = Program::elementwise(&inputs, value.clone());
        if let Some(dtype) = self.compute {
            program.compute = dtype;
            program.exact = false;
        }
        program.header = Arc::from(self.header);
        if let Some(dtype) = self.output {
            dtypes::check_output(dtype)?;
            program.outputs[0].dtype = OutputDtype::Fixed(dtype);
        }
        if self.vjp.is_empty() {
            return Operation::new(&self.name, program, None);
        }
        let mut scope = self.scope.with(&[COTANGENT]);
        scope = match self.use_output {
            true => scope.with(&[OUTPUT]),
            false => scope.alias(OUTPUT, value),
        };
        let scope = scope.prelude("vjp_prelude", &self.prelude)?;
        let mut gradients = vec![None; inputs.len()];
        for (input, text) in &self.vjp {
            gradients[program.input("vjp", input)?] = Some(scope.parse(text)?);
        }
        let gradients = Gradients::of(&program, gradients, "")?;
        Operation::new(&self.name, program, Some(gradients))
    }
}

macro_rules! builder {
    ($($(#[$doc:meta])* $ty:ident $op:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use = "a description does nothing until `build`"]
        pub struct $ty(Description);

        impl $ty {
            /// Declarations `type name = expression;` that the gradients may use. The forward kernel
            /// does not see them.
            pub fn vjp_prelude(mut self, text: &str) -> Self {
                self.0.prelude = text.to_owned();
                self
            }

            /// Whether `y` in the gradients is the stored result, as rounded to its dtype (default), or
            /// computed again from the inputs.
            pub fn use_output(mut self, yes: bool) -> Self {
                self.0.use_output = yes;
                self
            }

            /// MSL functions that the expressions may call.
            pub fn header(mut self, text: &str) -> Self {
                self.0.header = text.to_owned();
                self
            }

            /// The dtype of the arithmetic (default float32; integers where all arrays hold them and the expression
            /// gives integers).
            pub fn compute_dtype(mut self, dtype: Dtype) -> Self {
                self.0.compute = Some(dtype);
                self
            }

            /// The dtype of the result (default: that of the first input).
            pub fn output_dtype(mut self, dtype: Dtype) -> Self {
                self.0.output = Some(dtype);
                self
            }

            /// Checks the description and makes the operation. Nothing is compiled yet.
            ///
            /// # Errors
            /// [`Error::Expression`] for a wrong expression or one whose derivative is neither given nor known;
            /// [`Error::Argument`] for an empty name or a gradient for an input that does not exist.
            #[track_caller]
            pub fn build(self) -> Result<$op> {
                Ok($op { op: self.0.build()? })
            }
        }
    )*};
}

builder! {
    /// Describes an operation of `x`; made by [`unary_from_expr`].
    UnaryBuilder Unary;
    /// Describes an operation of `a` and `b`; made by [`binary_from_expr`].
    BinaryBuilder Binary;
    /// Describes an operation of named arrays; made by [`map_from_expr`].
    MapBuilder Map;
}

impl UnaryBuilder {
    /// The gradient of `x`: an expression of `x`, the result `y` and its cotangent `g`.
    pub fn vjp(mut self, expr: &str) -> Self {
        self.0.vjp = vec![("x".into(), expr.to_owned())];
        self
    }
}

impl BinaryBuilder {
    /// The gradient of `a`: an expression of `a`, `b`, the result `y` and its cotangent `g`. Both gradients are
    /// computed by one kernel.
    pub fn vjp_lhs(mut self, expr: &str) -> Self {
        self.0.vjp.push(("a".into(), expr.to_owned()));
        self
    }

    /// The gradient of `b`.
    pub fn vjp_rhs(mut self, expr: &str) -> Self {
        self.0.vjp.push(("b".into(), expr.to_owned()));
        self
    }
}

impl MapBuilder {
    /// The gradient of an input: an expression of the inputs, the result `y` and its cotangent `g`.
    pub fn vjp(mut self, input: &str, expr: &str) -> Self {
        self.0.vjp.push((input.to_owned(), expr.to_owned()));
        self
    }
}

/// [`Error::Argument`] for what a builder was not given.
#[track_caller]
fn missing(argument: &str, expected: &str) -> Error {
    Error::argument(argument, expected, "none")
}
