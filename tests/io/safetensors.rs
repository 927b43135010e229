//! The safetensors format, lazily read files and interrupted saves.

use std::fs;

use zmlx::io::{self, Gguf, GgufValue};
use zmlx::{Array, ArrayMap, Error};

use crate::common::{noise, on_worker};
use crate::{files_in, folder, model, raw};

#[test]
fn safetensors() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("model.safetensors");
        let map = model();
        io::save_safetensors(&path, &map).unwrap();
        assert_eq!(files_in(dir.path()), 1);
        let bytes = io::safetensors_to_bytes(&map).unwrap();
        for back in [
            io::load_safetensors(&path).unwrap(),
            io::safetensors_from_bytes(&bytes).unwrap(),
        ] {
            assert_eq!(back.metadata, map.metadata);
            assert_eq!(back.arrays.len(), map.arrays.len());
            for (name, a) in &map.arrays {
                let b = back.get(name).unwrap();
                assert_eq!(
                    (b.shape(), b.dtype(), raw(b)),
                    (a.shape(), a.dtype(), raw(a)),
                    "{name}"
                );
            }
        }
        assert!(matches!(map.get("none"), Err(Error::Argument { .. })));
        // Without metadata MLX writes `null`; no arrays at all are a file too.
        let empty = io::safetensors_to_bytes(&ArrayMap::default()).unwrap();
        assert!(
            io::safetensors_from_bytes(&empty)
                .unwrap()
                .arrays
                .is_empty()
        );
        let wide = Array::from_slice(&[1.0f64], 1).unwrap();
        let wide: ArrayMap = [("w".to_string(), wide)].into_iter().collect();
        assert!(matches!(
            io::safetensors_to_bytes(&wide),
            Err(Error::Dtype { .. })
        ));
    });
}

#[test]
fn safetensors_that_lie() {
    on_worker(|| {
        let load = |header: &str, data: usize| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.resize(bytes.len() + data, 0);
            io::safetensors_from_bytes(&bytes)
        };
        let a = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
        assert_eq!(load(&format!("{{{a}}}   "), 8).unwrap().arrays.len(), 1);
        for (header, data) in [
            (format!("{{{a}}}"), 7),
            (format!("{{{a},{a}}}"), 8),
            (format!("{{{a}}} x"), 8),
            (
                format!("{{{a},\"b\":{{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[7,11]}}}}"),
                16,
            ),
            (a.replace("[2]", "[3]"), 64),
            (a.replace("[2]", "[2.0]"), 8),
            (a.replace("[2]", "[-2]"), 8),
            (a.replace("[2]", "[4294967296,4294967296]"), 8),
            (a.replace("[0,8]", "[8,0]"), 8),
            (a.replace("[0,8]", "[0,8,8]"), 8),
            (a.replace("[0,8]", "[18446744073709551608,0]"), 8),
            (a.replace("F32", "F64"), 64),
            (a.replace(r#""shape":[2]"#, r#""shape":[2],"shape":[2]"#), 8),
            (r#""__metadata__":{"x":1}"#.into(), 0),
            ("[".repeat(50_000), 0),
        ] {
            let header = if header.starts_with(['{', '[']) {
                header
            } else {
                format!("{{{header}}}")
            };
            let e = load(&header, data).unwrap_err();
            assert!(matches!(e, Error::Io { .. }), "{e}");
        }
    });
}

#[test]
fn frozen_weights_from_a_file() {
    let frozen = on_worker(|| {
        let dir = folder();
        let path = dir.path().join("w.safetensors");
        io::save_safetensors(&path, &model()).unwrap();
        io::load_safetensors(&path).unwrap().freeze().unwrap()
    });
    assert_eq!(frozen.metadata["format"], "mlx é");
    assert_eq!(
        frozen.get("layer.2").unwrap().as_slice::<f32>().unwrap(),
        noise(12, 1)
    );
    let back = zmlx::worker::shared().unwrap().run(move || {
        let map = frozen.thaw()?;
        map.get("layer.0")?.sum(..)?.item::<f32>()
    });
    let want: f32 = noise(12, 1).iter().sum();
    assert!((back.wait().unwrap() - want).abs() < 1e-5);
}

/// Saved over the file that the lazy values still have to come from.
#[test]
fn saving_over_the_source() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("w.safetensors");
        io::save_safetensors(&path, &model()).unwrap();
        let lazy = io::load_safetensors(&path).unwrap();
        io::save_safetensors(&path, &lazy).unwrap();
        let a = io::load_safetensors(&path).unwrap();
        assert_eq!(
            a.get("layer.2").unwrap().to_vec::<f32>().unwrap(),
            noise(12, 1)
        );
    });
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("w.gguf");
        fs::write(&path, "precious").unwrap();
        let mut content = Gguf::default();
        // MLX finds out while it writes: float16 is no type of metadata.
        let half = Array::from_slice(&[half::f16::ONE], 1).unwrap();
        content.metadata.insert("x".into(), GgufValue::Array(half));
        assert!(io::save_gguf(&path, &content).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert_eq!(files_in(dir.path()), 1);
        let e =
            io::save_npy(dir.path().join("no/such/folder.npy"), &Array::from(1.0f32)).unwrap_err();
        assert!(matches!(e, Error::Io { .. }), "{e}");
        assert!(matches!(
            io::load_npy(dir.path().join("none.npy")),
            Err(Error::Io { .. })
        ));
        assert!(matches!(
            io::load_safetensors(dir.path()),
            Err(Error::Io { .. })
        ));
        assert!(matches!(
            io::load_gguf(dir.path().join("none")),
            Err(Error::Io { .. })
        ));
    });
}

/// Truncated after the arrays were made: the evaluation fails, nothing else does.
#[test]
fn a_file_that_shrinks_later() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("w.npy");
        io::save_npy(&path, &Array::from_slice(&noise(4096, 1), 4096).unwrap()).unwrap();
        let lazy = io::load_npy(&path).unwrap();
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(200)
            .unwrap();
        let e = lazy.eval().unwrap_err();
        assert!(matches!(e, Error::Io { .. }), "{e}");
        assert!(lazy.to_vec::<f32>().is_err());
        assert_eq!(
            Array::from(2.0f32).square().unwrap().item::<f32>().unwrap(),
            4.0
        );
    });
}
