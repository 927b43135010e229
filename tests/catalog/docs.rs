//! docs/KERNELS.md is made from the table.

use std::fmt::Write as _;

use zmlx::kernels::{Entry, catalog, other_names};
use zmlx::prelude::*;

use crate::cases::deep;
use crate::common::root;
use crate::speeds::{MEASURED, Speeds};

const COMMAND: &str = "ZMLX_WRITE=1 cargo test --test catalog docs";

const HEAD: &str = "\
# Kernels

The functions of `zmlx::kernels`, by family. Floats are float32, float16 or bfloat16, and arithmetic is in float32. A result of
floats has the dtype of the first input of floats, T below; functions of `quant` give float32 unless their option `dtype` asks for
another, and `attention_tile_proto` always does. Places, counts and bits are integers of a dtype of their own, and sums of integers are integers. Each function has
derivatives of any order, forward and backward, with respect to the inputs named under \"derivatives\", and `vmap`; where none
is named, asking for one is an error.

D is the width of a row, R the number of rows, S the axis before the last; `...` are any leading axes. Bytes are the fewest
that a call must read and write, with e bytes an element: what docs and benchmarks count GB/s of. A kernel comes from a
program beside its formula or from a Metal file in `kernels/`; [CATALOG.md](CATALOG.md) tells how to add one.

\"Tested\" says how the tests of `tests/catalog` come to a function, each against MLX's operations in float64 or a closed form.
*All*: values, derivatives of both orders and `vmap` over widths from 0 to 1,000,003, all layouts and dtypes, checked mode, threads, odd numbers.
*Family*: the same texts as the first of the family, so values and derivatives over the widths in float32 and bfloat16, layouts, odd numbers,
extremes. *Own*: values, dtypes, layouts and refusals in a common table, the rest in a file of its own. Derivatives, `vmap` and long rows are swept
over all functions and dtypes where `ZMLX_SWEEP` is set, as in a step of `.ci/run`, and otherwise over one function of each family in float32.

\"Speed\" is the share of a copy's speed in float32 / float16 / bfloat16 where it was measured; [BENCHMARKS.md](BENCHMARKS.md) has
the machines, shapes and commands.

";

#[test]
fn docs_kernels_md_is_fresh() {
    let path = root().join("docs/KERNELS.md");
    let text = page();
    if std::env::var_os("ZMLX_WRITE").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/KERNELS.md is stale; `{COMMAND}` writes it"
    );
}

fn page() -> String {
    let mut text = format!("<!-- Made by `{COMMAND}`; do not edit. -->\n{HEAD}");
    let mut family = "";
    let speeds = MEASURED.map(|(file, _)| Speeds::read(file));
    for entry in catalog() {
        let (of, name) = entry.name.split_once("::").unwrap_or(("", entry.name));
        if of != family {
            let _ = write!(
                text,
                "{}## {of}\n\n| function | value | inputs | results | derivatives | from | bytes | tested | speed: {} |\n{}\n",
                if family.is_empty() { "" } else { "\n" },
                MEASURED.map(|(_, title)| title).join(" | "),
                "|---".repeat(8 + MEASURED.len()) + "|",
            );
            family = of;
        }
        let inputs = entry.inputs.iter();
        let inputs: Vec<String> = inputs
            .map(|i| format!("`{}` {}", i.name, i.kind.shape()))
            .collect();
        let with = entry.inputs.iter().filter(|i| i.kind.differentiable());
        let gradients: Vec<String> = with.map(|i| format!("`{}`", i.name)).collect();
        let also: Vec<String> = other_names()
            .iter()
            .filter(|(_, of)| *of == entry.name)
            .filter_map(|(name, _)| Some(format!(", `{}`", name.split_once("::")?.1)))
            .collect();
        let mut cells = vec![
            format!("`{name}`{}", also.concat()),
            format!("`{}`", entry.formula),
            inputs.join(", "),
            results(entry),
            match gradients.is_empty() {
                true => "none".to_owned(),
                false => gradients.join(", "),
            },
            match entry.file {
                "" => "program".to_owned(),
                file => format!("`{file}`"),
            },
            bytes(entry.bytes),
            match (entry.follows_rows(), deep(entry)) {
                (true, true) => "all".to_owned(),
                (true, false) => "family".to_owned(),
                (false, _) => "own".to_owned(),
            },
        ];
        cells.extend(speeds.iter().map(|s| s.shares(entry.name)));
        let cells: Vec<String> = cells.iter().map(|c| c.replace('|', "\\|")).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// The dtypes of the results, T for that of the inputs. Nothing is computed for it.
fn results(entry: &Entry) -> String {
    let of = |dtype| {
        let inputs = entry.inputs(&[2], entry.width(32), dtype, 0).unwrap();
        let outputs = (entry.call)(&inputs).unwrap();
        outputs.iter().map(Array::dtype).collect::<Vec<_>>()
    };
    let names = of(F32).into_iter().zip(of(BF16)).map(
        |(one, other)| {
            if one == other { one.name() } else { "T" }
        },
    );
    names.collect::<Vec<_>>().join(", ")
}

/// The formula behind `Entry::bytes`, which is linear in each of rows, width and size.
fn bytes(of: fn(usize, usize, usize) -> usize) -> String {
    // The value at 2 or 4 of each, and from it the coefficient of each product.
    let sizes = |corner: usize| [0, 1, 2].map(|axis| 2 << (corner >> axis & 1));
    let at = |[rows, width, size]: [usize; 3]| of(rows, width, size) as f64;
    let values: Vec<f64> = (0..8).map(|corner| at(sizes(corner))).collect();
    let mut factors = values;
    for axis in 0..3 {
        for corner in (0..8).filter(|corner| corner >> axis & 1 == 0) {
            let (low, high) = (factors[corner], factors[corner | 1 << axis]);
            let slope = (high - low) / 2.0;
            factors[corner | 1 << axis] = slope;
            factors[corner] = low - 2.0 * slope;
        }
    }
    let mut terms = Vec::new();
    for product in (0..8).rev() {
        if factors[product] != 0.0 {
            let names = [(0, "R"), (1, "D"), (2, "e")];
            let mut parts = vec![factors[product].to_string()];
            let in_it = names.iter().filter(|(axis, _)| product >> axis & 1 == 1);
            parts.extend(in_it.map(|(_, name)| (*name).to_owned()));
            if parts.len() > 1 && parts[0] == "1" {
                parts.remove(0);
            }
            terms.push(parts.join(" "));
        }
    }
    terms.join(" + ")
}

#[test]
fn docs_bytes_as_a_formula() {
    let text = bytes(|rows, width, size| rows * (width * size + 4 + size));
    assert_eq!(text, "R D e + R e + 4 R");
    let text = bytes(|rows, width, size| (2 * rows + 1) * width * size);
    assert_eq!(text, "2 R D e + D e");
    let text = bytes(|rows, width, size| rows * width / 2 * size + 8);
    assert_eq!(text, "0.5 R D e + 8");
}
