//! What kernels name of a format: the structure of `kernels/quant_products.metal` or `quant_ggml.metal` that reads it, and the arrays that it reads.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{LazyLock, Mutex, PoisonError};

use smallvec::SmallVec;

use super::weight::QuantFormat;
use crate::io::GgufType;
use crate::metal::Launch;
use crate::ops::{PadMode, QuantMode};
use crate::{Array, MetalKernel, Result};

impl QuantFormat {
    /// How many arrays a matrix is made of.
    pub(super) fn parts(self) -> usize {
        match self {
            QuantFormat::Mlx(q) if matches!(q.mode, QuantMode::Affine | QuantMode::Nvfp4) => 3,
            QuantFormat::Mlx(_) => 2,
            QuantFormat::Gguf(_) => 1,
        }
    }

    /// The structure at the first row of matrix number `which`, whose rows have `chunks` chunks.
    pub(super) fn reader(self, which: usize) -> String {
        let [w, scales, biases] = names(which);
        let bytes = format!("reinterpret_cast<const device uchar*>({w})");
        let sure = format!("reinterpret_cast<size_t>({w}) % 16 == 0");
        match self {
            QuantFormat::Mlx(q) => match q.mode {
                QuantMode::Affine => format!(
                    "kk_affine<{}, {}, S{which}>{{{bytes}, {scales}, {biases}, chunks, {sure}}}",
                    q.bits, q.group_size
                ),
                QuantMode::Mxfp4 => format!("kk_mxfp4{{{bytes}, {scales}, chunks, {sure}}}"),
                QuantMode::Mxfp8 => format!("kk_mxfp8{{{bytes}, {scales}, chunks, {sure}}}"),
                QuantMode::Nvfp4 => {
                    format!("kk_nvfp4{{{bytes}, {scales}, {biases}[0], chunks, {sure}}}")
                }
            },
            QuantFormat::Gguf(kind) => {
                let name = match kind {
                    GgufType::Q4_0 => "kk_ggml32<4, false>",
                    GgufType::Q4_1 => "kk_ggml32<4, true>",
                    GgufType::Q5_0 => "kk_ggml32<5, false>",
                    GgufType::Q5_1 => "kk_ggml32<5, true>",
                    GgufType::Q2_K => "kk_q2_k",
                    GgufType::Q3_K => "kk_q3_k",
                    GgufType::Q4_K => "kk_ggml256<4>",
                    GgufType::Q5_K => "kk_ggml256<5>",
                    GgufType::Q6_K => "kk_q6_k",
                    // No other type comes through the constructor.
                    _ => "kk_q8_0",
                };
                format!("{name}{{{w}, chunks, {sure}}}")
            }
        }
    }

    /// As [`reader`](Self::reader), the structure of `kernels/quant_bytes.metal`; none for formats whose codes are no bytes there.
    pub(super) fn reader_of_bytes(self, which: usize) -> Option<String> {
        let outer = match self {
            QuantFormat::Mlx(q) if q.mode == QuantMode::Affine && matches!(q.bits, 4 | 8) => {
                format!("kk_affine_bytes<{}, {}, S{which}>", q.bits, q.group_size)
            }
            QuantFormat::Mlx(_) => return None,
            QuantFormat::Gguf(kind) => match kind {
                GgufType::Q4_0 => "kk_ggml32_bytes<4, false>",
                GgufType::Q4_1 => "kk_ggml32_bytes<4, true>",
                GgufType::Q5_0 => "kk_ggml32_bytes<5, false>",
                GgufType::Q5_1 => "kk_ggml32_bytes<5, true>",
                GgufType::Q8_0 => "kk_q8_0_bytes",
                GgufType::Q4_K => "kk_ggml256_bytes<4>",
                GgufType::Q5_K => "kk_ggml256_bytes<5>",
                GgufType::Q6_K => "kk_q6_k_bytes",
                _ => return None,
            }
            .into(),
        };
        Some(format!("{outer}{{{}}}", self.reader(which)))
    }

    /// The dtype of affine scales is a template argument.
    pub(super) fn set_scales(self, which: usize, parts: &[Array], launch: &mut Launch<'_>) {
        if let QuantFormat::Mlx(q) = self
            && q.mode == QuantMode::Affine
        {
            let name = if which == 0 { "S0" } else { "S1" };
            launch.set_template(name, parts[1].dtype().into());
        }
    }
}

/// What the arrays of matrix number `which` are called.
pub(super) fn names(which: usize) -> [&'static str; 3] {
    match which {
        0 => ["w", "scales", "biases"],
        _ => ["w1", "scales1", "biases1"],
    }
}

/// Arrays of fewer than 8 elements come to kernels in another address space, so these get more.
#[track_caller]
pub(super) fn roomy(a: &Array) -> Result<Array> {
    match a.size() {
        0..8 => a
            .reshape(-1)?
            .pad((0, 8 - a.size() as i32), PadMode::Constant(0.0)),
        _ => Ok(a.clone()),
    }
}

/// The arrays of a matrix as arguments of a kernel: all but a scale of the whole, which is a single number, are roomy.
#[track_caller]
pub(super) fn arguments(format: QuantFormat, parts: &[Array]) -> Result<SmallVec<[Array; 3]>> {
    let whole = matches!(format, QuantFormat::Mlx(q) if q.mode == QuantMode::Nvfp4);
    let mut all = SmallVec::new();
    for (i, part) in parts.iter().enumerate() {
        all.push(match whole && i == 2 {
            true => part.clone(),
            false => roomy(part)?,
        });
    }
    Ok(all)
}

/// Kernels by what their texts are made from.
pub(super) struct Kernels<K>(LazyLock<Mutex<HashMap<K, MetalKernel>>>);

impl<K: Eq + Hash> Kernels<K> {
    pub(super) const fn new() -> Self {
        Kernels(LazyLock::new(Default::default))
    }

    /// The kernel of this key, which `make` describes: name, inputs and source.
    #[track_caller]
    pub(super) fn get(
        &self,
        key: K,
        make: impl FnOnce() -> (String, Vec<&'static str>, String),
    ) -> Result<MetalKernel> {
        // What is guarded is whole after each step.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = all.get(&key) {
            return Ok(kernel.clone());
        }
        let (name, inputs, source) = make();
        let kernel = MetalKernel::new(&name, inputs, ["out"])
            .header(crate::msl::header_for(&source))
            .source(source)
            .build()?;
        all.insert(key, kernel.clone());
        Ok(kernel)
    }
}
