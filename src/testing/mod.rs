//! Compares functions of arrays: values and gradients, over shapes and dtypes.
//!
//! ```
//! use zmlx::{prelude::*, testing};
//!
//! # fn main() -> zmlx::Result<()> {
//! let silu = MetalKernel::new("silu", ["x"], ["out"])
//!     .source("uint i = thread_position_in_grid.x; float v = x[i]; out[i] = T(v / (1.0f + metal::exp(-v)));")
//!     .build()?;
//! testing::assert_matches(
//!     |x| silu.launch(&[x]).template("T", x.dtype()).run::<1>(),
//!     |x| x.multiply(&x.sigmoid()?),
//!     testing::shapes(((1,), (128,), (10, 33), (0, 3))).dtypes([F32, F16, BF16]).strided(true),
//! )?;
//! # Ok(())
//! # }
//! ```
//!
//! Several inputs: [`Cases::inputs`] and [`Cases::input_shapes`]; the functions then take `|[a, b]|`.
//!
//! The inputs are fresh random numbers at each run. A failure names the largest error, where it
//! is, the values there, and the seed: `ZMLX_TEST_SEED=.. cargo test` repeats it.
//!
//! **The reference runs in float64 on the CPU**, on the inputs as they were rounded to the tested
//! dtype. So what is compared is the error of the function, not of the reference. (MLX computes `exp`,
//! `sigmoid`, `sin` and `cos` of float64 with float32's accuracy, 3e-7 in 0.32.4: little beside the
//! tolerances below.)
//!
//! **Tolerance.** `|got - reference| <= atol + rtol * |reference|`, by the dtype of the output:
//!
//! | dtype | rtol | atol | |
//! |---|---|---|---|
//! | float32, complex64 | 1e-5 | 1e-6 | about 80 roundings: a sum of a thousand terms, a fast `exp` |
//! | float16 | 1e-3 | 1e-5 | a unit of the last place: the store's rounding is half of it |
//! | bfloat16 | 8e-3 | 1e-5 | the same |
//! | float64 | 1e-12 | 1e-13 | |
//! | integers, bool | 0 | 0 | exact |
//!
//! The absolute part is for what cancels in float32 arithmetic; a function that computes in
//! float16 may not pass by default, and should not. Gradients have four times these. NaN must stand
//! where the reference has NaN, infinities where it has the same infinity; a reference beyond the range
//! of the dtype is an infinity there.
//!
//! **Unwritten elements.** MLX gives kernels memory as it comes. Each function is called and evaluated
//! twice, and before each evaluation the memory that its outputs will likely get is filled with another
//! pattern. What is not written then differs, as does what threads race for. (MLX's cache of freed
//! memory is emptied on the way.)

mod cases;
mod gradient;
mod numbers;
mod report;
mod run;
mod values;

use std::panic::Location;

pub use self::cases::{Cases, Inputs, IntoShapes, OneShape, Outputs};
pub use self::report::{Against, Elements, Mismatch, Tolerance, What, Which};
pub use self::values::{Layout, Values};

use self::run::{Case, Function, each_case, kinds, widened};
use crate::{Array, Device, Error, Result, with_device};

/// Cases of these shapes, float32 until [`dtypes`](Cases::dtypes) says otherwise.
///
/// The shapes are a tuple of shapes of any lengths, or an array or vector of shapes of one type:
/// `shapes(((), (128,), (1024, 512)))`, `shapes([(64, 64), (1, 3)])`, `shapes([128])`. A tuple of
/// numbers would be one shape or several, so it is refused:
///
/// ```compile_fail
/// zmlx::testing::shapes((1024, 512));
/// ```
#[track_caller]
pub fn shapes(shapes: impl IntoShapes) -> Cases<Array> {
    cases::new(shapes)
}

/// Checks that `f` gives what `reference` gives: number of outputs, shapes, dtypes, values.
///
/// The functions take `&Array`, or `&[Array; N]` for cases with several inputs, and give an
/// array, several, or a `Vec`. `f` gets the inputs on the current stream. How the reference
/// is run and what may differ: see [the module](self). **Evaluates.**
///
/// ```
/// use zmlx::testing;
/// # fn main() -> zmlx::Result<()> {
/// testing::assert_matches(
///     |[a, b]| a.logaddexp(b),
///     |[a, b]| (a.exp()? + b.exp()?)?.log(),
///     testing::shapes(((3,), (4, 5))).inputs(),
/// )?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Mismatch`] with a report when they differ, or one of them fails.
#[track_caller]
pub fn assert_matches<A: Inputs, R: Outputs, S: Outputs>(
    f: impl Fn(&A) -> Result<R>,
    reference: impl Fn(&A) -> Result<S>,
    cases: Cases<A>,
) -> Result<()> {
    let (f, reference) = (listed(f), listed(reference));
    each_case(&cases, cases.specials, Location::caller(), |case| {
        value(&f, &reference, &cases, &case)
    })
}

/// Checks that the gradient of `f` is that of `reference`.
///
/// The gradient is the vector-Jacobian product with a random cotangent, with respect to each
/// floating-point input that is not [constant](Cases::constant). It is compared with MLX's for the
/// reference in float64, and at a few positions with central differences of the reference, which
/// know nothing of MLX's rules and are good to about 1e-4 of the outputs. Positions where the
/// reference has a kink are left out. **Evaluates.**
///
/// ```
/// use zmlx::{custom_function, testing};
/// # fn main() -> zmlx::Result<()> {
/// let exp = custom_function(|p| Ok(vec![p[0].exp()?]))
///     .with_vjp(|_, cotangents, outputs| Ok(vec![cotangents[0].multiply(&outputs[0])?]));
/// testing::assert_gradient_matches(|x| exp.call1(x), |x| x.exp(), testing::shapes([(8, 16)]))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`assert_matches`]; [`Error::Argument`] when there is no input to differentiate.
#[track_caller]
pub fn assert_gradient_matches<A: Inputs, R: Outputs, S: Outputs>(
    f: impl Fn(&A) -> Result<R>,
    reference: impl Fn(&A) -> Result<S>,
    cases: Cases<A>,
) -> Result<()> {
    let (f, reference) = (listed(f), listed(reference));
    each_case(&cases, false, Location::caller(), |case| {
        gradient::check(&f, &reference, &cases, case)
    })
}

/// A function of typed inputs as one of a list.
fn listed<A: Inputs, R: Outputs>(
    f: impl Fn(&A) -> Result<R>,
) -> impl Fn(&[Array]) -> Result<Vec<Array>> {
    move |list| match A::view(list) {
        Some(inputs) => Ok(f(inputs)?.list()),
        None => Err(Error::argument(
            "inputs",
            format_args!("{} arrays", A::COUNT),
            list.len(),
        )),
    }
}

fn value<A: Inputs>(
    f: Function<'_>,
    reference: Function<'_>,
    cases: &Cases<A>,
    case: &Case,
) -> Result<()> {
    let failed = |e| case.reference_failed(e);
    // Not evaluated unless it is the reference: it tells the shapes and dtypes to expect.
    let same = reference(&case.inputs).map_err(failed)?;
    let want = if cases.reference_as_given {
        crate::eval(&same).map_err(failed)?;
        same.clone()
    } else {
        let wide = widened(&case.inputs)?;
        with_device(Device::CPU, || {
            let want = reference(&wide)?;
            crate::eval(&want)?;
            Ok(want)
        })
        .map_err(failed)?
    };
    let twice = cases.deterministic;
    let got = case.run_twice(&|| f(&case.inputs), &kinds(&same), Which::Output, twice)?;
    if got.len() != want.len() {
        return Err(case.mismatch(What::Count {
            got: got.len(),
            want: want.len(),
        }));
    }
    for (i, ((got, want), same)) in got.iter().zip(&want).zip(&same).enumerate() {
        let of = Which::Output(i);
        let dtype = cases.check_dtype.then(|| same.dtype());
        case.check_kind(of, got, want.shape(), dtype)?;
        let tolerance = cases.tolerance_of(got.dtype(), 1.0);
        case.check_elements(of, got, want, tolerance)?;
    }
    Ok(())
}
