//! The GGUF format.

use std::fs;

use zmlx::io::{self, Gguf, GgufValue};
use zmlx::{Array, Dtype, Error, random};

use crate::common::on_worker;
use crate::{files_in, folder, gguf_model, raw};

#[test]
fn gguf_round_trip() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("model.bin");
        let g = gguf_model();
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
