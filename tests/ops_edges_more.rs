//! Numbers, axes and parameters at the edges of what operations take: the right value, or an error that
//! says what was expected and what came.

use half::{bf16, f16};
use zmlx::ops::{Conv, PadMode, QuantMode, Quantization, concatenate, where_};
use zmlx::prelude::*;
use zmlx::{Result, linalg, vmap};

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

fn bools(a: Result<Array>) -> Vec<bool> {
    a.unwrap().to_vec().unwrap()
}

#[test]
fn means_of_many_large_numbers_do_not_overflow() -> Result<()> {
    for n in [3, 5000, 100_000] {
        let near = |a: Array, want: f64, part: f64| {
            let got = a.astype(F64).unwrap().item::<f64>().unwrap();
            assert!((got / want - 1.0).abs() < part, "{n}: {got} for {want}");
        };
        zmlx::with_device(Device::CPU, || {
            let x = Array::full(n, 3.1e38f32, F32)?;
            near(x.mean(..)?, f64::from(3.1e38f32), 1e-6);
            assert_eq!(x.var(.., 0)?.item::<f32>()?, 0.0);
            near(
                Array::full(n, bf16::MAX.to_f32(), Dtype::Bfloat16)?.mean(..)?,
                bf16::MAX.into(),
                1e-2,
            );
            near(
                Array::full(n, f16::MAX.to_f32(), F16)?.mean(..)?,
                f16::MAX.into(),
                1e-3,
            );
            near(
                Array::full(n, Array::scalar(1.5e308)?, F64)?.mean(..)?,
                1.5e308,
                // Each addition may round.
                f64::from(n) * f64::EPSILON,
            );
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn spreads_of_large_and_small_float64() -> Result<()> {
    zmlx::with_device(Device::CPU, || {
        for size in [1e200, 1e-200, 1.0] {
            let x = arr(&[2.0 * size, -2.0 * size]);
            assert!((x.std(.., 0)?.item::<f64>()? / (2.0 * size) - 1.0).abs() < 1e-14);
        }
        assert_eq!(
            Array::full(9, Array::scalar(1e200)?, F64)?
                .var(.., 0)?
                .item::<f64>()?,
            0.0
        );
        let slope =
            zmlx::grad(|x: &Array| x.std(.., 0))(&arr(&[2e200, -2e200]))?.to_vec::<f64>()?;
        assert!(
            (slope[0] - 0.5).abs() < 1e-12 && (slope[1] + 0.5).abs() < 1e-12,
            "{slope:?}"
        );
        let mean = zmlx::grad(|x: &Array| x.mean(..))(&arr(&[1.5e308, 1.5e308]))?;
        assert_eq!(mean.to_vec::<f64>()?, [0.5, 0.5]);
        let rows = vmap(|p: &[Array]| Ok(vec![p[0].mean(..)?])).call([&Array::full(
            (2, 3),
            Array::scalar(1.5e308)?,
            F64,
        )?])?;
        assert!(
            rows[0]
                .to_vec::<f64>()?
                .iter()
                .all(|m| (m / 1.5e308 - 1.0).abs() < 1e-12)
        );
        Ok(())
    })
}

#[test]
fn integers_are_compared_with_floats_as_they_are() {
    let top = arr(&[i32::MAX]);
    assert_eq!(bools(top.less(2_147_483_648.0)), [true]);
    assert_eq!(bools(top.equal(2_147_483_648.0)), [false]);
    assert_eq!(bools(top.equal(2_147_483_647.0f64)), [true]);
    let wide = arr(&[(1i64 << 24) + 1, i64::MAX, i64::MIN]);
    assert_eq!(bools(wide.greater(16_777_216.0)), [true, true, false]);
    assert_eq!(bools(wide.less(9_223_372_036_854_775_808.0f64)), [true; 3]);
    assert_eq!(bools(wide.greater_equal(-1e300)), [true; 3]);
    assert_eq!(bools(wide.less(f32::NAN)), [false; 3]);
    assert_eq!(
        bools(arr(&[u64::MAX]).less(18_446_744_073_709_551_616.0f64)),
        [true]
    );
    assert_eq!(bools(arr(&[3u8, 4]).less(3.5)), [true, false]);
    // Bounds that are floats still make floats.
    let y = arr(&[1, 5]).clip(2.0..=3.0).unwrap();
    assert_eq!(
        (y.dtype(), y.to_vec::<f32>().unwrap()),
        (F32, vec![2.0, 3.0])
    );
}

#[test]
fn shifts_by_more_than_there_are_bits() -> Result<()> {
    let x = arr(&[-8i32, 5]);
    for n in [32, 100, -1, i32::MIN] {
        assert_eq!(x.left_shift(n)?.to_vec::<i32>()?, [0, 0], "{n}");
        assert_eq!(x.right_shift(n)?.to_vec::<i32>()?, [-1, 0], "{n}");
        // Counts that only the evaluation knows.
        let late = arr(&[n]).add(0)?;
        assert_eq!(x.left_shift(&late)?.to_vec::<i32>()?, [0, 0], "{n}");
        assert_eq!(x.right_shift(&late)?.to_vec::<i32>()?, [-1, 0], "{n}");
    }
    assert_eq!(arr(&[200u8]).right_shift(8)?.item::<u8>()?, 0);
    assert_eq!(arr(&[1u64]).left_shift(&arr(&[64u64]))?.item::<u64>()?, 0);
    assert_eq!(
        arr(&[1i16])
            .left_shift(&arr(&[3i16, 15, 16]))?
            .to_vec::<i16>()?,
        [8, i16::MIN, 0]
    );
    Ok(())
}

#[test]
fn points_between_ends_beyond_float32() -> Result<()> {
    let x = Array::linspace(0.0..=1e39, 3, F32)?.to_vec::<f32>()?;
    assert_eq!(x, [0.0, f32::INFINITY, f32::INFINITY]);
    refused(
        Array::linspace(f64::NAN..=1.0, 3, F32),
        &["`start`", "finite", "NaN"],
    );
    refused(
        Array::linspace(0.0..f64::INFINITY, 3, F64),
        &["`stop`", "finite", "inf"],
    );
    Ok(())
}

#[test]
fn axes_are_named_as_they_came() -> Result<()> {
    let x = Array::zeros((2, 3), F32)?;
    let v = arr(&[1.0f32, 2.0]);
    let twice = ["`axes`", "different axes of 2 dimensions", "[0, -2]"];
    refused(x.sum([0, -2]), &twice);
    refused(x.mean([0, -2]), &twice);
    refused(x.median([0, -2]), &twice);
    refused(x.softmax([0, -2]), &twice);
    refused(x.flip([0, -2]), &twice);
    refused(x.transpose([0, -2]), &twice);
    refused(x.expand_dims([1, 1]), &["`axes`", "different", "[1, 1]"]);
    refused(x.transpose([0, i32::MIN]), &["`axes`", "-2147483648"]);
    refused(
        x.transpose([0]),
        &["`axes`", "one for each dimension", "[0]"],
    );
    refused(concatenate([&x], 7), &["`axis`", "axis 7"]);
    refused(
        concatenate([&Array::from(1.0f32)], 0),
        &["`axis`", "axis 0"],
    );
    refused(Array::from(1.0f32).flatten(5..), &["`axes`", "axis 5"]);
    refused(x.flatten(1..1), &["`axes`", "empty"]);
    refused(v.tril(0), &["tril", "two dimensions", "[2]"]);
    refused(v.triu(0), &["triu", "two dimensions", "[2]"]);
    refused(v.diagonal(0, 0, 1), &["diagonal", "two dimensions", "[2]"]);
    refused(x.diagonal(0, 1, -1), &["different axes", "[1, -1]"]);
    refused(
        x.slice([0], [2], [1]),
        &["one for each dimension", "[2, 3]", "[1]"],
    );
    refused(x.slice([0, 0], [2], [1, 1]), &["`stop`", "[2]"]);
    refused(x.slice_at(&arr(&[0]), 0, [3, 3]), &["`sizes`", "[3, 3]"]);
    refused(
        x.slice_at(&arr(&[0.5f32]), 0, [1, 3]),
        &["`start`", "float32"],
    );
    refused(
        x.slice_at(&arr(&[0, 0]), 0, [1, 3]),
        &["`start`", "[0]", "[2]"],
    );
    refused(x.gather([&arr(&[0])], 2, [1, 1]), &["`axes`", "[2]"]);
    refused(v.vecdot(&arr(&[1.0f32]), 0), &["vecdot", "[2]", "[1]"]);
    // A median of each number alone.
    assert_eq!(
        arr(&[1, 2]).median(Vec::<i32>::new())?.to_vec::<f32>()?,
        [1.0, 2.0]
    );
    Ok(())
}

#[test]
fn what_an_array_does_not_hold_is_not_cut_in_lists_either() -> Result<()> {
    let x = arr(&[1u8, 2]);
    let held = ["uint8", "300"];
    let at = arr(&[0, 1]);
    let two = arr(&[7, 300]);
    refused(x.put_along_axis(&at, &two, 0), &held);
    refused(x.slice_update(&two, 0, 2, 1), &held);
    refused(
        x.scatter([&at], &Array::from_slice(&[7, 300], (2, 1))?, 0),
        &held,
    );
    refused(x.masked_scatter(&arr(&[true, true]), &two), &held);
    refused(Array::full((3, 2), two, U8), &held);
    refused(
        x.unique(3, Some(&Array::from(300))),
        &["`fill`", "uint8", "300"],
    );
    assert_eq!(
        x.unique(3, Some(&Array::from(9)))?.to_vec::<u8>()?,
        [1, 2, 9]
    );
    Ok(())
}

#[test]
fn a_mask_that_chooses_more_than_there_is() -> Result<()> {
    let rows = Array::zeros((2, 3), I32)?;
    zmlx::with_device(Device::CPU, || {
        let short = arr(&[0, 0]).masked_scatter(&arr(&[true, true]), &arr(&[7]))?;
        refused(
            short.eval(),
            &["`source`", "each true of the mask", "fewer"],
        );
        refused(short.sum(..)?.eval(), &["`source`", "fewer"]);
        let singular = linalg::inv(&Array::zeros((2, 2), F32)?)?;
        refused(singular.eval(), &["inverse", "singular"]);
        Ok(())
    })?;
    let all = rows.masked_scatter(&Array::scalar(true)?, &arr(&[1, 2, 3, 4, 5, 6]))?;
    assert_eq!(all.to_vec::<i32>()?, [1, 2, 3, 4, 5, 6]);
    Ok(())
}

#[test]
fn parameters_of_random_numbers() -> Result<()> {
    let sampler = zmlx::random::Sampler::default;
    for p in [1.5, -0.5, f32::NAN] {
        refused(random::bernoulli(p, 3), &["`p`", "from 0 to 1"]);
    }
    refused(random::bernoulli(&arr(&[0.5f32, 2.0]), 2), &["`p`", "2.0"]);
    refused(random::bernoulli(&arr(&[1]), 1), &["`p`", "int32"]);
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
        sampler().normal_with(0.0, &arr(&[1.0f32, -2.0]), 2),
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
        random::randint(&arr(&[0, 5]), &arr(&[3, 2]), 2),
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
        let w = (random::normal((4, 128))? * 30.0)?;
        let x = random::normal((1, 128))?;
        let (of_w, of_x) = (w.abs()?.max(..)?, x.abs()?.max(..)?);
        let w = w.quantize_scaled(nvfp4, Some(&of_w))?;
        let both = x
            .quantize_scaled(nvfp4, Some(&of_x))?
            .dequantize()?
            .astype(F32)?;
        let want = both.matmul(&w.dequantize()?.astype(F32)?.transpose(..)?)?;
        let largest = want.abs()?.max(..)?.item::<f32>()?;
        for dtype in [F32, F16] {
            let got = x.astype(dtype)?.qqmm(&w, Some(&of_x))?;
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

#[test]
fn numbers_that_are_none() -> Result<()> {
    let x = arr(&[f32::INFINITY]);
    refused(
        x.nan_to_num(0.0, Some(f32::NAN), None),
        &["`posinf`", "NaN"],
    );
    refused(x.number_of_elements(.., true, I32), &["`dtype`", "int32"]);
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
