//! First values of parameters.

use crate::{Array, Dtype, Error, IntoShape, Result, random};

/// Where first values come from: a sequence of random numbers of its own, and a dtype.
///
/// ```
/// use zmlx::{Dtype, nn::Init};
/// # fn main() -> zmlx::Result<()> {
/// let mut init = Init::seed(7).of_type(Dtype::Float16);
/// let w = init.glorot_uniform(&[3, 5])?;
/// assert_eq!((w.shape(), w.dtype()), (&[3, 5][..], Dtype::Float16));
/// let most = w.abs()?.max(..)?.astype(Dtype::Float32)?.item::<f32>()?;
/// assert!(most <= 0.87); // sqrt(6 / (3 + 5)), rounded
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Init {
    source: Source,
    dtype: Dtype,
}

#[derive(Clone, Debug)]
enum Source {
    /// A seed, and how often it was drawn from.
    Seed(u64, u64),
    Zeros,
}

/// What one weight of a layer multiplies, and how many it is added to.
struct Fans {
    inputs: f64,
    outputs: f64,
}

impl Init {
    /// Random numbers from a seed: the same model gets the same numbers each time.
    pub fn seed(seed: u64) -> Self {
        Init {
            source: Source::Seed(seed, 0),
            dtype: Dtype::Float32,
        }
    }

    /// Zeros instead of random numbers, for a model that will be loaded. They cost nothing before they are evaluated.
    ///
    /// ```
    /// use zmlx::nn;
    /// let w = nn::Init::zeros_only().normal(&[2, 2], 1.0)?;
    /// assert_eq!(w.to_vec::<f32>()?, [0.0; 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn zeros_only() -> Self {
        Init {
            source: Source::Zeros,
            dtype: Dtype::Float32,
        }
    }

    /// The dtype of all that it makes (float32 unless said).
    pub fn of_type(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// The dtype of all that it makes.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    #[track_caller]
    fn draw(
        &mut self,
        shape: &[i32],
        numbers: impl FnOnce(random::Sampler<'_>, &[i32]) -> Result<Array>,
    ) -> Result<Array> {
        let shape = shape.into_shape()?;
        let Source::Seed(seed, count) = &mut self.source else {
            return Array::zeros(shape, self.dtype);
        };
        *count += 1;
        // Apart from other users of the same seed by the numbers of the draws.
        let key = Array::from_slice(&[(*seed >> 32) as u32 ^ *count as u32, *seed as u32], 2)?;
        // Drawn in float32: 16 bits have few numbers near zero.
        numbers(random::with_key(&key), &shape)?.astype(self.dtype)
    }

    /// Uniform in `[-bound, bound)`.
    ///
    /// ```
    /// use zmlx::nn;
    /// let w = nn::Init::seed(7).uniform(&[100], 0.5)?;
    /// assert!(w.abs()?.max(..)?.item::<f32>()? <= 0.5);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative size, [`Error::Argument`] for a bound that is negative or not finite.
    #[track_caller]
    pub fn uniform(&mut self, shape: &[i32], bound: f64) -> Result<Array> {
        check("bound", bound)?;
        self.draw(shape, |from, shape| {
            from.uniform(shape)?.multiply(2.0 * bound)?.subtract(bound)
        })
    }

    /// Normal with mean 0.
    ///
    /// ```
    /// use zmlx::nn;
    /// let w = nn::Init::seed(7).normal(&[10_000], 2.0)?;
    /// assert!((w.std(.., 0)?.item::<f32>()? - 2.0).abs() < 0.1);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative size, [`Error::Argument`] for a deviation that is negative or not finite.
    #[track_caller]
    pub fn normal(&mut self, shape: &[i32], deviation: f64) -> Result<Array> {
        check("deviation", deviation)?;
        self.draw(shape, |from, shape| from.normal(shape)?.multiply(deviation))
    }

    /// Uniform within `sqrt(6 / (inputs + outputs))` (X. Glorot and Y. Bengio, "Understanding the difficulty of training deep
    /// feedforward neural networks", 2010).
    ///
    /// The shape is (outputs, ..., inputs), as layers have it; axes in between, those of a convolution's window, multiply both.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than two axes or a negative one.
    #[track_caller]
    pub fn glorot_uniform(&mut self, shape: &[i32]) -> Result<Array> {
        let fans = fans(shape)?;
        self.uniform(shape, (6.0 / (fans.inputs + fans.outputs)).sqrt())
    }

    /// Normal with variance `2 / (inputs + outputs)` (X. Glorot and Y. Bengio, 2010). Shape and errors as in
    /// [`glorot_uniform`](Self::glorot_uniform).
    ///
    /// ```
    /// use zmlx::nn;
    /// let w = nn::Init::seed(7).glorot_normal(&[100, 100])?;
    /// assert!((w.std(.., 0)?.item::<f32>()? - 0.1).abs() < 0.01); // sqrt(2 / 200)
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn glorot_normal(&mut self, shape: &[i32]) -> Result<Array> {
        let fans = fans(shape)?;
        self.normal(shape, (2.0 / (fans.inputs + fans.outputs)).sqrt())
    }

    /// Uniform within `sqrt(6 / inputs)`, for layers with ReLU (K. He and others, "Delving Deep into Rectifiers", 2015). Shape and
    /// errors as in [`glorot_uniform`](Self::glorot_uniform).
    ///
    /// ```
    /// use zmlx::nn;
    /// let w = nn::Init::seed(7).he_uniform(&[100, 6])?;
    /// assert!(w.abs()?.max(..)?.item::<f32>()? <= 1.0); // sqrt(6 / 6)
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn he_uniform(&mut self, shape: &[i32]) -> Result<Array> {
        let fans = fans(shape)?;
        self.uniform(shape, (6.0 / fans.inputs).sqrt())
    }

    /// Normal with variance `2 / inputs`, for layers with ReLU (K. He and others, 2015). Shape and errors as in
    /// [`glorot_uniform`](Self::glorot_uniform).
    ///
    /// ```
    /// use zmlx::nn;
    /// let w = nn::Init::seed(7).he_normal(&[100, 200])?;
    /// assert!((w.std(.., 0)?.item::<f32>()? - 0.1).abs() < 0.01); // sqrt(2 / 200)
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn he_normal(&mut self, shape: &[i32]) -> Result<Array> {
        let fans = fans(shape)?;
        self.normal(shape, (2.0 / fans.inputs).sqrt())
    }

    /// A matrix (rows, columns) with orthonormal rows, or columns where those are fewer (A. Saxe and others, "Exact solutions to
    /// the nonlinear dynamics of learning in deep linear neural networks", 2014). **Evaluates** its random numbers.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// let w = nn::Init::seed(7).orthogonal(2, 5)?;
    /// let products = w.matmul(&w.transpose(..)?)?;
    /// assert!(products.allclose(&Array::identity(2, Dtype::Float32)?, (0.0, 1e-5))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative size.
    #[track_caller]
    pub fn orthogonal(&mut self, rows: i32, columns: i32) -> Result<Array> {
        let numbers = self.clone().of_type(Dtype::Float32);
        let mut numbers = numbers;
        let a = numbers.normal(&[rows.max(columns), rows.min(columns)], 1.0)?;
        self.source = numbers.source;
        if matches!(self.source, Source::Zeros) || a.size() == 0 {
            return Array::zeros((rows, columns), self.dtype);
        }
        let (tall, narrow) = (rows.max(columns) as usize, rows.min(columns) as usize);
        let values: Vec<f64> = a.to_vec::<f32>()?.into_iter().map(f64::from).collect();
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(narrow);
        for j in 0..narrow {
            let mut v: Vec<f64> = (0..tall).map(|i| values[i * narrow + j]).collect();
            // Twice: the second pass takes away what rounding leaves of the first.
            for _ in 0..2 {
                for b in &basis {
                    let along: f64 = v.iter().zip(b).map(|(x, y)| x * y).sum();
                    v.iter_mut().zip(b).for_each(|(x, y)| *x -= along * y);
                }
            }
            let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            v.iter_mut().for_each(|x| *x /= length);
            basis.push(v);
        }
        let flat: Vec<f32> = basis.into_iter().flatten().map(|x| x as f32).collect();
        let wide = Array::from_slice(&flat, (narrow, tall))?;
        let matrix = if rows <= columns {
            wide
        } else {
            wide.transpose(..)?
        };
        matrix.astype(self.dtype)
    }

    /// Ones.
    ///
    /// ```
    /// use zmlx::{Dtype, nn};
    /// let init = nn::Init::seed(7).of_type(Dtype::Float16);
    /// assert_eq!(init.ones(&[3])?.dtype(), Dtype::Float16);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative size.
    #[track_caller]
    pub fn ones(&self, shape: &[i32]) -> Result<Array> {
        Array::ones(shape, self.dtype)
    }

    /// Zeros.
    ///
    /// ```
    /// use zmlx::nn;
    /// assert_eq!(nn::Init::seed(7).zeros(&[3])?.to_vec::<f32>()?, [0.0; 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative size.
    #[track_caller]
    pub fn zeros(&self, shape: &[i32]) -> Result<Array> {
        Array::zeros(shape, self.dtype)
    }
}

#[track_caller]
fn check(name: &str, value: f64) -> Result<()> {
    match value >= 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err(Error::argument(name, "a finite number from 0 on", value)),
    }
}

#[track_caller]
fn fans(shape: &[i32]) -> Result<Fans> {
    match shape {
        [outputs, window @ .., inputs] => {
            let window: f64 = window.iter().map(|&n| f64::from(n)).product();
            Ok(Fans {
                inputs: (f64::from(*inputs) * window).max(1.0),
                outputs: (f64::from(*outputs) * window).max(1.0),
            })
        }
        _ => Err(Error::shape(format!(
            "`shape`: expected (outputs, ..., inputs), got {shape:?}"
        ))),
    }
}
