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

/// A header by hand.
#[derive(Default)]
struct Made {
    metadata: Vec<u8>,
    values: u64,
    tensors: Vec<u8>,
    arrays: u64,
}

impl Made {
    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    }

    fn value(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        Self::text(&mut self.metadata, key);
        self.metadata.extend(kind.to_le_bytes());
        self.metadata.extend(value);
        self.values += 1;
        self
    }

    fn tensor(mut self, name: &str, kind: u32, dims: &[u64], offset: u64) -> Self {
        Self::text(&mut self.tensors, name);
        self.tensors.extend((dims.len() as u32).to_le_bytes());
        dims.iter()
            .for_each(|d| self.tensors.extend(d.to_le_bytes()));
        self.tensors.extend(kind.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
        self.arrays += 1;
        self
    }

    fn load(self, data: &[u8]) -> zmlx::Result<Gguf> {
        self.load_as(b"GGUF\x03\0\0\0", data)
    }

    fn load_as(self, head: &[u8], data: &[u8]) -> zmlx::Result<Gguf> {
        let mut file = head.to_vec();
        file.extend(self.arrays.to_le_bytes());
        file.extend(self.values.to_le_bytes());
        file.extend(self.metadata);
        file.extend(self.tensors);
        file.resize(file.len().next_multiple_of(64), 0);
        file.extend(data);
        let dir = folder();
        let path = dir.path().join("made.gguf");
        fs::write(&path, file).unwrap();
        // What one loader refuses, the other refuses too.
        let raw = io::load_gguf_raw(&path);
        let decoded = io::load_gguf(&path);
        assert!(raw.is_ok() || decoded.is_err());
        decoded
    }
}

#[test]
fn what_is_refused_says_why() {
    on_worker(|| {
        let refused = |made: Made, data: &[u8], words: &str| {
            let e = made.load(data).unwrap_err();
            assert!(matches!(e, Error::Io { .. }), "{e}");
            assert!(e.to_string().contains(words), "{e}");
        };
        for (kind, name) in [
            (9, "Q8_1"),
            (20, "IQ4_NL"),
            (4, "number 4"),
            (999, "number 999"),
        ] {
            refused(
                Made::default().tensor("t", kind, &[256], 0),
                &[0; 512],
                name,
            );
        }
        refused(
            Made::default().tensor("t", 12, &[128, 2], 0),
            &[0; 512],
            "impossible",
        );
        refused(
            Made::default().tensor("t", 0, &[4], 8),
            &[0; 64],
            "impossible",
        );
        refused(
            Made::default().tensor("t", 0, &[1 << 40], 0),
            &[0; 64],
            "impossible",
        );
        refused(
            Made::default().tensor("t", 0, &[1 << 30; 3], 0),
            &[0; 64],
            "impossible",
        );
        refused(
            Made::default().tensor("t", 0, &[4], u64::MAX - 31),
            &[0; 64],
            "incomplete",
        );
        let two = |a: &str, b: &str, offset| {
            Made::default()
                .tensor(a, 0, &[16], 0)
                .tensor(b, 0, &[16], offset)
        };
        refused(two("t", "t", 64), &[0; 128], "twice");
        refused(two("t", "u", 32), &[0; 128], "overlaps");
        assert_eq!(two("t", "u", 64).load(&[0; 128]).unwrap().arrays.len(), 2);
        let twice = Made::default().value("k", 0, &[1]).value("k", 0, &[1]);
        refused(twice, &[], "twice");
        refused(Made::default().value("k", 7, &[2]), &[], "bool");
        refused(Made::default().value("k", 13, &[0; 8]), &[], "not known");
        let lists = [9u32.to_le_bytes(), [0; 4], [0; 4]].concat();
        refused(Made::default().value("k", 9, &lists), &[], "list of lists");
        let most = [
            8u32.to_le_bytes().to_vec(),
            (i32::MAX as u64).to_le_bytes().to_vec(),
        ]
        .concat();
        refused(Made::default().value("k", 9, &most), &[], "wanted");
        // Every type that an alignment must not have, and values that are none.
        for kind in [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12] {
            let made = Made::default().value("general.alignment", kind, &[0; 16]);
            refused(made, &[], "expected uint32");
        }
        for n in [0u32, 3, 1 << 21] {
            let made = Made::default().value("general.alignment", 4, &n.to_le_bytes());
            refused(made, &[], "power of two");
        }
        for (head, words) in [
            (b"GGUF\0\0\0\x03", "big-endian"),
            (b"GGUF\x01\0\0\0", "got 1"),
            (b"GGUF\x04\0\0\0", "got 4"),
            (b"GGML\x03\0\0\0", "begin"),
        ] {
            let e = Made::default().load_as(head, &[]).unwrap_err();
            assert!(e.to_string().contains(words), "{e}");
        }
        // Version 2 is the same but for the number.
        let two = Made::default()
            .value("k", 0, &[1])
            .load_as(b"GGUF\x02\0\0\0", &[]);
        assert_eq!(two.unwrap().metadata.len(), 1);
    });
}

#[test]
fn values_that_float16_does_not_hold() {
    on_worker(|| {
        let most = f16::MAX.to_le_bytes();
        let block = |scale: [u8; 2], at: usize, len: usize| {
            let mut block = vec![0xff; len];
            block[at..at + 2].copy_from_slice(&scale);
            block
        };
        for (kind, data) in [
            (8, block(most, 0, 34)),
            (2, block(most, 0, 18)),
            (14, block(most, 208, 210)),
        ] {
            let elements = if kind == 14 { 256 } else { 32 };
            let made = Made::default().tensor("t", kind, &[elements], 0);
            let e = made.load(&data).unwrap_err();
            assert!(e.to_string().contains("float16"), "{e}");
        }
        // The largest scale whose bias is one.
        let made = Made::default().tensor("t", 8, &[32], 0);
        let most = f16::from_f32(511.75).to_le_bytes();
        let loaded = made.load(&block(most, 0, 34)).unwrap();
        assert_eq!(
            loaded.arrays["t.biases"].item::<f16>().unwrap().to_f32(),
            -65504.0
        );
    });
}

/// Nothing in a dimension of zero, packed or not; names that would meet.
#[test]
fn edges_of_shapes_and_names() {
    on_worker(|| {
        for kind in [0, 2, 12] {
            let made = Made::default().tensor("a.weight", kind, &[0, 3], 0);
            let loaded = made.load(&[]).unwrap();
            assert_eq!(loaded.arrays["a.weight"].shape(), [3, 0]);
        }
        let name = |made: Made| {
            made.load(&[0; 256])
                .unwrap()
                .arrays
                .into_keys()
                .collect::<Vec<_>>()
        };
        // Only a whole `.weight` at the end is taken off.
        let packed = |name: &str| Made::default().tensor(name, 2, &[32], 0);
        assert_eq!(
            name(packed("embedding")),
            ["embedding", "embedding.biases", "embedding.scales"]
        );
        assert_eq!(
            name(packed("x.weight")),
            ["x.biases", "x.scales", "x.weight"]
        );
        let e = packed("x.weight").tensor("x.scales", 0, &[1], 32);
        let e = e.load(&[0; 256]).unwrap_err();
        assert!(
            e.to_string()
                .contains("two arrays would be called `x.scales`"),
            "{e}"
        );
    });
}
