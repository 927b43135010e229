//! Matrix products, quantization and convolution against plain loops in f64.

mod support;

use rstest::rstest;
use support::*;
use zmlx::ops::{self, Conv, Pick, QuantMode, Quantization, Quantized};
use zmlx::prelude::*;
use zmlx::{Result, with_device};

fn f64s(a: &Array) -> Vec<f64> {
    f32s(a).into_iter().map(f64::from).collect()
}

/// (n, k) by (k, m).
fn product(a: &[f64], b: &[f64], n: usize, k: usize, m: usize) -> Vec<f64> {
    (0..n * m)
        .map(|r| (0..k).map(|l| a[r / m * k + l] * b[l * m + r % m]).sum())
        .collect()
}

/// Views begin at any element: in the same evaluation as the product, and evaluated before.
#[rstest]
fn factors_begin_anywhere(#[values(F32, F16, BF16)] dtype: Dtype) {
    on_worker(move || -> Result<()> {
        let (n, k, m) = (12, 24, 16);
        let mut rng = Rng::new();
        for offset in [1, 2, 3, 8] {
            let view = |a: &Array, rows: i32, columns: i32| {
                let size = rows * columns;
                a.index(offset..offset + size)?.reshape((rows, columns))
            };
            let mut factor = |rows: i32, columns: i32| {
                let all = rng.factors(&[offset + rows * columns], -1.0, 1.0);
                all.astype(dtype)
            };
            let (a, b, c) = (factor(n, k)?, factor(k, m)?, factor(n, m)?);
            let (x, y, z) = (view(&a, n, k)?, view(&b, k, m)?, view(&c, n, m)?);
            let lazy = [x.matmul(&y)?, z.addmm(&x, &y, 1.0, 1.0)?];
            zmlx::eval(&lazy)?;
            zmlx::eval([&x, &y, &z])?;
            let ready = [x.matmul(&y)?, z.addmm(&x, &y, 1.0, 1.0)?];
            let [sizes_n, sizes_k, sizes_m] = [n, k, m].map(|i| i as usize);
            let want = product(&f64s(&x), &f64s(&y), sizes_n, sizes_k, sizes_m);
            let more: Vec<f64> = want.iter().zip(f64s(&z)).map(|(w, z)| w + z).collect();
            // The sum is rounded to the dtype, and once more where something is added to it.
            let tolerance = match dtype {
                F32 => 1e-5,
                F16 => 2.0 / 2048.0,
                _ => 2.0 / 256.0,
            };
            for got in [lazy, ready] {
                close(&f32s(&got[0]), &want, tolerance);
                close(&f32s(&got[1]), &more, tolerance);
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn products() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (a, b) = (
            rng.factors(&[3, 5], -1.0, 1.0),
            rng.factors(&[5, 4], -1.0, 1.0),
        );
        let c = rng.factors(&[4], -1.0, 1.0);
        let (u, v) = (rng.factors(&[5], -1.0, 1.0), rng.factors(&[5], -1.0, 1.0));
        let want = product(&f64s(&a), &f64s(&b), 3, 5, 4);
        close(&f32s(&a.matmul(&b).unwrap()), &want, 1e-5);
        for spec in ["ij,jk->ik", "ij,jk", "...j,jk->...k", "ij, jk -> ik"] {
            close(&f32s(&ops::einsum(spec, [&a, &b]).unwrap()), &want, 1e-5);
        }
        close(&f32s(&a.tensordot(&b, 1).unwrap()), &want, 1e-5);
        close(&f32s(&a.tensordot(&b, ([-1], [0])).unwrap()), &want, 1e-5);
        close(
            &f32s(&a.inner(&b.transpose(..).unwrap()).unwrap()),
            &want,
            1e-5,
        );
        let scaled: Vec<f64> = want
            .iter()
            .zip(f64s(&c).iter().cycle())
            .map(|(w, c)| 2.0 * w - 0.5 * c)
            .collect();
        close(&f32s(&c.addmm(&a, &b, 2.0, -0.5).unwrap()), &scaled, 1e-5);
        let dot: f64 = f64s(&u).iter().zip(f64s(&v)).map(|(x, y)| x * y).sum();
        for got in [
            u.matmul(&v),
            u.inner(&v),
            u.vecdot(&v, -1),
            ops::einsum("i,i->", [&u, &v]),
        ] {
            close(&f32s(&got.unwrap()), &[dot], 1e-5);
        }
        let outer: Vec<f64> = f64s(&u)
            .iter()
            .flat_map(|x| f64s(&v).into_iter().map(move |y| x * y))
            .collect();
        for got in [u.outer(&v), ops::einsum("i,j->ij", [&u, &v])] {
            close(&f32s(&got.unwrap()), &outer, 1e-6);
        }
        let k = u.reshape((5, 1)).unwrap().kron(&v).unwrap();
        assert_eq!(k.shape(), [5, 5]);
        close(&f32s(&k), &outer, 1e-6);
        assert!(
            ops::einsum_path("ij,jk->ik", [&a, &b])
                .unwrap()
                .text
                .contains("ij,jk->ik")
        );
        let batched = a.expand_dims(0).unwrap().broadcast_to((2, 3, 5)).unwrap();
        assert_eq!(batched.matmul(&b).unwrap().shape(), [2, 3, 4]);
        let z = arr(&[num_complex::Complex32::new(1.0, 2.0)]);
        assert_eq!(f32s(&z.vecdot(&z, 0).unwrap().real().unwrap()), [5.0]);
    })
}

#[test]
fn picked_products() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (a, b) = (
            rng.factors(&[3, 2, 5], -1.0, 1.0),
            rng.factors(&[4, 5, 2], -1.0, 1.0),
        );
        let (l, r) = (arr(&[2u32, 0]), arr(&[1u32, 3]));
        let pick = Pick {
            lhs: Some(&l),
            rhs: Some(&r),
            sorted: false,
        };
        let got = a.gather_mm(&b, pick).unwrap();
        let want = a
            .take(&l, 0)
            .unwrap()
            .matmul(&b.take(&r, 0).unwrap())
            .unwrap();
        close(&f32s(&got), &f64s(&want), 1e-5);
        let segments = Array::from_slice(&[0, 2, 2, 9, 3, 1], (3, 2)).unwrap();
        let (x, y) = (a.index(0).unwrap(), b.index(0).unwrap());
        let got = x.segmented_mm(&y, &segments).unwrap();
        for (i, (from, to)) in [(0, 2), (2, 5), (0, 0)].into_iter().enumerate() {
            let part = x
                .index((.., from..to))
                .unwrap()
                .matmul(&y.index(from..to).unwrap())
                .unwrap();
            close(&f32s(&got.index(i).unwrap()), &f64s(&part), 1e-5);
        }
        let (m, n) = (
            rng.factors(&[40, 40], -1.0, 1.0),
            rng.factors(&[40, 40], -1.0, 1.0),
        );
        let mask = Array::from_slice(&[true, false, false, true], (2, 2)).unwrap();
        let got = m.block_masked_mm(&n, 32, Some(&mask), None, None).unwrap();
        let keep = mask
            .repeat(32, 0)
            .unwrap()
            .repeat(32, 1)
            .unwrap()
            .index((..40, ..40))
            .unwrap();
        let want = ops::where_(&keep, m.matmul(&n).unwrap(), 0.0).unwrap();
        close(&f32s(&got), &f64s(&want), 1e-4);
    })
}

#[rstest]
fn hadamard(#[values(1, 2, 8, 12, 40, 28)] n: i32) {
    on_worker(move || {
        let x = Array::identity(n, F32).unwrap();
        let h = x.hadamard_transform(Some(1.0)).unwrap();
        assert!(f32s(&h.abs().unwrap()).iter().all(|&v| v == 1.0));
        let back = h.matmul(&h.transpose(..).unwrap()).unwrap();
        close(&f32s(&back), &f64s(&(&x * n).unwrap()), 1e-4);
        let unit = x.hadamard_transform(None).unwrap();
        close(
            &f32s(&unit.square().unwrap().sum(-1).unwrap()),
            &vec![1.0; n as usize],
            1e-4,
        );
    })
}

#[rstest]
fn affine(#[values(32, 64, 128)] group: i32, #[values(2, 3, 4, 5, 6, 8)] bits: i32) {
    on_worker(move || {
        let mut rng = Rng::new();
        let w = rng.factors(&[6, 128], -1.0, 1.0);
        let x = rng.factors(&[3, 128], -1.0, 1.0);
        let q = w.quantize(Quantization::affine(group, bits)).unwrap();
        assert_eq!(q.weight.shape(), [6, 128 * bits / 32]);
        let d = q.dequantize().unwrap();
        // Half a step of the range of a group, and one for edges that are rounded.
        let step = 2.0 / f64::from((1 << bits) - 1);
        assert!(d.allclose(&w, (0.0, step)).unwrap().item::<bool>().unwrap());
        let across = f64s(&d.transpose(..).unwrap());
        let want = product(&f64s(&x), &across, 3, 128, 6);
        close(&f32s(&x.quantized_matmul(&q, true).unwrap()), &want, 1e-4);
        let y = rng.factors(&[2, 6], -1.0, 1.0);
        let want = product(&f64s(&y), &f64s(&d), 2, 6, 128);
        // A kernel of its own for each group and bits, 20 seconds.
        let got = sampled((group, bits) == (64, 4), || {
            f32s(&y.quantized_matmul(&q, false).unwrap())
        });
        close(&got, &want, 1e-4);
        let none = Array::zeros((0, 128), F32)
            .unwrap()
            .quantized_matmul(&q, true)
            .unwrap();
        assert_eq!((none.shape(), f32s(&none).len()), (&[0, 6][..], 0));
    })
}

#[rstest]
#[case(QuantMode::Mxfp4, 0.3)]
#[case(QuantMode::Mxfp8, 0.1)]
#[case(QuantMode::Nvfp4, 0.3)]
fn small_floats(#[case] mode: QuantMode, #[case] tol: f64) {
    on_worker(move || {
        let mut rng = Rng::new();
        let w = rng.factors(&[4, 64], -1.0, 1.0);
        let q = w.quantize(Quantization::of(mode)).unwrap();
        assert!(q.biases.is_none());
        let d = q.dequantize().unwrap().astype(F32).unwrap();
        assert!(d.allclose(&w, (0.0, tol)).unwrap().item::<bool>().unwrap());
        let x = rng.factors(&[2, 64], -1.0, 1.0);
        let across = f64s(&d.transpose(..).unwrap());
        let want = product(&f64s(&x), &across, 2, 64, 4);
        close(&f32s(&x.quantized_matmul(&q, true).unwrap()), &want, 2e-2);
    })
}

#[test]
fn experts() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (w, x) = (
            rng.factors(&[4, 6, 64], -1.0, 1.0),
            rng.factors(&[3, 1, 64], -1.0, 1.0),
        );
        let q = w.quantize(Quantization::default()).unwrap();
        let experts = arr(&[3u32, 0, 2]);
        let pick = Pick {
            rhs: Some(&experts),
            ..Pick::default()
        };
        let got = x.gather_qmm(&q, pick, true).unwrap();
        let d = q.dequantize().unwrap().take(&experts, 0).unwrap();
        assert_eq!(got.shape(), [3, 1, 6]);
        for i in 0..3 {
            let [row, across] = [x.index(i), d.index(i).unwrap().transpose(..)].map(Result::unwrap);
            let want = product(&f64s(&row), &f64s(&across), 1, 64, 6);
            close(&f32s(&got.index(i).unwrap()), &want, 1e-4);
        }
        // Out of range: known is an error, unknown is clamped.
        let wrong = arr(&[4u32, 0, 2]);
        let pick = Pick {
            rhs: Some(&wrong),
            ..Pick::default()
        };
        assert!(matches!(
            x.gather_qmm(&q, pick, true),
            Err(Error::Argument { .. } | Error::Shape { .. })
        ));
        let lazy = wrong.add(0).unwrap();
        let pick = Pick {
            rhs: Some(&lazy),
            ..Pick::default()
        };
        close(
            &f32s(&x.gather_qmm(&q, pick, true).unwrap()),
            &f64s(&got),
            1e-4,
        );
        // One row quantized on both sides.
        let q8 = w
            .index(0)
            .unwrap()
            .quantize(Quantization::of(QuantMode::Mxfp8))
            .unwrap();
        let row = x.index(0).unwrap();
        let want = row.quantized_matmul(&q8, true).unwrap();
        let got = row.qqmm(&q8, None).unwrap();
        assert!(
            got.allclose(&want, (0.1, 0.3))
                .unwrap()
                .item::<bool>()
                .unwrap()
        );
        // No kernel on the CPU, but an error, not a crash.
        let rows = x.reshape((3, 64)).unwrap();
        let three = with_device(Device::CPU, || rows.qqmm(&q8, None).unwrap());
        assert!(three.eval().is_err());
    })
}

/// A quantized 6 by 64 matrix with its parts changed.
fn broken(change: fn(&mut Quantized) -> zmlx::Result<()>) -> zmlx::Result<Array> {
    let mut q = Array::ones((6, 64), F32)?.quantize(Quantization::affine(32, 4))?;
    change(&mut q)?;
    Array::ones((2, 64), F32)?.quantized_matmul(&q, true)
}

fn conv(x: [i32; 3], w: [i32; 3], c: Conv) -> zmlx::Result<Array> {
    Array::ones(x, F32)?.conv1d(&Array::ones(w, F32)?, c)
}

#[rstest]
#[case::inner(|| Array::ones((2, 3), F32)?.matmul(&Array::ones((2, 3), F32)?))]
#[case::scalar(|| Array::from(1.0f32).matmul(&Array::from(1.0f32)))]
#[case::integers(|| arr(&[1]).matmul(&arr(&[1])))]
#[case::tensordot(|| arr(&[1.0f32]).tensordot(&arr(&[1.0f32]), -1))]
#[case::tensordot_many(|| arr(&[1.0f32]).tensordot(&arr(&[1.0f32]), i32::MAX))]
#[case::tensordot_axis(|| arr(&[1.0f32]).tensordot(&arr(&[1.0f32]), ([1], [0])))]
#[case::einsum_count(|| ops::einsum("i,j", [arr(&[1.0f32])]))]
#[case::einsum_none(|| ops::einsum::<Array>("", []))]
#[case::einsum_letters(|| ops::einsum("1->1", [arr(&[1.0f32])]))]
#[case::einsum_unicode(|| ops::einsum("é", [arr(&[1.0f32])]))]
#[case::einsum_dots(|| ops::einsum("..i", [arr(&[1.0f32])]))]
#[case::einsum_sizes(|| ops::einsum("ii", [Array::ones((2, 3), F32)?]))]
#[case::einsum_output(|| ops::einsum("i->j", [arr(&[1.0f32])]))]
#[case::einsum_deep(|| ops::einsum("...", [Array::ones([1; 60], F32)?]))]
#[case::hadamard(|| Array::ones(6, F32)?.hadamard_transform(None))]
#[case::hadamard_36(|| Array::ones(36, F32)?.hadamard_transform(None))]
#[case::hadamard_empty(|| Array::ones(0, F32)?.hadamard_transform(None))]
#[case::block(|| Array::ones((2, 2), F32)?.block_masked_mm(&Array::ones((2, 2), F32)?, 16, Some(&arr(&[true])), None, None))]
#[case::segments(|| Array::ones((2, 2), F32)?.segmented_mm(&Array::ones((2, 2), F32)?, &arr(&[0, 1, 2])))]
#[case::group(|| Array::ones((2, 64), F32)?.quantize(Quantization::affine(0, 4))?.dequantize())]
#[case::bits(|| Array::ones((2, 64), F32)?.quantize(Quantization::affine(64, 7))?.dequantize())]
#[case::columns(|| Array::ones((2, 48), F32)?.quantize(Quantization::affine(32, 4))?.dequantize())]
#[case::vector(|| Array::ones(64, F32)?.quantize(Quantization::default())?.dequantize())]
#[case::quantize_integers(|| Array::ones((2, 64), I32)?.quantize(Quantization::default())?.dequantize())]
#[case::rows(|| broken(|q| { q.scales = q.scales.index(..3)?; Ok(()) }))]
#[case::scales_columns(|| broken(|q| { q.scales = q.scales.index((.., ..1))?; Ok(()) }))]
#[case::scales_ndim(|| broken(|q| { q.scales = q.scales.index(0)?; Ok(()) }))]
#[case::weight_ndim(|| broken(|q| { q.weight = q.weight.index(0)?; q.scales = q.scales.index(0)?; Ok(()) }))]
#[case::biases(|| broken(|q| { q.biases = Some(Array::ones((6, 1), F32)?); Ok(()) }))]
#[case::no_biases(|| broken(|q| { q.biases = None; Ok(()) }))]
#[case::weight_type(|| broken(|q| { q.weight = q.weight.astype(I32)?; Ok(()) }))]
#[case::factor(|| broken(|q| { q.weight = Array::zeros((6, 16), U32)?; q.scales = Array::zeros((6, 4), F32)?; q.biases = Some(Array::zeros((6, 4), F32)?); Ok(()) }))]
#[case::scalar_factor(|| Array::from(1.0f32).quantized_matmul(&Array::ones((6, 64), F32)?.quantize(Quantization::default())?, true))]
#[case::stride(|| conv([1, 4, 1], [1, 2, 1], Conv::new().stride(0)))]
#[case::dilation(|| conv([1, 4, 1], [1, 2, 1], Conv::new().dilation(-1)))]
#[case::groups(|| conv([1, 4, 1], [1, 2, 1], Conv::new().groups(0)))]
#[case::groups_many(|| conv([1, 4, 1], [1, 2, 1], Conv::new().groups(i32::MAX)))]
#[case::channels(|| conv([1, 4, 3], [1, 2, 2], Conv::new()))]
#[case::too_long(|| conv([1, 2, 1], [1, 4, 1], Conv::new()))]
#[case::cut_away(|| conv([1, 4, 1], [1, 2, 1], Conv::new().padding(-9)))]
#[case::empty_weight(|| conv([1, 4, 1], [1, 0, 1], Conv::new()))]
#[case::settings(|| conv([1, 4, 1], [1, 2, 1], Conv::new().stride([1, 1])))]
#[case::size(|| conv([1, 4, 1], [1, 2, 1], Conv::new().padding(i32::MAX)))]
#[case::ndim(|| Array::ones((1, 4), F32)?.conv_general(&Array::ones((1, 4), F32)?, Conv::new()))]
#[case::conv_integers(|| Array::ones((1, 4, 1), I32)?.conv1d(&Array::ones((1, 2, 1), I32)?, Conv::new()))]
#[case::output_padding(|| Array::ones((1, 4, 1), F32)?.conv_transpose1d(&Array::ones((1, 2, 1), F32)?, Conv::new().output_padding(-1)))]
#[case::uneven(|| Array::ones((1, 4, 1), F32)?.conv_transpose1d(&Array::ones((1, 2, 1), F32)?, Conv::new().padding_lo_hi(0, 1)))]
fn errors(#[case] op: fn() -> zmlx::Result<Array>) {
    let e = on_worker(move || op().unwrap_err());
    let ok = matches!(
        e,
        Error::Shape { .. } | Error::Argument { .. } | Error::Dtype { .. }
    );
    assert!(ok && e.to_string().contains("tests/ops_matrix.rs"), "{e:?}");
}
