//! What can be done with all parameters of a module.

use std::collections::BTreeMap;
use std::path::Path;

use super::load::{Formats, distinct, load};
use super::module::{Leaf, Module, Node, Visit, VisitMut};
use super::tree::Tree;
use crate::error::Here;
use crate::ops::Quantization;
use crate::{Array, ArrayMap, Dtype, Error, Result, io};

/// What every [`Module`] can do.
pub trait ModuleExt: Module {
    /// Shows each array with its name, in the order of fields.
    ///
    /// ```
    /// use zmlx::nn::{self, ModuleExt};
    /// let model = nn::Linear::new(4, 8, &mut nn::Init::seed(1))?;
    /// let mut sizes = Vec::new();
    /// model.each(|name, leaf| sizes.push(format!("{name}: {}", leaf.value.size())));
    /// assert_eq!(sizes, ["weight: 32", "bias: 8"]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    fn each<'a>(&'a self, mut f: impl FnMut(&str, Leaf<'a>)) {
        self.visit(&mut Visit::new(&mut f));
    }

    /// Shows each array with its name, to change it, and other nodes ([`Node`]).
    ///
    /// ```
    /// use zmlx::nn::{self, ModuleExt, Node};
    /// let mut model = nn::Mlp::new(4, 8, &mut nn::Init::seed(1))?;
    /// let mut layers = Vec::new();
    /// model.each_mut(|name, node| {
    ///     if let Node::Linear(layer) = node {
    ///         layers.push((name.to_owned(), layer.sizes()));
    ///     }
    /// });
    /// assert_eq!(layers, [("up".to_owned(), (4, 8)), ("down".to_owned(), (8, 4))]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    fn each_mut(&mut self, mut f: impl FnMut(&str, Node<'_>)) {
        self.visit_mut(&mut VisitMut::new(&mut f));
    }

    /// All arrays by name, buffers and what is frozen included.
    ///
    /// ```
    /// use zmlx::nn::{self, ModuleExt};
    /// let model = nn::Mlp::new(4, 8, &mut nn::Init::seed(1))?;
    /// assert_eq!(model.parameters().get("up.weight")?.shape(), [8, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    fn parameters(&self) -> Tree {
        let mut tree = Tree::new();
        self.each(|name, leaf| drop(tree.insert(name.to_owned(), leaf.value.clone())));
        tree
    }

    /// The parameters that training changes.
    fn trained(&self) -> Tree {
        let mut tree = Tree::new();
        self.each(|name, leaf| {
            if leaf.trained {
                tree.insert(name.to_owned(), leaf.value.clone());
            }
        });
        tree
    }

    /// How many elements all arrays have together. Those of a quantized weight count packed.
    ///
    /// ```
    /// use zmlx::nn::{self, ModuleExt};
    /// let model = nn::Linear::new(4, 8, &mut nn::Init::seed(1))?;
    /// assert_eq!((model.size(), model.nbytes()), (4 * 8 + 8, 160));
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    fn size(&self) -> usize {
        let mut size = 0;
        self.each(|_, leaf| size += leaf.value.size());
        size
    }

    /// How many bytes all arrays have together.
    fn nbytes(&self) -> usize {
        let mut bytes = 0;
        self.each(|_, leaf| bytes += leaf.value.nbytes());
        bytes
    }

    /// Freezes the parameters whose names `chosen` accepts: training leaves them alone. Gives their number.
    ///
    /// ```
    /// use zmlx::nn::{self, ModuleExt};
    /// # fn main() -> zmlx::Result<()> {
    /// let mut model = nn::Mlp::new(4, 8, &mut nn::Init::seed(1))?;
    /// assert_eq!(model.freeze(|name| name.starts_with("up.")), 2);
    /// assert_eq!(model.trained().into_names().collect::<Vec<_>>(), ["down.bias", "down.weight"]);
    /// # Ok(())
    /// # }
    /// ```
    fn freeze(&mut self, chosen: impl Fn(&str) -> bool) -> usize {
        mark(self, chosen, false)
    }

    /// Has the parameters trained whose names `chosen` accepts. Gives their number.
    ///
    /// ```
    /// use zmlx::nn::{self, ModuleExt};
    /// let mut model = nn::Mlp::new(4, 8, &mut nn::Init::seed(1))?;
    /// model.freeze(|_| true);
    /// assert_eq!(model.unfreeze(|name| name.ends_with("bias")), 2);
    /// assert_eq!(model.trained().into_names().collect::<Vec<_>>(), ["down.bias", "up.bias"]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    fn unfreeze(&mut self, chosen: impl Fn(&str) -> bool) -> usize {
        mark(self, chosen, true)
    }

    /// Tells all layers that do (as dropout) whether they are trained or used. A model is made for training.
    ///
    /// ```
    /// use zmlx::{Array, nn::{self, ModuleExt}};
    /// let mut model = nn::Sequential::new().then(nn::Dropout::new(0.5)?);
    /// model.train(false);
    /// let x = Array::from_iter([1.0f32, 2.0])?;
    /// assert_eq!(model.forward(&x)?.to_vec::<f32>()?, [1.0, 2.0]); // nothing is dropped
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    fn train(&mut self, trained: bool) {
        self.each_mut(|_, node| {
            if let Node::Training(mode) = node {
                *mode = trained;
            }
        });
    }

    /// Puts arrays in place of those of the same name; others stay.
    ///
    /// ```
    /// use zmlx::{Array, nn::{self, ModuleExt, Tree}};
    /// let mut model = nn::Linear::new(2, 1, &mut nn::Init::seed(1))?;
    /// let bias = Array::from_iter([5.0f32])?;
    /// model.set(&Tree::from_iter([("bias".to_owned(), bias)]))?;
    /// assert_eq!(model.parameters().get("bias")?.item::<f32>()?, 5.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for names that the module has not, and for other shapes; all are listed, and nothing is changed.
    #[track_caller]
    fn set(&mut self, arrays: &Tree) -> Result<()> {
        let mut wrong = Vec::new();
        let mut found = 0;
        self.each(|name, leaf| {
            if let Some(new) = BTreeMap::get(arrays, name) {
                found += 1;
                if new.shape() != leaf.value.shape() {
                    let (want, got) = (leaf.value.shape(), new.shape());
                    wrong.push(format!("`{name}` of shape {got:?} in place of {want:?}"));
                }
            }
        });
        if found < arrays.len() {
            let mut known = self.parameters();
            known.retain(|name, _| arrays.contains_key(name));
            let names = arrays.keys().filter(|n| !known.contains_key(*n));
            wrong.extend(names.map(|n| format!("`{n}`, which the module has not")));
        }
        if !wrong.is_empty() {
            let got = wrong.join(", ");
            return Err(Error::argument("arrays", "arrays of the module", got));
        }
        put(self, arrays);
        Ok(())
    }

    /// Puts `f` of each array in its place.
    ///
    /// ```
    /// use zmlx::nn::{self, ModuleExt};
    /// let mut model = nn::Linear::new(2, 1, &mut nn::Init::seed(1))?;
    /// model.update(|_, x| x.zeros_like())?;
    /// assert_eq!(model.parameters().get("bias")?.item::<f32>()?, 0.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first error of `f`, and [`Error::Shape`] where a shape would change; nothing is changed then.
    #[track_caller]
    fn update(&mut self, f: impl FnMut(&str, &Array) -> Result<Array>) -> Result<()> {
        let changed = self.parameters().map(f)?;
        self.set(&changed)
    }

    /// Has all floating-point parameters in this dtype. What is quantized stays, its scales included.
    ///
    /// ```
    /// use zmlx::{Dtype, nn::{self, ModuleExt}};
    /// let mut model = nn::Linear::new(2, 1, &mut nn::Init::seed(1))?;
    /// model.cast(Dtype::Bfloat16)?;
    /// assert_eq!(model.parameters().get("weight")?.dtype(), Dtype::Bfloat16);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] unless it is a floating-point dtype.
    #[track_caller]
    fn cast(&mut self, dtype: Dtype) -> Result<()> {
        if !dtype.is_floating() {
            let expected = "a floating-point dtype";
            return Err(Error::argument("dtype", expected, dtype));
        }
        let mut cast = Ok(());
        self.each_mut(|_, node| {
            if let Node::Leaf { value, trained } = node
                && trained.is_some()
                && value.dtype().is_floating()
                && cast.is_ok()
            {
                match value.astype(dtype) {
                    Ok(new) => *value = new,
                    Err(e) => cast = Err(e),
                }
            }
        });
        cast
    }

    /// Quantizes the weights of the layers whose names `chosen` accepts: linear layers, embeddings, experts. Those whose rows do not
    /// divide into groups stay as they are. Gives the number of weights.
    ///
    /// ```
    /// use zmlx::{nn::{self, ModuleExt}, ops::Quantization};
    /// # fn main() -> zmlx::Result<()> {
    /// let mut model = nn::Mlp::new(64, 128, &mut nn::Init::seed(1))?;
    /// assert_eq!(model.quantize(Quantization::affine(64, 4), |_| true)?, 2);
    /// assert!(model.parameters().contains_key("up.scales"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a group size or bits that the mode does not have.
    #[track_caller]
    fn quantize(
        &mut self,
        quantization: Quantization,
        chosen: impl Fn(&str) -> bool,
    ) -> Result<usize> {
        let mut count = Ok(0);
        self.each_mut(|name, node| {
            if let (Node::Weight(weight), Ok(n)) = (node, &count)
                && chosen(name)
            {
                count = weight
                    .quantize(quantization)
                    .map(|did| n + usize::from(did));
            }
        });
        count.here()
    }

    /// Takes the values of all arrays from a map, as a file gives it. A weight for which the map has packed values and scales
    /// becomes quantized. Values keep the dtype that they have in the map.
    ///
    /// ```
    /// use zmlx::nn::{self, ModuleExt};
    /// let trained = nn::Linear::new(2, 1, &mut nn::Init::seed(1))?;
    /// let mut model = nn::Linear::new(2, 1, &mut nn::Init::zeros_only())?;
    /// model.load_arrays(&trained.parameters())?;
    /// let same = model.parameters().get("weight")?.array_equal(trained.parameters().get("weight")?, false)?;
    /// assert!(same.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] with every name that is missing, has another shape or is not the module's; nothing is changed then.
    #[track_caller]
    fn load_arrays(&mut self, arrays: &Tree) -> Result<()> {
        load(self, arrays)
    }

    /// [`load_arrays`](Self::load_arrays) from a file: `.safetensors`, or `.gguf` or (feature `npz`) `.npz` with the names of
    /// this module.
    ///
    /// # Errors
    /// As [`load_arrays`](Self::load_arrays); [`Error::Io`] for a file that cannot be read, [`Error::Argument`] for another ending.
    #[track_caller]
    fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let arrays = Formats::of(path.as_ref())?.read(path.as_ref())?;
        load(self, &arrays)
    }

    /// Saves all arrays in a file: `.safetensors`, `.gguf`, which has no packed weights, or (feature `npz`) `.npz`.
    /// **Evaluates** them.
    ///
    /// ```
    /// use zmlx::nn::{self, ModuleExt};
    /// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
    /// # let path = folder.path().join("model.safetensors");
    /// let trained = nn::Linear::new(2, 1, &mut nn::Init::seed(1))?;
    /// trained.save(&path)?;
    /// let mut model = nn::Linear::new(2, 1, &mut nn::Init::zeros_only())?;
    /// model.load(&path)?;
    /// let same = model.parameters().get("bias")?.array_equal(trained.parameters().get("bias")?, false)?;
    /// assert!(same.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be written, [`Error::Argument`] for another ending, [`Error::Dtype`] for a dtype that the
    /// format has not.
    #[track_caller]
    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        distinct(self)?;
        Formats::of(path)?.write(path, self.parameters())
    }

    /// [`save`](Self::save) as safetensors, whatever the file's ending.
    ///
    /// ```
    /// use zmlx::nn::{self, ModuleExt};
    /// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
    /// # let path = folder.path().join("weights");
    /// let trained = nn::Linear::new(2, 1, &mut nn::Init::seed(1))?;
    /// trained.save_safetensors(&path)?;
    /// let mut model = nn::Linear::new(2, 1, &mut nn::Init::zeros_only())?;
    /// model.load_safetensors(&path)?;
    /// let same = model.parameters().get("bias")?.array_equal(trained.parameters().get("bias")?, false)?;
    /// assert!(same.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be written.
    #[track_caller]
    fn save_safetensors(&self, path: impl AsRef<Path>) -> Result<()> {
        io::save_safetensors(path, &ArrayMap::from(self.parameters()))
    }

    /// [`load`](Self::load) of safetensors, whatever the file's ending.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    #[track_caller]
    fn load_safetensors(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let arrays = Tree::from(io::load_safetensors(path)?);
        load(self, &arrays)
    }
}

impl<M: Module + ?Sized> ModuleExt for M {}

fn mark<M: Module + ?Sized>(module: &mut M, chosen: impl Fn(&str) -> bool, to: bool) -> usize {
    let mut count = 0;
    module.each_mut(|name, node| {
        if let Node::Leaf {
            trained: Some(trained),
            ..
        } = node
            && chosen(name)
        {
            *trained = to;
            count += 1;
        }
    });
    count
}

/// Puts arrays in place of those of the same name, unchecked.
pub(super) fn put<M: Module + ?Sized>(module: &mut M, arrays: &Tree) {
    module.each_mut(|name, node| {
        if let Node::Leaf { value, .. } = node
            && let Some(new) = BTreeMap::get(arrays, name)
        {
            *value = new.clone();
        }
    });
}
