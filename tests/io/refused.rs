//! Files of GGUF that are made by hand: what is refused, and edges of shapes and names.

use std::fs;

use half::f16;
use zmlx::Error;
use zmlx::io::{self, Gguf};

use crate::common::on_worker;
use crate::folder;

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
