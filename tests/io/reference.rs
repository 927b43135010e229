//! GGUF against the values and the writer of another implementation (`reference.py`), and what is refused.

use std::fs;

use half::{bf16, f16};
use zmlx::io::{self, Gguf, GgufValue};
use zmlx::{Array, Dtype, Error};

use crate::common::{exactly, on_worker};
use crate::folder;

fn reference() -> Gguf {
    let dir = folder();
    let path = dir.path().join("reference.gguf");
    fs::write(&path, include_bytes!("reference.gguf")).unwrap();
    io::load_gguf(&path).unwrap()
}

fn values(gguf: &Gguf, name: &str) -> Vec<f32> {
    gguf.arrays[name].to_vec::<f32>().unwrap()
}

/// The elements of a quantized triple, in float64.
fn unpacked(gguf: &Gguf, name: &str, bits: usize) -> Vec<f64> {
    let part = |end: &str| &gguf.arrays[&format!("{name}.{end}")];
    let weights = part("weight").to_bytes().unwrap();
    let scales = part("scales").to_vec::<f16>().unwrap();
    let biases = part("biases").to_vec::<f16>().unwrap();
    let count = weights.len() * 8 / bits;
    let element = |i: usize| match bits {
        8 => weights[i],
        _ => weights[i / 2] >> (i % 2 * 4) & 15,
    };
    let value =
        |i: usize| f64::from(scales[i / 32]) * f64::from(element(i)) + f64::from(biases[i / 32]);
    (0..count).map(value).collect()
}

#[test]
fn packed_types() {
    on_worker(|| {
        let gguf = reference();
        for (name, bits, tolerance) in [("q4_0", 4, 0.0), ("q4_1", 4, 1e-7), ("q8_0", 8, 0.0)] {
            let want = values(&gguf, &format!("{name}.f32"));
            let got = unpacked(&gguf, name, bits);
            assert_eq!(got.len(), want.len(), "{name}");
            for (i, (g, &w)) in got.iter().zip(&want).enumerate() {
                assert!(
                    (g - f64::from(w)).abs() <= tolerance,
                    "{name}[{i}]: {g}, not {w}"
                );
            }
            assert_eq!(
                gguf.arrays[&format!("{name}.weight")].shape(),
                [3, 512 * bits as i32 / 32]
            );
            assert_eq!(gguf.arrays[&format!("{name}.scales")].shape(), [3, 16]);
        }
        for name in ["q5_0", "q5_1", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"] {
            let got = &gguf.arrays[&format!("{name}.weight")];
            assert_eq!((got.shape(), got.dtype()), (&[3, 512][..], Dtype::Float16));
            let want = values(&gguf, &format!("{name}.f32"));
            for (i, (g, &w)) in got.to_vec::<f16>().unwrap().iter().zip(&want).enumerate() {
                assert_eq!(*g, f16::from_f32(w), "{name}[{i}] of {w}");
            }
        }
    });
}

/// The bytes of blocks are those of the file, in rows; other arrays are what the other loader gives.
#[test]
fn as_they_lie() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("reference.gguf");
        let file = include_bytes!("reference.gguf");
        fs::write(&path, file).unwrap();
        let decoded = io::load_gguf(&path).unwrap();
        let raw = io::load_gguf_raw(&path).unwrap();
        assert_eq!(raw.metadata.len(), decoded.metadata.len());
        for &kind in io::GgufType::ALL {
            let name = kind.name().to_lowercase();
            let packed = kind.dtype().is_none();
            let name = if packed {
                format!("{name}.weight")
            } else {
                name
            };
            let tensor = raw.get(&name).unwrap();
            assert_eq!(tensor.kind, kind);
            if !packed {
                let (got, want) = (&tensor.data, &decoded.arrays[&name]);
                assert_eq!((got.dtype(), got.shape()), (want.dtype(), want.shape()));
                assert_eq!(got.to_bytes().unwrap(), want.to_bytes().unwrap(), "{name}");
                continue;
            }
            assert_eq!(tensor.shape, [3, 512]);
            let bytes = 512 / kind.block_elements() * kind.block_bytes();
            assert_eq!(tensor.data.shape(), [3, bytes as i32]);
            let got = tensor.data.to_bytes().unwrap();
            let there = file.windows(got.len()).filter(|w| *w == got).count();
            assert_eq!(there, 1, "{name}");
        }
        let e = raw.get("none").unwrap_err();
        assert!(matches!(e, Error::Argument { .. }), "{e}");
    });
}

#[test]
fn plain_types() {
    // Conversions to float32 of what only the CPU has.
    exactly(|| {
        let gguf = reference();
        for (name, dtype) in [
            ("f32", Dtype::Float32),
            ("f16", Dtype::Float16),
            ("f64", Dtype::Float64),
            ("i8", Dtype::Int8),
            ("i16", Dtype::Int16),
            ("i32", Dtype::Int32),
            ("i64", Dtype::Int64),
            ("bf16", Dtype::Bfloat16),
        ] {
            let got = &gguf.arrays[name];
            let want = &gguf.arrays[&format!("{name}.f32")];
            assert_eq!((got.dtype(), got.shape()), (dtype, want.shape()));
            let got = got.astype(Dtype::Float32).unwrap();
            assert_eq!(
                got.to_vec::<f32>().unwrap(),
                want.to_vec::<f32>().unwrap(),
                "{name}"
            );
        }
        // Beyond float16.
        let wide = gguf.arrays["bf16"].to_vec::<bf16>().unwrap();
        assert_eq!(wide[1], bf16::from_f32(-3.0e38));
    });
}

#[test]
fn metadata_types() {
    on_worker(|| {
        let gguf = reference();
        let number = |name: &str| match &gguf.metadata[name] {
            GgufValue::Array(a) => a.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(number("one.uint8").item::<u8>().unwrap(), 200);
        assert_eq!(number("one.int8").item::<i8>().unwrap(), -100);
        assert_eq!(number("one.uint16").item::<u16>().unwrap(), 60_000);
        assert_eq!(number("one.int16").item::<i16>().unwrap(), -30_000);
        assert_eq!(number("one.uint32").item::<u32>().unwrap(), 4_000_000_000);
        assert_eq!(number("one.int32").item::<i32>().unwrap(), -2_000_000_000);
        assert_eq!(number("one.uint64").item::<u64>().unwrap(), (1 << 63) + 1);
        assert_eq!(number("one.int64").item::<i64>().unwrap(), -(1 << 62));
        assert_eq!(number("one.float32").item::<f32>().unwrap(), 0.1);
        assert_eq!(number("one.float64").item::<f64>().unwrap(), 0.1);
        assert!(number("one.bool").item::<bool>().unwrap());
        assert_eq!(number("general.alignment").item::<u32>().unwrap(), 64);
        assert_eq!(number("many.int32").to_vec::<i32>().unwrap(), [1, -2, 3]);
        assert_eq!(
            number("many.float32").to_vec::<f32>().unwrap(),
            [0.5, -0.25]
        );
        assert_eq!(
            number("many.bool").to_vec::<bool>().unwrap(),
            [true, false, true]
        );
        assert!(matches!(&gguf.metadata["one.text"], GgufValue::Text(t) if t == "héllo"));
        assert!(
            matches!(&gguf.metadata["many.text"], GgufValue::Texts(t) if t.join("|") == "a||é")
        );
    });
}

/// What was loaded is saved and loaded again, the alignment of 64 included.
#[test]
fn saved_again() {
    exactly(|| {
        let mut gguf = reference();
        // GGUF has no type for these.
        gguf.arrays.retain(|_, a| a.dtype() != Dtype::Uint32);
        let dir = folder();
        let path = dir.path().join("again.gguf");
        io::save_gguf(&path, &gguf).unwrap();
        let again = io::load_gguf(&path).unwrap();
        assert_eq!(again.arrays.len(), gguf.arrays.len());
        for (name, a) in &gguf.arrays {
            let b = &again.arrays[name];
            assert_eq!((a.shape(), a.dtype()), (b.shape(), b.dtype()), "{name}");
            assert_eq!(a.to_bytes().unwrap(), b.to_bytes().unwrap(), "{name}");
        }
        assert_eq!(
            format!("{:?}", again.metadata),
            format!("{:?}", gguf.metadata)
        );
        for bad in [
            GgufValue::Array(Array::from(48u32)),
            GgufValue::Array(Array::from(0u32)),
            GgufValue::Array(Array::from(64u64)),
            GgufValue::Array(Array::from_slice(&[64u32], 1).unwrap()),
            GgufValue::Text("64".into()),
        ] {
            gguf.metadata.insert("general.alignment".into(), bad);
            let e = io::save_gguf(&path, &gguf).unwrap_err();
            assert!(matches!(e, Error::Argument { .. }), "{e}");
        }
    });
}
