//! Parameters of random numbers, quantized products and losses, and the accuracy of float64: what the documentation says.

use zmlx::ops::{Conv, PadMode, QuantMode, Quantization, where_};
use zmlx::prelude::*;
use zmlx::{Result, linalg};

fn arr<T: zmlx::Element>(v: &[T]) -> Array {
    Array::from_slice(v, v.len()).unwrap()
}

/// An error of this file whose text holds all of these.
#[track_caller]
fn refused<T: std::fmt::Debug>(got: Result<T>, parts: &[&str]) {
    let text = got.expect_err("an error").to_string();
    for part in parts.iter().chain(&[file!()]) {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn parameters_of_random_numbers() -> Result<()> {
    let sampler = zmlx::random::Sampler::default;
    for p in [1.5, -0.5, f32::NAN] {
        refused(random::bernoulli(p, 3), &["`p`", "from 0 to 1"]);
    }
    refused(random::bernoulli(arr(&[0.5f32, 2.0]), 2), &["`p`", "2.0"]);
    refused(random::bernoulli(arr(&[1]), 1), &["`p`", "int32"]);
    refused(
        sampler().uniform_between(1.0, 0.0, 2),
        &["`high`", "`low`, 1.0", "got 0.0"],
    );
    refused(
        sampler().uniform_between(f32::NAN, 0.0, 2),
        &["`low`", "finite"],
    );
    refused(
        sampler().normal_with(0.0, -1.0, 2),
        &["`scale`", "from 0", "-1"],
    );
    refused(
        sampler().normal_with(0.0, arr(&[1.0f32, -2.0]), 2),
        &["`scale`", "-2"],
    );
    refused(
        sampler().laplace(0.0, -1.0, 2),
        &["`scale`", "from 0", "-1"],
    );
    refused(random::of_type(I32).normal(2), &["normal", "int32"]);
    refused(
        random::of_type(I32).laplace(0.0, 1.0, 2),
        &["laplace", "int32"],
    );
    refused(
        sampler().truncated_normal(1.0, -1.0, 2),
        &["`upper`", "`lower`, 1.0", "-1"],
    );
    refused(random::randint(f32::NAN, 2.0, 2), &["`low`", "finite"]);
    refused(
        random::randint(0.0, f32::INFINITY, 2),
        &["`high`", "finite"],
    );
    refused(random::randint(0.2, 0.8, 2), &["`high`", "above `low`"]);
    refused(
        random::randint(arr(&[0, 5]), arr(&[3, 2]), 2),
        &["`high`", "`low`, 5", "got 2"],
    );
    assert_eq!(random::randint(2.9, 3.1, 4)?.to_vec::<i32>()?, [3; 4]);
    let top = random::of_type(Dtype::Uint64).randint(u64::MAX - 1, u64::MAX, 4)?;
    assert_eq!(top.to_vec::<u64>()?, [u64::MAX - 1; 4]);
    let none = random::categorical(&Array::zeros((0, 3), F32)?, 1)?;
    assert_eq!((none.shape(), none.dtype()), (&[0][..], U32));
    assert_eq!(
        random::categorical(&Array::zeros((3, 0), F32)?, 0)?.shape(),
        [0]
    );
    assert_eq!(
        sampler()
            .categorical_shaped(&Array::zeros((0, 3), F32)?, 1, (4, 0))?
            .shape(),
        [4, 0]
    );
    refused(
        sampler().categorical_shaped(&Array::zeros((0, 3), F32)?, 1, 4),
        &["4"],
    );
    Ok(())
}

#[test]
fn quantized_products_of_the_wrong_parts() -> Result<()> {
    let w = random::normal((2, 128))?;
    let x = Array::ones((1, 128), F32)?;
    let affine = w.quantize(Quantization::default())?;
    refused(x.qqmm(&affine, None), &["`w`", "mxfp8 or nvfp4", "affine"]);
    refused(
        Array::from(1.0f32).quantized_matmul(&affine, true),
        &["quantized_matmul", "[]"],
    );
    let mut q = affine.clone();
    q.scales = q.scales.astype(I32)?;
    refused(q.dequantize(), &["`scales`", "int32"]);
    let mut q = affine.clone();
    q.biases = None;
    refused(x.quantized_matmul(&q, true), &["`biases`", "none"]);
    let mut q = affine;
    q.biases = Some(q.scales.astype(F16)?);
    refused(q.dequantize(), &["`biases`", "float32", "float16"]);
    assert!(w.quantize(Quantization::of(QuantMode::Mxfp8)).is_ok());
    Ok(())
}

#[test]
fn doubly_quantized_products_have_both_scales() -> Result<()> {
    zmlx::with_device(Device::CPU, || {
        let nvfp4 = Quantization::of(QuantMode::Nvfp4);
        let w = (random::normal((64, 128))? * 30.0)?;
        let x = random::normal((1, 128))?;
        let (of_w, of_x) = (w.abs()?.max(..)?, x.abs()?.max(..)?);
        let w = w.quantize_scaled(nvfp4, Some(&of_w))?;
        let wide = w.dequantize()?.astype(F32)?.transpose(..)?;
        for dtype in [F32, F16] {
            // Of this dtype: a number between two codes may become the other one when it is rounded.
            let x = x.astype(dtype)?;
            let both = x.quantize_scaled(nvfp4, Some(&of_x))?.dequantize()?;
            let want = both.astype(F32)?.matmul(&wide)?;
            let largest = want.abs()?.max(..)?.item::<f32>()?;
            let got = x.qqmm(&w, Some(&of_x))?;
            assert_eq!(got.dtype(), dtype);
            let off = got.astype(F32)?.subtract(&want)?.abs()?.max(..)?;
            // The parts of the reference are rounded to bfloat16.
            let off = off.item::<f32>()? / largest;
            assert!(off < 0.05, "{dtype}: off by {off} of the largest");
        }
        refused(Array::from(1.0f32).qqmm(&w, Some(&of_x)), &["qqmm", "[]"]);
        Ok(())
    })
}

#[test]
fn losses_of_no_rows() -> Result<()> {
    let loss = fast::cross_entropy(&Array::zeros((0, 3), F16)?, &Array::zeros(0, I32)?)?;
    assert_eq!((loss.shape(), loss.dtype()), (&[0][..], F16));
    refused(
        fast::cross_entropy(&Array::zeros((0, 3), F32)?, &Array::zeros(2, I32)?),
        &["(2)", "(0,3)"],
    );
    Ok(())
}

/// Functions of float64 with float64's accuracy, each with a value that Rust's own gives.
#[test]
fn float64_functions_have_the_accuracy_that_is_said() -> Result<()> {
    let x = 0.3f64;
    let logistic = 1.0 / (1.0 + (-x).exp());
    zmlx::with_device(Device::CPU, || {
        let a = Array::scalar(x)?;
        let near = |name: &str, got: Array, want: f64| {
            let got = got.reshape(()).unwrap().item::<f64>().unwrap();
            assert!((got / want - 1.0).abs() < 1e-13, "{name}: {got} for {want}");
        };
        near("exp", a.exp()?, x.exp());
        near("sin", a.sin()?, x.sin());
        near("cos", a.cos()?, x.cos());
        near("erf", a.erf()?, 0.328_626_759_459_127_4);
        near("erfinv", a.erfinv()?, 0.272_462_714_726_754_3);
        near("sigmoid", a.sigmoid()?, logistic);
        near(
            "logaddexp",
            a.logaddexp(0.1)?,
            (x.exp() + 0.1f64.exp()).ln(),
        );
        let two = arr(&[x, 0.1]);
        near(
            "softmax",
            two.softmax(0)?.index(0)?,
            x.exp() / (x.exp() + 0.1f64.exp()),
        );
        near(
            "logsumexp",
            two.logsumexp(..)?,
            (x.exp() + 0.1f64.exp()).ln(),
        );
        near(
            "round",
            Array::scalar(1.234_567_890_123_4)?.round(12)?,
            1.234_567_890_123,
        );
        let image = two.reshape((1, 2, 1))?;
        let filter = Array::scalar(0.7)?.reshape((1, 1, 1))?;
        near(
            "conv",
            image.conv1d(&filter, Conv::new())?.index((0, 0, 0))?,
            x * 0.7,
        );
        near(
            "conv_transpose",
            image
                .conv_transpose1d(&filter, Conv::new())?
                .index((0, 0, 0))?,
            x * 0.7,
        );
        near("expm1'", zmlx::grad(|x: &Array| x.expm1())(&a)?, x.exp());
        near(
            "tan'",
            zmlx::grad(|x: &Array| x.tan())(&a)?,
            1.0 + x.tan() * x.tan(),
        );
        near(
            "sigmoid'",
            zmlx::grad(|x: &Array| x.sigmoid())(&a)?,
            logistic * (1.0 - logistic),
        );
        near("where", where_(&arr(&[true]), &a, 0.7)?, x);
        near(
            "pad",
            a.reshape(1)?
                .pad((0, 1), PadMode::Constant(0.1))?
                .index(1)?,
            0.1,
        );
        near("inv", linalg::inv(&a.reshape((1, 1))?)?, 1.0 / x);
        Ok(())
    })
}

/// What the same list says has float32's accuracy: right to that, and no better, so that the list stays true.
#[test]
fn float64_functions_that_compute_in_float32() -> Result<()> {
    zmlx::with_device(Device::CPU, || {
        let off = |got: f64, want: f64| {
            let off = (got / want - 1.0).abs();
            assert!(off < 1e-5, "{got} for {want}");
            off
        };
        let scan = arr(&[0.1, 0.2, 0.7, 1.3])
            .logcumsumexp(0)?
            .to_vec::<f64>()?;
        let mut sum = 0.0;
        let mut worst: f64 = 0.0;
        for (v, got) in [0.1f64, 0.2, 0.7, 1.3].iter().zip(scan) {
            sum += v.exp();
            worst = worst.max(off(got, f64::ln(sum)));
        }
        assert!(
            worst > 1e-12,
            "logcumsumexp is better than its documentation: {worst}"
        );
        let row = arr(&[0.1, 0.2]).reshape((1, 2))?;
        let norm = fast::rms_norm(&row, None, 0.0)?.to_vec::<f64>()?;
        assert!(off(norm[0], 0.1 / 0.025f64.sqrt()) > 1e-12, "{norm:?}");
        let normal = random::of_type(F64).normal(1000)?.to_vec::<f64>()?;
        // The root of two times a number of float32.
        let single = normal.iter().filter(|v| {
            let part = **v / std::f64::consts::SQRT_2;
            (f64::from(part as f32) / part - 1.0).abs() < 1e-15
        });
        let single = single.count();
        assert!(single > 900, "{single} of 1000 are numbers of float32");
        Ok(())
    })
}
