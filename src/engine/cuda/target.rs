//! The entry point of a kernel for NVIDIA GPUs, in CUDA C++.
//!
//! MLX passes a precompiled kernel pointers to inputs and outputs, then numbers. Shapes, strides
//! and sizes come as numbers, so that a new shape compiles nothing; an array of one size class of ranks
//! is made of them on the GPU.

use std::fmt::Write as _;

use super::shared;
use crate::engine::msl::{Binding, Facts, LoopGuard, MathMode, Mode, Target, call};

/// How simdgroup matrices are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrices {
    /// By the lanes, whichever are there; or there are none.
    Emulated,
    /// On tensor cores, by lanes that hold the elements that Metal's do.
    Seen,
    /// On tensor cores, by lanes that hold theirs: the kernel never looks.
    Unseen,
}

/// Lowers for an NVIDIA GPU.
#[derive(Clone, Debug)]
pub struct Cuda<'a> {
    /// The liberties that arithmetic takes.
    pub math: MathMode,
    /// The way of simdgroup matrices.
    pub matrices: Matrices,
    /// The most threads that a threadgroup has: with fewer, each gets more registers.
    pub threads: u32,
    /// How many numbers a shape or a list of strides takes.
    pub rank: usize,
    /// How many threadgroups a block may stand for.
    pub in_turn: u32,
    /// Whether every threadgroup is whole, and stands where its block does.
    pub exact: bool,
    /// The inputs' names, in order: of each, the buffer and then its shape, strides and rank.
    pub inputs: &'a [String],
}

impl Target for Cuda<'_> {
    fn prologue(&self, _: Mode) -> String {
        let math = match self.math {
            MathMode::Safe => "SAFE",
            MathMode::Relaxed => "RELAXED",
            MathMode::Fast => "FAST",
        };
        let matrices = match self.matrices {
            Matrices::Emulated => "",
            Matrices::Seen => "#define ZMLX_MATRIX_MMA 1\n",
            Matrices::Unseen => "#define ZMLX_MATRIX_MMA 1\n#define ZMLX_MATRIX_TENSOR 1\n",
        };
        format!(
            "#define ZMLX_MATH_{math} 1\n{matrices}#include \"zmlx_cuda.h\"\nnamespace zmlx_msl {{\n"
        )
    }

    fn threadgroup_variable(&self, aligned: bool) -> &'static str {
        match aligned {
            true => "__shared__",
            // As arrays of the macro's.
            false => "__shared__ __align__(16)",
        }
    }

    fn shared(&self) -> Option<&'static str> {
        Some(shared::MACRO)
    }

    fn buffer_qualifier(&self) -> &'static str {
        " __restrict "
    }

    // Dividing by zero gives some number, as on Metal.
    fn divisor(&self) -> Option<&'static str> {
        None
    }

    fn loop_guard(&self) -> Option<LoopGuard> {
        None
    }

    fn entry(&self, facts: &Facts<'_>) -> String {
        let mut out = String::with_capacity(4096);
        let (mut pointers, mut numbers, mut arrays) = (String::new(), String::new(), String::new());
        for (index, part) in parts(&facts.signature.buffer_names(), self.inputs)
            .into_iter()
            .enumerate()
        {
            let ty = facts
                .signature
                .params
                .iter()
                .zip(&facts.types)
                .find_map(|(p, ty)| (p.binding == Binding::Buffer(index)).then_some(ty.as_str()))
                .unwrap_or("char");
            let list = |each: &dyn Fn(usize) -> String| {
                (0..self.rank).map(each).collect::<Vec<_>>().join(", ")
            };
            match part {
                Part::Data => {
                    let _ = write!(pointers, ", {ty}* __restrict zmlx_b{index}");
                }
                Part::Shape => {
                    let _ = write!(numbers, ", {}", list(&|k| format!("int zmlx_h{index}_{k}")));
                    let _ = writeln!(
                        arrays,
                        "  const int zmlx_b{index}[] = {{{}}};",
                        list(&|k| format!("zmlx_h{index}_{k}"))
                    );
                }
                Part::Strides => {
                    let two = |k| format!("int zmlx_l{index}_{k}, int zmlx_u{index}_{k}");
                    let _ = write!(numbers, ", {}", list(&two));
                    let one = |k| {
                        format!(
                            "int64_t(uint64_t(uint(zmlx_u{index}_{k})) << 32 | uint(zmlx_l{index}_{k}))"
                        )
                    };
                    let _ = writeln!(
                        arrays,
                        "  const int64_t zmlx_b{index}[] = {{{}}};",
                        list(&one)
                    );
                }
                Part::Rank => {
                    let _ = write!(numbers, ", int zmlx_h{index}");
                    let _ = writeln!(arrays, "  const int zmlx_b{index}[] = {{zmlx_h{index}}};");
                }
            }
        }
        let threads = self.threads;
        let call = call(facts);
        let line = match facts.mode {
            Mode::Plain if !self.exact => line(self.in_turn, &call),
            _ => String::new(),
        };
        let (sizes, place) = match self.exact {
            true => ("", EXACT_PLACE),
            false => (SIZES, PLACE),
        };
        // Each with a comma in front.
        let parameters = format!("{pointers}{sizes}{numbers}");
        let parameters = parameters.trim_start_matches(", ");
        let _ = write!(
            out,
            "extern \"C\" __global__ void __launch_bounds__({threads}) ZMLX_KERNEL({parameters}) {{\n\
             {arrays}{line}{place}  {call}\n}}\n}}\n"
        );
        out
    }
}

/// Threadgroups that a block of a long one-dimensional grid stands for, in kernels whose threads know
/// nothing of each other, by the bytes that a thread writes. One short element a thread is mostly
/// overhead, and leaves too few loads under way for the memory; the loads of several threads in turn are
/// independent. A thread with a whole block of 16 bytes has enough to do.
pub fn in_turn(bytes: u64) -> u32 {
    match bytes {
        0..8 => 8,
        8..16 => 2,
        _ => 1,
    }
}

/// What a thread of a grid in one dimension does, which finds its place without a division.
fn line(in_turn: u32, call: &str) -> String {
    let place = "const uint zmlx_gx = zmlx_first + zmlx_k, zmlx_ox = zmlx_gx * zmlx_tx;
      const uint zmlx_x = zmlx_ox + zmlx_lx;
      const uint zmlx_ex = zmlx_sx - zmlx_ox < zmlx_tx ? zmlx_sx - zmlx_ox : zmlx_tx;";
    // All at once, but for the block at the end; a grid with as many blocks as threadgroups takes one.
    let many = match in_turn {
        1 => "const uint zmlx_turns = 1, zmlx_first = blockIdx.x;".to_owned(),
        n => format!(
            "const uint zmlx_turns = gridDim.x * zmlx_tx < zmlx_sx ? {n} : 1, zmlx_first = blockIdx.x * zmlx_turns;
    if (zmlx_turns == {n} && (zmlx_first + {n}) * zmlx_tx <= zmlx_sx) {{
    #pragma unroll
    for (uint zmlx_k = 0; zmlx_k < {n}; ++zmlx_k) {{
      {place}
      {{ {call} }}
    }}
    return;
    }}"
        ),
    };
    format!(
        "  if (zmlx_gsy == 1 && zmlx_gsz == 1 && zmlx_gty == 1 && zmlx_gtz == 1) {{
    const uint zmlx_sx = zmlx_gsx, zmlx_sy = 1, zmlx_sz = 1, zmlx_tx = zmlx_gtx, zmlx_ty = 1, zmlx_tz = 1;
    const uint zmlx_nx = (zmlx_sx + zmlx_tx - 1) / zmlx_tx, zmlx_ny = 1, zmlx_nz = 1;
    const uint zmlx_gy = 0, zmlx_gz = 0, zmlx_oy = 0, zmlx_oz = 0, zmlx_ey = 1, zmlx_ez = 1;
    const uint zmlx_y = 0, zmlx_z = 0, zmlx_ly = 0, zmlx_lz = 0;
    const uint zmlx_lx = threadIdx.x, zmlx_index = threadIdx.x;
    {many}
    #pragma unroll 1
    for (uint zmlx_k = 0; zmlx_k < zmlx_turns; ++zmlx_k) {{
      {place}
      if (zmlx_x < zmlx_sx) {{ {call} }}
    }}
    return;
  }}
"
    )
}

/// The launch's sizes as they were asked for.
const SIZES: &str =
    ", int zmlx_gsx, int zmlx_gsy, int zmlx_gsz, int zmlx_gtx, int zmlx_gty, int zmlx_gtz";

/// Where the thread stands when blocks are threadgroups: the chip knows it all. MLX spends some 50 ns of a
/// launch on each number that it passes.
const EXACT_PLACE: &str = "\
  const uint zmlx_tx = blockDim.x, zmlx_ty = blockDim.y, zmlx_tz = blockDim.z;
  const uint zmlx_nx = gridDim.x, zmlx_ny = gridDim.y, zmlx_nz = gridDim.z;
  const uint zmlx_sx = zmlx_nx * zmlx_tx, zmlx_sy = zmlx_ny * zmlx_ty, zmlx_sz = zmlx_nz * zmlx_tz;
  const uint zmlx_gx = blockIdx.x, zmlx_gy = blockIdx.y, zmlx_gz = blockIdx.z;
  const uint zmlx_ox = zmlx_gx * zmlx_tx, zmlx_oy = zmlx_gy * zmlx_ty, zmlx_oz = zmlx_gz * zmlx_tz;
  const uint zmlx_ex = zmlx_tx, zmlx_ey = zmlx_ty, zmlx_ez = zmlx_tz;
  const uint zmlx_index = (threadIdx.z * zmlx_ty + threadIdx.y) * zmlx_tx + threadIdx.x;
  const uint zmlx_lx = threadIdx.x, zmlx_ly = threadIdx.y, zmlx_lz = threadIdx.z;
  const uint zmlx_x = zmlx_ox + zmlx_lx, zmlx_y = zmlx_oy + zmlx_ly, zmlx_z = zmlx_oz + zmlx_lz;
";

/// Where the thread stands, in the words that the host's entry points use too.
///
/// Blocks have the shape of threadgroups, and so has their grid, unless the chip's limits (64 threads
/// deep, 65535 blocks down or deep) want both in a row. At the grid's edges Metal makes smaller
/// threadgroups; here the block's last threads have nothing to do and the others are numbered
/// anew, so that lanes are the same as on Metal. Barriers do not wait for threads that are gone.
const PLACE: &str = "\
  const uint zmlx_sx = zmlx_gsx, zmlx_sy = zmlx_gsy, zmlx_sz = zmlx_gsz;
  const uint zmlx_tx = zmlx_gtx, zmlx_ty = zmlx_gty, zmlx_tz = zmlx_gtz;
  uint zmlx_nx = gridDim.x, zmlx_ny = gridDim.y, zmlx_nz = gridDim.z;
  uint zmlx_gx = blockIdx.x, zmlx_gy = blockIdx.y, zmlx_gz = blockIdx.z;
  if (zmlx_ny == 1 && zmlx_nz == 1 && (zmlx_sy > zmlx_ty || zmlx_sz > zmlx_tz)) {
    zmlx_nx = (zmlx_sx + zmlx_tx - 1) / zmlx_tx;
    zmlx_ny = (zmlx_sy + zmlx_ty - 1) / zmlx_ty;
    zmlx_nz = (zmlx_sz + zmlx_tz - 1) / zmlx_tz;
    zmlx_gx = blockIdx.x % zmlx_nx;
    zmlx_gy = blockIdx.x / zmlx_nx % zmlx_ny;
    zmlx_gz = blockIdx.x / zmlx_nx / zmlx_ny;
  }
  const uint zmlx_ox = zmlx_gx * zmlx_tx, zmlx_oy = zmlx_gy * zmlx_ty, zmlx_oz = zmlx_gz * zmlx_tz;
  const uint zmlx_ex = zmlx_sx - zmlx_ox < zmlx_tx ? zmlx_sx - zmlx_ox : zmlx_tx;
  const uint zmlx_ey = zmlx_sy - zmlx_oy < zmlx_ty ? zmlx_sy - zmlx_oy : zmlx_ty;
  const uint zmlx_ez = zmlx_sz - zmlx_oz < zmlx_tz ? zmlx_sz - zmlx_oz : zmlx_tz;
  const uint zmlx_index = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  uint zmlx_lx = threadIdx.x, zmlx_ly = threadIdx.y, zmlx_lz = threadIdx.z;
  if (zmlx_ex != blockDim.x || zmlx_ey != blockDim.y || zmlx_ez != blockDim.z) {
    if (zmlx_index >= zmlx_ex * zmlx_ey * zmlx_ez) return;
    zmlx_lx = zmlx_index % zmlx_ex;
    zmlx_ly = zmlx_index / zmlx_ex % zmlx_ey;
    zmlx_lz = zmlx_index / zmlx_ex / zmlx_ey;
  }
  const uint zmlx_x = zmlx_ox + zmlx_lx, zmlx_y = zmlx_oy + zmlx_ly, zmlx_z = zmlx_oz + zmlx_lz;
";

/// What a buffer of the signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Data,
    Shape,
    Strides,
    Rank,
}

/// The parts by buffer index: MLX writes each input, followed by those of its extras that the source
/// names, then the outputs.
fn parts(names: &[String], inputs: &[String]) -> Vec<Part> {
    let mut parts = Vec::with_capacity(names.len());
    let mut left = names.iter().peekable();
    for input in inputs {
        left.next();
        parts.push(Part::Data);
        for (suffix, part) in [
            ("_shape", Part::Shape),
            ("_strides", Part::Strides),
            ("_ndim", Part::Rank),
        ] {
            let fits = |name: &&String| name.strip_prefix(input.as_str()) == Some(suffix);
            if left.next_if(fits).is_some() {
                parts.push(part);
            }
        }
    }
    parts.resize(names.len().max(parts.len()), Part::Data);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_their_input() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let got = parts(
            &words("x x_shape x_ndim xx y y_strides out"),
            &words("x xx y"),
        );
        let want = [
            Part::Data,
            Part::Shape,
            Part::Rank,
            Part::Data,
            Part::Data,
            Part::Strides,
            Part::Data,
        ];
        assert_eq!(got, want);
    }
}
