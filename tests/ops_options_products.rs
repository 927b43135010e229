//! Masks of blocks, types of quantized products, and fused attention by force, each beside loops over the numbers.

mod support;

use rstest::rstest;
use support::ops::{here, refused};
use support::*;
use zmlx::ops::{Pick, QuantMode, Quantization, Quantized};
use zmlx::prelude::*;

fn f64s(a: &Array) -> Vec<f64> {
    f32s(a).into_iter().map(f64::from).collect()
}

/// Masks of the output and both factors, of bools or numbers that scale a block.
#[rstest]
fn masks_of_blocks(#[values(32, 64)] block: i32, #[values(false, true)] scaled: bool) {
    on_worker(move || {
        let mut rng = Rng::new();
        let (n, k, m) = (70, 100, 40);
        let (a, b) = (
            rng.factors(&[n, k], -1.0, 1.0),
            rng.factors(&[k, m], -1.0, 1.0),
        );
        let blocks = |n: i32| (n + block - 1) / block;
        let mut mask = |rows: i32, columns: i32| {
            let shape = [blocks(rows), blocks(columns)];
            let numbers = rng.factors(&shape, 0.25, 2.0);
            match scaled {
                true => numbers,
                // At least one of each.
                false => numbers.greater(numbers.mean(..).unwrap()).unwrap(),
            }
        };
        let masks = [mask(n, m), mask(n, k), mask(k, m)];
        let factors: Vec<Vec<f64>> = masks.iter().map(f64s).collect();
        let factor = |which: usize, row: i32, column: i32| {
            let columns = masks[which].shape()[1];
            factors[which][(row / block * columns + column / block) as usize]
        };
        let (av, bv) = (f64s(&a), f64s(&b));
        for used in 1..8usize {
            let given = |i: usize| (used >> i & 1 == 1).then(|| &masks[i]);
            let got = a.block_masked_mm(&b, block, given(0), given(1), given(2));
            let scale = |i: usize, row: i32, column: i32| match given(i) {
                Some(_) => factor(i, row, column),
                None => 1.0,
            };
            let mut want = Vec::new();
            for i in 0..n {
                for j in 0..m {
                    let term = |l: i32| {
                        av[(i * k + l) as usize]
                            * scale(1, i, l)
                            * bv[(l * m + j) as usize]
                            * scale(2, l, j)
                    };
                    want.push(scale(0, i, j) * (0..k).map(term).sum::<f64>());
                }
            }
            // Sums of 100 products of numbers up to 8.
            close(&f32s(&got.unwrap()), &want, 1e-4);
        }
    });
}

/// The number that 4 bits of E2M1 stand for.
fn e2m1(code: u32) -> f64 {
    let magnitude = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0][(code & 7) as usize];
    if code & 8 == 0 { magnitude } else { -magnitude }
}

/// The number that 8 bits of E4M3 stand for; none here is NaN.
fn e4m3(code: u32) -> f64 {
    let (exponent, mantissa) = ((code >> 3 & 15) as i32, f64::from(code & 7));
    let magnitude = match exponent {
        0 => mantissa / 8.0 * 2f64.powi(-6),
        e => (1.0 + mantissa / 8.0) * 2f64.powi(e - 7),
    };
    if code & 128 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// The numbers of a matrix of nvfp4 or mxfp8, from its bits.
fn decoded(w: &Quantized) -> Vec<f64> {
    let words = w.weight.to_vec::<u32>().unwrap();
    let scales = w.scales.to_vec::<u8>().unwrap();
    let q = w.quantization;
    let each = (32 / q.bits) as usize;
    // The largest numbers of E2M1 and E4M3 multiplied stand for the scale of the whole.
    let whole = w
        .global_scale
        .as_ref()
        .map_or(1.0, |s| f64::from(s.item::<f32>().unwrap()) / (6.0 * 448.0));
    (0..words.len() * each)
        .map(|i| {
            let code = words[i / each] >> (i % each * q.bits as usize);
            let scale = u32::from(scales[i / q.group_size as usize]);
            match q.mode {
                QuantMode::Nvfp4 => e2m1(code & 15) * e4m3(scale) * whole,
                _ => e4m3(code & 255) * 2f64.powi(scale as i32 - 127),
            }
        })
        .collect()
}

#[rstest]
#[case(QuantMode::Nvfp4, false)]
#[case(QuantMode::Nvfp4, true)]
#[case(QuantMode::Mxfp8, false)]
fn numbers_of_quantized_matrices(#[case] mode: QuantMode, #[case] whole: bool) {
    here(move || {
        let mut rng = Rng::new();
        let x = rng.array(&[3, 64], -50.0, 50.0);
        let scale = x.abs().unwrap().max(..).unwrap();
        let scale = whole.then_some(&scale);
        let q = x.quantize_scaled(Quantization::of(mode), scale).unwrap();
        assert_eq!(q.global_scale.is_some(), whole);
        let want = decoded(&q);
        // Rounded to the type once, of several products in float32.
        for (dtype, unit) in [(F32, 4e-7), (F16, 1e-3), (BF16, 8e-3)] {
            let got = q.dequantize_as(dtype).unwrap();
            assert_eq!((got.shape(), got.dtype()), (&[3, 64][..], dtype));
            for (g, w) in f32s(&got).iter().zip(&want) {
                let off = (f64::from(*g) - w).abs();
                assert!(off <= unit * w.abs(), "{dtype}: {g}, not {w}");
            }
        }
        assert_eq!(
            f32s(&q.dequantize().unwrap()),
            f32s(&q.dequantize_as(BF16).unwrap())
        );
        // What was quantized is near: half a step of E2M1 is a sixth of the largest of a group, of E4M3 a sixteenth of
        // the number, and scales are rounded.
        let share = if mode == QuantMode::Nvfp4 { 0.25 } else { 0.1 };
        for (w, x) in want.iter().zip(f64s(&x)) {
            assert!((w - x).abs() <= share * 50.0, "{w} of {x}");
        }
        refused(q.dequantize_as(F64), &["`dtype`", "float64"]);
        refused(q.dequantize_as(I32), &["`dtype`", "int32"]);
    });
}

#[test]
fn numbers_of_affine_matrices_in_a_dtype() {
    here(|| {
        let mut rng = Rng::new();
        let x = rng.array(&[3, 64], -1.0, 1.0).astype(F16).unwrap();
        let q = x.quantize(Quantization::affine(32, 8)).unwrap();
        let (own, wide) = (q.dequantize().unwrap(), q.dequantize_as(F32).unwrap());
        assert_eq!((own.dtype(), wide.dtype()), (F16, F32));
        assert_eq!(f32s(&own), f32s(&wide));
    });
}

/// Products whose factors are quantized both, beside those of the numbers that the bits stand for.
#[rstest]
#[case(QuantMode::Nvfp4, false)]
#[case(QuantMode::Nvfp4, true)]
#[case(QuantMode::Mxfp8, false)]
fn doubly_quantized(#[case] mode: QuantMode, #[case] whole: bool) {
    here(move || {
        let mut rng = Rng::new();
        let quantization = Quantization::of(mode);
        let (x, w) = (
            rng.array(&[1, 64], -2.0, 2.0),
            rng.array(&[5, 64], -3.0, 3.0),
        );
        let most = |a: &Array| a.abs().unwrap().max(..).unwrap();
        let (of_x, of_w) = (most(&x), most(&w));
        let (of_x, of_w) = (whole.then_some(&of_x), whole.then_some(&of_w));
        let qx = x.quantize_scaled(quantization, of_x).unwrap();
        let qw = w.quantize_scaled(quantization, of_w).unwrap();
        let (xv, wv) = (decoded(&qx), decoded(&qw));
        let want: Vec<f64> = wv
            .chunks(64)
            .map(|row| row.iter().zip(&xv).map(|(w, x)| w * x).sum())
            .collect();
        let dense = x.qqmm_dense(&w, quantization, of_x.zip(of_w)).unwrap();
        for got in [x.qqmm(&qw, of_x).unwrap(), dense] {
            assert_eq!((got.shape(), got.dtype()), (&[1, 5][..], F32));
            // Sums of 64 products up to 6, in float32.
            close(&f32s(&got), &want, 1e-4);
        }
        let flat = x
            .index(0)
            .unwrap()
            .qqmm_dense(&w, quantization, of_x.zip(of_w));
        close(&f32s(&flat.unwrap()), &want, 1e-4);

        refused(
            x.qqmm_dense(&w, Quantization::default(), None),
            &["mxfp8 or nvfp4", "affine"],
        );
        refused(
            x.qqmm_dense(&x.reshape(64).unwrap(), quantization, None),
            &["[1, 64]", "[64]"],
        );
        let narrow = w.index((.., ..63)).unwrap();
        refused(
            x.qqmm_dense(&narrow, quantization, None),
            &["[1, 64]", "[5, 63]"],
        );
        let ints = w.astype(I32).unwrap();
        refused(x.qqmm_dense(&ints, quantization, None), &["int32"]);
    });
}

/// MLX has this product for GPUs only. Elsewhere it is an error of the evaluation.
#[test]
fn doubly_quantized_experts() {
    on_worker(|| {
        let mut rng = Rng::new();
        let quantization = Quantization::of(QuantMode::Nvfp4);
        let w = rng
            .array(&[4, 16, 64], -1.0, 1.0)
            .quantize(quantization)
            .unwrap();
        let x = rng.array(&[3, 1, 64], -1.0, 1.0);
        let experts = arr(&[3u32, 0, 2]);
        let pick = Pick {
            rhs: Some(&experts),
            ..Pick::default()
        };
        let got = x.gather_qqmm(&w, pick, None).unwrap();
        assert_eq!((got.shape(), got.dtype()), (&[3, 1, 16][..], F32));
        let gpu = Stream::current().unwrap().device().kind == zmlx::DeviceKind::Gpu;
        match got.eval() {
            Ok(()) => {
                let xv = decoded(&x.quantize(quantization).unwrap());
                let wv = decoded(&w);
                let mut want = Vec::new();
                for (i, &e) in [3usize, 0, 2].iter().enumerate() {
                    for row in 0..16 {
                        let at = (e * 16 + row) * 64;
                        let each = wv[at..at + 64].iter().zip(&xv[i * 64..(i + 1) * 64]);
                        want.push(each.map(|(w, x)| w * x).sum::<f64>());
                    }
                }
                close(&f32s(&got), &want, 1e-4);
            }
            Err(error) => assert!(!gpu || error.to_string().contains("QQM"), "{error}"),
        }
        let short = rng.array(&[3, 1, 32], -1.0, 1.0);
        refused(
            short.gather_qqmm(&w, pick, None),
            &["gather_qqmm", "64 columns"],
        );
        let affine = rng
            .array(&[4, 16, 64], -1.0, 1.0)
            .quantize(Quantization::default())
            .unwrap();
        refused(
            x.gather_qqmm(&affine, pick, None),
            &["gather_qqmm", "affine"],
        );
        let wrong = arr(&[4u32, 0, 2]);
        let pick = Pick {
            rhs: Some(&wrong),
            ..Pick::default()
        };
        refused(x.gather_qqmm(&w, pick, None), &["gather_qqmm"]);
    });
}

/// Where there is a fused kernel it gives what MLX's choice does; where there is none that is said at the call.
#[test]
fn fused_attention_by_force() {
    let mut rng = Rng::new();
    let data: Vec<Vec<f32>> = (0..3).map(|_| rng.reals(2 * 4 * 64, -1.0, 1.0)).collect();
    let parts = move || {
        data.iter()
            .map(|v| Array::from_slice(v, (1, 2, 4, 64)).unwrap())
            .collect::<Vec<_>>()
    };
    let on_cpu = parts.clone();
    here(move || {
        let p = on_cpu();
        let forced = fast::scaled_dot_product_attention(&p[0], &p[1], &p[2], 0.125).force_fused();
        // MLX names the CPU or the GPU, whichever it was built for.
        refused(forced.call(), &["force_fused"]);
    });
    on_worker(move || {
        let p = parts();
        if Stream::current().unwrap().device().kind != zmlx::DeviceKind::Gpu {
            println!("SKIPPED: no GPU, so no fused kernel");
            return;
        }
        let plain = fast::scaled_dot_product_attention(&p[0], &p[1], &p[2], 0.125).causal();
        let forced = match plain.clone().force_fused().call() {
            Ok(forced) => forced,
            Err(e) => {
                assert!(e.to_string().contains("force_fused"), "{e}");
                println!("SKIPPED: {e}");
                return;
            }
        };
        let plain = exactly(|| f64s(&plain.call().unwrap()));
        // Factors may be rounded to 11 bits.
        close(&f32s(&forced), &plain, 2e-3);
    });
}
