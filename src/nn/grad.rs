//! Gradients of functions of a module, and what is done with them.

use std::panic::Location;

use super::ext::{ModuleExt, put};
use super::load::distinct;
use super::module::Module;
use super::tree::Tree;
use crate::error::Here;
use crate::ops::where_;
use crate::transforms::value_and_grad_of;
use crate::{Array, Dtype, Error, Result};

/// A function that gives the value of `f`, a single number, and its gradient with respect to the trained parameters of the module
/// that it is called with: a [`Tree`] with their names.
///
/// `model` tells the type only. `f` gets the module and whatever the function is called with.
///
/// ```
/// use zmlx::prelude::*;
/// use zmlx::nn;
/// # fn main() -> zmlx::Result<()> {
/// let model = nn::Linear::from_weight(Array::from_slice(&[2.0f32, 3.0], (1, 2))?, None);
/// let step = nn::value_and_grad(&model, |m, x: &Array| m.forward(x)?.sum(..));
/// let (value, grads) = step(&model, &Array::from_slice(&[5.0f32, 7.0], (1, 2))?)?;
/// assert_eq!(value.item::<f32>()?, 31.0);
/// assert_eq!(grads.get("weight")?.to_vec::<f32>()?, [5.0, 7.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The function gives what `f` returns as an error, unchanged; [`Error::Shape`] where `f` gives no single number, and
/// [`Error::Argument`] where the module has no trained parameters. The place is that of the call of `value_and_grad`.
#[track_caller]
pub fn value_and_grad<M, X, F>(
    _model: &M,
    f: F,
) -> impl Fn(&M, &X) -> Result<(Array, Tree)> + use<M, X, F>
where
    M: Module + Clone,
    X: ?Sized,
    F: Fn(&M, &X) -> Result<Array>,
{
    let at = Location::caller();
    move |model, x| {
        distinct(model).said_of(at)?;
        let (names, arrays): (Vec<String>, Vec<Array>) = model.trained().into_iter().unzip();
        if names.is_empty() {
            let expected = "a module with trained parameters";
            return Err(Error::argument("model", expected, "one without")).said_of(at);
        }
        let with = |arrays: &[Array]| {
            let mut model = model.clone();
            put(
                &mut model,
                &names.iter().cloned().zip(arrays.iter().cloned()).collect(),
            );
            Ok(vec![f(&model, x)?])
        };
        let numbers: Vec<i32> = (0..names.len() as i32).collect();
        let (values, grads) = value_and_grad_of(with, &numbers, &arrays).said_of(at)?;
        match values.into_iter().next() {
            Some(value) => Ok((value, names.iter().cloned().zip(grads).collect())),
            None => Err(Error::argument("f", "one output", "none")).said_of(at),
        }
    }
}

/// The length of all arrays together as one vector: the root of the sum of squares, in float32.
///
/// ```
/// use zmlx::{Array, nn::{self, Tree}};
/// let grads = Tree::from_iter([("w".to_owned(), Array::from_iter([3.0f32, 4.0])?)]);
/// assert_eq!(nn::norm(&grads)?.item::<f32>()?, 5.0);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Dtype`] for arrays that are not floating-point.
#[track_caller]
pub fn norm(tree: &Tree) -> Result<Array> {
    let mut most = Array::scalar(0.0f32)?;
    let mut all = Vec::with_capacity(tree.len());
    for (name, array) in tree {
        if !array.dtype().is_floating() {
            let got = array.dtype();
            return Err(Error::dtype(format!(
                "`{name}`: expected floating-point numbers, got {got}"
            )));
        }
        if array.size() > 0 {
            let wide = array.astype(Dtype::Float32)?;
            most = most.maximum(wide.abs()?.max(..)?)?;
            all.push(wide);
        }
    }
    // Relative to the largest, whose square float32 may not hold.
    let usual = most.greater(0.0)?.logical_and(&most.less(f32::INFINITY)?)?;
    let unit = where_(&usual, &most, 1.0f32)?;
    let mut sum = Array::scalar(0.0f32)?;
    for wide in all {
        sum = sum.add(wide.divide(&unit)?.square()?.sum(..)?)?;
    }
    sum.sqrt()?.multiply(unit)
}

/// The tree, made shorter where its [`norm`] is above `most` (R. Pascanu and others, "On the difficulty of training recurrent
/// neural networks", 2013). One that is short enough stays as it is, to the last bit. With a NaN in it all becomes NaN; with an
/// infinity that becomes NaN and the rest 0.
///
/// ```
/// use zmlx::{Array, nn::{self, Tree}};
/// # fn main() -> zmlx::Result<()> {
/// let grads = Tree::from_iter([("w".to_owned(), Array::from_slice(&[3.0f32, 4.0], 2)?)]);
/// let clipped = nn::clip_norm(grads, 2.5)?;
/// assert_eq!(clipped.get("w")?.to_vec::<f32>()?, [1.5, 2.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] unless `most` is above 0, [`Error::Dtype`] for arrays that are not floating-point.
#[track_caller]
pub fn clip_norm(grads: Tree, most: f32) -> Result<Tree> {
    if !(most > 0.0 && most.is_finite()) {
        return Err(Error::argument("most", "a finite number above 0", most));
    }
    let length = norm(&grads)?;
    let factor = Array::scalar(most)?.divide(&length)?;
    let short = length.less_equal(most)?;
    grads.map(|_, g| {
        let shorter = g.astype(Dtype::Float32)?.multiply(&factor)?;
        where_(&short, g, &shorter.astype(g.dtype())?)
    })
}

/// Sums of gradients of several batches, in float32, for one step of the optimizer.
///
/// ```
/// use zmlx::{Array, nn::{Accumulator, Tree}};
/// # fn main() -> zmlx::Result<()> {
/// let mut sums = Accumulator::new();
/// for n in [1.0f32, 2.0, 6.0] {
///     sums.add(&Tree::from_iter([("w".to_owned(), Array::from(n))]))?;
/// }
/// assert_eq!(sums.take_mean()?.get("w")?.item::<f32>()?, 3.0);
/// assert_eq!(sums.count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    sum: Option<Tree>,
    count: u32,
}

impl Accumulator {
    /// Without gradients.
    pub fn new() -> Self {
        Accumulator::default()
    }

    /// Adds the gradients of a batch.
    ///
    /// # Errors
    /// [`Error::Argument`] for other names than before, [`Error::Shape`] for other shapes.
    #[track_caller]
    pub fn add(&mut self, grads: &Tree) -> Result<()> {
        let sum = match &self.sum {
            None => grads.map(|_, g| g.astype(Dtype::Float32))?,
            Some(sum) => sum
                .zip(grads, |name, sum, g| {
                    if sum.shape() != g.shape() {
                        let (want, got) = (sum.shape(), g.shape());
                        let message =
                            format!("`{name}`: expected shape {want:?} as before, got {got:?}");
                        return Err(Error::shape(message));
                    }
                    sum.add(&g.astype(Dtype::Float32)?)
                })
                .here()?,
        };
        self.sum = Some(sum);
        self.count += 1;
        Ok(())
    }

    /// How many batches it has.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The arrays so far, to evaluate them now and then.
    pub fn sums(&self) -> Option<&Tree> {
        self.sum.as_ref()
    }

    /// The mean over batches; it begins anew.
    ///
    /// # Errors
    /// [`Error::NotReady`] before the first batch.
    #[track_caller]
    pub fn take_mean(&mut self) -> Result<Tree> {
        let Some(sum) = self.sum.take() else {
            return Err(Error::not_ready("no gradients were added"));
        };
        let count = std::mem::take(&mut self.count) as f32;
        sum.map(|_, s| s.divide(count))
    }
}
