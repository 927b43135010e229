//! The arrays of a model's files, under one set of names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::matrix::Matrix;
use crate::io::{GgufValue, load_gguf_raw, load_safetensors};
use crate::memory::Room;
use crate::{Array, Dtype, Error, Result, ops};

/// Named matrices and vectors; names are those of GGUF files, such as `blk.0.attn_q.weight`.
#[derive(Debug, Default)]
pub struct Weights {
    matrices: BTreeMap<String, Matrix>,
    /// Whether they were read from a file and nobody else has them.
    fresh: bool,
}

impl Weights {
    /// The arrays and the metadata of a GGUF file.
    #[track_caller]
    pub(super) fn from_gguf(path: &Path) -> Result<(Self, BTreeMap<String, GgufValue>)> {
        let file = load_gguf_raw(path)?;
        let mut matrices = BTreeMap::new();
        for (name, tensor) in &file.tensors {
            matrices.insert(name.clone(), Matrix::from_gguf(tensor)?);
        }
        let fresh = true;
        Ok((Weights { matrices, fresh }, file.metadata))
    }

    /// The arrays of all `.safetensors` files of a folder. `post_norms` tells whether the model has norms behind its parts, too.
    #[track_caller]
    pub(super) fn from_folder(folder: &Path, post_norms: bool) -> Result<Self> {
        let cannot = |e| Error::io(format!("{}: {e}", folder.display()));
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if path.extension().is_some_and(|e| e == "safetensors") {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(Error::io(format!(
                "{}: no .safetensors file is there",
                folder.display()
            )));
        }
        files.sort();
        let mut matrices = BTreeMap::new();
        for file in files {
            for (name, array) in load_safetensors(&file)?.arrays {
                let Some(ours) = ours(&name, post_norms) else {
                    continue;
                };
                if matrices.insert(ours, Matrix::Dense(array)).is_some() {
                    let file = file.display();
                    return Err(Error::io(format!("{file}: `{name}` is there twice")));
                }
            }
        }
        let fresh = true;
        Ok(Weights { matrices, fresh })
    }

    /// From arrays that a program made, named as in GGUF files.
    pub fn from_arrays(arrays: impl IntoIterator<Item = (String, Array)>) -> Self {
        let dense = arrays.into_iter().map(|(n, a)| (n, Matrix::Dense(a)));
        Weights {
            matrices: dense.collect(),
            fresh: false,
        }
    }

    /// From matrices, named as in GGUF files.
    pub(super) fn from_matrices(matrices: BTreeMap<String, Matrix>) -> Self {
        Weights {
            matrices,
            fresh: false,
        }
    }

    /// All of them.
    pub(super) fn into_matrices(self) -> BTreeMap<String, Matrix> {
        self.matrices
    }

    /// Puts the matrices of queries, keys and values of each layer into one, `attn_qkv`, and their biases, too, where they are packed in
    /// the same way. Does nothing where that was done.
    #[track_caller]
    pub(super) fn join_projections(&mut self, config: &Config) -> Result<()> {
        for number in 0..config.layers {
            let names =
                |kind: &str| ["q", "k", "v"].map(|part| format!("blk.{number}.attn_{part}.{kind}"));
            let all = |names: &[String; 3]| names.iter().map(|n| self.matrices.get(n)).collect();
            let (weights, biases) = (names("weight"), names("bias"));
            let Some(matrices): Option<Vec<&Matrix>> = all(&weights) else {
                continue;
            };
            let (wide, narrow) = (config.heads, config.kv_heads);
            let rows = [wide, narrow, narrow].map(|heads| heads * config.head_width);
            let fits = |(m, rows): (&&Matrix, i32)| m.shape() == [rows, config.width];
            if !matrices.iter().zip(rows).all(fits) {
                continue; // Refused where they are taken one by one.
            }
            let found = biases.iter().filter(|n| self.has(n)).count();
            let bias: Option<Vec<&Matrix>> = all(&biases);
            if found != 0 && bias.is_none() {
                continue;
            }
            let Some(whole) = Matrix::stacked(&matrices)? else {
                continue;
            };
            let bias = match bias {
                None => None,
                Some(parts) => match joined(&parts)? {
                    Some(bias) => Some(bias),
                    None => continue,
                },
            };
            for name in weights.iter().chain(&biases) {
                self.matrices.remove(name);
            }
            let name = |kind: &str| format!("blk.{number}.attn_qkv.{kind}");
            self.matrices.insert(name("weight"), whole);
            if let Some(bias) = bias {
                self.matrices.insert(name("bias"), Matrix::Dense(bias));
            }
        }
        Ok(())
    }

    /// Puts those that were read from a file side by side into memory of large pages, one after the other. **Evaluates** them.
    #[track_caller]
    pub(super) fn lay_together(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.fresh) {
            return Ok(());
        }
        let needed = self.matrices.values().map(|m| Room::needed(m.nbytes()));
        let Some(mut room) = Room::new(needed.sum())? else {
            return Ok(());
        };
        for matrix in self.matrices.values_mut() {
            *matrix = matrix.with_array(|_, a| room.lay(a))?;
        }
        Ok(())
    }

    /// Whether there is an array of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.matrices.contains_key(name)
    }

    /// How many columns of the matrix of this name are packed together.
    pub(super) fn block(&self, name: &str) -> i32 {
        self.matrices.get(name).map_or(1, Matrix::block)
    }

    /// The matrix of this name, out of the set, if it has this shape.
    #[track_caller]
    pub(super) fn matrix(&mut self, name: &str, rows: i32, columns: i32) -> Result<Matrix> {
        let Some(matrix) = self.matrices.remove(name) else {
            return Err(Error::io(format!("the model has no `{name}`")));
        };
        matrix.check(name, rows, columns)?;
        Ok(matrix)
    }

    /// The vector of this name and length in float32.
    #[track_caller]
    pub(super) fn vector(&mut self, name: &str, length: i32) -> Result<Array> {
        match self.optional(name, length)? {
            Some(vector) => Ok(vector),
            None => Err(Error::io(format!("the model has no `{name}`"))),
        }
    }

    /// As [`vector`](Self::vector), where a model may have none.
    #[track_caller]
    pub(super) fn optional(&mut self, name: &str, length: i32) -> Result<Option<Array>> {
        let Some(matrix) = self.matrices.remove(name) else {
            return Ok(None);
        };
        let Matrix::Dense(vector) = matrix else {
            return Err(Error::io(format!(
                "`{name}` is packed, which vectors are not"
            )));
        };
        if vector.shape() != [length] {
            return Err(Error::shape(format!(
                "`{name}`: expected shape [{length}], got {:?}",
                vector.shape()
            )));
        }
        Ok(Some(vector.astype(Dtype::Float32)?))
    }
}

/// Vectors one after the other, in float32; none where one is packed.
#[track_caller]
fn joined(parts: &[&Matrix]) -> Result<Option<Array>> {
    let mut all = Vec::new();
    for part in parts {
        let Matrix::Dense(vector) = part else {
            return Ok(None);
        };
        all.push(vector.astype(Dtype::Float32)?);
    }
    ops::concatenate(&all, 0).map(Some)
}

/// The name in GGUF files of an array with the name of a transformers model; none for what is not needed.
fn ours(name: &str, post_norms: bool) -> Option<String> {
    let name = name.strip_prefix("language_model.").unwrap_or(name);
    let whole = match name {
        "model.embed_tokens.weight" => "token_embd.weight",
        "model.norm.weight" => "output_norm.weight",
        "lm_head.weight" => "output.weight",
        _ => {
            let (number, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
            let (part, kind) = rest.rsplit_once('.')?;
            let part = match part {
                "input_layernorm" => "attn_norm",
                "self_attn.q_proj" => "attn_q",
                "self_attn.k_proj" => "attn_k",
                "self_attn.v_proj" => "attn_v",
                "self_attn.o_proj" => "attn_output",
                "self_attn.q_norm" => "attn_q_norm",
                "self_attn.k_norm" => "attn_k_norm",
                "post_attention_layernorm" if post_norms => "post_attention_norm",
                "post_attention_layernorm" => "ffn_norm",
                "pre_feedforward_layernorm" => "ffn_norm",
                "post_feedforward_layernorm" => "post_ffw_norm",
                "mlp.gate_proj" => "ffn_gate",
                "mlp.up_proj" => "ffn_up",
                "mlp.down_proj" => "ffn_down",
                _ => return None,
            };
            return Some(format!("blk.{number}.{part}.{kind}"));
        }
    };
    Some(whole.to_owned())
}
