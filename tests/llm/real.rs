//! Real models, where `scripts/fetch-model` puts them.

use std::env;
use std::path::PathBuf;

use zmlx::Result;
use zmlx::kernels::quant::Activations;
use zmlx::llm::{self, Engine, Limits, Llm, Message, Plain, Request};

use crate::common::on_worker;

const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const GEMMA3: &str = "gemma-3-270m-q4_k_m.gguf";

fn path(name: &str) -> Option<PathBuf> {
    let folder = || {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
        env::var_os("ZMLX_MODELS")
            .map(PathBuf::from)
            .or_else(|| Some(cache?.join("zmlx/models")))
    };
    let path = folder()?.join(name);
    path.is_file().then_some(path)
}

/// 64 tokens after each of five prompts, the most likely ones by the kernels and by MLX's operations in float32.
///
/// Both compute in float32, with sums in another order. Two logits so close that this matters would be a tie; the reference's two best
/// logits differ by far more at each of these 320 tokens.
#[test]
fn greedy_texts_are_those_of_the_reference() {
    let Some(path) = path(SMOLLM2) else {
        println!("SKIPPED: no model here (`scripts/fetch-model` brings it)");
        return;
    };
    on_worker(move || compare(&path).expect("both compute"));
}

/// What llama.cpp says of four texts: their tokens, and the logarithms of the probabilities of the 12 most likely next tokens, by
/// node-llama-cpp 3.22.1 on a CPU.
const LLAMA_CPP: &str = include_str!("llama_cpp.jsonl");

/// llama.cpp rounds each vector to 8 bits in blocks of 32 before a product. What that changes is told by MLX's operations, which do not round:
/// their logarithms differ from llama.cpp's by 0.466 at most in these 48 values, and so do the kernels' without rounding. With it, both
/// round, but not the same: llama.cpp's scales are float16, and what was rounded in another way before is rounded again in each layer.
const TO_LLAMA_CPP: f64 = 0.5;
/// Float32 sums in another order, over 30 layers: 0.00024 was seen.
const TO_MLX: f64 = 1e-3;
/// What rounding to 8 bits may change, as much as it changes llama.cpp's.
const ROUNDED_TO_MLX: f64 = 0.5;

#[test]
fn probabilities_are_those_of_llama_cpp() {
    let Some(path) = path(SMOLLM2) else {
        println!("SKIPPED: no model here (`scripts/fetch-model` brings it)");
        return;
    };
    on_worker(move || against_llama_cpp(&path).expect("it computes"));
}

fn against_llama_cpp(path: &std::path::Path) -> Result<()> {
    let (model, language) = llm::load_parts(path)?;
    let model = model.with_activations(Activations::Float);
    let mut engine = Engine::new(model, Limits::default())?;
    let mut rounding = llm::load(path)?.into_parts().0;
    let mut plain = Plain::new(llm::load_parts(path)?.0)?;
    let (mut of_kernels, mut of_mlx, mut between) = (0f64, 0f64, 0f64);
    let (mut of_rounding, mut by_rounding) = (0f64, 0f64);
    for line in LLAMA_CPP.lines() {
        let said: serde_json::Value = serde_json::from_str(line).map_err(zmlx::Error::other)?;
        let tokens = said["tokens"].as_array().expect("tokens").iter();
        let tokens: Vec<u32> = tokens
            .map(|t| t.as_u64().expect("a token") as u32)
            .collect();
        let text = said["text"].as_str().expect("a text");
        assert_eq!(language.tokenizer.encode(text, true)?, tokens);
        plain.clear();
        let logits = plain.logits(&tokens)?.index(-1)?;
        let reference = logits.subtract(&logits.logsumexp(-1)?)?.to_vec::<f32>()?;
        let mut ours = [vec![0.0; reference.len()], vec![0.0; reference.len()]];
        let mut first = [0; 2];
        for (i, engine) in [&mut engine, &mut rounding].into_iter().enumerate() {
            engine.submit(Request {
                prompt: tokens.clone(),
                max_tokens: 1,
                top: Some(reference.len()),
                ..Request::default()
            })?;
            let mut events = Vec::new();
            while events.is_empty() {
                events = engine.step()?;
            }
            first[i] = events[0].chosen.token;
            for (token, value) in &events[0].chosen.top {
                ours[i][*token as usize] = f64::from(*value);
            }
        }
        let theirs = said["probs"].as_array().expect("probabilities");
        assert_eq!(theirs[0][0], first[0], "{text}");
        assert_eq!(theirs[0][0], first[1], "{text}");
        for pair in theirs {
            let token = pair[0].as_u64().expect("a token") as usize;
            let (value, reference) = (
                pair[1].as_f64().expect("a number"),
                f64::from(reference[token]),
            );
            of_kernels = of_kernels.max((ours[0][token] - value).abs());
            of_rounding = of_rounding.max((ours[1][token] - value).abs());
            of_mlx = of_mlx.max((reference - value).abs());
            between = between.max((ours[0][token] - reference).abs());
            by_rounding = by_rounding.max((ours[1][token] - reference).abs());
        }
    }
    println!("to llama.cpp: kernels {of_kernels}, rounding {of_rounding}, MLX {of_mlx}");
    println!("to MLX: kernels {between}, rounding {by_rounding}");
    assert!(of_kernels <= TO_LLAMA_CPP, "{of_kernels}");
    assert!(of_rounding <= TO_LLAMA_CPP, "{of_rounding}");
    assert!(between <= TO_MLX, "{between}");
    assert!(by_rounding <= ROUNDED_TO_MLX, "{by_rounding}");
    Ok(())
}

/// The same for a model of another family, packed in another way.
#[test]
fn greedy_texts_of_gemma_are_those_of_the_reference() {
    let Some(path) = path(GEMMA3) else {
        println!("SKIPPED: no model here (`scripts/fetch-model gemma3` brings it)");
        return;
    };
    on_worker(move || {
        let prompt = |l: &llm::Language| l.tokenizer.encode("The capital of France is", true);
        let same = same_greedy(&path, 24, |l| Ok(vec![prompt(l)?]));
        same.expect("both compute");
    });
}

fn compare(path: &std::path::Path) -> Result<()> {
    same_greedy(path, 64, prompts)
}

fn prompts(language: &llm::Language) -> Result<Vec<Vec<u32>>> {
    let text = |t: &str| language.tokenizer.encode(t, true);
    Ok(vec![
        text("Once upon a time")?,
        text("The capital of France is")?,
        text("fn main() {\n    let x = 3;\n")?,
        text("1, 2, 3, 5, 8, 13,")?,
        match &language.chat {
            Some(_) => language.chat_tokens(&[Message::new("user", "What is a whale?")])?,
            None => text("A whale is")?,
        },
    ])
}

fn same_greedy(
    path: &std::path::Path,
    count: usize,
    prompts: impl FnOnce(&llm::Language) -> Result<Vec<Vec<u32>>>,
) -> Result<()> {
    let (model, language) = llm::load_parts(path)?;
    // What the reference does not round either.
    let model = model.with_activations(Activations::Float);
    let llm = Llm::new(model, language, Limits::default())?;
    let mut plain = Plain::new(llm::load_parts(path)?.0)?;
    let language = llm.language().clone();
    for prompt in prompts(&language)? {
        let mut stream = llm
            .generate_tokens(prompt.clone())
            .max_tokens(count)
            .stream();
        stream.by_ref().collect::<Result<String>>()?;
        let got = stream.tokens().to_vec();
        let want = plain.greedy(&prompt, got.len())?;
        assert_eq!(got, want, "{:?}", language.tokenizer.decode(&want));
        assert!(got.len() > 3, "{got:?}");
    }
    Ok(())
}
