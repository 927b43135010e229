//! Linear layers that several processes share: each has a part of the weight.

use super::init::Init;
use super::linear::Linear;
use super::module::{Module, Visit, VisitMut};
use super::tree::Tree;
use super::weight::Weight;
use crate::distributed::Group;
use crate::ops::Quantized;
use crate::transforms::custom_function;
use crate::{Array, Error, Result};

/// A [`Linear`] layer of which each process computes a part of the outputs: rows of (..., inputs), which all processes have, become
/// rows of (..., outputs / processes). Its weight is divided by rows.
///
/// It is followed by what works on each output for itself, and by a [`ShardedToAll`]. The weight may be quantized, before it is divided or
/// afterwards. MLX for Python calls it `AllToShardedLinear` and `QuantizedAllToShardedLinear`.
///
/// ```
/// use zmlx::{Array, Dtype, distributed, nn};
/// # fn main() -> zmlx::Result<()> {
/// let group = distributed::init()?;
/// // The same random numbers in all processes, each of which keeps its part.
/// let mut init = nn::Init::seed(1);
/// let up = nn::AllToSharded::new(8, 32, &mut init, &group)?;
/// let down = nn::ShardedToAll::new(32, 8, &mut init, &group)?;
/// let x = Array::ones((3, 8), Dtype::Float32)?;
/// let y = down.forward(&nn::relu(&up.forward(&x)?)?)?;
/// assert_eq!(y.shape(), [3, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AllToSharded {
    /// This process's part.
    pub part: Linear,
    group: Group,
}

/// A [`Linear`] layer of which each process has a part of the inputs: rows of (..., inputs / processes), other ones in each process,
/// become rows of (..., outputs), the same in all. Its weight is divided by columns, and its forward pass adds up what the processes have.
///
/// The bias is added once, behind the sum; every process has it. MLX for Python calls it `ShardedToAllLinear` and
/// `QuantizedShardedToAllLinear`. See [`AllToSharded`].
#[derive(Clone, Debug)]
pub struct ShardedToAll {
    /// This process's part of the weight, and the bias.
    pub part: Linear,
    group: Group,
}

impl AllToSharded {
    /// This process's part of a fresh layer with a bias. `init` has to be seeded alike in all processes: the parts are those of the layer
    /// that [`Linear::new`] makes.
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative size, and unless the outputs divide among the processes.
    #[track_caller]
    pub fn new(inputs: i32, outputs: i32, init: &mut Init, group: &Group) -> Result<Self> {
        AllToSharded::from_linear(&Linear::new(inputs, outputs, init)?, group, 1)
    }

    /// This process's part of a layer. **Evaluates** it, so that the rest can go.
    ///
    /// `segments` tells of how many layers of one size the outputs are made, one after the other: each of them is divided. It is 1
    /// for a layer as it is, 3 for queries, keys and values by one product.
    ///
    /// ```
    /// use zmlx::{distributed, nn};
    /// let group = distributed::init()?; // of this process alone, unless several were started
    /// let whole = nn::Linear::new(8, 4, &mut nn::Init::seed(1))?;
    /// let layer = nn::AllToSharded::from_linear(&whole, &group, 1)?;
    /// assert_eq!(layer.part.weight.shape()[0], 4 / group.size());
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for no segment, and for a layer with [`Lora`](super::Lora), which is added to the parts;
    /// [`Error::Shape`] unless the outputs divide into the segments and those among the processes.
    #[track_caller]
    pub fn from_linear(linear: &Linear, group: &Group, segments: i32) -> Result<Self> {
        let cut = Cut::new(linear, group, segments)?;
        let weight = cut.weight(&linear.weight, Axis::Outputs)?;
        let bias = match &linear.bias {
            Some(bias) => Some(cut.part(bias, 0)?),
            None => None,
        };
        let part = evaluated(Linear::from_weight(weight, bias))?;
        Ok(AllToSharded {
            part,
            group: group.clone(),
        })
    }

    /// Applies the layer. The gradient of `x` is that of all processes' outputs.
    ///
    /// # Errors
    /// As [`Linear::forward`], and what the group says.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        self.part.forward(&sum_gradient(x, &self.group)?)
    }
}

impl ShardedToAll {
    /// This process's part of a fresh layer with a bias, as [`AllToSharded::new`].
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative size, and unless the inputs divide among the processes.
    #[track_caller]
    pub fn new(inputs: i32, outputs: i32, init: &mut Init, group: &Group) -> Result<Self> {
        ShardedToAll::from_linear(&Linear::new(inputs, outputs, init)?, group, 1)
    }

    /// This process's part of a layer, as [`AllToSharded::from_linear`]; here the inputs have segments. **Evaluates** it.
    ///
    /// ```
    /// use zmlx::{distributed, nn};
    /// let group = distributed::init()?;
    /// let whole = nn::Linear::new(8, 4, &mut nn::Init::seed(1))?;
    /// let layer = nn::ShardedToAll::from_linear(&whole, &group, 1)?;
    /// assert_eq!(layer.part.weight.shape()[1], 8 / group.size());
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As there, for the inputs; [`Error::Shape`] also where the parts of a quantized weight would be no whole groups.
    #[track_caller]
    pub fn from_linear(linear: &Linear, group: &Group, segments: i32) -> Result<Self> {
        let cut = Cut::new(linear, group, segments)?;
        let weight = cut.weight(&linear.weight, Axis::Inputs)?;
        let bias = linear.bias.as_ref().map(|bias| (**bias).clone());
        let part = evaluated(Linear::from_weight(weight, bias))?;
        Ok(ShardedToAll {
            part,
            group: group.clone(),
        })
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// As [`Linear::forward`], and what the group says.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let own = self.part.product(x)?;
        let sum = self.group.all_sum(&own)?;
        match &self.part.bias {
            Some(bias) => sum.add(&**bias),
            None => Ok(sum),
        }
    }
}

macro_rules! parts {
    ($($ty:ident)*) => {$(
        impl Module for $ty {
            fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
                to.flat(&self.part);
            }
            fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
                to.flat(&mut self.part);
            }
        }
    )*};
}
parts!(AllToSharded ShardedToAll);

/// `x` as it is; its gradient is the sum of what the processes have as gradient. It stands before layers of which each process computes
/// a part, as in [`AllToSharded`].
///
/// ```
/// use zmlx::{Array, distributed, nn};
/// let group = distributed::init()?;
/// let y = nn::sum_gradient(&Array::from(2.0f32), &group)?;
/// assert_eq!(y.item::<f32>()?, 2.0);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// What the group says, in the gradient.
#[track_caller]
pub fn sum_gradient(x: &Array, group: &Group) -> Result<Array> {
    if group.size() == 1 {
        return Ok(x.clone());
    }
    let group = group.clone();
    custom_function(|x| Ok(x.to_vec()))
        .with_vjp(move |_, cotangents, _| Ok(vec![group.all_sum(&cotangents[0])?]))
        .call1(x)
}

/// The means of the processes' gradients, in few messages: a step of data-parallel training takes these. See [`Group::average`].
///
/// ```
/// use zmlx::{Array, distributed, nn};
/// let group = distributed::init()?;
/// let grads: nn::Tree = [("weight".to_owned(), Array::from(2.0f32))].into_iter().collect();
/// let means = nn::average_gradients(grads, &group)?;
/// assert_eq!(means["weight"].item::<f32>()?, 2.0);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As there.
#[track_caller]
pub fn average_gradients(grads: Tree, group: &Group) -> Result<Tree> {
    let (names, arrays): (Vec<String>, Vec<Array>) = grads.into_iter().unzip();
    let means = group.average(&arrays)?;
    Ok(names.into_iter().zip(means).collect())
}

#[track_caller]
fn evaluated(part: Linear) -> Result<Linear> {
    super::eval_all(&part)?;
    Ok(part)
}

/// Which axis of the numbers is divided.
#[derive(Clone, Copy, PartialEq)]
enum Axis {
    Outputs,
    Inputs,
}

/// How something is divided.
#[derive(Clone, Copy)]
struct Cut {
    segments: i32,
    rank: i32,
    size: i32,
}

impl Cut {
    #[track_caller]
    fn new(linear: &Linear, group: &Group, segments: i32) -> Result<Self> {
        if segments < 1 {
            return Err(Error::argument("segments", "1 or more", segments));
        }
        if linear.lora.is_some() {
            let expected = "a layer without `lora`, which is added to the parts";
            return Err(Error::argument("linear", expected, "one with it"));
        }
        Ok(Cut {
            segments,
            rank: group.rank(),
            size: group.size(),
        })
    }

    #[track_caller]
    fn weight(self, weight: &Weight, axis: Axis) -> Result<Weight> {
        let shape = weight.shape();
        let &[outputs, inputs] = &shape[..] else {
            return Err(Error::shape(format!(
                "`linear`: expected a matrix (outputs, inputs), got shape {shape:?}"
            )));
        };
        let (what, count) = match axis {
            Axis::Outputs => ("outputs", outputs),
            Axis::Inputs => ("inputs", inputs),
        };
        // Elements of a group lie in one row and belong together.
        let whole = match (weight, axis) {
            (Weight::Quantized(q), Axis::Inputs) => q.quantization.group_size,
            (Weight::Blocks { kind, .. }, Axis::Inputs) => kind.block_elements() as i32,
            _ => 1,
        };
        let parts = i64::from(self.segments) * i64::from(self.size) * i64::from(whole.max(1));
        if i64::from(count) % parts != 0 {
            let groups = match whole {
                1 => String::new(),
                _ => format!(" of whole groups of {whole}"),
            };
            return Err(Error::shape(format!(
                "`linear`: expected {what} that divide into {} parts{groups}, got {count}",
                i64::from(self.segments) * i64::from(self.size),
            )));
        }
        let number = usize::from(axis == Axis::Inputs);
        Ok(match weight {
            Weight::Dense(weight) => Weight::from(self.part(weight, number)?),
            Weight::Quantized(q) => {
                let biases = match &q.biases {
                    Some(biases) => Some(self.part(biases, number)?),
                    None => None,
                };
                Weight::Quantized(Quantized {
                    weight: self.part(&q.weight, number)?,
                    scales: self.part(&q.scales, number)?,
                    biases,
                    ..q.clone()
                })
            }
            Weight::Blocks { kind, blocks } => Weight::Blocks {
                kind: *kind,
                blocks: self.part(blocks, number)?,
            },
        })
    }

    /// This process's part of each segment along an axis that divides.
    #[track_caller]
    fn part(self, x: &Array, axis: usize) -> Result<Array> {
        let count = x.shape()[axis] / (self.segments * self.size);
        let (mut long, mut short) = (x.shape().to_vec(), x.shape().to_vec());
        long.splice(axis..=axis, [self.segments, self.size, count]);
        short[axis] = self.segments * count;
        let own = x
            .reshape(long)?
            .take(&Array::from(self.rank), axis as i32 + 1)?;
        own.reshape(short)
    }
}
