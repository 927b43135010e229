//! Numbers that become blocks: by ggml's definitions, in float32 as they are there.

use half::f16;
use zmlx::Array;
use zmlx::io::GgufType;
use zmlx::kernels::quant::{QuantFormat, QuantizedWeight};
use zmlx::prelude::*;

use crate::common::{Rng, on_worker};

type Encode = fn(&[f32]) -> Vec<u8>;

fn q8_0(x: &[f32]) -> Vec<u8> {
    let most = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let d = most / 127.0;
    let id = if d == 0.0 { 0.0 } else { 1.0 / d };
    let mut out = f16::from_f32(d).to_le_bytes().to_vec();
    out.extend(x.iter().map(|v| (v * id).round() as i8 as u8));
    out
}

fn q4_0(x: &[f32]) -> Vec<u8> {
    let most = x
        .iter()
        .fold(0.0f32, |m, &v| if v.abs() > m.abs() { v } else { m });
    let d = most / -8.0;
    let id = if d == 0.0 { 0.0 } else { 1.0 / d };
    let mut out = f16::from_f32(d).to_le_bytes().to_vec();
    let code = |v: f32| ((v * id + 8.5) as u8).min(15);
    out.extend((0..16).map(|j| code(x[j]) | code(x[j + 16]) << 4));
    out
}

fn q4_1(x: &[f32]) -> Vec<u8> {
    let (low, high) = x
        .iter()
        .fold((x[0], x[0]), |(l, h), &v| (l.min(v), h.max(v)));
    let d = (high - low) / 15.0;
    let id = if d == 0.0 { 0.0 } else { 1.0 / d };
    let mut out = f16::from_f32(d).to_le_bytes().to_vec();
    out.extend(f16::from_f32(low).to_le_bytes());
    let code = |v: f32| (((v - low) * id + 0.5) as u8).min(15);
    out.extend((0..16).map(|j| code(x[j]) | code(x[j + 16]) << 4));
    out
}

#[test]
fn blocks_by_definition() {
    on_worker(|| {
        let mut rng = Rng::new();
        let mut x = rng.normals(40 * 32);
        x[..32].fill(0.0);
        x[32..64].fill(-1.5);
        // What float16 holds, so that all dtypes give the same.
        x.iter_mut().for_each(|v| *v = f16::from_f32(*v).to_f32());
        let kinds: [(GgufType, Encode); 3] = [
            (GgufType::Q8_0, q8_0),
            (GgufType::Q4_0, q4_0),
            (GgufType::Q4_1, q4_1),
        ];
        let w = Array::from_slice(&x, (2, 10, 64)).unwrap();
        for (kind, reference) in kinds {
            let want: Vec<u8> = x.chunks_exact(32).flat_map(reference).collect();
            for dtype in [Dtype::Float32, Dtype::Float16] {
                let w = w.astype(dtype).unwrap();
                let q = QuantizedWeight::quantize(&w, QuantFormat::Gguf(kind)).unwrap();
                assert_eq!(q.shape(), [2, 10, 64]);
                let got = q.arrays()[0].to_vec::<u8>().unwrap();
                assert_eq!(got, want, "{}", kind.name());
            }
        }
    });
}
