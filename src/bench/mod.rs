//! Measures functions against each other and against the speed of a copy.
//!
//! ```
//! use zmlx::{bench, prelude::*};
//!
//! # fn main() -> zmlx::Result<()> {
//! let silu = MetalKernel::new("silu", ["x"], ["out"])
//!     .source("uint i = thread_position_in_grid.x; float v = x[i]; out[i] = T(v / (1.0f + metal::exp(-v)));")
//!     .build()?;
//! let rows = bench::compare([
//!     ("zmlx", &|x| silu.launch(&[x]).template("T", x.dtype()).run::<1>()),
//!     ("mlx", &|x| Ok([x.multiply(&x.sigmoid()?)?])),
//! ])
//! .shapes([(64, 256)])
//! .dtypes([F32, F16])
//! # .settings(bench::Settings::quick())
//! .print()?;
//! assert_eq!(rows.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! **Method.** Contenders run in turns on the current stream: first until warm, then one sample each,
//! again and again. A sample is one evaluation, from the call to the last byte, of a few independent
//! calls where one is short. What counts is the median; the median distance from it says how much to
//! trust it. GB/s are of the bytes that must move: inputs and outputs once each. Copies of as many
//! bytes run in the same turns, so the share of the copy's speed means the same on a machine that has
//! other work to do. [`Settings`] has the numbers.

mod copy;
mod measure;
mod row;

pub use self::copy::copy_bandwidth;
pub use self::measure::{Contender, Measurement, Settings, Time, measure};
pub use self::row::{Entry, Row, table};

use self::copy::{Copy, Ring};
use crate::stream::current;
use crate::testing::{Inputs, IntoShapes, Outputs, Values};
use crate::{Array, Device, Dtype, Error, Result, engine};

/// A contender's name and function.
pub type Named<'a, A, R> = (&'a str, &'a dyn Fn(&A) -> Result<R>);

/// Compares functions of one array.
///
/// The first one is what the others are compared with. See [the module](self) for an example.
pub fn compare<'a, R: Outputs, const M: usize>(
    contenders: [Named<'a, Array, R>; M],
) -> Comparison<'a> {
    Comparison::new(contenders)
}

/// Compares functions of several arrays, which have the case's shape unless
/// [`input_shapes`](Comparison::input_shapes) says otherwise.
///
/// ```
/// use zmlx::bench;
/// # fn main() -> zmlx::Result<()> {
/// let rows = bench::compare_inputs([
///     ("logaddexp", &|[a, b]| a.logaddexp(b)),
///     ("composite", &|[a, b]| (a.exp()? + b.exp()?)?.log()),
/// ])
/// .shapes([(32, 32)])
/// # .settings(bench::Settings::quick())
/// .run()?;
/// assert_eq!(rows[0].bytes, 3 * 4 * 32 * 32);
/// # Ok(())
/// # }
/// ```
pub fn compare_inputs<'a, R: Outputs, const N: usize, const M: usize>(
    contenders: [Named<'a, [Array; N], R>; M],
) -> Comparison<'a> {
    Comparison::new(contenders)
}

/// A contender of [`race`]: its name, and a function of a list of arrays.
pub type Racing<'a> = (&'a str, &'a dyn Fn(&[Array]) -> Result<Vec<Array>>);

/// What [`race`] runs on.
pub struct Case<'a> {
    /// What is compared, for the results.
    pub kernel: &'a str,
    /// For the results.
    pub shape: &'a [i32],
    /// For the results.
    pub dtype: Dtype,
    /// The bytes that one call must move.
    pub bytes: usize,
    /// Lists of inputs, computed; calls take them in turn. At least one.
    pub sets: Vec<Vec<Array>>,
}

/// Compares functions on inputs that are already there. [`compare`] makes them. **Evaluates.**
///
/// ```
/// use zmlx::{bench, prelude::*};
/// # fn main() -> zmlx::Result<()> {
/// let x = random::normal((32, 32))?;
/// x.eval()?;
/// let case = bench::Case {
///     kernel: "logsumexp",
///     shape: x.shape(),
///     dtype: x.dtype(),
///     bytes: x.nbytes() + 4 * 32,
///     sets: vec![vec![x.clone()]],
/// };
/// let row = bench::race(
///     case,
///     &[
///         ("op", &|p| Ok(vec![p[0].logsumexp(-1)?])),
///         ("composite", &|p| Ok(vec![p[0].exp()?.sum(-1)?.log()?])),
///     ],
///     &bench::Settings::quick(),
/// )?;
/// assert!(row.results.iter().all(|r| r.us().is_some()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] for no inputs. A contender that fails leaves its error in the row.
#[track_caller]
pub fn race(case: Case<'_>, contenders: &[Racing<'_>], settings: &Settings) -> Result<Row> {
    if case.sets.is_empty() {
        return Err(Error::argument("sets", "at least one list", "none"));
    }
    let copy = Copy::new(case.bytes / 2, case.sets.len())?;
    let calls: Vec<_> = contenders
        .iter()
        .map(|(_, f)| {
            let ring = Ring::new(case.sets.clone());
            move || ring.next(|inputs| f(inputs))
        })
        .collect();
    let mut all: Vec<Contender<'_>> = Vec::new();
    for ((name, _), call) in contenders.iter().zip(&calls) {
        all.push((name, call));
    }
    all.extend(copy.contenders());
    let mut results = measure(&all, settings);
    let copies = results.split_off(contenders.len());
    let results = results.into_iter().map(|m| Entry {
        name: m.name,
        time: m.time.map_err(|e| e.to_string()),
    });
    let stream = current();
    let engine = match (stream.gpu, engine::info().metal) {
        (false, _) => "host",
        (true, true) => "metal",
        (true, false) => "cuda",
    };
    Ok(Row {
        kernel: case.kernel.to_owned(),
        shape: case.shape.to_vec(),
        dtype: case.dtype,
        bytes: case.bytes,
        copy_gb_s: copy.gb_s(copies.into_iter().map(|m| m.time)).ok(),
        device: Device::from(stream).to_string(),
        engine: engine.into(),
        mlx: crate::mlx_version()?,
        results: results.collect(),
    })
}

type Function<'a> = Box<dyn Fn(&[Array]) -> Result<Vec<Array>> + 'a>;
type ShapesOf<'a> = Box<dyn Fn(&[i32]) -> Vec<Vec<i32>> + 'a>;
type BytesOf<'a> = Box<dyn Fn(&[i32], Dtype) -> usize + 'a>;

/// A comparison under description; made by [`compare`] or [`compare_inputs`].
#[must_use = "a comparison does nothing until `run` or `print`"]
pub struct Comparison<'a> {
    contenders: Vec<(&'a str, Function<'a>)>,
    kernel: String,
    inputs: usize,
    shapes: Result<Vec<Vec<i32>>>,
    input_shapes: Option<ShapesOf<'a>>,
    input_dtypes: Vec<(usize, Dtype, Values)>,
    dtypes: Vec<Dtype>,
    values: Values,
    bytes: Option<BytesOf<'a>>,
    copy_bytes: Option<usize>,
    rotate: usize,
    settings: Settings,
}

impl<'a> Comparison<'a> {
    fn new<A: Inputs, R: Outputs, const M: usize>(contenders: [Named<'a, A, R>; M]) -> Self {
        let boxed = contenders.map(|(name, f)| {
            let f: Function<'a> = Box::new(move |list| match A::view(list) {
                Some(inputs) => Ok(f(inputs)?.list()),
                None => Err(Error::argument(
                    "input_shapes",
                    format_args!("{} shapes, one for each input", A::COUNT),
                    list.len(),
                )),
            });
            (name, f)
        });
        Comparison {
            contenders: boxed.into(),
            kernel: String::new(),
            inputs: A::COUNT,
            shapes: Ok(Vec::new()),
            input_shapes: None,
            input_dtypes: Vec::new(),
            dtypes: vec![Dtype::Float32],
            values: Values::Normal,
            bytes: None,
            copy_bytes: None,
            rotate: 1,
            settings: Settings::default(),
        }
    }

    /// The shapes, as for [`testing::shapes`](crate::testing::shapes).
    #[track_caller]
    pub fn shapes(mut self, shapes: impl IntoShapes) -> Self {
        self.shapes = shapes.into_shapes();
        self
    }

    /// The dtypes of the inputs. Default: float32.
    pub fn dtypes(mut self, dtypes: impl IntoIterator<Item = Dtype>) -> Self {
        self.dtypes = dtypes.into_iter().collect();
        self
    }

    /// What is compared, for the results.
    pub fn kernel(mut self, name: &str) -> Self {
        self.kernel = name.into();
        self
    }

    /// The shapes of the inputs by the case's shape: `|s| vec![s.to_vec(), vec![s[1]]]`.
    pub fn input_shapes(mut self, of: impl Fn(&[i32]) -> Vec<Vec<i32>> + 'a) -> Self {
        self.input_shapes = Some(Box::new(of));
        self
    }

    /// A dtype and values for input number `index` whatever the case's are: indices, masks.
    pub fn input(mut self, index: usize, dtype: Dtype, values: Values) -> Self {
        self.input_dtypes.push((index, dtype, values));
        self
    }

    /// What the inputs hold. Default: standard normal numbers.
    pub fn values(mut self, values: Values) -> Self {
        self.values = values;
        self
    }

    /// The bytes that one call must move, by the case's shape and dtype. Default: those of inputs
    /// and outputs.
    pub fn bytes(mut self, of: impl Fn(&[i32], Dtype) -> usize + 'a) -> Self {
        self.bytes = Some(Box::new(of));
        self
    }

    /// Compares with a copy of a buffer of this size instead of one that moves as many bytes as the case, which
    /// may be at home in a cache.
    pub fn copy_bytes(mut self, bytes: usize) -> Self {
        self.copy_bytes = Some(bytes);
        self
    }

    /// Goes through `n` sets of inputs and outputs in turn: with enough of them, no call finds its
    /// data in a cache. Default: 1.
    pub fn rotate(mut self, n: usize) -> Self {
        self.rotate = n.max(1);
        self
    }

    /// How long and how often.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Measures, a row for each shape and dtype. **Evaluates.**
    ///
    /// # Errors
    /// For bad shapes or inputs. A contender that fails leaves its error in its rows.
    #[track_caller]
    pub fn run(self) -> Result<Vec<Row>> {
        self.each(|_| ())
    }

    /// Measures and prints a [`table`] and what its columns say. **Evaluates.**
    ///
    /// # Errors
    /// As [`run`](Self::run).
    #[track_caller]
    pub fn print(self) -> Result<Vec<Row>> {
        let rows = self.run()?;
        print!("{}{}", table(&rows), row::LEGEND);
        Ok(rows)
    }

    /// Measures and prints [lines of JSON](Row::json_lines), each row as soon as it is there. **Evaluates.**
    ///
    /// # Errors
    /// As [`run`](Self::run).
    #[track_caller]
    pub fn print_json(self) -> Result<Vec<Row>> {
        self.each(|row| print!("{}", row.json_lines()))
    }

    #[track_caller]
    fn each(mut self, see: impl Fn(&Row)) -> Result<Vec<Row>> {
        let shapes = std::mem::replace(&mut self.shapes, Ok(Vec::new()))?;
        let mut rows = Vec::new();
        for shape in &shapes {
            for &dtype in &self.dtypes {
                let row = self.row(shape, dtype)?;
                see(&row);
                rows.push(row);
            }
        }
        Ok(rows)
    }

    #[track_caller]
    fn row(&self, shape: &[i32], dtype: Dtype) -> Result<Row> {
        let mut sets = Vec::new();
        for set in 0..self.rotate {
            sets.push(self.draw(shape, dtype, set)?);
        }
        let bytes = match &self.bytes {
            Some(of) => of(shape, dtype),
            None => self.moved(&sets[0]),
        };
        let contenders = self.contenders.iter();
        let contenders: Vec<Racing<'_>> = contenders.map(|(name, f)| (*name, &**f)).collect();
        let case = Case {
            kernel: &self.kernel,
            shape,
            dtype,
            bytes,
            sets,
        };
        race(case, &contenders, &self.settings)
    }

    #[track_caller]
    fn draw(&self, shape: &[i32], dtype: Dtype, set: usize) -> Result<Vec<Array>> {
        let shapes = match &self.input_shapes {
            Some(of) => of(shape),
            None => vec![shape.to_vec(); self.inputs],
        };
        let mut inputs = Vec::new();
        for (i, shape) in shapes.iter().enumerate() {
            let own = self.input_dtypes.iter().rev().find(|own| own.0 == i);
            let (dtype, values) = own.map_or((dtype, self.values), |own| (own.1, own.2));
            inputs.push(values.array(&shape[..], dtype, (set * 1000 + i) as u64)?);
        }
        crate::eval(&inputs)?;
        Ok(inputs)
    }

    /// Bytes of the inputs and of the outputs of the first contender that works.
    fn moved(&self, inputs: &[Array]) -> usize {
        let outputs = self.contenders.iter().find_map(|(_, f)| f(inputs).ok());
        let outputs = outputs.unwrap_or_default();
        inputs.iter().chain(&outputs).map(Array::nbytes).sum()
    }
}
