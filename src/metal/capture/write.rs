//! Writes a launch into a folder.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::MATH_MODES;
use crate::metal::{Launch, TemplateArg};
use crate::{Array, Dtype, Error, Result};

/// Tolerances that a capture asks for: what one rounding and another order of sums may change.
fn tolerances(dtype: Dtype) -> (f64, f64) {
    match dtype {
        Dtype::Float16 => (4e-3, 2e-3),
        Dtype::Bfloat16 => (2e-2, 1e-2),
        d if d.is_integral() => (0.0, 0.0),
        _ => (1e-4, 1e-5),
    }
}

/// Writes a launch and its outputs as the next folder below `dir`. **Evaluates** both.
#[track_caller]
pub(in crate::metal) fn write(
    dir: &Path,
    launch: &Launch<'_>,
    sizes: ([i32; 3], [i32; 3]),
    outputs: &[Array],
) -> Result<PathBuf> {
    crate::eval(&launch.inputs)?;
    crate::eval(outputs)?;
    let spec = launch.kernel.spec();
    let folder = next_folder(dir, &spec.identifier())?;
    let mut inputs = Vec::new();
    for (i, (name, array)) in spec.inputs.iter().zip(&launch.inputs).enumerate() {
        inputs.push(input(&folder, i, name, array)?);
    }
    let mut expected = Vec::new();
    for (i, (name, array)) in spec.outputs.iter().zip(outputs).enumerate() {
        let file = format!("out_{i}.bin");
        write_file(&folder.join(&file), &array.to_bytes()?)?;
        let (rtol, atol) = tolerances(array.dtype());
        expected.push(json!({
            "name": name,
            "dtype": array.dtype().name(),
            "shape": array.shape(),
            "expected": file,
            "expected_source": "capture",
            "rtol": rtol,
            "atol": atol,
        }));
    }
    let template: Vec<Value> = launch.template.iter().map(template).collect();
    let math = MATH_MODES.iter().find(|(_, m)| *m == spec.math_mode);
    let meta = json!({
        "kernel_name": spec.name,
        "input_names": spec.inputs,
        "output_names": spec.outputs,
        "source": spec.source,
        "header": spec.header,
        "ensure_row_contiguous": spec.ensure_row_contiguous,
        "atomic_outputs": spec.atomic_outputs,
        "math_mode": math.map(|(name, _)| name),
        "template": template,
        "grid": sizes.0,
        "threadgroup": sizes.1,
        "init_value": launch.options.init_value,
        "inputs": inputs,
        "outputs": expected,
        "zmlx_version": env!("CARGO_PKG_VERSION"),
        "mlx_version": crate::mlx_version()?,
    });
    let text = format!("{meta:#}\n");
    write_file(&folder.join("meta.json"), text.as_bytes())?;
    Ok(folder)
}

/// Makes the folder with the first free number.
#[track_caller]
fn next_folder(dir: &Path, name: &str) -> Result<PathBuf> {
    create(dir, std::fs::create_dir_all(dir))?;
    for number in 0..10_000 {
        let folder = dir.join(format!("{number:04}_{name}"));
        match std::fs::create_dir(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            other => return create(&folder, other).map(|()| folder),
        }
    }
    Err(Error::argument(
        "dir",
        "a folder with fewer than 10000 captures",
        dir.display(),
    ))
}

#[track_caller]
fn create(path: &Path, result: std::io::Result<()>) -> Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(e) => Err(Error::io(format!("{}: {e}", path.display()))),
    }
}

/// An input is written dense; one that is strided also as a strided view of its elements, so
/// that a kernel that handles strides itself gets the same shape and strides.
#[track_caller]
fn input(folder: &Path, i: usize, name: &str, array: &Array) -> Result<Value> {
    let dense = array.is_row_contiguous() || array.size() == 0;
    let file = format!("in_{i}.bin");
    let mut meta = json!({
        "name": name,
        "dtype": array.dtype().name(),
        "shape": array.shape(),
        "file": file,
        "row_contiguous": dense,
        "strides": array.strides(),
        "offset_bytes": 0,
    });
    let bytes = array.to_bytes()?;
    if dense {
        write_file(&folder.join(&file), &bytes)?;
        return Ok(meta);
    }
    let (storage, offset) = scatter(&bytes, array);
    write_file(&folder.join(&file), &storage)?;
    meta["offset_bytes"] = json!(offset);
    let logical = format!("in_{i}_logical.bin");
    write_file(&folder.join(&logical), &bytes)?;
    meta["logical_file"] = json!(logical);
    Ok(meta)
}

/// Lays dense bytes out by the array's strides; the offset of the first element comes with them.
fn scatter(dense: &[u8], array: &Array) -> (Vec<u8>, usize) {
    let item = array.dtype().size();
    let reach = |keep: fn(i64) -> bool| -> i64 {
        let steps = array.shape().iter().zip(array.strides());
        steps
            .map(|(&n, &s)| if keep(s) { i64::from(n - 1) * s } else { 0 })
            .sum()
    };
    let (low, high) = (reach(|s| s < 0), reach(|s| s > 0));
    let mut storage = vec![0; (high - low + 1) as usize * item];
    let mut index = vec![0i32; array.ndim()];
    for element in dense.chunks_exact(item) {
        let at: i64 = index
            .iter()
            .zip(array.strides())
            .map(|(&i, &s)| i64::from(i) * s)
            .sum();
        let at = (at - low) as usize * item;
        storage[at..at + item].copy_from_slice(element);
        for (i, &n) in index.iter_mut().zip(array.shape()).rev() {
            *i += 1;
            if *i < n {
                break;
            }
            *i = 0;
        }
    }
    (storage, (-low) as usize * item)
}

pub(in crate::metal) fn template((name, value): &(&str, TemplateArg)) -> Value {
    match value {
        TemplateArg::Int(n) => json!({"name": name, "kind": "int", "value": n}),
        TemplateArg::Bool(b) => json!({"name": name, "kind": "bool", "value": b}),
        TemplateArg::TooLarge(n) => json!({"name": name, "kind": "int", "value": n.to_string()}),
        TemplateArg::Dtype(d) => json!({"name": name, "kind": "dtype", "value": d.name()}),
    }
}

#[track_caller]
fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    create(path, std::fs::write(path, bytes))
}
