//! Numbers and names that make no sense, of layers and gradients.

use zmlx::nn::{self, Init, Module, ModuleExt, Tree};
use zmlx::prelude::*;
use zmlx::{Error, Result};

use crate::common::on_worker;

#[track_caller]
fn told<T>(result: Result<T>, words: &[&str]) {
    let Err(e) = result else {
        panic!("taken: {words:?}")
    };
    let text = e.to_string();
    assert!(words.iter().all(|w| text.contains(w)), "{words:?}: {text}");
    assert!(text.contains("tests/nn/refused.rs"), "{text}");
}

#[derive(Clone, Module)]
struct Flat {
    #[module(flatten)]
    a: nn::RmsNorm,
    #[module(flatten)]
    b: nn::RmsNorm,
}

/// Two parameters of one name: one of them would be lost.
#[test]
fn names_that_two_parameters_have() {
    on_worker(|| {
        let init = Init::seed(1);
        let mut flat = Flat {
            a: nn::RmsNorm::new(4, &init).unwrap(),
            b: nn::RmsNorm::new(4, &init).unwrap(),
        };
        let x = Array::ones((1, 4), F32).unwrap();
        let loss = nn::value_and_grad(&flat, |m: &Flat, x: &Array| m.a.forward(x)?.sum(..));
        told(loss(&flat, &x), &["two of the name `weight`"]);
        let folder = tempfile::tempdir().unwrap();
        told(
            flat.save(folder.path().join("m.safetensors")),
            &["two of the name `weight`"],
        );
        let arrays = flat.parameters();
        nn::Linear::without_bias(4, 4, &mut Init::seed(1))
            .unwrap()
            .save(folder.path().join("l.safetensors"))
            .unwrap();
        told(
            flat.load(folder.path().join("l.safetensors")),
            &["two of the name `weight`"],
        );
        assert_eq!(arrays.len(), 1);
    });
}

/// No rows, and weights that are no matrices or lack a part.
#[test]
fn parts_that_are_missing() {
    on_worker(|| {
        let mut init = Init::seed(1);
        let layer = nn::Attention::new(nn::AttentionConfig::new(8, 2), &mut init).unwrap();
        for shape in [(0, 3, 8), (2, 0, 8)] {
            let x = Array::zeros(shape, F32).unwrap();
            let y = layer.forward(&x, None).unwrap();
            zmlx::eval([&y]).unwrap();
            assert_eq!(y.shape(), x.shape());
            assert_eq!(y.size(), 0);
        }
        told(
            layer.heads_of(&Array::zeros((1, 2, 7), F32).unwrap()),
            &["7"],
        );
        told(nn::Weight::new(&[4], &mut init), &["`shape`", "[4]"]);
        told(nn::Moe::new(4, -2, 2, 1, &mut init), &["-2"]);
        told(nn::Moe::new(4, 4, 0, 1, &mut init), &["`experts`", "0"]);
        let numbers = Array::zeros(2, F32).unwrap();
        let matrix = nn::Weight::new(&[8, 64], &mut init).unwrap();
        told(matrix.rows(&numbers), &["float32"]);
        let mut packed = matrix.clone();
        packed
            .quantize(zmlx::ops::Quantization::affine(64, 4))
            .unwrap();
        told(packed.rows(&numbers), &["float32"]);

        let mut linear = nn::Linear::without_bias(64, 8, &mut init).unwrap();
        linear
            .quantize(zmlx::ops::Quantization::affine(64, 4), |_| true)
            .unwrap();
        let mut arrays = linear.parameters();
        arrays.remove("biases");
        let mut dense = nn::Linear::without_bias(64, 8, &mut init).unwrap();
        told(dense.load_arrays(&arrays), &["`biases` is missing"]);

        let mut pages = nn::PagedCache::new(4, 2, 1, 8, F32).unwrap();
        let tokens = Array::ones((1, 3, 8), F32).unwrap();
        told(
            pages.write(&[2, 0], -1, &tokens, &tokens),
            &["`start`", "-1"],
        );
        told(
            pages.write(&[2, 0], i32::MAX - 1, &tokens, &tokens),
            &["`table`", "2147483649"],
        );
    });
}

#[test]
fn sizes_and_numbers() {
    on_worker(|| {
        told(nn::Rope::new(8).tables(-1), &["`limit`", "-1"]);
        let x = Array::zeros((1, 2, 3, 8), F32).unwrap();
        told(
            nn::Rope::new(8).forward_each(&x, &Array::zeros(1, I32).unwrap(), -5),
            &["`limit`", "-5"],
        );
        let wide = nn::AttentionConfig::new(8, 4).head_dim(1 << 30);
        told(
            nn::Attention::new(wide, &mut Init::zeros_only()),
            &["`head_dim`"],
        );
        let mut sums = nn::Accumulator::new();
        let tree = |n: i32| Tree::from_iter([("w".to_owned(), Array::zeros(n, F32).unwrap())]);
        sums.add(&tree(2)).unwrap();
        told(sums.add(&tree(3)), &["`w`", "[2]", "[3]"]);
    });
}

/// Short gradients stay as they are, and long ones whose squares float32 does not hold are shortened.
#[test]
fn lengths_of_all_sizes() {
    on_worker(|| -> Result<()> {
        let tree = |a: Array| Tree::from_iter([("w".to_owned(), a)]);
        let third = zmlx::with_device(Device::CPU, || {
            let third = Array::scalar(1.0f64 / 3.0)?;
            nn::clip_norm(tree(third), 1.0)?.get("w")?.item::<f64>()
        })?;
        assert_eq!(third, 1.0 / 3.0);
        let large = Array::from_slice(&[3e30f32, 4e30], 2)?;
        assert!((nn::norm(&tree(large.clone()))?.item::<f32>()? / 5e30 - 1.0).abs() < 1e-6);
        let short = nn::clip_norm(tree(large), 5.0)?.get("w")?.to_vec::<f32>()?;
        assert!(
            (short[0] - 3.0).abs() < 1e-5 && (short[1] - 4.0).abs() < 1e-5,
            "{short:?}"
        );
        let small = Array::from_slice(&[3e-30f32, 4e-30], 2)?;
        assert!((nn::norm(&tree(small))?.item::<f32>()? / 5e-30 - 1.0).abs() < 1e-6);
        let mixed = Array::from_slice(&[f32::INFINITY, 1.0], 2)?;
        let clipped = nn::clip_norm(tree(mixed), 1.0)?.get("w")?.to_vec::<f32>()?;
        assert!(clipped[0].is_nan() && clipped[1] == 0.0, "{clipped:?}");
        let none = nn::clip_norm(tree(Array::zeros(3, F32)?), 1.0)?
            .get("w")?
            .to_vec::<f32>()?;
        assert_eq!(none, [0.0; 3]);
        let (a, b) = (Array::from_iter([1u8, 200])?, Array::from_iter([3u8, 100])?);
        assert_eq!(nn::losses::l1(&a, &b)?.to_vec::<u8>()?, [2, 100]);
        Ok(())
    })
    .unwrap();
    let _: fn(&Error) -> String = Error::to_string;
}
