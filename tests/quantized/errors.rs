//! Calls that do not fit: a typed error that names the argument.

use zmlx::io::GgufType;
use zmlx::kernels::quant::{
    QuantFormat, QuantizedWeight, gather_quantized_matmul, quantized_matmul,
};
use zmlx::ops::{QuantMode, Quantization};
use zmlx::prelude::*;
use zmlx::{Error, Result, grad};

use crate::common::{Rng, on_worker};
use crate::made;

#[track_caller]
fn refused<T>(result: Result<T>, kind: &str, words: &str) {
    let Err(e) = result else {
        panic!("expected an error about {words}");
    };
    let found = match &e {
        Error::Shape { .. } => "shape",
        Error::Dtype { .. } => "dtype",
        Error::Argument { .. } => "argument",
        _ => "another",
    };
    assert_eq!(found, kind, "{e}");
    assert!(e.to_string().contains(words), "{e}");
    assert!(e.to_string().contains("errors.rs"), "{e}");
}

fn zeros(shape: &[i32], dtype: Dtype) -> Array {
    Array::zeros(shape.to_vec(), dtype).unwrap()
}

#[test]
fn matrices() {
    on_worker(|| {
        let bytes = |shape: &[i32]| zeros(shape, Dtype::Uint8);
        let gguf = QuantizedWeight::gguf;
        refused(gguf(GgufType::F16, &bytes(&[2, 34])), "argument", "F16");
        refused(
            gguf(GgufType::Q8_0, &zeros(&[2, 34], Dtype::Int8)),
            "dtype",
            "uint8",
        );
        refused(
            gguf(GgufType::Q8_0, &bytes(&[2, 33])),
            "shape",
            "multiple of 34",
        );
        refused(gguf(GgufType::Q8_0, &bytes(&[34])), "shape", "`blocks`");
        refused(
            gguf(GgufType::Q8_0, &bytes(&[2, 0])),
            "shape",
            "32 elements",
        );
        refused(
            gguf(GgufType::Q6_K, &bytes(&[2, 34])),
            "shape",
            "multiple of 210",
        );
        let x = zeros(&[2, 48], Dtype::Float32);
        let nvfp4 = x.quantize(Quantization::of(QuantMode::Nvfp4)).unwrap();
        refused(QuantizedWeight::new(&nvfp4), "shape", "32 elements");
        let x = zeros(&[2, 64], Dtype::Float32);
        let mut w = x.quantize(Quantization::affine(32, 4)).unwrap();
        w.quantization.bits = 7;
        refused(QuantizedWeight::new(&w), "argument", "7");
        w.quantization.bits = 8;
        refused(QuantizedWeight::new(&w), "shape", "`scales`");
        w.quantization = Quantization::affine(16, 4);
        refused(QuantizedWeight::new(&w), "argument", "16");
        let mut w = x.quantize(Quantization::affine(32, 4)).unwrap();
        w.biases = None;
        refused(QuantizedWeight::new(&w), "argument", "biases");
        let quantize = |x: &Array, kind| QuantizedWeight::quantize(x, QuantFormat::Gguf(kind));
        refused(quantize(&x, GgufType::Q4_K), "argument", "Q4_K");
        refused(
            quantize(&zeros(&[2, 33], Dtype::Float32), GgufType::Q8_0),
            "shape",
            "32 elements",
        );
        refused(
            quantize(&zeros(&[32], Dtype::Float32), GgufType::Q8_0),
            "shape",
            "(..., N, K)",
        );
        refused(
            quantize(&zeros(&[2, 32], Dtype::Int32), GgufType::Q8_0),
            "dtype",
            "`w`",
        );
        let q = quantize(&x, GgufType::Q4_0).unwrap();
        refused(q.dequantize(Dtype::Int32), "argument", "int32");
    });
}

#[test]
fn products() {
    on_worker(|| {
        let mut rng = Rng::new();
        let q = Quantization::affine(32, 4);
        let w = made::affine(&mut rng, q, &[4, 64], Dtype::Float32);
        let wide = made::affine(&mut rng, q, &[4, 96], Dtype::Float32);
        let stack = made::affine(&mut rng, q, &[3, 4, 64], Dtype::Float32);
        let x = zeros(&[2, 64], Dtype::Float32);
        refused(
            quantized_matmul(&zeros(&[2, 32], Dtype::Float32), &w).call(),
            "shape",
            "`x`",
        );
        refused(
            quantized_matmul(&Array::from(1.0f32), &w).call(),
            "shape",
            "`x`",
        );
        refused(
            quantized_matmul(&zeros(&[2, 64], Dtype::Int32), &w).call(),
            "dtype",
            "`x`",
        );
        refused(quantized_matmul(&x, &stack).call(), "shape", "(N, K)");
        let bias = zeros(&[5], Dtype::Float32);
        refused(
            quantized_matmul(&x, &w).bias(&bias).call(),
            "shape",
            "`bias`",
        );
        refused(
            quantized_matmul(&x, &w).residual(&bias).call(),
            "shape",
            "`residual`",
        );
        refused(
            quantized_matmul(&x, &w).swiglu(&wide).call(),
            "shape",
            "`up`",
        );
        let experts = zeros(&[2], Dtype::Uint32);
        refused(
            gather_quantized_matmul(&x, &w, &experts).call(),
            "shape",
            "(E, N, K)",
        );
        let other = zeros(&[3], Dtype::Uint32);
        refused(
            gather_quantized_matmul(&x, &stack, &other).call(),
            "shape",
            "`experts`",
        );
        let other = zeros(&[2], Dtype::Float32);
        refused(
            gather_quantized_matmul(&x, &stack, &other).call(),
            "dtype",
            "`experts`",
        );
    });
}

/// Nothing flows into the matrix: zeros would be wrong in silence.
#[test]
fn derivatives_by_the_matrix() {
    on_worker(|| {
        let x = Array::ones((1, 32), Dtype::Float32).unwrap();
        let w = x.quantize(Quantization::affine(32, 4)).unwrap();
        let slope = grad(|scales| {
            let w = zmlx::ops::Quantized {
                scales: scales.clone(),
                ..w.clone()
            };
            quantized_matmul(&x, &QuantizedWeight::new(&w)?)
                .call()?
                .sum(..)
        })(&w.scales);
        let e = slope.unwrap_err();
        assert!(matches!(e, Error::Argument { .. }), "{e}");
    });
}
