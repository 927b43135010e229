//! Damaged files.

use std::fs;

use rstest::rstest;
use zmlx::io;
use zmlx::{Array, Error};

use crate::common::on_worker;
use crate::{folder, gguf_model, model, samples};

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
            _ => io::save_gguf(&path, &gguf_model()).unwrap(),
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
