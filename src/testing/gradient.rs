//! Gradients against MLX's and against central differences, both in float64.

use super::cases::{Cases, Inputs};
use super::numbers::{Numbers, Worst};
use super::report::{Against, Tolerance, What, Which};
use super::run::{Case, Function, kinds, widened};
use super::values::{Rng, Values};
use crate::{Array, Device, Dtype, Error, Result, vjp, with_device};

/// How much wider the default tolerance of a gradient is: it takes more arithmetic than a value.
const WIDER: f64 = 4.0;

/// Inputs larger than this are not compared with differences, which need whole evaluations.
const LARGEST: usize = 1 << 16;

pub(super) fn check<A: Inputs>(
    f: Function<'_>,
    reference: Function<'_>,
    cases: &Cases<A>,
    mut case: Case,
) -> Result<()> {
    let wrt: Vec<usize> = (0..case.inputs.len())
        .filter(|&i| case.inputs[i].dtype().is_floating() && !cases.is_constant(i))
        .collect();
    if wrt.is_empty() {
        return Err(Error::argument(
            "cases",
            "a floating-point input to differentiate",
            format_args!("none for {}", case.dtype),
        ));
    }
    // Lazy: only shapes and dtypes are looked at.
    let outputs = f(&case.inputs).map_err(|e| case.failed(e))?;
    let mut cotangents = Vec::new();
    for y in &outputs {
        let floats = y.dtype().is_floating();
        let values = if floats {
            Values::Normal
        } else {
            Values::Constant(0.0)
        };
        cotangents.push(values.draw(&mut case.rng, y.shape(), y.dtype(), false)?);
    }
    let (wide, wide_cotangents) = if cases.reference_as_given {
        (case.inputs.clone(), cotangents.clone())
    } else {
        (widened(&case.inputs)?, widened(&cotangents)?)
    };
    let want = if cases.reference_as_given {
        reference_gradient(reference, &wide, &wide_cotangents, &wrt, &case)?
    } else {
        with_device(Device::CPU, || {
            reference_gradient(reference, &wide, &wide_cotangents, &wrt, &case)
        })?
    };

    let pick = |all: &[Array]| wrt.iter().map(|&i| all[i].clone()).collect::<Vec<_>>();
    let primals = pick(&case.inputs);
    let gradient = || Ok(vjp(with_constants(f, &case.inputs, &wrt), &primals, &cotangents)?.1);
    let got = case.run_twice(
        &gradient,
        &kinds(&primals),
        Which::Gradient,
        cases.deterministic,
    )?;
    for (n, &i) in wrt.iter().enumerate() {
        let (of, x) = (Which::Gradient(i), &case.inputs[i]);
        case.check_kind(of, &got[n], x.shape(), Some(x.dtype()))?;
        let tolerance = cases.tolerance_of(got[n].dtype(), WIDER);
        case.check_elements(of, &got[n], &want[n], tolerance)?;
        if !cases.reference_as_given && x.size() <= LARGEST {
            let differences = Differences {
                reference,
                inputs: &wide,
                cotangents: &wide_cotangents,
                input: i,
            };
            let mut rng = case.rng.clone();
            let off = with_device(Device::CPU, || {
                differences.check(&got[n], tolerance, cases.differences, &mut rng)
            });
            match off.map_err(|e| case.reference_failed(e))? {
                None => {}
                Some(what) => return Err(case.mismatch(what)),
            }
        }
    }
    Ok(())
}

/// A function of the inputs numbered in `wrt`, the others held fast.
fn with_constants<'a>(
    f: Function<'a>,
    inputs: &'a [Array],
    wrt: &'a [usize],
) -> impl Fn(&[Array]) -> Result<Vec<Array>> + 'a {
    move |primals| {
        let mut all = inputs.to_vec();
        for (&i, x) in wrt.iter().zip(primals) {
            all[i] = x.clone();
        }
        f(&all)
    }
}

fn reference_gradient(
    reference: Function<'_>,
    inputs: &[Array],
    cotangents: &[Array],
    wrt: &[usize],
    case: &Case,
) -> Result<Vec<Array>> {
    let failed = |e| case.reference_failed(e);
    let outputs = reference(inputs).map_err(failed)?;
    if outputs.len() != cotangents.len() {
        return Err(case.mismatch(What::Count {
            got: cotangents.len(),
            want: outputs.len(),
        }));
    }
    let mut fitting = Vec::new();
    for (i, (g, y)) in cotangents.iter().zip(&outputs).enumerate() {
        case.check_kind(Which::Output(i), g, y.shape(), None)?;
        fitting.push(g.astype(y.dtype())?);
    }
    let primals: Vec<&Array> = wrt.iter().map(|&i| &inputs[i]).collect();
    let f = with_constants(reference, inputs, wrt);
    let (_, gradients) = vjp(f, &primals, &fitting).map_err(failed)?;
    crate::eval(&gradients).map_err(failed)?;
    Ok(gradients)
}

/// Slopes of `sum(cotangent * reference)` along single elements of an input, in float64.
struct Differences<'a> {
    reference: Function<'a>,
    inputs: &'a [Array],
    cotangents: &'a [Array],
    input: usize,
}

impl Differences<'_> {
    /// The first of `count` random positions where the gradient is not the slope.
    fn check(
        &self,
        got: &Array,
        tolerance: Tolerance,
        count: usize,
        rng: &mut Rng,
    ) -> Result<Option<What>> {
        let x: Vec<f64> = self.inputs[self.input].to_vec()?;
        if x.is_empty() {
            return Ok(None);
        }
        let values = Numbers::read(got)?.into_reals();
        for _ in 0..count.min(x.len()) {
            let at = (rng.next() % x.len() as u64) as usize;
            let Some((slope, doubt)) = self.slope(&x, at)? else {
                continue;
            };
            let allowed = tolerance.atol + tolerance.rtol * slope.abs() + doubt;
            let error = (values[at] - slope).abs();
            if error <= allowed {
                continue;
            }
            let worst = Worst {
                at,
                first: at,
                got: values[at],
                want: slope,
                error,
                count: 1,
            };
            let (of, against) = (Which::Gradient(self.input), Against::Differences);
            return Ok(Some(What::elements(of, against, &worst, got, tolerance)));
        }
        Ok(None)
    }

    /// The slope and how far it may be off; `None` at a kink, a jump or the edge of where the
    /// function is defined.
    fn slope(&self, x: &[f64], at: usize) -> Result<Option<(f64, f64)>> {
        // Large steps, because MLX's `exp` and `sin` of float64 are good to seven digits only; smaller
        // ones where the function bends too much for these.
        for step in [1e-2, 1e-3, 1e-4] {
            let h = step * x[at].abs().max(1.0);
            let fine = self.stencil(x, at, h)?;
            let coarse = self.stencil(x, at, 2.0 * h)?;
            // Bends grow with the step; a kink stays.
            let kink = (2.0 * fine.bend - coarse.bend).abs();
            let doubt = fine.noise + 2.0 * (fine.slope - coarse.slope).abs() + kink;
            if doubt <= 1e-2 * (1.0 + fine.slope.abs()) {
                return Ok(Some((fine.slope, doubt)));
            }
        }
        Ok(None)
    }

    fn stencil(&self, x: &[f64], at: usize, h: f64) -> Result<Stencil> {
        let at_step = |n: f64| self.terms(x, at, x[at] + n * h);
        let [a, b, c, d] = [at_step(-2.0)?, at_step(-1.0)?, at_step(1.0)?, at_step(2.0)?];
        let mid = at_step(0.0)?;
        let mut all = Stencil::default();
        // Term by term first: the sums are large where their difference is small.
        for ((((a, b), mid), c), d) in a.iter().zip(&b).zip(&mid).zip(&c).zip(&d) {
            all.slope += (8.0 * (c - b) - (d - a)) / (12.0 * h);
            all.bend += (c - 2.0 * mid + b) / h;
            if a != d || b != c {
                all.noise += 1e-6 * b.abs().max(c.abs()) / h;
            }
        }
        Ok(all)
    }

    /// The elements of all outputs, each times its cotangent.
    fn terms(&self, x: &[f64], at: usize, value: f64) -> Result<Vec<f64>> {
        let mut moved = x.to_vec();
        moved[at] = value;
        let mut inputs = self.inputs.to_vec();
        inputs[self.input] = Array::from_slice(&moved, self.inputs[self.input].shape())?;
        let mut terms = Vec::new();
        for (y, g) in (self.reference)(&inputs)?.iter().zip(self.cotangents) {
            if g.dtype() == Dtype::Float64 {
                let product = y.astype(Dtype::Float64)?.multiply(g)?;
                terms.extend(product.to_vec::<f64>()?);
            }
        }
        Ok(terms)
    }
}

/// Differences with one step.
#[derive(Default)]
struct Stencil {
    /// The central difference of fourth order.
    slope: f64,
    /// The slope on the right less that on the left.
    bend: f64,
    /// What errors of 1e-6 in the values do to the slope.
    noise: f64,
}
