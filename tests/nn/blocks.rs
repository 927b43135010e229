//! Layers over matrices in the blocks of GGUF files.

use half::f16;
use zmlx::io::GgufType;
use zmlx::kernels::quant::QuantizedWeight;
use zmlx::nn::{self, Init, Lora, ModuleExt, Weight};
use zmlx::prelude::*;
use zmlx::{Device, Result, with_device};

use crate::common::{Rng, on_worker};
use crate::toolkit::{check, normal};

/// Rounding of float32 over sums of some hundred terms: 2^-24 times a few dozen.
const SUMS: f64 = 1e-5;

/// A random matrix of Q8_0, and its numbers in float64.
fn matrix(rng: &mut Rng, rows: usize, columns: usize) -> Result<(Weight, Array)> {
    let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
    for _ in 0..rows * columns / 32 {
        let scale = f16::from_f32(0.002 + rng.normal().abs() / 200.0);
        bytes.extend(scale.to_le_bytes());
        for _ in 0..32 {
            let code = (rng.below(255) as i32 - 127) as i8;
            bytes.push(code as u8);
            numbers.push(scale.to_f64() * f64::from(code));
        }
    }
    let row = (columns / 32 * 34) as i32;
    let weight = Weight::Blocks {
        kind: GgufType::Q8_0,
        blocks: Array::from_slice(&bytes, (rows as i32, row))?,
    };
    Ok((weight, Array::from_slice(&numbers, (rows, columns))?))
}

#[test]
fn linear_and_embedding() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (weight, numbers) = matrix(&mut rng, 10, 64).unwrap();
        assert_eq!(weight.shape(), [10, 64]);
        assert!(weight.is_quantized());
        let bias = normal(&mut rng, &[10]);
        let linear = nn::Linear::from_weight(weight.clone(), Some(bias.clone()));
        assert_eq!(linear.sizes(), (64, 10));
        let embedding = nn::Embedding::from_weight(weight.clone());
        let tokens = Array::from_slice(&[9u32, 0, 4, 9], (2, 2)).unwrap();
        let one = Array::from(3u32);
        let wide = |a: &Array| a.astype(F64).unwrap();
        with_device(Device::CPU, || {
            for shape in [&[64][..], &[1, 64], &[2, 21, 64]] {
                let x = normal(&mut rng, shape);
                let want = wide(&x).matmul(&numbers.transpose(..).unwrap()).unwrap();
                check(&embedding.as_head(&x).unwrap(), &want, SUMS, "head");
                let want = want.add(wide(&bias)).unwrap();
                check(&linear.forward(&x).unwrap(), &want, SUMS, "linear");
            }
            for tokens in [tokens, one] {
                let want = numbers.take(&tokens, 0).unwrap();
                check(&embedding.forward(&tokens).unwrap(), &want, SUMS, "rows");
            }
            check(&weight.dense().unwrap(), &numbers, SUMS, "dense");
        });
    });
}

/// Gradients flow through such a layer and into the product of low rank beside it, and stop at its own matrix.
#[test]
fn products_of_low_rank_beside() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (weight, numbers) = matrix(&mut rng, 10, 64).unwrap();
        let mut layer = nn::Linear::from_weight(weight, None);
        let mut init = Init::seed(5);
        assert_eq!(
            Lora::add(&mut layer, 3, 1.5, &mut init, |_| true).unwrap(),
            1
        );
        let (a, b) = (normal(&mut rng, &[3, 64]), normal(&mut rng, &[10, 3]));
        let some = [("lora.a", &a), ("lora.b", &b)];
        let some = some.map(|(n, a)| (n.to_owned(), a.clone()));
        layer.set(&some.into_iter().collect()).unwrap();
        let (x, g) = (normal(&mut rng, &[4, 64]), normal(&mut rng, &[4, 10]));
        let wide = |a: &Array| a.astype(F64).unwrap();
        with_device(Device::CPU, || {
            let sum = |m: &nn::Linear, x: &Array| m.forward(x)?.multiply(&g)?.sum(..);
            let (_, grads) = nn::value_and_grad(&layer, sum)(&layer, &x).unwrap();
            assert_eq!(grads.keys().collect::<Vec<_>>(), ["lora.a", "lora.b"]);
            let of_x = zmlx::grad(|x: &Array| sum(&layer, x))(&x).unwrap();

            let (x, g, a, b) = (wide(&x), wide(&g), wide(&a), wide(&b));
            let t = |m: &Array| m.transpose(..).unwrap();
            let product = |m: &Array, n: &Array| m.matmul(n).unwrap();
            let low = product(&product(&x, &t(&a)), &t(&b)).multiply(1.5).unwrap();
            let want = product(&x, &t(&numbers)).add(&low).unwrap();
            let x32 = x.astype(F32).unwrap();
            check(&layer.forward(&x32).unwrap(), &want, SUMS, "value");
            let of_b = product(&t(&g), &product(&x, &t(&a))).multiply(1.5).unwrap();
            check(&grads["lora.b"], &of_b, SUMS, "b");
            let of_a = product(&t(&product(&g, &b)), &x).multiply(1.5).unwrap();
            check(&grads["lora.a"], &of_a, SUMS, "a");
            let merged = product(&b, &a).multiply(1.5).unwrap();
            let merged = numbers.add(&merged).unwrap();
            check(&of_x, &product(&g, &merged), SUMS, "x");

            assert_eq!(Lora::merge(&mut layer.clone()).unwrap(), 1);
            let mut dense = layer.clone();
            Lora::merge(&mut dense).unwrap();
            assert!(!dense.weight.is_quantized());
            check(&dense.forward(&x32).unwrap(), &want, SUMS, "merged");
        });
    });
}

/// A layer of MLX's packed form takes the catalog's product on a CPU; it is that of its numbers, in 16 bits, too.
#[test]
fn packed_products_in_each_dtype() {
    on_worker(|| {
        let mut rng = Rng::new();
        let w = normal(&mut rng, &[6, 64]);
        for (dtype, tolerance) in [(F32, SUMS), (F16, 2e-3), (BF16, 2e-2)] {
            let q = w.astype(dtype).unwrap();
            let q = q.quantize(zmlx::ops::Quantization::affine(32, 4)).unwrap();
            let x = normal(&mut rng, &[5, 64]).astype(dtype).unwrap();
            let wide = |a: &Array| a.astype(F64).unwrap();
            with_device(Device::CPU, || {
                let numbers = QuantizedWeight::new(&q).unwrap().dequantize(F32).unwrap();
                let want = wide(&x).matmul(&wide(&numbers).transpose(..).unwrap());
                let y = Weight::from(q.clone()).product(&x).unwrap();
                assert_eq!(y.dtype(), dtype);
                check(&y, &want.unwrap(), tolerance, "product");
            });
        }
    });
}
