//! A model as layers that are trained.

use std::path::PathBuf;

use zmlx::llm::{self, Decoder, Model, Plain};
use zmlx::nn::{self, Init, Lora, ModuleExt, Tree, losses};
use zmlx::ops::{self, Quantization};
use zmlx::{Array, Error, Result, io, optim};

use crate::common::{Rng, on_worker};
use crate::tiny;

const ALL: [&str; 5] = ["llama", "mistral", "qwen2", "qwen3", "gemma3"];

fn file(folder: &tempfile::TempDir, architecture: &str) -> Result<PathBuf> {
    let path = folder.path().join("tiny.gguf");
    let mut rng = Rng::new();
    tiny::write(&path, architecture, || rng.normal())?;
    Ok(path)
}

fn random_tokens(rng: &mut Rng, rows: usize, count: usize) -> Result<Array> {
    let known = tiny::tokens().len() as u64;
    let all: Vec<u32> = (0..rows * count)
        .map(|_| (rng.next() % known) as u32)
        .collect();
    Array::from_slice(&all, (rows, count))
}

fn far(got: &Array, want: &Array) -> Result<f32> {
    let most = want.abs()?.max(..)?.item::<f32>()?;
    assert!(most > 1.0, "nothing to compare: {most}");
    Ok(got.subtract(want)?.abs()?.max(..)?.item::<f32>()? / most)
}

/// Two texts at once, longer than the window of 12 tokens, and the weights back in a model. Float32 roundings, as in `forward.rs`.
#[test]
fn logits_are_those_of_the_model() {
    on_worker(|| {
        for architecture in ALL {
            agree(architecture).unwrap_or_else(|e| panic!("{architecture}: {e}"));
        }
    });
}

fn agree(architecture: &str) -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::other)?;
    let path = file(&folder, architecture)?;
    let tokens = random_tokens(&mut Rng::new(), 2, 24)?;
    let mut plain = Plain::new(llm::load_parts(&path)?.0)?;
    let mut reference = |row: i32| {
        plain.clear();
        plain.logits(&tokens.index(row)?.to_vec::<u32>()?)
    };
    let want = ops::stack([&reference(0)?, &reference(1)?], 0)?;
    let (decoder, _) = llm::load_decoder(&path)?;
    let error = far(&decoder.forward(&tokens)?, &want)?;
    assert!(error <= 2e-5, "{architecture}: {error}");

    let again = Model::new(decoder.config().clone(), decoder.weights()?)?;
    let again = Plain::new(again)?.logits(&tokens.index(1)?.to_vec::<u32>()?)?;
    let error = far(&again, &want.index(1)?)?;
    assert!(error <= 2e-5, "{architecture}, back in a model: {error}");
    Ok(())
}

fn chosen(name: &str) -> bool {
    name.ends_with("attention.q") || name.ends_with("mlp.down")
}

fn loss(model: &Decoder, tokens: &Array) -> Result<Array> {
    let last = tokens.shape()[1];
    let logits = model.forward(&tokens.index((.., 0..last - 1))?)?;
    losses::cross_entropy(&logits, &tokens.index((.., 1..last))?)?.mean(..)
}

/// Beside dense matrices and quantized ones: a fresh product changes nothing, training changes the products alone, they are saved and loaded
/// alone, and put into the matrices they do the same.
#[test]
fn products_of_low_rank_learn_a_text() {
    on_worker(|| {
        for bits in [None, Some(8), Some(4)] {
            learn(bits).unwrap_or_else(|e| panic!("{bits:?}: {e}"));
        }
    });
}

fn learn(bits: Option<i32>) -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::other)?;
    let path = file(&folder, "qwen3")?;
    let load = || {
        let (mut model, _) = llm::load_decoder(&path)?;
        if let Some(bits) = bits {
            let count = model.quantize(Quantization::affine(32, bits), |name| {
                name.contains("layers")
            })?;
            assert!(count >= 4, "{count}");
        }
        Ok::<_, Error>(model)
    };
    let fresh = || {
        let mut model = load()?;
        assert_eq!(
            Lora::add(&mut model, 2, 2.0, &mut Init::seed(3), chosen)?,
            4
        );
        Ok::<_, Error>(model)
    };
    let tokens = random_tokens(&mut Rng::new(), 2, 12)?;
    let base = load()?;
    let mut model = fresh()?;
    let before = base.forward(&tokens)?;
    assert_eq!(far(&model.forward(&tokens)?, &before)?, 0.0);

    let step = nn::value_and_grad(&model, loss);
    let mut optimizer = optim::AdamW::new(0.05).weight_decay(0.0);
    let mut seen = Vec::new();
    for _ in 0..12 {
        let (value, grads) = step(&model, &tokens)?;
        assert!(grads.keys().all(|name| name.contains(".lora.")));
        optimizer.update(&mut model, grads)?;
        nn::eval_all((&model, &optimizer, &value))?;
        seen.push(value.item::<f32>()?);
    }
    assert!(seen[11] < 0.9 * seen[0], "{seen:?}");
    let (old, new) = (base.parameters(), model.parameters());
    for (name, old) in &old {
        assert_eq!(old.to_bytes()?, new.get(name)?.to_bytes()?, "{name}");
    }

    let after = model.forward(&tokens)?;
    let adapters = folder.path().join("adapters.safetensors");
    model.trained().save(&adapters)?;
    let saved = Tree::from(io::load_safetensors(&adapters)?);
    assert_eq!(saved.len(), 8);
    let mut again = fresh()?;
    again.set(&saved)?;
    assert_eq!(far(&again.forward(&tokens)?, &after)?, 0.0);

    let refused = model.weights().map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("merged"), "{refused}");
    assert_eq!(Lora::merge(&mut model)?, 4);
    assert!(far(&before, &after)? > 1e-3, "nothing was learnt");
    let error = far(&model.forward(&tokens)?, &after)?;
    assert!(error < 1e-4, "merged: {error}");
    let model = Model::new(model.config().clone(), model.weights()?)?;
    let got = Plain::new(model)?.logits(&tokens.index(0)?.to_vec::<u32>()?)?;
    let error = far(&got, &after.index(0)?)?;
    assert!(error < 1e-4, "in a model: {error}");
    Ok(())
}

#[test]
fn what_is_missing_is_named() {
    on_worker(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(&folder, "llama").expect("a model");
        let (config, _, _) = llm::load_weights(&path).expect("weights");
        let none = llm::Weights::from_arrays([]);
        let refused = Decoder::new(config, none).map(|_| ()).unwrap_err();
        assert!(
            refused.to_string().contains("token_embd.weight"),
            "{refused}"
        );
    });
}
