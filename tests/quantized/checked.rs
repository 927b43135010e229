//! The kernels in checked mode: no access out of bounds, no element that nobody writes, no text that Metal's compiler would refuse.

use std::process::Command;

use zmlx::io::GgufType;
use zmlx::kernels::quant::{
    Activations, QuantFormat, QuantizedWeight, gather_quantized_matmul, quantized_matmul,
};
use zmlx::ops::{QuantMode, Quantization};
use zmlx::prelude::*;

use crate::common::{Rng, on_worker};
use crate::made;

/// The mode comes from the environment, so the checks are a process; on the CPU, as the mode is the host engine's. Once as a CPU shares the
/// work out, once as a GPU does.
#[test]
fn kernels_pass_the_checked_mode() {
    for groups in ["cpu", "gpu"] {
        let out = Command::new(std::env::current_exe().unwrap())
            .args([
                "checked::in_checked_mode",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .envs([
                ("ZMLX_CHECKED", "1"),
                ("ZMLX_ENGINE", "cpu"),
                ("ZMLX_ROW_GROUPS", groups),
            ])
            .output()
            .unwrap();
        let (text, err) = (
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr),
        );
        assert!(out.status.success(), "{text}\n{err}");
        assert!(text.contains("1 passed"), "{text}");
        // Elements that nobody wrote are no errors, but told.
        assert!(!err.contains("zmlx:"), "{err}");
    }
}

#[test]
#[ignore = "run by kernels_pass_the_checked_mode"]
fn in_checked_mode() {
    assert!(std::env::var_os("ZMLX_CHECKED").is_some());
    on_worker(|| {
        let mut rng = Rng::new();
        // A few of each family of formats, the shortest rows that there are, and rows that fill no block.
        let four = Quantization::affine(64, 4);
        let mut all = vec![
            made::affine(&mut rng, four, &[1, 64], Dtype::Float16),
            made::affine(&mut rng, four, &[35, 128], Dtype::Float16),
            made::affine(
                &mut rng,
                Quantization::affine(32, 3),
                &[1, 32],
                Dtype::Float16,
            ),
            made::affine(
                &mut rng,
                Quantization::of(QuantMode::Mxfp4),
                &[1, 32],
                Dtype::Float16,
            ),
            made::affine(
                &mut rng,
                Quantization::of(QuantMode::Nvfp4),
                &[3, 64],
                Dtype::Float16,
            ),
        ];
        for kind in [GgufType::Q5_1, GgufType::Q4_K, GgufType::Q6_K] {
            all.push(made::gguf(&mut rng, kind, 3, 256));
        }
        for w in &all {
            let k = w.shape()[1];
            let x = Array::ones((2, k), Dtype::Float16).unwrap();
            let y = quantized_matmul(&x, w).call().unwrap();
            let elements = w.dequantize(Dtype::Float32).unwrap();
            let bytes = quantized_matmul(&x, w).activations(Activations::Int8);
            zmlx::eval([&y, &elements, &bytes.call().unwrap()]).unwrap();
        }
        let x = Array::ones((9, 128), Dtype::Float16).unwrap();
        let residual = Array::ones((9, 35), Dtype::Float16).unwrap();
        let call = quantized_matmul(&x, &all[1])
            .swiglu(&all[1])
            .residual(&residual);
        let stack = made::affine(&mut rng, four, &[2, 5, 128], Dtype::Float16);
        let experts = Array::from_slice(&[0u32, 1, 1, 1, 0, 7, 0, 1, 0], 9).unwrap();
        let picked = gather_quantized_matmul(&x, &stack, &experts);
        let eight = made::gguf(&mut rng, GgufType::Q8_0, 35, 128);
        let bytes = quantized_matmul(&x, &eight).swiglu(&all[1]);
        let bytes = bytes.activations(Activations::Int8).call().unwrap();
        zmlx::eval([&bytes]).unwrap();
        let kind = QuantFormat::Gguf(GgufType::Q4_1);
        let packed = QuantizedWeight::quantize(&x, kind).unwrap();
        zmlx::eval([
            &call.call().unwrap(),
            &picked.call().unwrap(),
            &packed.arrays()[0],
        ])
        .unwrap();
    });
}
