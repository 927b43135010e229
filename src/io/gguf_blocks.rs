//! The types of GGUF's arrays, and the values in the blocks of the packed ones.
//!
//! A block holds a number of elements of the innermost dimension, with scales of their own. The
//! formulas are those of ggml, which defined the types.

use half::f16;

use crate::Dtype;

/// How the elements of a type come out.
#[derive(Clone, Copy)]
pub(super) enum Packing {
    /// As they are.
    Plain(Dtype),
    /// As MLX's quantized triple with groups of 32, of so many bits.
    Triple(u32),
    /// As float16. The function gives the values of a block.
    Values(fn(&[u8], &mut [f32])),
}

/// A type of arrays that is read.
#[derive(Clone, Copy)]
pub(super) struct Type {
    /// Its number in files.
    pub(super) number: u32,
    pub(super) name: &'static str,
    /// Elements and bytes of a block.
    pub(super) elements: u64,
    pub(super) bytes: u64,
    pub(super) packing: Packing,
}

const fn plain(number: u32, name: &'static str, dtype: Dtype) -> Type {
    let packing = Packing::Plain(dtype);
    packed(number, name, 1, dtype.size() as u64, packing)
}

const fn packed(
    number: u32,
    name: &'static str,
    elements: u64,
    bytes: u64,
    packing: Packing,
) -> Type {
    Type {
        number,
        name,
        elements,
        bytes,
        packing,
    }
}

pub(super) const TYPES: [Type; 18] = [
    plain(0, "F32", Dtype::Float32),
    plain(1, "F16", Dtype::Float16),
    plain(24, "I8", Dtype::Int8),
    plain(25, "I16", Dtype::Int16),
    plain(26, "I32", Dtype::Int32),
    plain(27, "I64", Dtype::Int64),
    plain(28, "F64", Dtype::Float64),
    plain(30, "BF16", Dtype::Bfloat16),
    packed(2, "Q4_0", 32, 18, Packing::Triple(4)),
    packed(3, "Q4_1", 32, 20, Packing::Triple(4)),
    packed(8, "Q8_0", 32, 34, Packing::Triple(8)),
    packed(6, "Q5_0", 32, 22, Packing::Values(q5_0)),
    packed(7, "Q5_1", 32, 24, Packing::Values(q5_1)),
    packed(10, "Q2_K", 256, 84, Packing::Values(q2_k)),
    packed(11, "Q3_K", 256, 110, Packing::Values(q3_k)),
    packed(12, "Q4_K", 256, 144, Packing::Values(q4_k)),
    packed(13, "Q5_K", 256, 176, Packing::Values(q5_k)),
    packed(14, "Q6_K", 256, 210, Packing::Values(q6_k)),
];

/// Names of types that are not read, for messages.
const OTHERS: [(u32, &str); 16] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

/// The type of this number, or what it is called.
pub(super) fn by_number(number: u32) -> Result<Type, String> {
    if let Some(found) = TYPES.iter().find(|t| t.number == number) {
        return Ok(*found);
    }
    let name = OTHERS.iter().find(|(n, _)| *n == number);
    Err(name.map_or(format!("number {number}"), |(n, name)| {
        format!("{name} (number {n})")
    }))
}

/// The type that arrays of a dtype are written as.
pub(super) fn by_dtype(dtype: Dtype) -> Option<Type> {
    TYPES
        .into_iter()
        .find(|t| matches!(t.packing, Packing::Plain(d) if d == dtype))
}

/// The names of the types that are read.
pub(super) fn names() -> String {
    TYPES.map(|t| t.name).join(", ")
}

/// MLX's form of a matrix of 4 or 8 bits: packed elements, and of each group of 32 its scale and bias.
#[derive(Default)]
pub(super) struct Triple {
    pub(super) weights: Vec<u8>,
    pub(super) scales: Vec<f16>,
    pub(super) biases: Vec<f16>,
}

/// Blocks of type Q4_0, Q4_1 or Q8_0. Nothing where float16 does not hold a bias.
pub(super) fn triple(kind: Type, data: &[u8]) -> Option<Triple> {
    let mut out = Triple::default();
    for block in data.chunks_exact(kind.bytes as usize) {
        let scale = number(block, 0);
        // What an element of zero bits stands for: signed elements begin below zero.
        let (bias, elements) = match kind.number {
            3 => (number(block, 2), &block[4..]),
            2 => (scale * -8.0, &block[2..]),
            _ => (scale * -128.0, &block[2..]),
        };
        if bias.is_finite() && !f16::from_f32(bias).is_finite() {
            return None;
        }
        out.scales.push(f16::from_f32(scale));
        out.biases.push(f16::from_f32(bias));
        if kind.number == 8 {
            out.weights.extend(elements.iter().map(|e| e ^ 0x80));
            continue;
        }
        // The first half of the elements is in the lower bits, in MLX neighbours share a byte.
        let pairs = || elements.chunks_exact(2);
        out.weights.extend(pairs().map(|p| p[0] & 15 | p[1] << 4));
        out.weights.extend(pairs().map(|p| p[0] >> 4 | p[1] & 0xF0));
    }
    Some(out)
}

/// The values of blocks. Nothing where float16 does not hold one.
pub(super) fn values(kind: Type, decode: fn(&[u8], &mut [f32]), data: &[u8]) -> Option<Vec<f16>> {
    let mut out = Vec::with_capacity(data.len() / kind.bytes as usize * kind.elements as usize);
    let mut block = vec![0.0f32; kind.elements as usize];
    for bytes in data.chunks_exact(kind.bytes as usize) {
        decode(bytes, &mut block);
        for &value in &block {
            let short = f16::from_f32(value);
            if value.is_finite() && !short.is_finite() {
                return None;
            }
            out.push(short);
        }
    }
    Some(out)
}

/// The float16 at a place.
fn number(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// 32 signed elements of five bits, from -16 on.
fn q5_0(block: &[u8], out: &mut [f32]) {
    let scale = number(block, 0);
    fives(&block[2..], out, |five| scale * (f32::from(five) - 16.0));
}

/// 32 elements of five bits and a minimum.
fn q5_1(block: &[u8], out: &mut [f32]) {
    let (scale, min) = (number(block, 0), number(block, 2));
    fives(&block[4..], out, |five| scale * f32::from(five) + min);
}

/// Elements of five bits: four bytes of upper bits, then 16 bytes of lower ones, the first half in the lower four.
fn fives(packed: &[u8], out: &mut [f32], value: impl Fn(u8) -> f32) {
    for (i, out) in out.iter_mut().enumerate() {
        let low = packed[4 + i % 16] >> (i / 16 * 4) & 15;
        let high = packed[i / 8] >> (i % 8) & 1;
        *out = value(low | high << 4);
    }
}

/// 16 groups of 16 elements of two bits; four bits each for a group's scale and its minimum.
fn q2_k(block: &[u8], out: &mut [f32]) {
    let (groups, elements) = (&block[..16], &block[16..80]);
    let (scale, min) = (number(block, 80), number(block, 82));
    for (group, (out, bits)) in out.chunks_exact_mut(16).zip(groups).enumerate() {
        let (scale, min) = (scale * f32::from(bits & 15), min * f32::from(bits >> 4));
        // Each half of the block has 32 bytes, of which four times 32 elements take two bits each.
        let (half, shift, from) = (group / 8, group % 8 / 2 * 2, group % 2 * 16);
        let bytes = &elements[half * 32 + from..];
        for (value, byte) in out.iter_mut().zip(bytes) {
            *value = scale * f32::from(byte >> shift & 3) - min;
        }
    }
}

/// 16 groups of 16 signed elements of three bits, from -4 on; six bits for a group's scale, from -32 on.
fn q3_k(block: &[u8], out: &mut [f32]) {
    let (high, low) = (&block[..32], &block[32..96]);
    let (groups, scale) = (&block[96..108], number(block, 108));
    for (at, value) in out.iter_mut().enumerate() {
        let (half, quarter, i) = (at / 128, at % 128 / 32, at % 32);
        let lower = low[half * 32 + i] >> (quarter * 2) & 3;
        let upper = high[i] >> (at / 32) & 1;
        let element = (lower | upper << 2).cast_signed() - 4;
        // The lower four bits of the first and of the last eight groups share bytes, the upper two bits of every fourth.
        let group = at / 16;
        let lower = groups[group % 8] >> (group / 8 * 4) & 15;
        let upper = groups[8 + group % 4] >> (group / 4 * 2) & 3;
        let group = (lower | upper << 4).cast_signed() - 32;
        *value = scale * f32::from(group) * f32::from(element);
    }
}

/// As the type of four bits, with 32 bytes of upper bits: one bit of each for a group.
fn q5_k(block: &[u8], out: &mut [f32]) {
    let (scale, min) = (number(block, 0), number(block, 2));
    let (groups, high, low) = (&block[4..16], &block[16..48], &block[48..]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (s, m) = scale_and_min(groups, group);
        let (scale, min) = (scale * f32::from(s), min * f32::from(m));
        for (i, value) in out.iter_mut().enumerate() {
            let lower = low[group / 2 * 32 + i] >> (group % 2 * 4) & 15;
            let upper = high[i] >> group & 1;
            *value = scale * f32::from(lower | upper << 4) - min;
        }
    }
}

/// 8 groups of 32 elements of four bits; six bits each for a group's scale and its minimum.
fn q4_k(block: &[u8], out: &mut [f32]) {
    let (scale, min) = (number(block, 0), number(block, 2));
    let (groups, elements) = (&block[4..16], &block[16..]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (s, m) = scale_and_min(groups, group);
        let (scale, min) = (scale * f32::from(s), min * f32::from(m));
        // Two groups share 32 bytes: the even one has the lower bits.
        let shift = group % 2 * 4;
        let bytes = &elements[group / 2 * 32..];
        for (value, byte) in out.iter_mut().zip(bytes) {
            *value = scale * f32::from(byte >> shift & 15) - min;
        }
    }
}

/// The six bits of a group's scale and minimum, of twelve bytes for eight groups.
fn scale_and_min(packed: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        return (packed[group] & 63, packed[group + 4] & 63);
    }
    // The later groups' upper two bits are those that the earlier ones leave.
    let low = packed[group + 4];
    let (scale, min) = (packed[group - 4] >> 6, packed[group] >> 6);
    (low & 15 | scale << 4, low >> 4 | min << 4)
}

/// 16 groups of 16 signed elements of six bits; a signed byte for a group's scale.
fn q6_k(block: &[u8], out: &mut [f32]) {
    let (low, high) = (&block[..128], &block[128..192]);
    let (groups, scale) = (&block[192..208], number(block, 208));
    for (at, value) in out.iter_mut().enumerate() {
        // Each half of the block: four times 32 elements, in 64 bytes of lower bits and 32 of upper ones.
        let (half, quarter, i) = (at / 128, at % 128 / 32, at % 32);
        let lower = low[half * 64 + quarter % 2 * 32 + i] >> (quarter / 2 * 4) & 15;
        let upper = high[half * 32 + i] >> (quarter * 2) & 3;
        let element = (lower | upper << 4).cast_signed() - 32;
        let group = groups[at / 16].cast_signed();
        *value = scale * f32::from(group) * f32::from(element);
    }
}
