//! Several engines over one set of weights. Alone in its program, as memory is counted for the whole process.

#[path = "common/mod.rs"]
mod common;
#[path = "llm/tiny.rs"]
mod tiny;

use zmlx::llm::{
    Activation, Config, Engine, Limits, Request, SharedWeights, Stretch, Weights, load_weights,
};
use zmlx::{Array, Result, Worker, memory};

use crate::common::Rng;

/// Wide enough for its weights to be most of what there is.
fn config() -> Config {
    Config {
        architecture: "llama".into(),
        vocabulary: 4096,
        width: 512,
        layers: 2,
        heads: 8,
        kv_heads: 2,
        head_width: 64,
        hidden: 1024,
        context: 64,
        epsilon: 1e-5,
        rope_base: 1e4,
        rope_local_base: 1e4,
        rope_dims: 64,
        rope_neighbours: true,
        rope_stretch: Stretch::None,
        window: None,
        window_period: 1,
        attention_scale: 0.125,
        embedding_scale: 1.0,
        activation: Activation::Silu,
        norm_adds_one: false,
    }
}

fn weights(c: &Config) -> Result<Weights> {
    let mut rng = Rng::new();
    let mut all = Vec::new();
    let mut put = |name: String, shape: &[i32]| -> Result<()> {
        let count = shape.iter().product::<i32>() as usize;
        let values: Vec<f32> = rng.normals(count).iter().map(|x| x * 0.05).collect();
        all.push((name, Array::from_slice(&values, shape)?));
        Ok(())
    };
    put("token_embd.weight".into(), &[c.vocabulary, c.width])?;
    put("output_norm.weight".into(), &[c.width])?;
    let (wide, narrow) = (c.heads * c.head_width, c.kv_heads * c.head_width);
    for layer in 0..c.layers {
        for (part, shape) in [
            ("attn_norm", &[c.width][..]),
            ("attn_q", &[wide, c.width]),
            ("attn_k", &[narrow, c.width]),
            ("attn_v", &[narrow, c.width]),
            ("attn_output", &[c.width, wide]),
            ("ffn_norm", &[c.width]),
            ("ffn_gate", &[c.hidden, c.width]),
            ("ffn_up", &[c.hidden, c.width]),
            ("ffn_down", &[c.width, c.hidden]),
        ] {
            put(format!("blk.{layer}.{part}.weight"), shape)?;
        }
    }
    Ok(Weights::from_arrays(all))
}

fn text(engine: &mut Engine) -> Result<Vec<u32>> {
    engine.submit(Request {
        prompt: vec![7, 8, 9],
        max_tokens: 8,
        ..Request::default()
    })?;
    let mut all = Vec::new();
    while !engine.is_idle() {
        all.extend(engine.step()?.into_iter().map(|e| e.chosen.token));
    }
    Ok(all)
}

/// Four threads generate from one set of weights. What they have beside it is caches and tables, much less than another set.
#[test]
fn engines_share_one_set_of_weights() {
    let limits = Limits {
        pages: 8,
        ..Limits::default()
    };
    let shared = std::thread::spawn(|| SharedWeights::new(config(), weights(&config())?));
    let shared = shared.join().expect("no panic").expect("weights");
    assert!(shared.nbytes() > 10 << 20, "{}", shared.nbytes());
    let run = |shared: &SharedWeights| {
        let own = shared.clone();
        let worker = Worker::spawn(move || Engine::new(own.model()?, limits)).expect("a worker");
        let tokens = worker.run(text).wait().expect("a text");
        (worker, tokens)
    };
    let (first, tokens) = run(&shared);
    let one = memory::active().expect("a number");
    let others: Vec<_> = (0..3).map(|_| run(&shared)).collect();
    let four = memory::active().expect("a number");
    let more = four.saturating_sub(one);
    assert!(
        more < shared.nbytes() / 4,
        "three more engines hold {more} bytes more; the weights are {}",
        shared.nbytes()
    );
    for (_, other) in &others {
        assert_eq!(*other, tokens);
    }
    drop((first, others));

    // Matrices in blocks, and what is joined of them, too.
    let path = tempfile::tempdir().expect("a folder");
    let file = path.path().join("tiny.gguf");
    let mut rng = Rng::new();
    tiny::write(&file, "qwen2", || rng.normal()).expect("a model");
    let tokens = std::thread::spawn(move || -> Result<_> {
        let alone = text(&mut zmlx::llm::load_with(&file, limits)?.into_parts().0)?;
        let (config, weights, _) = load_weights(&file)?;
        let shared = SharedWeights::new(config, weights)?;
        Ok((alone, text(&mut Engine::new(shared.model()?, limits)?)?))
    });
    let (alone, together) = tokens.join().expect("no panic").expect("texts");
    assert_eq!(alone, together);
}
