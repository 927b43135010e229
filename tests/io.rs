//! Files: round trips, metadata, and what damaged files do.

mod common;

use std::fs;
use std::path::Path;

use common::{exactly, noise, on_worker};
use rstest::rstest;
use zmlx::io::{self, Gguf, GgufValue};
use zmlx::{Array, ArrayMap, Dtype, Error, random};

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

#[test]
fn npy() {
    on_worker(|| {
        let dir = folder();
        // Exactly this name, whatever its ending.
        let path = dir.path().join("a.array");
        let round_trip = |a: &Array| {
            io::save_npy(&path, a).unwrap();
            assert_eq!(files_in(dir.path()), 1);
            let bytes = io::npy_to_bytes(a).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            for b in [
                io::load_npy(&path).unwrap(),
                io::npy_from_bytes(&bytes).unwrap(),
            ] {
                assert_eq!((b.shape(), b.dtype()), (a.shape(), a.dtype()));
                assert_eq!(raw(&b), raw(a));
            }
        };
        samples().iter().for_each(round_trip);
        // Loading is an operation of the current device, and only the CPU has float64.
        exactly(|| round_trip(&Array::from_slice(&[1.0f64, 2.0], 2).unwrap()));
    });
}

#[test]
fn npy_of_numpy() {
    on_worker(|| {
        let file = |head: &str, data: &[u8]| {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((head.len() as u16).to_le_bytes());
            bytes.extend(head.as_bytes());
            bytes.extend(data);
            io::npy_from_bytes(&bytes)
        };
        let a = file(
            "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2), }   \n",
            &[0, 1, 0, 2, 0, 3, 0, 4],
        );
        assert_eq!(a.unwrap().to_vec::<i16>().unwrap(), [1, 3, 2, 4]);
        let a = file(
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n",
            &[1, 2, 3],
        );
        assert_eq!(a.unwrap().to_vec::<u8>().unwrap(), [1, 2, 3]);
        for bad in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
            "{'descr': '|O8', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (+0,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 0), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2147483647, 2147483647, 2147483647), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': (9,)}",
            "{}",
            "",
        ] {
            let e = file(bad, &[0; 8]).unwrap_err();
            assert!(matches!(e, Error::Io { .. }), "{bad}: {e}");
        }
    });
}

fn model() -> ArrayMap {
    let names = (0..).map(|i| format!("layer.{i}"));
    let mut map: ArrayMap = names.zip(samples()).collect();
    map.metadata.insert("format".into(), "mlx é".into());
    map
}

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

fn gguf() -> Gguf {
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

#[test]
fn gguf_round_trip() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("model.bin");
        let g = gguf();
        io::save_gguf(&path, &g).unwrap();
        assert_eq!(files_in(dir.path()), 1);
        let back = io::load_gguf(&path).unwrap();
        assert_eq!(back.arrays.len(), g.arrays.len());
        for (name, a) in &g.arrays {
            let b = &back.arrays[name];
            assert_eq!(
                (b.shape(), b.dtype(), raw(b)),
                (a.shape(), a.dtype(), raw(a)),
                "{name}"
            );
        }
        assert!(matches!(&back.metadata["name"], GgufValue::Text(t) if t == "model é"));
        assert!(matches!(&back.metadata["words"], GgufValue::Texts(t) if t.join("|") == "a||bc"));
        let GgufValue::Array(n) = &back.metadata["layers"] else {
            panic!()
        };
        assert_eq!(n.item::<u32>().unwrap(), 7);
        let GgufValue::Array(n) = &back.metadata["list"] else {
            panic!()
        };
        assert_eq!(n.to_vec::<i32>().unwrap(), [1, 2, 3, 4]);
        let mut bad = Gguf::default();
        bad.arrays
            .insert("x".into(), Array::from_slice(&[1u8], 1).unwrap());
        assert!(matches!(
            io::save_gguf(&path, &bad),
            Err(Error::Dtype { .. })
        ));
        let mut bad = Gguf::default();
        bad.metadata.insert(
            "x".into(),
            GgufValue::Array(random::normal((2, 2)).unwrap()),
        );
        assert!(matches!(
            io::save_gguf(&path, &bad),
            Err(Error::Shape { .. })
        ));
    });
}

/// One Q8_0 and one Q4_0 block by hand: scale 1, quants 0..32 and nibbles of 9 (one above zero).
#[test]
fn gguf_quantized() {
    on_worker(|| {
        let mut f = b"GGUF\x03\0\0\0".to_vec();
        let put = |f: &mut Vec<u8>, n: u64| f.extend(n.to_le_bytes());
        put(&mut f, 2);
        put(&mut f, 0);
        for (name, kind, offset) in [("p.weight", 8u32, 0u64), ("q.weight", 2, 64)] {
            put(&mut f, name.len() as u64);
            f.extend(name.as_bytes());
            f.extend(2u32.to_le_bytes());
            put(&mut f, 32);
            put(&mut f, 1);
            f.extend(kind.to_le_bytes());
            put(&mut f, offset);
        }
        f.resize(f.len().next_multiple_of(32), 0);
        let start = f.len();
        f.extend(half::f16::ONE.to_le_bytes());
        f.extend(0..32u8);
        f.resize(start + 64, 0);
        f.extend(half::f16::ONE.to_le_bytes());
        f.extend([0x99; 16]);
        let dir = folder();
        let path = dir.path().join("q.gguf");
        fs::write(&path, &f).unwrap();
        let g = io::load_gguf(&path).unwrap();
        assert_eq!(g.arrays["p.weight"].shape(), [1, 8]);
        assert_eq!(g.arrays["q.weight"].shape(), [1, 4]);
        assert_eq!(g.arrays["q.scales"].dtype(), Dtype::Float16);
        assert_eq!(
            g.arrays["q.biases"].to_vec::<half::f16>().unwrap()[0].to_f32(),
            -8.0
        );
        assert_eq!(
            g.arrays["q.weight"].to_vec::<u32>().unwrap(),
            [0x9999_9999; 4]
        );
    });
}

/// Each prefix and many damaged copies: an error or values, never a crash.
#[rstest]
#[case::npy("npy")]
#[case::safetensors("safetensors")]
#[case::gguf("gguf")]
fn damaged_files(#[case] kind: &'static str) {
    on_worker(move || {
        let dir = folder();
        let path = dir.path().join("x");
        match kind {
            "npy" => io::save_npy(&path, &samples()[0]).unwrap(),
            "safetensors" => io::save_safetensors(&path, &model()).unwrap(),
            _ => io::save_gguf(&path, &gguf()).unwrap(),
        }
        let whole = fs::read(&path).unwrap();
        let load = |bytes: &[u8]| -> zmlx::Result<()> {
            fs::write(&path, bytes).unwrap();
            let arrays: Vec<Array> = match kind {
                "npy" => {
                    let memory = io::npy_from_bytes(bytes);
                    let file = io::load_npy(&path);
                    assert_eq!(memory.is_ok(), file.is_ok());
                    vec![file?]
                }
                "safetensors" => {
                    let memory = io::safetensors_from_bytes(bytes);
                    let file = io::load_safetensors(&path);
                    assert_eq!(memory.is_ok(), file.is_ok());
                    file?.arrays.into_values().collect()
                }
                _ => io::load_gguf(&path)?.arrays.into_values().collect(),
            };
            arrays.iter().try_for_each(Array::eval)
        };
        load(&whole).unwrap();
        for n in 0..whole.len() {
            let e = load(&whole[..n]).expect_err("a prefix is no file");
            assert!(matches!(e, Error::Io { .. }), "{n}: {e}");
        }
        let mut state = 12345u64;
        let mut next = |n: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % n
        };
        let (mut read, mut refused) = (0, 0);
        for round in 0..1000 {
            let mut bytes = whole.clone();
            for _ in 0..1 + next(3) {
                // Mostly in the header, where it matters.
                let at = next(if round % 4 == 0 {
                    whole.len()
                } else {
                    whole.len().min(512)
                });
                match next(3) {
                    0 => bytes[at] ^= 1 << next(8),
                    1 => bytes[at] = [0, 0xff, 0x7f, 0x80, b'9', b'"'][next(6)],
                    _ => {
                        let value = [0u64, 1, u64::MAX, 1 << 31, 1 << 63, u64::MAX / 2][next(6)];
                        let end = (at + 8).min(bytes.len());
                        bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
                    }
                }
            }
            match load(&bytes) {
                Ok(()) => read += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(read > 0 && refused > 0, "{read} {refused}");
    });
}
