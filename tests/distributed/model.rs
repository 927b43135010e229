//! A language model that processes share, against the whole one.

use zmlx::distributed::{self, Backend, Group};
use zmlx::llm::{Config, Engine, Limits, Model, Plain, Request, Weights};
use zmlx::prelude::*;

use crate::support::*;
use crate::together::together;

#[test]
fn a_model_of_two_processes() {
    together("model::as_one_of_two", 2);
}

#[test]
#[ignore = "a process of a group that the test above starts"]
fn as_one_of_two() {
    on_worker(|| {
        let group = distributed::connect(Backend::Ring).unwrap();
        let mut rng = Rng::new();
        for kind in ["llama", "qwen2", "qwen3", "gemma3_text"] {
            let shape = Shape::new(kind);
            same_tokens(&shape, &group, &mut rng).unwrap_or_else(|e| panic!("{kind}: {e}"));
        }
        refused(&group, &mut rng).unwrap();
    });
}

/// A small model, of which nothing divides evenly: three heads of keys and values, 50 elements in between, 101 tokens.
struct Shape {
    kind: &'static str,
    config: Config,
}

const LAYERS: usize = 2;

impl Shape {
    fn new(kind: &'static str) -> Self {
        let json = format!(
            r#"{{"model_type": "{kind}", "vocab_size": 101, "hidden_size": 24, "num_hidden_layers": {LAYERS},
                "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 8, "intermediate_size": 50,
                "max_position_embeddings": 256, "rope_theta": 5000.0}}"#
        );
        let config = Config::from_json(&json).unwrap();
        Shape { kind, config }
    }

    /// Weights that the same seed always gives.
    fn weights(&self, seed: u64) -> Weights {
        let c = &self.config;
        let (wide, narrow) = (c.heads * c.head_width, c.kv_heads * c.head_width);
        let mut all: Vec<(String, Vec<i32>, f64)> = vec![
            ("token_embd.weight".into(), vec![c.vocabulary, c.width], 0.0),
            ("output_norm.weight".into(), vec![c.width], 1.0),
        ];
        // One kind has a matrix of its own for the logits.
        if self.kind == "qwen3" {
            all.push(("output.weight".into(), vec![c.vocabulary, c.width], 0.0));
        }
        for layer in 0..LAYERS {
            let mut add = |name: &str, shape: Vec<i32>, around: f64| {
                all.push((format!("blk.{layer}.{name}"), shape, around));
            };
            add("attn_norm.weight", vec![c.width], 1.0);
            add("ffn_norm.weight", vec![c.width], 1.0);
            for (name, rows, columns) in [
                ("attn_q", wide, c.width),
                ("attn_k", narrow, c.width),
                ("attn_v", narrow, c.width),
                ("attn_output", c.width, wide),
                ("ffn_gate", c.hidden, c.width),
                ("ffn_up", c.hidden, c.width),
                ("ffn_down", c.width, c.hidden),
            ] {
                add(&format!("{name}.weight"), vec![rows, columns], 0.0);
                if self.kind == "qwen2" && name.starts_with("attn_") {
                    add(&format!("{name}.bias"), vec![rows], 0.0);
                }
            }
            if matches!(self.kind, "qwen3" | "gemma3_text") {
                add("attn_q_norm.weight", vec![c.head_width], 1.0);
                add("attn_k_norm.weight", vec![c.head_width], 1.0);
            }
            if self.kind == "gemma3_text" {
                add("post_attention_norm.weight", vec![c.width], 1.0);
                add("post_ffw_norm.weight", vec![c.width], 1.0);
            }
        }
        let arrays = all
            .into_iter()
            .enumerate()
            .map(|(i, (name, shape, around))| {
                let key = random::key(seed.wrapping_add(i as u64)).unwrap();
                let normal = random::with_key(&key).normal(&shape[..]).unwrap();
                let scale = if shape.len() == 1 { 0.1 } else { 0.3 };
                (name, normal.multiply(scale).unwrap().add(around).unwrap())
            });
        Weights::from_arrays(arrays.collect::<Vec<_>>())
    }
}

/// Logits differ by float32 roundings: sums of 24 to 50 products, here in two parts, in two layers.
fn same_tokens(shape: &Shape, group: &Group, rng: &mut Rng) -> zmlx::Result<()> {
    let seed = rng.next();
    let whole = || Model::new(shape.config.clone(), shape.weights(seed));
    let shared = || Model::shared(shape.config.clone(), shape.weights(seed), group);
    let (kv, own) = (shape.config.kv_heads, shared()?.config().clone());
    assert_eq!(
        group.all_sum(&Array::from(own.kv_heads))?.item::<i32>()?,
        kv
    );
    assert!(own.hidden < shape.config.hidden && own.heads == 2 * own.kv_heads);
    let prompt: Vec<u32> = (0..20).map(|_| rng.below(101) as u32).collect();

    let mut plain = Plain::new(whole()?)?;
    let want = plain.logits(&prompt)?;
    let most = want.abs()?.max(..)?.item::<f32>()?;
    assert!(most > 1.0, "no logits to compare: {most}");
    let got = Plain::new(shared()?)?.logits(&prompt)?;
    let error = got.subtract(&want)?.abs()?.max(..)?.item::<f32>()?;
    assert!(error <= 2e-5 * most, "{error} of {most}");
    // Bit by bit the same in all processes, so that all choose the same token.
    let mine = got.reshape((1, -1))?;
    let all = group.all_gather(&mine)?;
    assert!(all.equal(&mine)?.all(..)?.item::<bool>()?);

    // By kernels, with the cache in pages.
    let tokens = greedy(shared()?, &prompt, 16)?;
    plain.clear();
    let mut next = prompt.clone();
    for (i, &token) in tokens.iter().enumerate() {
        let logits = plain.logits(&next)?.index(-1)?;
        let (best, chosen) = (
            logits.max(..)?.item::<f32>()?,
            logits.index(token as i32)?.item::<f32>()?,
        );
        // The most likely one, unless roundings decide.
        assert!(
            best - chosen <= 4e-5 * most,
            "token {i}: {best} against {chosen}"
        );
        next = vec![token];
    }
    let ours = Array::from_iter(tokens.iter().map(|&t| t as i32))?.reshape((1, -1))?;
    assert!(
        group
            .all_gather(&ours)?
            .equal(&ours)?
            .all(..)?
            .item::<bool>()?
    );
    Ok(())
}

fn greedy(model: Model, prompt: &[u32], count: usize) -> zmlx::Result<Vec<u32>> {
    let mut engine = Engine::new(model, Limits::default())?;
    engine.submit(Request {
        prompt: prompt.to_vec(),
        max_tokens: count,
        ..Request::default()
    })?;
    let mut tokens = Vec::new();
    while !engine.is_idle() {
        tokens.extend(engine.step()?.iter().map(|e| e.chosen.token));
    }
    assert_eq!(tokens.len(), count);
    Ok(tokens)
}

fn refused(group: &Group, rng: &mut Rng) -> zmlx::Result<()> {
    let mut shape = Shape::new("llama");
    shape.config.heads = 6;
    shape.config.kv_heads = 1;
    let error = Model::shared(shape.config.clone(), shape.weights(rng.next()), group).unwrap_err();
    let words = "at most 1 processes for the model's 1 heads of keys and values, got 2";
    assert!(error.to_string().contains(words), "{error}");
    Ok(())
}
