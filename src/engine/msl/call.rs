//! The call of a kernel function, as the entry points of every engine make it.

use std::fmt::Write as _;

use super::{Binding, Facts, GridType};

/// The call of the kernel function for the thread at `zmlx_x, zmlx_y, zmlx_z`.
pub(in crate::engine) fn call(facts: &Facts<'_>) -> String {
    let mut call = facts.signature.name.clone();
    if let Some(args) = &facts.signature.template_args {
        let _ = write!(call, "<{args}>");
    }
    let arguments = facts
        .signature
        .params
        .iter()
        .map(|param| match &param.binding {
            Binding::Buffer(index) if param.pointer => format!("zmlx_b{index}"),
            Binding::Buffer(index) => format!("*zmlx_b{index}"),
            Binding::Grid(attribute, ty) => grid_value(attribute, ty),
        });
    let arguments: Vec<String> = arguments.collect();
    format!("{call}({});", arguments.join(", "))
}

/// An attribute's value in terms of the entry's variables.
fn grid_value(attribute: &str, ty: &GridType) -> String {
    let values: [String; 3] = match attribute {
        "thread_position_in_grid" => axes("zmlx_"),
        "thread_position_in_threadgroup" => axes("zmlx_l"),
        "threadgroup_position_in_grid" => axes("zmlx_g"),
        "threads_per_threadgroup" => axes("zmlx_e"),
        "dispatch_threads_per_threadgroup" => axes("zmlx_t"),
        "threads_per_grid" | "grid_size" => axes("zmlx_s"),
        "threadgroups_per_grid" => axes("zmlx_n"),
        "grid_origin" => ["0u", "0u", "0u"].map(str::to_owned),
        single => {
            let index = "zmlx_index";
            let live = "(zmlx_ex * zmlx_ey * zmlx_ez)";
            let asked = "(zmlx_tx * zmlx_ty * zmlx_tz)";
            let value = match single {
                "thread_index_in_threadgroup" => index.to_owned(),
                "thread_index_in_simdgroup" => format!("{index} % 32u"),
                "simdgroup_index_in_threadgroup" => format!("{index} / 32u"),
                "thread_index_in_quadgroup" => format!("{index} % 4u"),
                "quadgroup_index_in_threadgroup" => format!("{index} / 4u"),
                "simdgroups_per_threadgroup" => format!("({live} + 31u) / 32u"),
                "dispatch_simdgroups_per_threadgroup" => format!("({asked} + 31u) / 32u"),
                "quadgroups_per_threadgroup" => format!("({live} + 3u) / 4u"),
                "dispatch_quadgroups_per_threadgroup" => format!("({asked} + 3u) / 4u"),
                // thread_execution_width, threads_per_simdgroup
                _ => "32u".to_owned(),
            };
            return format!("({})({value})", ty.element);
        }
    };
    let values: Vec<String> = values
        .iter()
        .take(ty.dims.into())
        .map(|v| format!("({})({v})", ty.element))
        .collect();
    match ty.dims {
        1 => values.concat(),
        dims => format!("metal::vec<{}, {dims}>({})", ty.element, values.join(", ")),
    }
}

fn axes(before: &str) -> [String; 3] {
    ["x", "y", "z"].map(|axis| format!("{before}{axis}"))
}
