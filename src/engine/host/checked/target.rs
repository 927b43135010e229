//! The target whose pointers know their buffers, and its entry points.
//!
//! Threads run one by one, each with its position noted, so that a violation can name it; nothing
//! here is meant to be vectorized.

use std::fmt::Write as _;

use crate::engine::{
    host::entry::{GROUP, Host},
    msl::{Binding, Facts, LoopGuard, Mode, Target, call},
};

/// Lowers for this machine's CPU, with checked pointers.
#[derive(Clone, Copy, Debug)]
pub struct CheckedHost(pub Host);

impl Target for CheckedHost {
    fn prologue(&self, mode: Mode) -> String {
        format!(
            "#define ZMLX_CHECKED 1\n{}#include \"host/checked.h\"\n",
            self.0.prologue(mode)
        )
    }

    fn kernel_name(&self) -> Option<&'static str> {
        self.0.kernel_name()
    }

    fn threadgroup_variable(&self, aligned: bool) -> &'static str {
        self.0.threadgroup_variable(aligned)
    }

    fn buffer_qualifier(&self) -> &'static str {
        ""
    }

    fn divisor(&self) -> Option<&'static str> {
        self.0.divisor()
    }

    fn entry(&self, facts: &Facts<'_>) -> String {
        let mut out = String::with_capacity(4096);
        buffers(facts, &mut out);
        let thread = format!(
            "zmlx_p.at[0] = zmlx_x; zmlx_p.at[1] = zmlx_y; zmlx_p.at[2] = zmlx_z; \
             zmlx_p.index = zmlx_index;\n        {}",
            call(facts)
        );
        match facts.mode {
            Mode::Sync => coroutine(facts, &mut out),
            Mode::Plain | Mode::Single => groups(facts, &thread, &mut out),
        }
        out
    }

    fn loop_guard(&self) -> Option<LoopGuard> {
        self.0.loop_guard()
    }

    fn checked(&self) -> bool {
        true
    }
}

/// What the library says about its buffers, and where it is told which launch runs.
fn buffers(facts: &Facts<'_>, out: &mut String) {
    let names = facts.signature.buffer_names();
    let quoted: Vec<String> = names.iter().map(|n| format!("\"{n}\"")).collect();
    let mut function = facts.signature.name.clone();
    if let Some(args) = &facts.signature.template_args {
        let _ = write!(function, "<{args}>");
    }
    let _ = write!(
        out,
        "const uint32_t zmlx_buffer_count = {};\n\
         const char* const zmlx_buffer_names[] = {{{}, \"\"}};\n\
         ZMLX_ENTRY void zmlx_begin(const zmlx_launch* l, zmlx_report* r) {{ zmlx::here.launch = l; zmlx::here.report = r; }}\n\
         ZMLX_ENTRY void zmlx_outputs(uint32_t* sizes) {{\n  \
         typedef zmlx::parameters<decltype({function})> P;\n",
        names.len(),
        quoted.join(", ")
    );
    for (at, param) in facts.signature.params.iter().enumerate() {
        if let Binding::Buffer(index) = param.binding {
            let _ = writeln!(out, "  sizes[{index}] = P::sizes[{at}];");
        }
    }
    out.push_str("}\n");
}

/// Declares what does not change within a launch, and notes the group that runs.
fn constants(facts: &Facts<'_>, out: &mut String) {
    for (index, name) in facts.signature.buffer_names().iter().enumerate() {
        let _ = writeln!(
            out,
            "  const zmlx::any_buffer zmlx_b{index} = {{(char*)zmlx_l->buffers[{index}], zmlx_l->lengths[{index}], zmlx_l->before[{index}], \"{name}\"}};"
        );
    }
    // The address of what is an OS thread's own is found by a call, so once is enough.
    out.push_str(
        "  zmlx::place& zmlx_p = zmlx::here;\n  \
         const uint zmlx_sx = zmlx_l->grid[0], zmlx_sy = zmlx_l->grid[1], zmlx_sz = zmlx_l->grid[2];\n  \
         const uint zmlx_nx = zmlx_l->groups[0], zmlx_ny = zmlx_l->groups[1], zmlx_nz = zmlx_l->groups[2];\n  \
         const uint zmlx_tx = zmlx_l->tg[0], zmlx_ty = zmlx_l->tg[1], zmlx_tz = zmlx_l->tg[2];\n",
    );
}

/// All threads of whole groups.
fn groups(facts: &Facts<'_>, thread: &str, out: &mut String) {
    out.push_str(
        "static __attribute__((noinline)) void zmlx_groups(const zmlx_launch* zmlx_l, uint32_t zmlx_first, uint32_t zmlx_end) {\n",
    );
    constants(facts, out);
    let _ = write!(
        out,
        "  for (uint zmlx_i = zmlx_first; zmlx_i < zmlx_end; ++zmlx_i) {{{GROUP}\
         \n    for (uint zmlx_lz = 0; zmlx_lz < zmlx_ez; ++zmlx_lz)\
         \n    for (uint zmlx_ly = 0; zmlx_ly < zmlx_ey; ++zmlx_ly)\
         \n      for (uint zmlx_lx = 0; zmlx_lx < zmlx_ex; ++zmlx_lx) {{\
         \n        const uint zmlx_x = zmlx_ox + zmlx_lx, zmlx_y = zmlx_oy + zmlx_ly, zmlx_z = zmlx_oz + zmlx_lz;\
         \n        const uint zmlx_index = (zmlx_lz * zmlx_ey + zmlx_ly) * zmlx_ex + zmlx_lx;\
         \n        {thread}\n      }}\n  }}\n}}\nZMLX_RUN(zmlx_run, zmlx_groups(zmlx_l, zmlx_first, zmlx_end))\n"
    );
}

/// One thread of one group. Its position follows from its context, which the scheduler keeps.
fn coroutine(facts: &Facts<'_>, out: &mut String) {
    out.push_str(
        "ZMLX_ENTRY int zmlx_thread(const zmlx_launch* zmlx_l, uint32_t zmlx_i, uint32_t zmlx_index) {\n",
    );
    constants(facts, out);
    let _ = write!(
        out,
        "  {{{GROUP}\
         \n    zmlx_p.origin[0] = zmlx_ox; zmlx_p.origin[1] = zmlx_oy; zmlx_p.origin[2] = zmlx_oz;\
         \n    zmlx_p.extent[0] = zmlx_ex; zmlx_p.extent[1] = zmlx_ey; zmlx_p.extent[2] = zmlx_ez;\
         \n    const uint zmlx_lx = zmlx_index % zmlx_ex, zmlx_x = zmlx_ox + zmlx_lx;\
         \n    const uint zmlx_ly = zmlx_index / zmlx_ex % zmlx_ey, zmlx_y = zmlx_oy + zmlx_ly;\
         \n    const uint zmlx_lz = zmlx_index / zmlx_ex / zmlx_ey, zmlx_z = zmlx_oz + zmlx_lz;\
         \n    {}\n  }}\n  return 0;\n}}\n",
        call(facts)
    );
}
