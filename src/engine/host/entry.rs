//! The host's part of the lowering: prologue and entry points of a kernel's library.
//!
//! `zmlx_run` loops over whole threadgroups, `zmlx_thread` is the body of one coroutine. Both hand
//! the kernel function its buffers and its position; the function is inlined into the loop, which
//! the compiler then vectorizes.

use std::fmt::Write as _;

use crate::engine::msl::{Binding, Facts, LoopGuard, MathMode, Mode, Target, call};

/// Lowers for this machine's CPU.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The liberties that arithmetic takes.
    pub math: MathMode,
}

impl Target for Host {
    fn prologue(&self, mode: Mode) -> String {
        let mode = match mode {
            Mode::Plain => "PLAIN",
            Mode::Sync => "SYNC",
            Mode::Single => "SINGLE",
        };
        let math = match self.math {
            MathMode::Safe => "SAFE",
            MathMode::Relaxed => "RELAXED",
            MathMode::Fast => "FAST",
        };
        format!(
            "#define ZMLX_MODE_{mode} 1\n#define ZMLX_MATH_{math} 1\n\
             #define ZMLX_SIMD_SITES 1\n#include \"zmlx_host.h\"\n{GUARD}"
        )
    }

    /// MLX's names tell which inputs are small, and the code of those is no other here.
    fn kernel_name(&self) -> Option<&'static str> {
        Some("zmlx_kernel")
    }

    fn threadgroup_variable(&self, _: bool) -> &'static str {
        "ZMLX_THREADGROUP"
    }

    fn buffer_qualifier(&self) -> &'static str {
        " __restrict "
    }

    fn divisor(&self) -> Option<&'static str> {
        Some("zmlx_by")
    }

    fn entry(&self, facts: &Facts<'_>) -> String {
        let mut out = String::with_capacity(2048);
        match facts.mode {
            Mode::Sync => thread(facts, &mut out),
            Mode::Plain if !facts.single && facts.signature.asks_for_group() => {
                groups(facts, &mut out);
            }
            Mode::Plain | Mode::Single => rows(facts, &mut out),
        }
        out
    }

    fn loop_guard(&self) -> Option<LoopGuard> {
        Some(LoopGuard {
            prefix: "for (zmlx_guard zmlx_g; zmlx_g.once();) ",
            tick: "zmlx_g.tick()",
            step: "zmlx_step",
        })
    }
}

/// Says of a loop over threads that no round depends on another, and brings the way out of loops.
const GUARD: &str = "\
#if defined(__clang__)
#define ZMLX_IVDEP _Pragma(\"clang loop vectorize(assume_safety)\")
#else
#define ZMLX_IVDEP _Pragma(\"GCC ivdep\")
#endif
#include \"host/stop.h\"
";

/// `zmlx_run` around a function that has the buffers for parameters. Only of parameters does gcc
/// believe `__restrict`, and it forgets what it was told about those of a function that it inlines.
fn run(facts: &Facts<'_>, body: &str, out: &mut String) {
    let buffers = facts.signature.params.iter().zip(&facts.types);
    let buffers = buffers.filter_map(|(param, ty)| match param.binding {
        Binding::Buffer(index) => Some((index, ty)),
        Binding::Grid(..) => None,
    });
    let (mut parameters, mut arguments) = (String::new(), String::new());
    for (index, ty) in buffers {
        let _ = write!(parameters, ", {ty}* __restrict zmlx_b{index}");
        let _ = write!(arguments, ", ({ty}*)zmlx_l->buffers[{index}]");
    }
    let _ = writeln!(
        out,
        "static __attribute__((noinline)) void zmlx_groups(const zmlx_launch* zmlx_l, \
         uint32_t zmlx_first, uint32_t zmlx_end{parameters}) {{"
    );
    sizes(facts, out);
    out.push_str(body);
    let _ = write!(
        out,
        "}}\nZMLX_RUN(zmlx_run, zmlx_groups(zmlx_l, zmlx_first, zmlx_end{arguments}))\n"
    );
}

/// Declares the sizes, which do not change within a launch.
fn sizes(facts: &Facts<'_>, out: &mut String) {
    out.push_str(
        "  const uint zmlx_sx = zmlx_l->grid[0], zmlx_sy = zmlx_l->grid[1], zmlx_sz = zmlx_l->grid[2];\n  \
         const uint zmlx_nx = zmlx_l->groups[0], zmlx_ny = zmlx_l->groups[1], zmlx_nz = zmlx_l->groups[2];\n",
    );
    // A size that the compiler knows turns steps over the threadgroup into consecutive ones.
    out.push_str(if facts.single {
        "  constexpr uint zmlx_tx = 1, zmlx_ty = 1, zmlx_tz = 1;\n"
    } else {
        "  const uint zmlx_tx = zmlx_l->tg[0], zmlx_ty = zmlx_l->tg[1], zmlx_tz = zmlx_l->tg[2];\n"
    });
}

/// The position of group `zmlx_i` and its extent, which is smaller at the grid's edges.
pub(super) const GROUP: &str = "
    const uint zmlx_gx = zmlx_i % zmlx_nx, zmlx_gy = zmlx_i / zmlx_nx % zmlx_ny, zmlx_gz = zmlx_i / zmlx_nx / zmlx_ny;
    const uint zmlx_ox = zmlx_gx * zmlx_tx, zmlx_oy = zmlx_gy * zmlx_ty, zmlx_oz = zmlx_gz * zmlx_tz;
    const uint zmlx_ex = zmlx_tx == 1 || zmlx_sx - zmlx_ox >= zmlx_tx ? zmlx_tx : zmlx_sx - zmlx_ox;
    const uint zmlx_ey = zmlx_ty == 1 || zmlx_sy - zmlx_oy >= zmlx_ty ? zmlx_ty : zmlx_sy - zmlx_oy;
    const uint zmlx_ez = zmlx_tz == 1 || zmlx_sz - zmlx_oz >= zmlx_tz ? zmlx_tz : zmlx_sz - zmlx_oz;
";

/// Threads that do not ask about their threadgroup, or are one each: rows of groups become loops.
fn rows(facts: &Facts<'_>, out: &mut String) {
    // In threadgroups of one thread, the thread's position is the group's.
    let single = if facts.single {
        "const uint zmlx_gx = zmlx_x, zmlx_gy = zmlx_y, zmlx_gz = zmlx_z, \
         zmlx_lx = 0, zmlx_ly = 0, zmlx_lz = 0, zmlx_index = 0;"
    } else {
        ""
    };
    let body = format!(
        "  for (uint zmlx_i = zmlx_first; zmlx_i < zmlx_end;) {{{GROUP}\
         \n    uint zmlx_k = zmlx_nx - zmlx_gx;\
         \n    if (zmlx_k > zmlx_end - zmlx_i) zmlx_k = zmlx_end - zmlx_i;\
         \n    zmlx_i += zmlx_k;\
         \n    const uint64_t zmlx_far = (uint64_t)zmlx_ox + (uint64_t)zmlx_k * zmlx_tx;\
         \n    const uint zmlx_to = zmlx_far < zmlx_sx ? (uint)zmlx_far : zmlx_sx;\
         \n    for (uint zmlx_z = zmlx_oz; zmlx_z < zmlx_oz + zmlx_ez; ++zmlx_z)\
         \n    for (uint zmlx_y = zmlx_oy; zmlx_y < zmlx_oy + zmlx_ey; ++zmlx_y) {{\
         \n      ZMLX_IVDEP\
         \n      for (uint zmlx_x = zmlx_ox; zmlx_x < zmlx_to; ++zmlx_x) {{\
         \n        {single}\
         \n        {}\
         \n      }}\n    }}\n  }}\n",
        call(facts)
    );
    run(facts, &body, out);
}

/// Whole threadgroups, one after the other.
fn groups(facts: &Facts<'_>, out: &mut String) {
    // Counting from zero within the group, and bounds that rule out that an index overflows, let
    // the compiler see consecutive addresses in what the kernel computes from its group's position.
    // No group is larger than the hint says; one further out than it says takes the second loop.
    let threads = format!(
        "for (uint zmlx_lz = 0; zmlx_lz < zmlx_ez; ++zmlx_lz)\
         \n    for (uint zmlx_ly = 0; zmlx_ly < zmlx_ey; ++zmlx_ly) {{\
         \n      const uint zmlx_y = zmlx_oy + zmlx_ly, zmlx_z = zmlx_oz + zmlx_lz;\
         \n      const uint zmlx_row = (zmlx_lz * zmlx_ey + zmlx_ly) * zmlx_ex;\
         \n      ZMLX_IVDEP\
         \n      for (uint zmlx_lx = 0; zmlx_lx < zmlx_ex; ++zmlx_lx) {{\
         \n        const uint zmlx_x = zmlx_ox + zmlx_lx, zmlx_index = zmlx_row + zmlx_lx;\
         \n        {}\
         \n      }}\n    }}",
        call(facts)
    );
    let body = format!(
        "  for (uint zmlx_i = zmlx_first; zmlx_i < zmlx_end; ++zmlx_i) {{{GROUP}\
         \n    if (zmlx_ex == 0 || zmlx_ex > 1024 || zmlx_ey > 1024 || zmlx_ez > 1024) __builtin_unreachable();\
         \n    if (zmlx_gx < (1u << 20)) {{ {threads} }} else {{ {threads} }}\n  }}\n"
    );
    run(facts, &body, out);
}

/// One thread of one group.
fn thread(facts: &Facts<'_>, out: &mut String) {
    out.push_str(
        "ZMLX_ENTRY int zmlx_thread(const zmlx_launch* zmlx_l, uint32_t zmlx_i, uint32_t zmlx_index) {\n",
    );
    for (param, ty) in facts.signature.params.iter().zip(&facts.types) {
        if let Binding::Buffer(index) = param.binding {
            let _ = writeln!(
                out,
                "  {ty}* const zmlx_b{index} = ({ty}*)zmlx_l->buffers[{index}];"
            );
        }
    }
    sizes(facts, out);
    let _ = write!(
        out,
        "  {{{GROUP}\
         \n    const uint zmlx_lx = zmlx_index % zmlx_ex, zmlx_x = zmlx_ox + zmlx_lx;\
         \n    const uint zmlx_ly = zmlx_index / zmlx_ex % zmlx_ey, zmlx_y = zmlx_oy + zmlx_ly;\
         \n    const uint zmlx_lz = zmlx_index / zmlx_ex / zmlx_ey, zmlx_z = zmlx_oz + zmlx_lz;\
         \n    {}\n  }}\n  return 0;\n}}\n",
        call(facts)
    );
}
