//! What tells launches apart: in memory, and in the file of results.

use std::hash::{Hash, Hasher};

use crate::Dtype;
use crate::metal::{Extent, TemplateArg};
use crate::stream::current;

use super::candidate::{Candidate, Space, value_text};
use super::launch::TunedLaunch;

/// How many threads run.
pub(super) enum Grid<'a> {
    /// One for each element of the first output.
    Elements,
    Threads(Extent),
    /// So many threadgroups.
    Groups(Extent),
    By(Box<dyn Fn(&Candidate) -> Extent + 'a>),
}

/// What launches have in common that are launched the same way.
#[derive(PartialEq, Eq)]
pub(super) struct Key {
    device: (bool, i32),
    inputs: Vec<(Vec<i32>, Dtype)>,
    outputs: Vec<(Vec<i32>, Dtype)>,
    template: Vec<(String, TemplateArg)>,
    grid: (u8, [i64; 3]),
    init_value: Option<u32>,
}

impl TunedLaunch<'_> {
    /// The threads that run with this candidate; `None` for one each element.
    pub(super) fn grid_of(&self, candidate: &Candidate) -> Option<[i64; 3]> {
        match &self.grid {
            Grid::Elements => {
                let output = self.outputs.first().map(|(shape, _)| &shape[..]);
                let shape = output.or_else(|| self.inputs.first().map(|a| a.shape()))?;
                let size = shape.iter().try_fold(1i64, |n, &d| n.checked_mul(d.into()));
                Some([size?, 1, 1])
            }
            Grid::Threads(Extent(threads)) => Some(*threads),
            // What is too much is refused with other grids of that kind.
            Grid::Groups(Extent(groups)) => Some(std::array::from_fn(|i| {
                groups[i].saturating_mul(candidate.threadgroup[i])
            })),
            Grid::By(grid) => Some(grid(candidate).0),
        }
    }

    /// What tells grids apart. A closure is asked about one and the same candidate.
    pub(super) fn grid_key(&self) -> (u8, [i64; 3]) {
        match &self.grid {
            Grid::Elements => (0, [0, 1, 1]),
            Grid::Threads(Extent(threads)) => (1, *threads),
            Grid::Groups(Extent(groups)) => (2, *groups),
            Grid::By(grid) => (3, grid(&self.tuned.marker).0),
        }
    }

    /// The launch in the file of results.
    pub(super) fn text(&self, space: &Space) -> String {
        let array = |shape: &[i32], dtype: Dtype| format!("{dtype}{shape:?}");
        let names = self.tuned.kernel.input_names().iter().zip(&self.inputs);
        let inputs: Vec<_> = names
            .map(|(name, a)| format!("{name}:{}", array(a.shape(), a.dtype())))
            .collect();
        let outputs: Vec<_> = self.outputs.iter().map(|(s, d)| array(s, *d)).collect();
        let template: Vec<_> = self
            .template
            .iter()
            .map(|(name, value)| format!("{name}={}", value_text(value)))
            .collect();
        let (kind, grid) = self.grid_key();
        let kind = ["elements", "threads", "groups", "grid"][usize::from(kind)];
        let init = self
            .options
            .init_value
            .map_or(String::new(), |v| format!(" init {v}"));
        format!(
            "{} | {} | {} -> {} | {} | {kind} {grid:?}{init}",
            self.tuned.kernel.key(),
            space.text(),
            inputs.join(" "),
            outputs.join(" "),
            template.join(" ")
        )
    }

    pub(super) fn key(&self) -> Key {
        let stream = current();
        let inputs = self.inputs.iter();
        Key {
            device: (stream.gpu, stream.device_index),
            inputs: inputs.map(|a| (a.shape().to_vec(), a.dtype())).collect(),
            outputs: self.outputs.clone(),
            template: self.template.clone(),
            grid: self.grid_key(),
            init_value: self.options.init_value.map(f32::to_bits),
        }
    }

    /// Whether [`key`](Self::key) would give this one.
    pub(super) fn is(&self, key: &Key) -> bool {
        let stream = current();
        (stream.gpu, stream.device_index) == key.device
            && self.inputs.len() == key.inputs.len()
            && self
                .inputs
                .iter()
                .zip(&key.inputs)
                .all(|(a, (shape, dtype))| a.shape() == shape && a.dtype() == *dtype)
            && self.outputs == key.outputs
            && self.template == key.template
            && self.grid_key() == key.grid
            && self.options.init_value.map(f32::to_bits) == key.init_value
    }

    /// Of what is in the key.
    pub(super) fn hash(&self, state: &mut impl Hasher) {
        for array in &self.inputs {
            (array.shape(), array.dtype()).hash(state);
        }
        self.outputs.hash(state);
        self.template.hash(state);
        self.grid_key().hash(state);
    }
}
