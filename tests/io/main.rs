//! Files: round trips, metadata, and what damaged files do.

mod changed;
#[path = "../common/mod.rs"]
mod common;
mod damaged;
mod gguf;
mod npy;
mod npz;
mod odd_paths;
mod reference;
mod refused;
mod safetensors;

use std::fs;
use std::path::Path;

use common::noise;
use zmlx::io::{self, Gguf, GgufValue};
use zmlx::{Array, ArrayMap};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn files_in(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// The bytes of the values in row-major order, whatever the dtype.
fn raw(a: &Array) -> Vec<u8> {
    io::npy_to_bytes(&a.contiguous().unwrap()).unwrap()
}

fn samples() -> Vec<Array> {
    let x = noise(12, 1);
    let f = Array::from_slice(&x, (3, 4)).unwrap();
    vec![
        f.clone(),
        f.transpose(..).unwrap(),
        f.reshape([12]).unwrap(),
        Array::from_slice(&[true, false, true], 3).unwrap(),
        Array::from_slice(&[1u8, 2], (2, 1)).unwrap(),
        Array::from_slice(&[-1i64, 2], (1, 2)).unwrap(),
        Array::from_slice(&[half::f16::ONE; 4], (2, 2)).unwrap(),
        Array::from_slice(&[half::bf16::ONE; 4], (2, 2)).unwrap(),
        Array::from_slice(&[num_complex::Complex32::new(1.0, -2.0)], 1).unwrap(),
        Array::from(3.5f32),
        Array::from_slice::<f32>(&[], (0, 3)).unwrap(),
    ]
}

fn model() -> ArrayMap {
    let names = (0..).map(|i| format!("layer.{i}"));
    let mut map: ArrayMap = names.zip(samples()).collect();
    map.metadata.insert("format".into(), "mlx é".into());
    map
}

fn gguf_model() -> Gguf {
    let mut g = Gguf::default();
    let x = Array::from_slice(&noise(64, 2), (2, 32)).unwrap();
    g.arrays.insert("a.weight".into(), x.clone());
    g.arrays.insert("strided".into(), x.transpose(..).unwrap());
    g.arrays
        .insert("i8".into(), Array::from_slice(&[1i8, -2], 2).unwrap());
    g.arrays.insert(
        "f16".into(),
        Array::from_slice(&[half::f16::ONE; 3], 3).unwrap(),
    );
    g.metadata
        .insert("name".into(), GgufValue::Text("model é".into()));
    g.metadata.insert(
        "words".into(),
        GgufValue::Texts(vec!["a".into(), "".into(), "bc".into()]),
    );
    g.metadata
        .insert("layers".into(), GgufValue::Array(Array::from(7u32)));
    g.metadata
        .insert("flag".into(), GgufValue::Array(Array::from(true)));
    let list = Array::from_slice(&[1i32, 2, 3, 4], (4,)).unwrap();
    g.metadata.insert("list".into(), GgufValue::Array(list));
    g
}
