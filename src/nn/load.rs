//! Loading: every array has its place, and every place its array.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::ext::{ModuleExt, put};
use super::module::{Module, Node};
use super::tree::Tree;
use super::weight::Weight;
use crate::ops::{QuantMode, Quantization, Quantized};
use crate::{Array, ArrayMap, Dtype, Error, Result, io};

/// What does not fit, by kind.
#[derive(Default)]
struct Wrong {
    missing: Vec<String>,
    extra: Vec<String>,
    shapes: Vec<String>,
}

/// Takes all arrays of a module from a map.
#[track_caller]
pub(super) fn load<M: Module + ?Sized>(module: &mut M, arrays: &Tree) -> Result<()> {
    distinct(module)?;
    let mut wrong = Wrong::default();
    let mut used = BTreeSet::new();
    let mut packed: BTreeSet<String> = BTreeSet::new();
    module.each_mut(|name, node| match node {
        Node::Weight(weight)
            if arrays.contains_key(&below(name, "scales")) && !weight.is_quantized() =>
        {
            check_packed(name, weight, arrays, &mut wrong);
            packed.insert(name.to_owned());
            used.extend(["weight", "scales", "biases"].map(|part| below(name, part)));
        }
        Node::Leaf { value, .. } if !used.contains(name) => {
            used.insert(name.to_owned());
            match BTreeMap::get(arrays, name) {
                None => wrong.missing.push(format!("`{name}` {:?}", value.shape())),
                Some(new) if new.shape() != value.shape() => {
                    let (want, got) = (value.shape(), new.shape());
                    wrong
                        .shapes
                        .push(format!("`{name}` {got:?} in place of {want:?}"));
                }
                Some(new) if new.dtype().is_floating() != value.dtype().is_floating() => {
                    let (want, got) = (value.dtype(), new.dtype());
                    wrong
                        .shapes
                        .push(format!("`{name}` {got} in place of {want}"));
                }
                Some(_) => {}
            }
        }
        _ => {}
    });
    let extra = arrays.keys().filter(|name| !used.contains(*name));
    wrong.extra.extend(extra.map(|name| format!("`{name}`")));
    wrong.check()?;
    module.each_mut(|name, node| {
        if let Node::Weight(weight) = node
            && packed.contains(name)
            && let Ok(parts) = parts_of(name, weight, arrays)
        {
            *weight = Weight::Quantized(parts);
        }
    });
    put(module, arrays);
    Ok(())
}

impl Wrong {
    #[track_caller]
    fn check(self) -> Result<()> {
        let kinds = [
            ("missing", self.missing),
            ("of another shape or kind", self.shapes),
            ("not the module's", self.extra),
        ];
        let said = kinds.into_iter().filter(|(_, names)| !names.is_empty());
        let said: Vec<String> = said
            .map(|(kind, names)| format!("{} {kind}: {}", names.len(), names.join(", ")))
            .collect();
        match said.is_empty() {
            true => Ok(()),
            false => Err(Error::argument(
                "arrays",
                "exactly those of the module",
                said.join("; "),
            )),
        }
    }
}

fn below(name: &str, part: &str) -> String {
    match name.is_empty() {
        true => part.to_owned(),
        false => format!("{name}.{part}"),
    }
}

fn check_packed(name: &str, weight: &Weight, arrays: &Tree, wrong: &mut Wrong) {
    if let Err(why) = parts_of(name, weight, arrays) {
        wrong.shapes.push(why);
    }
}

/// The parts of a quantized weight that stands where `weight` stood. Group size and bits follow from the shapes.
fn parts_of(name: &str, weight: &Weight, arrays: &Tree) -> Result<Quantized, String> {
    let [packed, scales] =
        ["weight", "scales"].map(|part| BTreeMap::get(arrays, &below(name, part)));
    let biases = BTreeMap::get(arrays, &below(name, "biases"));
    let (Some(packed), Some(scales)) = (packed, scales) else {
        return Err(format!(
            "`{}` is missing beside scales",
            below(name, "weight")
        ));
    };
    if biases.is_none() && scales.dtype() != Dtype::Uint8 {
        // Formats without biases have scales of 8 bits.
        let biases = below(name, "biases");
        return Err(format!(
            "`{biases}` is missing beside scales of {}",
            scales.dtype()
        ));
    }
    let shape = weight.shape();
    let bad = || {
        format!(
            "`{}` {} {:?} with scales {:?} in place of {shape:?}",
            below(name, "weight"),
            packed.dtype(),
            packed.shape(),
            scales.shape()
        )
    };
    let (Some((&width, rows)), Some((&words, packed_rows)), Some((&groups, scale_rows))) = (
        shape.split_last(),
        packed.shape().split_last(),
        scales.shape().split_last(),
    ) else {
        return Err(bad());
    };
    let whole = packed.dtype() == Dtype::Uint32 && rows == packed_rows && rows == scale_rows;
    let fits = |a: &Array| a.shape() == scales.shape() && a.dtype() == scales.dtype();
    if !whole || width < 1 || groups < 1 || width % groups != 0 || !biases.is_none_or(fits) {
        return Err(bad());
    }
    let (group_size, bits) = (width / groups, i64::from(words) * 32 / i64::from(width));
    if bits * i64::from(width) != i64::from(words) * 32 {
        return Err(bad());
    }
    let quantization = match (biases, group_size, bits) {
        (Some(_), 32 | 64 | 128, 2..=6 | 8) => Quantization::affine(group_size, bits as i32),
        (None, 32, 4) => Quantization::of(QuantMode::Mxfp4),
        (None, 32, 8) => Quantization::of(QuantMode::Mxfp8),
        (None, 16, 4) => Quantization::of(QuantMode::Nvfp4),
        _ => return Err(bad()),
    };
    Ok(Quantized {
        weight: packed.clone(),
        scales: scales.clone(),
        biases: biases.cloned(),
        global_scale: None,
        quantization,
    })
}

/// A format of files, by the ending of the name.
pub(super) enum Formats {
    Safetensors,
    Gguf,
    #[cfg(feature = "npz")]
    Npz,
}

impl Formats {
    #[track_caller]
    pub(super) fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => Ok(Formats::Safetensors),
            Some("gguf") => Ok(Formats::Gguf),
            #[cfg(feature = "npz")]
            Some("npz") => Ok(Formats::Npz),
            _ => Err(Error::argument(
                "path",
                "a name that ends in `.safetensors`, `.gguf` or (feature `npz`) `.npz`",
                path.display(),
            )),
        }
    }

    #[track_caller]
    pub(super) fn read(&self, path: &Path) -> Result<Tree> {
        Ok(match self {
            Formats::Safetensors => io::load_safetensors(path)?.into(),
            Formats::Gguf => io::load_gguf(path)?.into_arrays().into(),
            #[cfg(feature = "npz")]
            Formats::Npz => io::load_npz(path)?.into_arrays().into(),
        })
    }

    #[track_caller]
    pub(super) fn write(&self, path: &Path, tree: Tree) -> Result<()> {
        let arrays = ArrayMap::from(tree);
        match self {
            Formats::Safetensors => io::save_safetensors(path, &arrays),
            Formats::Gguf => {
                let arrays = arrays.arrays;
                let metadata = Default::default();
                io::save_gguf(path, &io::Gguf { arrays, metadata })
            }
            #[cfg(feature = "npz")]
            Formats::Npz => io::save_npz(path, &io::Npz::from(arrays)),
        }
    }
}

/// Refuses a module of which two parameters have one name, as flattened fields may have: one of them would be lost.
#[track_caller]
pub(super) fn distinct<M: Module + ?Sized>(model: &M) -> Result<()> {
    let (mut names, mut twice) = (std::collections::HashSet::new(), None);
    model.each(|name, _| {
        if !names.insert(name.to_owned()) {
            twice = Some(name.to_owned());
        }
    });
    match twice {
        None => Ok(()),
        Some(name) => Err(Error::argument(
            "model",
            "parameters of different names",
            format_args!("two of the name `{name}`"),
        )),
    }
}
