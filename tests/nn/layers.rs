//! Single layers against MLX's operations in float64.

use zmlx::nn::{self, Activation, Init, ModuleExt};
use zmlx::ops::Quantization;
use zmlx::prelude::*;
use zmlx::{Device, with_device};

use crate::common::{Rng, on_worker};
use crate::toolkit::{check, normal};

/// Rounding of float32 over sums of up to some hundred terms: 2^-24 times a few dozen.
const SUMS: f64 = 1e-5;

fn wide(a: &Array) -> Array {
    a.astype(F64).unwrap()
}

/// A layer's float32 result, and the reference in float64, both on the CPU: products of matrices are exact in float32 there.
fn compare(got: impl FnOnce() -> zmlx::Result<Array>, want: impl FnOnce() -> zmlx::Result<Array>) {
    let (got, want) = with_device(Device::CPU, || (got().unwrap(), want().unwrap()));
    check(&got, &want, SUMS, "layer");
}

#[test]
fn linear() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (x, w) = (normal(&mut rng, &[2, 3, 7]), normal(&mut rng, &[5, 7]));
        let b = normal(&mut rng, &[5]);
        for bias in [None, Some(b)] {
            let layer = nn::Linear::from_weight(w.clone(), bias.clone());
            compare(
                || layer.forward(&x),
                || {
                    let y = wide(&x).matmul(&wide(&w).transpose(..)?)?;
                    bias.as_ref().map_or(Ok(y.clone()), |b| &y + wide(b))
                },
            );
        }
    });
}

#[test]
fn a_quantized_linear_layer_is_the_layer_of_its_numbers() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (x, w) = (normal(&mut rng, &[3, 64]), normal(&mut rng, &[4, 64]));
        let b = normal(&mut rng, &[4]);
        let q = Quantization::affine(32, 4);
        let layer = nn::QuantizedLinear::new(&w, Some(b.clone()), q).unwrap();
        compare(
            || layer.forward(&x),
            || {
                let w = wide(&w.quantize(q)?.dequantize()?);
                wide(&x).matmul(&w.transpose(..)?)? + wide(&b)
            },
        );
        let mut same = nn::Linear::from_weight(w, Some(b));
        assert_eq!(same.quantize(q, |_| true).unwrap(), 1);
        let y = [&same, &layer].map(|l| l.forward(&x).unwrap().to_vec::<f32>().unwrap());
        assert_eq!(y[0], y[1]);
    });
}

#[test]
fn embedding_and_head() {
    on_worker(|| {
        let mut rng = Rng::new();
        let w = normal(&mut rng, &[9, 64]);
        let tokens = Array::from_slice(&[3u32, 0, 8, 3], (2, 2)).unwrap();
        let x = normal(&mut rng, &[2, 64]);
        let mut layer = nn::Embedding::from_weight(w.clone());
        compare(|| layer.forward(&tokens), || wide(&w).take(&tokens, 0));
        compare(
            || layer.as_head(&x),
            || wide(&x).matmul(&wide(&w).transpose(..)?),
        );
        layer
            .quantize(Quantization::affine(32, 8), |_| true)
            .unwrap();
        let w = w
            .quantize(Quantization::affine(32, 8))
            .unwrap()
            .dequantize()
            .unwrap();
        compare(|| layer.forward(&tokens), || wide(&w).take(&tokens, 0));
        let one = Array::from(8u32);
        compare(|| layer.forward(&one), || wide(&w).take(&one, 0));
        assert!(layer.forward(&Array::from(9u32)).is_err());
    });
}

#[test]
fn norms() {
    on_worker(|| {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[2, 3, 8]);
        let mut rms = nn::RmsNorm::from_weight(normal(&mut rng, &[8])).eps(0.25);
        rms.train(false);
        compare(
            || rms.forward(&x),
            || {
                let mean = wide(&x).square()?.mean(zmlx::keepdims(-1))?;
                wide(&x) / (mean + 0.25)?.sqrt()? * wide(&rms.weight)
            },
        );
        let mut layer = nn::LayerNorm::new(8, &Init::seed(0)).unwrap().eps(0.25);
        layer.weight.set(normal(&mut rng, &[8]));
        layer.bias.set(normal(&mut rng, &[8]));
        compare(
            || layer.forward(&x),
            || {
                let d = (wide(&x) - wide(&x).mean(zmlx::keepdims(-1))?)?;
                let deviation = (d.square()?.mean(zmlx::keepdims(-1))? + 0.25)?.sqrt()?;
                (d / deviation)?.multiply(wide(&layer.weight))? + wide(&layer.bias)
            },
        );
        let mut group = nn::GroupNorm::new(2, 8, &Init::seed(0)).unwrap().eps(0.25);
        group.weight.set(normal(&mut rng, &[8]));
        group.bias.set(normal(&mut rng, &[8]));
        compare(
            || group.forward(&x),
            || {
                let grouped = wide(&x).reshape((2, 3, 2, 4))?;
                let d = (&grouped - grouped.mean(zmlx::keepdims([1, 3]))?)?;
                let deviation = (d.square()?.mean(zmlx::keepdims([1, 3]))? + 0.25)?.sqrt()?;
                let y = (d / deviation)?.reshape((2, 3, 8))?;
                y.multiply(wide(&group.weight))? + wide(&group.bias)
            },
        );
    });
}

#[test]
fn feed_forward() {
    on_worker(|| {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[3, 6]);
        let mut init = Init::seed(rng.next());
        let mlp = nn::Mlp::new(6, 10, &mut init)
            .unwrap()
            .activation(Activation::Relu);
        let product =
            |x: &Array, layer: &nn::Linear| x.matmul(&wide(&layer.weight.dense()?).transpose(..)?);
        compare(
            || mlp.forward(&x),
            || {
                let bias = |layer: &nn::Linear| wide(layer.bias.as_ref().unwrap());
                let h = (product(&wide(&x), &mlp.up)? + bias(&mlp.up))?.maximum(0)?;
                product(&h, &mlp.down)? + bias(&mlp.down)
            },
        );
        let glu = nn::SwiGlu::new(6, 10, &mut init).unwrap();
        compare(
            || glu.forward(&x),
            || {
                let gate = product(&wide(&x), &glu.gate)?;
                let h = (&gate * gate.sigmoid()?)?.multiply(product(&wide(&x), &glu.up)?)?;
                product(&h, &glu.down)
            },
        );
    });
}

/// Each name stands for the function of that name.
#[test]
fn activations_at_some_points() {
    on_worker(|| {
        let x = Array::from_slice(&[-1.0f32, 1.0, 2.0], 3).unwrap();
        let e = std::f64::consts::E;
        let silu = |v: f64| v / (1.0 + (-v).exp());
        let known: [(Activation, [f64; 3]); 9] = [
            (Activation::Relu, [0.0, 1.0, 2.0]),
            (Activation::Relu2, [0.0, 1.0, 4.0]),
            (Activation::LeakyRelu, [-0.01, 1.0, 2.0]),
            (Activation::Silu, [silu(-1.0), silu(1.0), silu(2.0)]),
            (
                Activation::Gelu,
                [-0.158_655_25, 0.841_344_75, 1.954_499_74],
            ),
            (Activation::Elu, [1.0 / e - 1.0, 1.0, 2.0]),
            (Activation::Tanh, [-(1f64.tanh()), 1f64.tanh(), 2f64.tanh()]),
            (Activation::Softsign, [-0.5, 0.5, 2.0 / 3.0]),
            (Activation::HardSwish, [-1.0 / 3.0, 2.0 / 3.0, 5.0 / 3.0]),
        ];
        for (activation, want) in known {
            let y = activation.forward(&x).unwrap();
            crate::common::close(&y, &want, 1e-6);
        }
        assert!(Activation::ALL.len() > known.len());
    });
}

#[test]
fn initialisers_have_the_spread_of_their_papers() {
    on_worker(|| {
        let mut init = Init::seed(Rng::new().next());
        let shape = [200, 300];
        let n = 60_000f64;
        let spread = |a: &Array| {
            let v = crate::common::f64s(a);
            let mean = v.iter().sum::<f64>() / n;
            let var = v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            (mean, var, v.iter().fold(0f64, |m, x| m.max(x.abs())))
        };
        let bound: f64 = (6.0 / 500.0f64).sqrt();
        let (mean, var, most) = spread(&init.glorot_uniform(&shape).unwrap());
        // Seven deviations of the mean and the variance of so many numbers.
        assert!(
            mean.abs() < 7.0 * (var / n).sqrt() && most <= bound,
            "{mean} {most}"
        );
        assert!(
            (var / (bound * bound / 3.0) - 1.0).abs() < 7.0 * (0.8 / n).sqrt(),
            "{var}"
        );
        for (a, want) in [
            (init.glorot_normal(&shape).unwrap(), 2.0 / 500.0),
            (init.he_normal(&shape).unwrap(), 2.0 / 300.0),
        ] {
            let (mean, var, _) = spread(&a);
            assert!(mean.abs() < 7.0 * (var / n).sqrt(), "{mean}");
            assert!(
                (var / want - 1.0).abs() < 7.0 * (2.0 / n).sqrt(),
                "{var} {want}"
            );
        }
        for (rows, columns) in [(3, 5), (5, 3)] {
            let q = init.orthogonal(rows, columns).unwrap();
            let t = q.transpose(..).unwrap();
            let product = if rows < columns {
                q.matmul(&t)
            } else {
                t.matmul(&q)
            };
            let one = zmlx::Array::identity(3, F32).unwrap();
            // A GPU rounds the factors to 11 bits.
            check(&product.unwrap(), &one, 2e-3, "orthogonal");
        }
        let again = |seed| {
            Init::seed(seed)
                .normal(&[4], 1.0)
                .unwrap()
                .to_vec::<f32>()
                .unwrap()
        };
        assert_eq!(again(5), again(5));
        assert_ne!(again(5), again(6));
    });
}
