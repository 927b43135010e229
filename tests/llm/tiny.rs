//! A tiny model with random weights, as a GGUF file.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::Path;

use zmlx::io::{Gguf, GgufValue, save_gguf};
use zmlx::{Array, Result};

/// Widths of the tiny model.
pub const WIDTH: i32 = 32;
pub const HEAD: i32 = 8;
pub const HEADS: i32 = 4;
pub const KV_HEADS: i32 = 2;
pub const HIDDEN: i32 = 48;
pub const LAYERS: i32 = 2;
/// 256 bytes, some pairs, three special tokens.
pub const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
const MERGES: [&str; 4] = ["t h", "th e", "Ġ the", "i n"];

/// As SmolLM2's: each message between marks.
const TEMPLATE: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// The tokens: special ones, bytes in the order of their characters, pairs.
pub fn tokens() -> Vec<String> {
    let printable = |b: &u32| matches!(b, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let bytes = (0..256).filter(printable).chain(256..324);
    let bytes = bytes.map(|c| char::from_u32(c).expect("a character").to_string());
    let pairs = MERGES.iter().map(|m| m.replace(' ', ""));
    SPECIAL
        .map(String::from)
        .into_iter()
        .chain(bytes)
        .chain(pairs)
        .collect()
}

/// Writes a model of this architecture, with weights from standard normal numbers.
pub fn write(path: &Path, architecture: &str, normal: impl FnMut() -> f32) -> Result<()> {
    write_heads(path, architecture, HEAD, normal)
}

/// One whose heads have `head` numbers.
pub fn write_heads(
    path: &Path,
    architecture: &str,
    head: i32,
    mut normal: impl FnMut() -> f32,
) -> Result<()> {
    let vocabulary = tokens();
    let gemma = architecture == "gemma3";
    let count = vocabulary.len() as i32;
    let mut file = Gguf::default();
    let mut say = |name: &str, value: GgufValue| {
        file.metadata.insert(name.to_owned(), value);
    };
    let whole = |n: i32| Ok::<_, zmlx::Error>(GgufValue::Array(Array::scalar(n as u32)?));
    let real = |n: f32| Ok::<_, zmlx::Error>(GgufValue::Array(Array::scalar(n)?));
    say("general.architecture", GgufValue::Text(architecture.into()));
    for (name, n) in [
        ("block_count", LAYERS),
        ("context_length", 512),
        ("embedding_length", WIDTH),
        ("feed_forward_length", HIDDEN),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
        ("attention.key_length", head),
        ("rope.dimension_count", head),
    ] {
        say(&format!("{architecture}.{name}"), whole(n)?);
    }
    if gemma || architecture == "mistral" {
        say(
            &format!("{architecture}.attention.sliding_window"),
            whole(12)?,
        );
    }
    say(&format!("{architecture}.rope.freq_base"), real(5000.0)?);
    say(
        &format!("{architecture}.attention.layer_norm_rms_epsilon"),
        real(1e-5)?,
    );
    say("tokenizer.ggml.model", GgufValue::Text("gpt2".into()));
    say("tokenizer.ggml.pre", GgufValue::Text("smollm".into()));
    let kinds: Vec<i32> = (0..vocabulary.len())
        .map(|i| if i < SPECIAL.len() { 3 } else { 1 })
        .collect();
    say(
        "tokenizer.ggml.token_type",
        GgufValue::Array(Array::from_iter(kinds)?),
    );
    say("tokenizer.ggml.tokens", GgufValue::Texts(vocabulary));
    say(
        "tokenizer.ggml.merges",
        GgufValue::Texts(MERGES.map(String::from).to_vec()),
    );
    say("tokenizer.ggml.bos_token_id", whole(1)?);
    say("tokenizer.ggml.eos_token_id", whole(2)?);
    say(
        "tokenizer.ggml.add_bos_token",
        GgufValue::Array(Array::scalar(false)?),
    );
    say("tokenizer.chat_template", GgufValue::Text(TEMPLATE.into()));

    let mut number = |shape: &[i32], scale: f32, around: f32| {
        let count = shape.iter().product::<i32>();
        let values: Vec<f32> = (0..count).map(|_| normal() * scale + around).collect();
        Array::from_slice(&values, shape)
    };
    let mut put = |name: String, shape: &[i32], scale: f32, around: f32| {
        let array = number(shape, scale, around)?;
        file.arrays.insert(name, array);
        Ok::<_, zmlx::Error>(())
    };
    put("token_embd.weight".into(), &[count, WIDTH], 1.0, 0.0)?;
    put("output_norm.weight".into(), &[WIDTH], 0.1, 1.0)?;
    let (wide, narrow) = (HEADS * head, KV_HEADS * head);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        for (part, rows, columns) in [
            ("attn_q", wide, WIDTH),
            ("attn_k", narrow, WIDTH),
            ("attn_v", narrow, WIDTH),
            ("attn_output", WIDTH, wide),
            ("ffn_gate", HIDDEN, WIDTH),
            ("ffn_up", HIDDEN, WIDTH),
            ("ffn_down", WIDTH, HIDDEN),
        ] {
            put(name(part), &[rows, columns], 0.3, 0.0)?;
            if architecture == "qwen2" && part.starts_with("attn_") && part != "attn_output" {
                put(format!("blk.{layer}.{part}.bias"), &[rows], 0.3, 0.0)?;
            }
        }
        put(name("attn_norm"), &[WIDTH], 0.1, 1.0)?;
        put(name("ffn_norm"), &[WIDTH], 0.1, 1.0)?;
        if gemma || architecture == "qwen3" {
            put(name("attn_q_norm"), &[head], 0.1, 1.0)?;
            put(name("attn_k_norm"), &[head], 0.1, 1.0)?;
        }
        if gemma {
            put(name("post_attention_norm"), &[WIDTH], 0.1, 1.0)?;
            put(name("post_ffw_norm"), &[WIDTH], 0.1, 1.0)?;
        }
    }
    save_gguf(path, &file)
}
