//! One set of weights for several threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::Config;
use super::matrix::Matrix;
use super::model::Model;
use super::weights::Weights;
use crate::io::GgufType;
use crate::kernels::quant::{QuantFormat, QuantizedWeight};
use crate::{Error, Frozen, Result};

/// The weights of a model, for any number of threads: each makes a [`Model`] of its own, which reads the same memory. Cheap to clone.
///
/// ```no_run
/// use zmlx::llm::{self, Engine, Limits, SharedWeights};
/// # fn main() -> zmlx::Result<()> {
/// let (config, weights, language) = llm::load_weights("SmolLM2-135M-Instruct.Q4_1.gguf")?;
/// let shared = SharedWeights::new(config, weights)?;
/// let workers: Vec<_> = (0..2)
///     .map(|_| {
///         let shared = shared.clone();
///         zmlx::Worker::spawn(move || Engine::new(shared.model()?, Limits::default()))
///     })
///     .collect::<zmlx::Result<_>>()?;
/// # let _ = (workers, language);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SharedWeights {
    config: Config,
    matrices: Arc<BTreeMap<String, Part>>,
}

#[derive(Debug)]
enum Part {
    Dense(Frozen),
    Blocks(GgufType, Frozen),
}

impl SharedWeights {
    /// Weights that the calling thread has loaded. **Evaluates** them.
    ///
    /// What models would make of the weights for themselves, such as one matrix of those of queries, keys and values, is made here.
    ///
    /// # Errors
    /// [`Error::Argument`] for matrices in MLX's own packed layouts; what the evaluation fails with.
    #[track_caller]
    pub fn new(config: Config, mut weights: Weights) -> Result<Self> {
        weights.join_projections(&config)?;
        weights.lay_together()?;
        let mut matrices = BTreeMap::new();
        for (name, matrix) in weights.into_matrices() {
            let part = match &matrix {
                Matrix::Dense(dense) => Part::Dense(dense.freeze()?),
                Matrix::Packed(packed) => match (packed.format(), packed.arrays()) {
                    (QuantFormat::Gguf(kind), [blocks]) => Part::Blocks(kind, blocks.freeze()?),
                    _ => {
                        let expected = "matrices as files have them";
                        return Err(Error::argument("weights", expected, name));
                    }
                },
            };
            matrices.insert(name, part);
        }
        Ok(SharedWeights {
            config,
            matrices: Arc::new(matrices),
        })
    }

    /// The shape of the model.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of all weights, which all threads have together.
    pub fn nbytes(&self) -> usize {
        let bytes = |part: &Part| match part {
            Part::Dense(values) | Part::Blocks(_, values) => values.nbytes(),
        };
        self.matrices.values().map(bytes).sum()
    }

    /// The weights for the calling thread, without a copy.
    ///
    /// # Errors
    /// What MLX fails with.
    #[track_caller]
    pub fn weights(&self) -> Result<Weights> {
        let mut matrices = BTreeMap::new();
        for (name, part) in &*self.matrices {
            let matrix = match part {
                Part::Dense(values) => Matrix::Dense(values.thaw()?),
                Part::Blocks(kind, values) => {
                    Matrix::Packed(QuantizedWeight::gguf(*kind, &values.thaw()?)?)
                }
            };
            matrices.insert(name.clone(), matrix);
        }
        Ok(Weights::from_matrices(matrices))
    }

    /// A model for the calling thread. Its matrices are not copied.
    ///
    /// # Errors
    /// Those of [`Model::new`].
    #[track_caller]
    pub fn model(&self) -> Result<Model> {
        Model::new(self.config.clone(), self.weights()?)
    }
}
