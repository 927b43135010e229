//! Layers that processes share, against the whole ones.

use zmlx::distributed::{self, Backend, Group};
use zmlx::nn::{self, AllToSharded, Init, Linear, Module, ModuleExt, ShardedToAll, Tree};
use zmlx::ops::Quantization;
use zmlx::prelude::*;

use crate::support::*;
use crate::together::together;

#[test]
fn layers_of_two_processes() {
    together("layers::as_one_of_them", 2);
}

#[test]
fn layers_of_four_processes() {
    together("layers::as_one_of_them", 4);
}

/// A layer of which each process has a part of the outputs, and one that takes them.
#[derive(Clone, Module)]
struct Shared {
    up: AllToSharded,
    down: ShardedToAll,
}

#[derive(Clone, Module)]
struct Whole {
    up: Linear,
    down: Linear,
}

impl Shared {
    fn forward(&self, x: &Array) -> zmlx::Result<Array> {
        self.down.forward(&self.up.forward(x)?.tanh()?)
    }
}

impl Whole {
    fn forward(&self, x: &Array) -> zmlx::Result<Array> {
        self.down.forward(&self.up.forward(x)?.tanh()?)
    }
}

fn f64s(a: &Array) -> Vec<f64> {
    f32s(a).into_iter().map(f64::from).collect()
}

/// The rows of this process in an array, or its columns.
fn own(x: &Array, axis: usize, group: &Group) -> Array {
    let parts = x.split(group.size(), axis as i32).unwrap();
    parts[group.rank() as usize].clone()
}

#[test]
#[ignore = "a process of a group that the tests above start"]
fn as_one_of_them() {
    on_worker(|| {
        let group = distributed::connect(Backend::Ring).unwrap();
        let mut rng = Rng::new();
        forward_and_gradients(&group, &mut rng).unwrap();
        quantized(&group, &mut rng).unwrap();
        segments(&group, &mut rng).unwrap();
        means(&group, &mut rng).unwrap();
        refused(&group, &mut rng).unwrap();
    });
}

/// Sums of up to 64 products in float32, in another order.
const TOLERANCE: f64 = 2e-5;

fn forward_and_gradients(group: &Group, rng: &mut Rng) -> zmlx::Result<()> {
    let seed = rng.next();
    let (inputs, hidden, outputs) = (12, 16, 5);
    let mut init = Init::seed(seed);
    let whole = Whole {
        up: Linear::new(inputs, hidden, &mut init)?,
        down: Linear::new(hidden, outputs, &mut init)?,
    };
    let mut init = Init::seed(seed);
    let shared = Shared {
        up: AllToSharded::new(inputs, hidden, &mut init, group)?,
        down: ShardedToAll::new(hidden, outputs, &mut init, group)?,
    };
    let each = hidden / group.size();
    assert_eq!(shared.up.part.sizes(), (inputs, each));
    assert_eq!(shared.down.part.sizes(), (each, outputs));
    let x = rng.array(&[3, 7, inputs], -1.0, 1.0);
    let target = rng.array(&[3, 7, outputs], -1.0, 1.0);
    close(
        &f32s(&shared.forward(&x)?),
        &f64s(&whole.forward(&x)?),
        TOLERANCE,
    );

    // Gradients of the parameters, and of `x`, which layers before would get.
    let loss = |y: Array, t: &Array| y.subtract(t)?.square()?.sum(..);
    let of_whole = nn::value_and_grad(&whole, |m, (x, t): &(Array, Array)| loss(m.forward(x)?, t));
    let of_shared =
        nn::value_and_grad(&shared, |m, (x, t): &(Array, Array)| loss(m.forward(x)?, t));
    let batch = (x.clone(), target.clone());
    let ((a, want), (b, got)) = (of_whole(&whole, &batch)?, of_shared(&shared, &batch)?);
    close(&f32s(&b), &f64s(&a), TOLERANCE);
    for (name, axis) in [
        ("up.weight", Some(0)),
        ("up.bias", Some(0)),
        ("down.weight", Some(1)),
        ("down.bias", None),
    ] {
        let want = match axis {
            Some(axis) => own(want.get(name)?, axis, group),
            None => want.get(name)?.clone(),
        };
        // Sums of 21 rows and over all outputs, of magnitude ten.
        close(&f32s(got.get(name)?), &f64s(&want), 10.0 * TOLERANCE);
    }
    let gradient = |f: &dyn Fn(&Array) -> zmlx::Result<Array>| {
        let f = |p: &[Array]| Ok(vec![loss(f(&p[0])?, &target)?]);
        Ok::<_, zmlx::Error>(
            zmlx::value_and_grad_of(f, &[0], std::slice::from_ref(&x))?
                .1
                .remove(0),
        )
    };
    let want = gradient(&|x| whole.forward(x))?;
    let got = gradient(&|x| shared.forward(x))?;
    close(&f32s(&got), &f64s(&want), 10.0 * TOLERANCE);
    Ok(())
}

fn quantized(group: &Group, rng: &mut Rng) -> zmlx::Result<()> {
    let (inputs, hidden, outputs) = (64, 32 * 2 * group.size(), 96);
    let quantization = Quantization::affine(32, 4);
    let up = rng
        .array(&[hidden, inputs], -1.0, 1.0)
        .quantize(quantization)?;
    let down = rng
        .array(&[outputs, hidden], -1.0, 1.0)
        .quantize(quantization)?;
    let bias = rng.array(&[outputs], -1.0, 1.0);
    let whole = Whole {
        up: Linear::from_weight(up, None),
        down: Linear::from_weight(down, Some(bias)),
    };
    let shared = Shared {
        up: AllToSharded::from_linear(&whole.up, group, 1)?,
        down: ShardedToAll::from_linear(&whole.down, group, 1)?,
    };
    assert!(shared.up.part.weight.is_quantized() && shared.down.part.weight.is_quantized());
    let x = rng.array(&[9, inputs], -0.1, 0.1);
    // Sums of up to 256 products.
    close(
        &f32s(&shared.forward(&x)?),
        &f64s(&whole.forward(&x)?),
        5.0 * TOLERANCE,
    );

    // Parts that are quantized afterwards: groups of a row are the same ones.
    let mut init = Init::seed(rng.next());
    let dense = Linear::new(hidden, outputs, &mut init)?;
    let mut parts = ShardedToAll::from_linear(&dense, group, 1)?;
    let mut whole = dense.clone();
    parts.quantize(quantization, |_| true)?;
    whole.quantize(quantization, |_| true)?;
    let x = rng.array(&[4, hidden], -1.0, 1.0);
    let mine = own(&x, 1, group);
    close(
        &f32s(&parts.forward(&mine)?),
        &f64s(&whole.forward(&x)?),
        5.0 * TOLERANCE,
    );
    // Half a group is nobody's part.
    let narrow = rng
        .array(&[8, 32 * group.size() - 32], -1.0, 1.0)
        .quantize(quantization)?;
    let error =
        ShardedToAll::from_linear(&Linear::from_weight(narrow, None), group, 1).unwrap_err();
    assert!(error.to_string().contains("whole groups of 32"), "{error}");
    Ok(())
}

/// Three layers in one: each process has a part of each.
fn segments(group: &Group, rng: &mut Rng) -> zmlx::Result<()> {
    let each = 4 * group.size();
    let layers: Vec<Array> = (0..3).map(|_| rng.array(&[each, 6], -1.0, 1.0)).collect();
    let together = Linear::from_weight(zmlx::ops::concatenate(&layers, 0)?, None);
    let part = AllToSharded::from_linear(&together, group, 3)?;
    let x = rng.array(&[2, 6], -1.0, 1.0);
    let y = part.forward(&x)?;
    for (layer, got) in layers.iter().zip(y.split(3, -1)?) {
        let want = own(&x.matmul(&layer.transpose(..)?)?, 1, group);
        close(&f32s(&got), &f64s(&want), TOLERANCE);
    }
    Ok(())
}

fn means(group: &Group, rng: &mut Rng) -> zmlx::Result<()> {
    let values: Vec<f32> = rng.reals(group.size() as usize, -1.0, 1.0);
    let mine = Array::from(values[group.rank() as usize]);
    let tree = Tree::from_iter([
        ("a".to_owned(), mine.clone()),
        ("b.c".to_owned(), mine.multiply(2.0)?),
    ]);
    let means = nn::average_gradients(tree, group)?;
    let want = values.iter().map(|&v| f64::from(v)).sum::<f64>() / f64::from(group.size());
    close(&f32s(means.get("a")?), &[want], 1e-6);
    close(&f32s(means.get("b.c")?), &[2.0 * want], 1e-6);
    Ok(())
}

fn refused(group: &Group, rng: &mut Rng) -> zmlx::Result<()> {
    let linear = Linear::from_weight(rng.array(&[9, 9], -1.0, 1.0), None);
    let layer = |segments| AllToSharded::from_linear(&linear, group, segments).map(|_| ());
    for (result, words) in [
        (layer(1), "outputs that divide into"),
        (layer(0), "`segments`: expected 1 or more, got 0"),
        (
            ShardedToAll::from_linear(&linear, group, 1).map(|_| ()),
            "inputs that divide into",
        ),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(words), "{error} lacks {words}");
    }
    let mut init = Init::seed(1);
    let mut tuned = Linear::new(8, 8, &mut init)?;
    nn::Lora::add(&mut tuned, 2, 1.0, &mut init, |_| true)?;
    let error = AllToSharded::from_linear(&tuned, group, 1)
        .unwrap_err()
        .to_string();
    assert!(error.contains("without `lora`"), "{error}");
    // A group that goes on.
    assert_eq!(
        group.all_sum(&Array::from(1.0f32))?.item::<f32>()?,
        group.size() as f32
    );
    Ok(())
}

/// In a group of one the layers are whole.
#[test]
fn alone() {
    if std::env::var_os("MLX_RANK").is_some() {
        println!("SKIPPED: MLX_RANK is set, so this process is one of a group");
        return;
    }
    on_worker(|| {
        let group = distributed::init().unwrap();
        let mut rng = Rng::new();
        forward_and_gradients(&group, &mut rng).unwrap();
        segments(&group, &mut rng).unwrap();
        means(&group, &mut rng).unwrap();
    });
}
