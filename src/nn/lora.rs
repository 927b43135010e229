//! Fine-tuning by products of low rank.

use super::ext::ModuleExt;
use super::init::Init;
use super::linear::Linear;
use super::module::{Module, Node, Visit, VisitMut};
use super::param::Param;
use super::products::product;
use super::weight::Weight;
use crate::error::Here;
use crate::{Array, Dtype, Error, Result};

/// What a linear layer gets added: `scale (x A^T) B^T` with A (rank, inputs) and B (outputs, rank) (E. Hu and others, "LoRA:
/// Low-Rank Adaptation of Large Language Models", 2021).
///
/// A starts uniform within `1 / sqrt(inputs)`, B at zero, so a fresh one changes nothing.
#[derive(Clone, Debug)]
pub struct Lora {
    /// (rank, inputs).
    pub a: Param,
    /// (outputs, rank).
    pub b: Param,
    /// The factor on the product.
    pub scale: f32,
}

impl Lora {
    /// One for a layer of these sizes.
    ///
    /// # Errors
    /// [`Error::Argument`] for a rank below 1 or a scale that is not finite, [`Error::Shape`] for a negative size.
    #[track_caller]
    pub fn new(inputs: i32, outputs: i32, rank: i32, scale: f32, init: &mut Init) -> Result<Self> {
        if rank < 1 {
            return Err(Error::argument("rank", "1 or more", rank));
        }
        if !scale.is_finite() {
            return Err(Error::argument("scale", "a finite number", scale));
        }
        let bound = f64::from(inputs.max(1)).sqrt().recip();
        Ok(Lora {
            a: init.uniform(&[rank, inputs], bound)?.into(),
            b: init.zeros(&[outputs, rank])?.into(),
            scale,
        })
    }

    /// The product that is added.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// let lora = nn::Lora::new(8, 4, 2, 1.0, &mut nn::Init::seed(7))?;
    /// let y = lora.forward(&Array::ones((1, 8), Dtype::Float32)?)?;
    /// assert_eq!(y.to_vec::<f32>()?, [0.0; 4]); // a fresh one changes nothing
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another width.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let low = product(&x.astype(self.a.dtype())?, &self.a)?;
        product(&low, &self.b)?.multiply(self.scale)
    }

    /// Gives each linear layer whose name `chosen` accepts one of its own, and freezes all else. Gives the number of layers.
    ///
    /// Works on any module, quantized layers included. Afterwards [`trained`](ModuleExt::trained) is what is to be saved.
    ///
    /// ```
    /// use zmlx::nn::{self, Lora, ModuleExt};
    /// # fn main() -> zmlx::Result<()> {
    /// let mut init = nn::Init::seed(1);
    /// let mut model = nn::Mlp::new(8, 32, &mut init)?;
    /// assert_eq!(Lora::add(&mut model, 4, 2.0, &mut init, |name| name == "up")?, 1);
    /// assert_eq!(model.trained().into_names().collect::<Vec<_>>(), ["up.lora.a", "up.lora.b"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Lora::new`]; [`Error::Argument`] where no layer was chosen.
    #[track_caller]
    pub fn add<M: Module + ?Sized>(
        model: &mut M,
        rank: i32,
        scale: f32,
        init: &mut Init,
        chosen: impl Fn(&str) -> bool,
    ) -> Result<usize> {
        // One that is refused is refused before the model changes.
        Lora::new(1, 1, rank, scale, &mut Init::zeros_only())?;
        let mut names = Vec::new();
        model.each_mut(|name, node| {
            if let Node::Linear(_) = node
                && chosen(name)
            {
                names.push(name.to_owned());
            }
        });
        if names.is_empty() {
            return Err(Error::argument(
                "chosen",
                "a choice of linear layers",
                "none",
            ));
        }
        model.freeze(|_| true);
        let mut made = Ok(());
        model.each_mut(|name, node| {
            if let Node::Linear(linear) = node
                && chosen(name)
                && made.is_ok()
            {
                let (inputs, outputs) = linear.sizes();
                match Lora::new(inputs, outputs, rank, scale, init) {
                    Ok(lora) => linear.lora = Some(lora),
                    Err(e) => made = Err(e),
                }
            }
        });
        made.map(|()| names.len())
    }

    /// Adds the product of each to the weight beside it, and takes it away. A quantized weight becomes dense. Gives the number
    /// of layers.
    ///
    /// ```
    /// use zmlx::nn::{self, Lora, ModuleExt};
    /// let mut init = nn::Init::seed(1);
    /// let mut model = nn::Mlp::new(8, 32, &mut init)?;
    /// Lora::add(&mut model, 4, 2.0, &mut init, |name| name == "up")?;
    /// assert_eq!(Lora::merge(&mut model)?, 1);
    /// assert!(model.parameters().into_names().all(|name| !name.contains("lora")));
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] where a product does not fit its layer; what dequantizing fails with.
    #[track_caller]
    pub fn merge<M: Module + ?Sized>(model: &mut M) -> Result<usize> {
        let mut merged = Ok(0);
        model.each_mut(|_, node| {
            if let (Node::Linear(linear), Ok(count)) = (node, &merged)
                && linear.lora.is_some()
            {
                merged = merge(linear).map(|()| count + 1);
            }
        });
        merged.here()
    }
}

#[track_caller]
fn merge(linear: &mut Linear) -> Result<()> {
    let Some(lora) = &linear.lora else {
        return Ok(());
    };
    let dense = linear.weight.dense()?;
    let product = lora.b.matmul(&lora.a)?.multiply(lora.scale)?;
    let wide = dense.astype(Dtype::Float32)?;
    let sum = wide
        .add(product.astype(Dtype::Float32)?)?
        .astype(dense.dtype())?;
    linear.weight = Weight::from(sum);
    linear.lora = None;
    Ok(())
}

impl Module for Lora {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        to.field("a", &self.a);
        to.field("b", &self.b);
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        to.field("a", &mut self.a);
        to.field("b", &mut self.b);
    }
}
