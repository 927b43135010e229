//! Elementwise operations from one expression each.
//!
//! The expression is MSL text or a Rust closure (see [`crate::expr`]). The operation is one kernel a
//! call, has derivatives of every order and both kinds, works under [`vmap`](crate::vmap()) and
//! [`compile`](crate::compile), broadcasts its arrays as NumPy does without making them larger, and takes
//! any mixture of dtypes.
//!
//! ```
//! use zmlx::prelude::*;
//! # fn main() -> zmlx::Result<()> {
//! let silu = elementwise::unary("my_silu", "x * kk_sigmoid(x)")?;
//! let x = random::normal((8, 1024))?;
//! let y = silu.call(&x)?;
//! let slope = grad(|z| silu.call(z)?.sum(..))(&x)?;
//!
//! let want = (&x * x.sigmoid())?;
//! assert!(y.allclose(&want, (1e-5, 1e-6))?.item::<bool>()?);
//! let want = grad(|z| (z * z.sigmoid())?.sum(..))(&x)?;
//! assert!(slope.allclose(&want, (1e-5, 1e-6))?.item::<bool>()?);
//! # Ok(())
//! # }
//! ```
//!
//! # Dtypes
//! Inputs are converted to `T`, which is float32 unless
//! [`compute_dtype`](Unary::compute_dtype) says otherwise, and the result to the dtype of
//! the first input unless [`output_dtype`](Unary::output_dtype) does. Gradients have the
//! dtypes of their inputs. float64 and complex arrays are refused.
//!
//! Where all inputs hold integers and the expression gives integers of integers (sums, products, comparisons, choices,
//! minima, bits; a quotient that is the whole expression), `T` is an integer type that holds them. Results are those of
//! integers then, modulo 2^bits of that type and of the result's, as in MLX: 200 + 100 of uint8 is 44. Quotients within an expression, fractions and functions of floats make it float32, and so does an input of
//! floats beside one of integers: integers above 2^24 are rounded then.
//!
//! # Limits
//! A kernel has at most 29 inputs and outputs, as Metal has room for so many. A first derivative has the inputs and a cotangent, and gives a
//! gradient of each; a second one has more of both, so it is an error from 10 inputs on.
//!
//! # Names
//! Expressions may use the inputs, `elem` (the number of the element in the result), Metal's math functions with or
//! without `metal::`, the functions of [`msl::DEFAULT_HEADER`](crate::msl::DEFAULT_HEADER), and those of a header
//! given by `header`. The latter have no known derivative: give one by [`crate::autograd`].

use crate::codegen::names;
use crate::codegen::op::Operation;
use crate::codegen::program::{InputKind, Program};
use crate::codegen::scope::Scope;
use crate::codegen::settings::{Settings, operations};
use crate::expr::{Expr, IntoExpr};
use crate::{Array, Dtype, Operand, Result};

/// An operation of one array, from an expression of `x`.
///
/// ```
/// # use zmlx::prelude::*;
/// use zmlx::expr::Expr;
/// # fn main() -> zmlx::Result<()> {
/// let square = elementwise::unary("square", "x * x")?;
/// assert_eq!(square.call(&3.0.into())?.item::<f32>()?, 9.0);
///
/// let mish = elementwise::unary("mish", |x: Expr| x.clone() * x.softplus().tanh())?;
/// assert_eq!(mish.call(&0.0.into())?.item::<f32>()?, 0.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Expression`](crate::Error::Expression) when the expression is wrong, for example by a
/// variable other than `x`; [`Error::Argument`](crate::Error::Argument) for an empty name.
#[track_caller]
pub fn unary<M>(name: &str, expr: impl IntoExpr<1, M>) -> Result<Unary> {
    names::check_op(name)?;
    let value = Scope::of(&["x"])
        .with(names::ELEMENTWISE)
        .read(expr, ["x"])?;
    Unary::new(name, value)
}

/// An operation of two arrays, from an expression of `a` and `b` (in text also `x`, which is `a`).
///
/// ```
/// # use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let gate = elementwise::binary("gate", "a * kk_sigmoid(b)")?;
/// let a = random::normal((8, 1024))?.astype(F16)?;
/// let b = random::normal(1024)?;               // broadcast, of another dtype
/// let y = gate.call(&a, &b)?;
/// assert_eq!((y.shape(), y.dtype()), (a.shape(), F16));
/// let z = gate.call(&a, 0.0)?;                 // or a number
/// assert_eq!(z.shape(), a.shape());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`unary`].
#[track_caller]
pub fn binary<M>(name: &str, expr: impl IntoExpr<2, M>) -> Result<Binary> {
    names::check_op(name)?;
    let value = binary_scope().read(expr, ["a", "b"])?;
    let op = Operation::new(name, Program::elementwise(&["a", "b"], value), None)?;
    Ok(Binary { op })
}

/// The names in an expression of two arrays: `x` is `a`, as the Python original has it.
pub(crate) fn binary_scope() -> Scope {
    Scope::of(&["a", "b"])
        .with(names::ELEMENTWISE)
        .alias("x", Expr::var("a"))
}

/// An operation of any number of arrays, whose names the expression uses.
///
/// ```
/// # use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let lerp = elementwise::map("lerp", ["start", "end", "t"], "start + t * (end - start)")?;
/// let [a, b] = [Array::zeros(4, F32)?, Array::ones(4, F32)?];
/// let y = lerp.call(&[&a, &b, &0.25.into()])?;
/// assert_eq!(y.to_vec::<f32>()?, [0.25; 4]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`unary`]; [`Error::Argument`](crate::Error::Argument) for names that are no identifiers, are there twice, or that
/// generated kernels use themselves.
#[track_caller]
pub fn map<const N: usize, M>(
    name: &str,
    inputs: [&str; N],
    expr: impl IntoExpr<N, M>,
) -> Result<Map> {
    names::check_op(name)?;
    names::check_inputs("inputs", &inputs)?;
    let value = Scope::of(&inputs)
        .with(names::ELEMENTWISE)
        .read(expr, inputs)?;
    let op = Operation::new(name, Program::elementwise(&inputs, value), None)?;
    Ok(Map { op })
}

/// An elementwise operation of one array; made by [`unary`].
#[derive(Clone, Debug)]
pub struct Unary {
    pub(crate) op: Operation,
}

/// An elementwise operation of two arrays; made by [`binary`].
#[derive(Clone, Debug)]
pub struct Binary {
    pub(crate) op: Operation,
}

/// An elementwise operation of named arrays; made by [`map`].
#[derive(Clone, Debug)]
pub struct Map {
    pub(crate) op: Operation,
}

impl Unary {
    #[track_caller]
    pub(crate) fn new(name: &str, value: Expr) -> Result<Unary> {
        let op = Operation::new(name, Program::elementwise(&["x"], value), None)?;
        Ok(Unary { op })
    }

    /// The values for `x`: lazy, of its shape.
    ///
    /// # Errors
    /// [`Error::Dtype`](crate::Error::Dtype) for float64 and complex arrays, and
    /// [`Error::Kernel`](crate::Error::Kernel) when a function that the expression calls does not exist.
    #[track_caller]
    pub fn call(&self, x: &Array) -> Result<Array> {
        self.op.call1(&[x])
    }
}

impl Binary {
    /// The values for `a` and `b`, which may be a number: lazy, of the shape that both broadcast to.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when the shapes do not broadcast, else as [`Unary::call`].
    #[track_caller]
    pub fn call(&self, a: &Array, b: impl Operand) -> Result<Array> {
        let b = b.operand(a.dtype())?;
        self.op.call1(&[a, &b])
    }
}

impl Map {
    /// The same operation with this input as an integer, such as a word of a seed: read as a `long`, so exact whatever
    /// the dtype, and without a gradient. What a `long` cannot hold is the lowest `long`.
    ///
    /// ```
    /// # use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// let noise = elementwise::map("noise", ["x", "a", "b"], "x + kk_random(a, b, elem)")?
    ///     .index("a")?
    ///     .index("b")?;
    /// let x = Array::zeros(1000, F32)?;
    /// let [a, b] = [17u32, 4].map(Array::scalar);
    /// let y = noise.call(&[&x, &a?, &b?])?.to_vec::<f32>()?;
    /// assert!(y.iter().all(|v| (0.0..1.0).contains(v)) && y[0] != y[1]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a name that is none of the inputs'.
    #[track_caller]
    pub fn index(self, name: &str) -> Result<Self> {
        self.of_kind(name, InputKind::Index)
    }

    /// The same operation with this input as a parameter: one number for the whole call, a float of 32 or 16 bits, without a
    /// gradient. Another number compiles nothing.
    ///
    /// # Errors
    /// As [`index`](Self::index).
    #[track_caller]
    pub fn parameter(self, name: &str) -> Result<Self> {
        self.of_kind(name, InputKind::Parameter)
    }

    #[track_caller]
    fn of_kind(self, name: &str, kind: InputKind) -> Result<Self> {
        let mut program = self.op.program().clone();
        program.set_kind("name", name, kind)?;
        let op = self.op.with_program(program)?;
        Ok(Map { op })
    }

    /// The values for arrays in the order of their names: lazy, of the shape that all broadcast to.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for another number of arrays, else as [`Binary::call`].
    #[track_caller]
    pub fn call<A: AsRef<Array>>(&self, inputs: &[A]) -> Result<Array> {
        let inputs: Vec<&Array> = inputs.iter().map(AsRef::as_ref).collect();
        self.op.call1(&inputs)
    }
}

macro_rules! dtypes_and_header {
    ($($name:ident)*) => {$(
        impl $name {
            /// The same operation with arithmetic in this dtype instead of float32 (or integers, where all arrays are).
            ///
            /// # Errors
            /// [`Error::Dtype`](crate::Error::Dtype) for bool, float64 and complex64.
            #[track_caller]
            pub fn compute_dtype(self, dtype: Dtype) -> Result<Self> {
                self.with(&Settings { compute: Some(dtype), ..Settings::default() })
            }

            /// The same operation with results of this dtype instead of the first input's.
            ///
            /// # Errors
            /// [`Error::Dtype`](crate::Error::Dtype) for float64 and complex64.
            #[track_caller]
            pub fn output_dtype(self, dtype: Dtype) -> Result<Self> {
                self.with(&Settings { output: Some(dtype), ..Settings::default() })
            }

            /// The same operation with further MSL functions, which its expression may call.
            #[track_caller]
            pub fn header(self, text: &str) -> Result<Self> {
                self.with(&Settings { header: Some(text.into()), ..Settings::default() })
            }

            #[track_caller]
            fn with(self, settings: &Settings) -> Result<Self> {
                let op = settings.of(&self.op)?;
                Ok($name { op })
            }
        }
    )*};
}
dtypes_and_header!(Unary Binary Map);
operations!(Unary Binary Map);

#[cfg(test)]
mod tests {
    static_assertions::assert_impl_all!(super::Unary: Send, Sync, Clone);
    static_assertions::assert_impl_all!(super::Map: Send, Sync, Clone);
}
