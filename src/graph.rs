//! MLX's graph as text: what an evaluation will do, before it does it.
//!
//! ```
//! use zmlx::{Array, graph};
//!
//! # fn main() -> zmlx::Result<()> {
//! let x = Array::from(2.0f32);
//! let y = x.square()?.add(1.0)?;
//! let text = graph::Graph::of([&y]).name(&x, "x").to_text()?;
//! assert!(text.contains("Square") && text.contains("x"));
//! # Ok(())
//! # }
//! ```

use crate::array::refs;
use crate::bridge::deep::on_deep_stack;
use crate::bridge::graph::ffi;
use crate::error::Lift as _;
use crate::stream::enter;
use crate::{Array, Result};

/// The operations that lead to some arrays, down to those that are there already.
#[derive(Clone, Debug)]
#[must_use = "it is a description: `to_text` and `to_dot` write it"]
pub struct Graph {
    outputs: Vec<Array>,
    named: Vec<Array>,
    names: Vec<String>,
}

impl Graph {
    /// The graph of these arrays.
    pub fn of<A: AsRef<Array>>(outputs: impl AsRef<[A]>) -> Graph {
        Graph {
            outputs: outputs
                .as_ref()
                .iter()
                .map(|a| a.as_ref().clone())
                .collect(),
            named: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Calls an array of the graph by this name; others have letters.
    pub fn name(mut self, array: &Array, name: impl Into<String>) -> Graph {
        self.named.push(array.clone());
        self.names.push(name.into());
        self
    }

    /// A line for each operation: its primitive, inputs and outputs.
    ///
    /// # Errors
    /// What MLX says.
    #[track_caller]
    pub fn to_text(&self) -> Result<String> {
        self.written(ffi::print_graph)
    }

    /// The graph in the language of Graphviz: `dot -Tsvg` draws it.
    ///
    /// # Errors
    /// What MLX says.
    #[track_caller]
    pub fn to_dot(&self) -> Result<String> {
        self.written(ffi::export_to_dot)
    }

    #[track_caller]
    fn written(&self, write: Write) -> Result<String> {
        enter();
        let (outputs, named) = (refs(&self.outputs), refs(&self.named));
        on_deep_stack(|| write(&outputs, &named, &self.names)).lift()
    }
}

type Write = fn(
    &[crate::bridge::ArrayRef],
    &[crate::bridge::ArrayRef],
    &Vec<String>,
) -> std::result::Result<String, cxx::Exception>;
