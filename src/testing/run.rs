//! Goes through the cases, and runs a function so that memory which it leaves unwritten shows.

use std::sync::Mutex;

use super::cases::{Cases, Inputs};
use super::numbers::{Numbers, Worst, compare};
use super::report::{Against, Mismatch, Tolerance, What, Which};
use super::values::{Layout, Rng, fresh_seed, poison};
use crate::bridge::kernel::ffi::set_poison;
use crate::error::{Here, Lift, Site};
use crate::{Array, Device, Dtype, Error, Result, memory, synchronize, with_device};

/// A function of a list.
pub(super) type Function<'a> = &'a dyn Fn(&[Array]) -> Result<Vec<Array>>;

/// One shape, dtype and layout.
pub(super) struct Case {
    pub(super) dtype: Dtype,
    pub(super) layout: Layout,
    /// Evaluated.
    pub(super) inputs: Vec<Array>,
    /// Draws what else the case needs.
    pub(super) rng: Rng,
    seed: u64,
    at: Site,
}

impl Case {
    pub(super) fn mismatch(&self, what: What) -> Error {
        Error::Mismatch {
            found: Box::new(Mismatch {
                what,
                dtype: self.dtype,
                shapes: self.inputs.iter().map(|a| a.shape().to_vec()).collect(),
                layout: self.layout,
                seed: self.seed,
            }),
            at: self.at,
        }
    }

    pub(super) fn failed(&self, e: Error) -> Error {
        self.mismatch(What::Failed(Box::new(e.said_of(self.at))))
    }

    pub(super) fn reference_failed(&self, e: Error) -> Error {
        self.mismatch(What::ReferenceFailed(Box::new(e.said_of(self.at))))
    }

    /// Shape and dtype; `None` for a dtype that does not matter.
    pub(super) fn check_kind(
        &self,
        of: Which,
        got: &Array,
        shape: &[i32],
        dtype: Option<Dtype>,
    ) -> Result<()> {
        if got.shape() != shape {
            return Err(self.mismatch(What::Shape {
                of,
                got: got.shape().to_vec(),
                want: shape.to_vec(),
            }));
        }
        match dtype {
            Some(want) if got.dtype() != want => Err(self.mismatch(What::Dtype {
                of,
                got: got.dtype(),
                want,
            })),
            _ => Ok(()),
        }
    }

    pub(super) fn check_elements(
        &self,
        of: Which,
        got: &Array,
        want: &Array,
        tolerance: Tolerance,
    ) -> Result<()> {
        let want = with_device(Device::CPU, || Numbers::read(want))?;
        match compare(Numbers::read(got)?, want, got.dtype(), tolerance) {
            None => Ok(()),
            Some(worst) => {
                let what = What::elements(of, Against::Reference, &worst, got, tolerance);
                Err(self.mismatch(what))
            }
        }
    }

    /// Runs twice, each time with other garbage in the memory that the outputs will get.
    ///
    /// `like` are the shapes and dtypes to expect. Where the runs need not be the same, there is one.
    pub(super) fn run_twice(
        &self,
        f: &dyn Fn() -> Result<Vec<Array>>,
        like: &[(Vec<i32>, Dtype)],
        which: fn(usize) -> Which,
        twice: bool,
    ) -> Result<Vec<Array>> {
        let run = |byte| {
            // Kernels compile while the graph is built, which several threads may do at once.
            let outputs = f().map_err(|e| self.failed(e))?;
            let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
            poison_cache(like, byte)?;
            let _filled = Filled::with(byte)?;
            crate::eval(&outputs).map_err(|e| self.failed(e))?;
            Ok::<_, Error>(outputs)
        };
        // Every float type takes this as NaN, and then as some large number.
        let first = run(0xFF)?;
        if !twice {
            return Ok(first);
        }
        let second = run(0x55)?;
        for (i, (a, b)) in first.iter().zip(&second).enumerate() {
            self.check_kind(which(i), b, a.shape(), Some(a.dtype()))?;
            if let Some(worst) = same_bits(a, b)? {
                let none = Tolerance {
                    rtol: 0.0,
                    atol: 0.0,
                };
                let what = What::elements(which(i), Against::SecondRun, &worst, a, none);
                return Err(self.mismatch(what));
            }
        }
        Ok(first)
    }
}

/// One at a time: the memory that MLX keeps is the process's, and so is what fills outputs.
static ALONE: Mutex<()> = Mutex::new(());

/// Outputs of kernels are filled before launches as long as this lives. Whatever else MLX computes finds its garbage in memory that
/// was freed before, and there other threads, and MLX's own that frees what a GPU has read, may be quicker.
struct Filled(i32);

impl Filled {
    fn with(byte: u8) -> Result<Filled> {
        Ok(Filled(set_poison(i32::from(byte)).lift()?))
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        // It cannot fail.
        let _ = set_poison(self.0);
    }
}

/// Runs `body` on every case.
pub(super) fn each_case<A: Inputs>(
    cases: &Cases<A>,
    specials: bool,
    at: Site,
    body: impl FnMut(Case) -> Result<()>,
) -> Result<()> {
    run_each(cases, specials, at, body).said_of(at)
}

/// There has to be something to test.
fn check<A: Inputs>(cases: &Cases<A>, shapes: &[Vec<Vec<i32>>]) -> Result<()> {
    let Some(inputs) = shapes.first().map(Vec::len) else {
        return Err(Error::argument("shapes", "at least one", "none"));
    };
    if cases.dtypes.is_empty() {
        return Err(Error::argument("dtypes", "at least one", "none"));
    }
    match cases.inputs.keys().find(|&&i| i >= inputs) {
        None => Ok(()),
        Some(index) => Err(Error::argument(
            "index",
            format_args!("the number of an input, below {inputs}"),
            index,
        )),
    }
}

fn run_each<A: Inputs>(
    cases: &Cases<A>,
    specials: bool,
    at: Site,
    mut body: impl FnMut(Case) -> Result<()>,
) -> Result<()> {
    let base = match cases.seed {
        Some(seed) => seed,
        None => fresh_seed()?,
    };
    let shapes = match &cases.shapes {
        Ok(shapes) => shapes,
        Err(Error::Shape { message, at }) => {
            return Err(Error::Shape {
                message: message.clone(),
                at,
            });
        }
        Err(e) => return Err(Error::argument("shapes", "shapes", e)),
    };
    check(cases, shapes)?;
    let layouts: &[Layout] = match cases.strided {
        true => &[Layout::Contiguous, Layout::Transposed, Layout::Sliced],
        false => &[Layout::Contiguous],
    };
    let mut number = 0;
    for shapes in shapes {
        for &dtype in &cases.dtypes {
            // Each case has its own numbers, whatever other cases there are in front of it.
            let mut rng = Rng::new(Rng::new(base.wrapping_add(number)).next());
            number += 1;
            let mut dense = Vec::with_capacity(shapes.len());
            for (i, shape) in shapes.iter().enumerate() {
                let values = cases.values_of(i);
                let dtype = cases.dtype_of(i, dtype);
                dense.push(values.draw(&mut rng, shape, dtype, specials)?);
            }
            for &layout in layouts {
                let lay = |x| on_its_device(x, || layout.of(x));
                body(Case {
                    dtype,
                    layout,
                    inputs: dense.iter().map(lay).collect::<Result<_>>()?,
                    rng: rng.clone(),
                    seed: base,
                    at,
                })?;
            }
        }
    }
    Ok(())
}

/// Only the CPU computes with float64.
fn on_its_device<R>(x: &Array, body: impl FnOnce() -> R) -> R {
    match x.dtype() {
        Dtype::Float64 => with_device(Device::CPU, body),
        _ => body(),
    }
}

/// The inputs as a reference in float64 gets them: floats widened, others as they are.
pub(super) fn widened(inputs: &[Array]) -> Result<Vec<Array>> {
    with_device(Device::CPU, || {
        let wide = inputs.iter().map(|x| match x.dtype().is_floating() {
            true => x.astype(Dtype::Float64),
            false => Ok(x.clone()),
        });
        let wide = wide.collect::<Result<Vec<_>>>()?;
        crate::eval(&wide)?;
        Ok(wide)
    })
}

pub(super) fn kinds(arrays: &[Array]) -> Vec<(Vec<i32>, Dtype)> {
    let kind = |a: &Array| (a.shape().to_vec(), a.dtype());
    arrays.iter().map(kind).collect()
}

/// Lets MLX keep freed buffers of the sizes of these arrays, with this byte everywhere, and no
/// others: the next arrays of those sizes lie in them.
fn poison_cache(like: &[(Vec<i32>, Dtype)], byte: u8) -> Result<()> {
    let mut held = Vec::new();
    for (shape, dtype) in like {
        let bytes: usize = shape.iter().map(|&n| n as usize).product::<usize>() * dtype.size();
        // More than one for each: the function may have values on the way of the same size, and
        // other threads take some, small ones above all.
        let copies = match bytes {
            0..0x10_000 => 32,
            0x10_000..0x100_0000 => 3,
            _ => 1,
        };
        if bytes == 0 || bytes > i32::MAX as usize {
            continue;
        }
        for _ in 0..copies {
            let filled = poison(&[bytes as i32], Dtype::Uint8, byte)?;
            // On a GPU, results of operations may come from another pool than data of the host.
            held.push(filled.bitwise_or(&filled)?);
            held.push(filled);
        }
    }
    crate::eval(&held)?;
    synchronize()?;
    // Of one size, MLX takes what was freed first.
    memory::clear_cache()?;
    drop(held);
    Ok(())
}

/// The first element whose bits differ.
fn same_bits(a: &Array, b: &Array) -> Result<Option<Worst>> {
    let size = a.dtype().size();
    let (x, y) = (a.to_bytes()?, b.to_bytes()?);
    if x == y {
        return Ok(None);
    }
    let pairs = x.chunks_exact(size).zip(y.chunks_exact(size));
    let differ: Vec<usize> = pairs
        .enumerate()
        .filter(|(_, (x, y))| x != y)
        .map(|(i, _)| i)
        .collect();
    let Some(&at) = differ.first() else {
        return Ok(None);
    };
    let value = |a| {
        let numbers = Numbers::read(a)?;
        let part = at * numbers.parts();
        Ok::<_, Error>(numbers.into_reals()[part])
    };
    Ok(Some(Worst {
        at,
        first: at,
        got: value(a)?,
        want: value(b)?,
        error: f64::INFINITY,
        count: differ.len(),
    }))
}
