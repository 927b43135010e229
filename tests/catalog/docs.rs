//! docs/KERNELS.md is made from the table.

use std::fmt::Write as _;

use zmlx::kernels::catalog;

use crate::common::root;

const COMMAND: &str = "ZMLX_WRITE=1 cargo test --test catalog docs";

const HEAD: &str = "\
# Kernels

The functions of `zmlx::kernels`, by family. Each takes float32, float16 and bfloat16, computes in float32 and gives the
dtype of its first input; it has gradients of any order, forward-mode derivatives and `vmap`.

D is the width of a row, R the number of rows, S the axis before the last; `...` are any leading axes. Bytes are the fewest
that a call must read and write, with e bytes an element: what docs and benchmarks count GB/s of. A kernel comes from a
program beside its formula or from a Metal file in `kernels/`; [CATALOG.md](CATALOG.md) tells how to add one.

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
    for entry in catalog() {
        let (of, name) = entry.name.split_once("::").unwrap_or(("", entry.name));
        if of != family {
            let _ = write!(
                text,
                "{}## {of}\n\n| function | value | inputs | gradients | from | bytes |\n|---|---|---|---|---|---|\n",
                if family.is_empty() { "" } else { "\n" },
            );
            family = of;
        }
        let inputs = entry.inputs.iter();
        let inputs: Vec<String> = inputs
            .map(|i| format!("`{}` {}", i.name, i.kind.shape()))
            .collect();
        let with = entry.inputs.iter().filter(|i| i.kind.differentiable());
        let gradients: Vec<String> = with.map(|i| format!("`{}`", i.name)).collect();
        let cells = [
            format!("`{name}`"),
            format!("`{}`", entry.formula),
            inputs.join(", "),
            gradients.join(", "),
            match entry.file {
                "" => "program".to_owned(),
                file => format!("`{file}`"),
            },
            bytes(entry.bytes),
        ];
        let cells = cells.map(|c| c.replace('|', "\\|"));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
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
