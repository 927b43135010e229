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

use crate::codegen::explicit::{COTANGENT, Gradients, OUTPUT};
use crate::codegen::names;
use crate::codegen::op::Operation;
use crate::codegen::program::Program;
use crate::codegen::scope::Scope;
use crate::codegen::settings::{Settings, options};
use crate::elementwise::{Binary, Map, Unary, binary_scope};
use crate::expr::{Expr, IntoExpr};
use crate::{Error, Result};

pub use nary::{Nary, NaryBuilder, nary_from_source, nary_from_source as nary_from_expr};

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
    UnaryBuilder::of(Description::new(name, &["x"], scope, value))
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
    BinaryBuilder::of(Description::new(name, &["a", "b"], scope, value))
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
    MapBuilder::of(Description::new(name, &inputs, scope, value))
}

/// What the builders have in common.
#[derive(Debug)]
struct Description {
    name: String,
    inputs: Vec<String>,
    scope: Scope,
    value: Result<Expr>,
}

impl Description {
    fn new(name: &str, inputs: &[&str], scope: Scope, value: Result<Expr>) -> Self {
        Description {
            name: name.to_owned(),
            inputs: inputs.iter().map(|n| (*n).to_owned()).collect(),
            scope,
            value,
        }
    }

    #[track_caller]
    fn build(self, settings: &Settings) -> Result<Operation> {
        names::check_op(&self.name)?;
        let value = self.value?;
        let inputs: Vec<&str> = self.inputs.iter().map(String::as_str).collect();
        let mut program = Program::elementwise(&inputs, value.clone());
        settings.apply(&mut program)?;
        if settings.vjp.is_empty() {
            return Operation::new(&self.name, program, None);
        }
        if let Some(name) = inputs.iter().find(|n| [COTANGENT, OUTPUT].contains(n)) {
            return Err(Error::argument(
                "inputs",
                "names other than `g`, which is the cotangent in gradients, and `y`, which is the result",
                format_args!("`{name}`"),
            ));
        }
        let mut scope = self.scope.with(&[COTANGENT]);
        scope = match settings.use_output {
            true => scope.with(&[OUTPUT]),
            false => scope.alias(OUTPUT, value),
        };
        let scope = scope.prelude("vjp_prelude", &settings.vjp_prelude)?;
        let mut gradients = vec![None; inputs.len()];
        for (input, text) in &settings.vjp {
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
        pub struct $ty {
            description: Description,
            settings: Settings,
        }

        options!($ty: header compute_dtype output_dtype vjp_prelude use_output);

        impl $ty {
            fn of(description: Description) -> Self {
                $ty {
                    description,
                    settings: Settings::default(),
                }
            }

            /// Another name for errors and profiles.
            pub fn name(mut self, name: &str) -> Self {
                name.clone_into(&mut self.description.name);
                self
            }

            /// Checks the description and makes the operation. Nothing is compiled yet.
            ///
            /// # Errors
            /// [`Error::Expression`] for a wrong expression or one whose derivative is neither given nor known;
            /// [`Error::Argument`] for an empty name or a gradient for an input that does not exist.
            #[track_caller]
            pub fn build(self) -> Result<$op> {
                Ok($op { op: self.description.build(&self.settings)? })
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
        self.settings.vjp = vec![("x".into(), expr.to_owned())];
        self
    }
}

impl BinaryBuilder {
    /// The gradient of `a`: an expression of `a`, `b`, the result `y` and its cotangent `g`. Both gradients are
    /// computed by one kernel.
    pub fn vjp_lhs(mut self, expr: &str) -> Self {
        self.settings.gradient("a", expr);
        self
    }

    /// The gradient of `b`.
    pub fn vjp_rhs(mut self, expr: &str) -> Self {
        self.settings.gradient("b", expr);
        self
    }
}

options!(MapBuilder: vjp);

/// [`Error::Argument`] for what a builder was not given.
#[track_caller]
fn missing(argument: &str, expected: &str) -> Error {
    Error::argument(argument, expected, "none")
}
