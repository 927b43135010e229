//! The kinds of tokenizers that GGUF files describe.

use std::collections::HashSet;

use tokenizers::SplitDelimiterBehavior;
use tokenizers::models::bpe::{BPE, BpeBuilder, Vocab};
use tokenizers::normalizers::{self, NormalizerWrapper, Prepend, Replace};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use crate::{Error, Result};

/// What separates words before they become tokens, by the name in GGUF files. The expressions are those that the models'
/// makers published with their tokenizers.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Byte-level pairs, as GPT-2 has them.
#[track_caller]
pub(super) fn bytes_of_words(
    tokens: &[String],
    merges: &[String],
    pre: &str,
) -> Result<tokenizers::Tokenizer> {
    let merges = merges.iter().filter_map(|m| m.split_once(' '));
    let merges = merges.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    // Whole words that are tokens need no merges in Llama 3's.
    let llama3 = matches!(pre, "llama-bpe" | "llama3" | "llama-v3");
    let model = built(tokens, merges, |b| b.ignore_merges(llama3))?;
    let mut inner = tokenizers::Tokenizer::new(model);
    let bytes = |regex| PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, regex));
    let split = |pattern: &str| {
        let pattern = SplitPattern::Regex(pattern.into());
        match Split::new(pattern, SplitDelimiterBehavior::Isolated, false) {
            Ok(split) => Ok(PreTokenizerWrapper::Split(split)),
            Err(e) => Err(Error::io(format!("the tokenizer's expression: {e}"))),
        }
    };
    let steps = match pre {
        "gpt-2" | "default" | "" | "mpt" | "olmo" => vec![bytes(true)],
        "smollm" => vec![PreTokenizerWrapper::Digits(Digits::new(true)), bytes(true)],
        "qwen2" | "deepseek-r1-qwen" => vec![split(QWEN2)?, bytes(false)],
        "tekken" => vec![split(TEKKEN)?, bytes(false)],
        _ if llama3 => vec![split(LLAMA3)?, bytes(false)],
        other => {
            return Err(Error::io(format!(
                "the way to separate words called `{other}` is not known \
                 (known: gpt-2, smollm, llama-bpe, qwen2, tekken)"
            )));
        }
    };
    if pre.ends_with("qwen2") {
        inner.with_normalizer(Some(normalizers::unicode::NFC));
    }
    inner.with_pre_tokenizer(Some(Sequence::new(steps)));
    inner.with_decoder(Some(ByteLevel::default()));
    Ok(inner)
}

/// Pieces of sentences with scores, as Llama 2 and Gemma have them: of two neighbours the pair that has the best score as one
/// piece is merged first.
#[track_caller]
pub(super) fn pieces_of_sentences(
    tokens: &[String],
    scores: &[f32],
    space: bool,
) -> Result<tokenizers::Tokenizer> {
    let known: HashSet<&str> = tokens.iter().map(String::as_str).collect();
    let mut ranked: Vec<usize> = (0..tokens.len().min(scores.len())).collect();
    ranked.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut merges = Vec::new();
    for whole in ranked.into_iter().map(|i| tokens[i].as_str()) {
        for (at, _) in whole.char_indices().skip(1) {
            let (a, b) = whole.split_at(at);
            if known.contains(a) && known.contains(b) {
                merges.push((a.to_owned(), b.to_owned()));
            }
        }
    }
    let unknown = tokens.iter().find(|t| *t == "<unk>").cloned();
    let model = built(tokens, merges, |b| {
        let b = b.byte_fallback(true).fuse_unk(true);
        match unknown {
            Some(unknown) => b.unk_token(unknown),
            None => b,
        }
    })?;
    let mut inner = tokenizers::Tokenizer::new(model);
    let replace = match Replace::new(" ", "\u{2581}") {
        Ok(replace) => replace,
        Err(e) => return Err(Error::io(e.to_string())),
    };
    let mut steps = vec![NormalizerWrapper::Replace(replace)];
    if space {
        let prepend = Prepend::new("\u{2581}".into());
        steps.insert(0, NormalizerWrapper::Prepend(prepend));
    }
    inner.with_normalizer(Some(normalizers::Sequence::new(steps)));
    Ok(inner)
}

#[track_caller]
fn built(
    tokens: &[String],
    merges: Vec<(String, String)>,
    with: impl FnOnce(BpeBuilder) -> BpeBuilder,
) -> Result<BPE> {
    let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
    let builder = BPE::builder().vocab_and_merges(vocabulary, merges);
    match with(builder).build() {
        Ok(model) => Ok(model),
        Err(e) => Err(Error::io(format!("the tokenizer's tokens and merges: {e}"))),
    }
}
