//! Text to tokens and back.

use std::collections::BTreeMap;
use std::path::Path;

use tokenizers::{AddedToken, DecoderWrapper};

use super::config::Facts;
use super::tokenizer_kinds::{bytes_of_words, pieces_of_sentences};
use crate::io::GgufValue;
use crate::{Error, Result};

/// A model's tokenizer: from the metadata of a GGUF file, or a `tokenizer.json`.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The bytes of each token's text; none of special tokens.
    pieces: Vec<Box<[u8]>>,
    begin: Option<u32>,
    end: Vec<u32>,
    adds_begin: bool,
}

/// The kinds of tokens in GGUF files that are not text.
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

impl Tokenizer {
    /// From the metadata of a GGUF file.
    ///
    /// # Errors
    /// [`Error::Io`] for kinds of tokenizers that are not known, and for what is missing.
    #[track_caller]
    pub fn from_gguf(metadata: &BTreeMap<String, GgufValue>) -> Result<Self> {
        let facts = Facts { metadata };
        let texts = |name: &str| match metadata.get(name) {
            Some(GgufValue::Texts(all)) => Ok(all),
            _ => Err(Error::io(format!(
                "the model's file does not say its `{name}`"
            ))),
        };
        let tokens = texts("tokenizer.ggml.tokens")?;
        let kinds: Vec<i32> = match metadata.get("tokenizer.ggml.token_type") {
            Some(GgufValue::Array(kinds)) => kinds.astype(crate::Dtype::Int32)?.to_vec()?,
            _ => Vec::new(),
        };
        let kind = facts.text("tokenizer.ggml.model")?;
        let space = facts.truth("tokenizer.ggml.add_space_prefix");
        let mut inner = match kind.as_str() {
            "gpt2" => {
                let pre = facts.text("tokenizer.ggml.pre").unwrap_or_default();
                bytes_of_words(tokens, texts("tokenizer.ggml.merges")?, &pre)?
            }
            "llama" => {
                let scores = match metadata.get("tokenizer.ggml.scores") {
                    Some(GgufValue::Array(scores)) => {
                        scores.astype(crate::Dtype::Float32)?.to_vec::<f32>()?
                    }
                    _ => {
                        return Err(Error::io(
                            "the model's file has no scores of its tokens".into(),
                        ));
                    }
                };
                pieces_of_sentences(tokens, &scores, space.unwrap_or(true))?
            }
            other => {
                return Err(Error::io(format!(
                    "tokenizers of the kind `{other}` are not known (known: gpt2, llama)"
                )));
            }
        };
        let of_kind = |wanted: i32| {
            let all = tokens
                .iter()
                .zip(&kinds)
                .filter(move |(_, k)| **k == wanted);
            all.map(move |(t, _)| AddedToken::from(t.clone(), wanted == CONTROL).normalized(false))
        };
        inner.add_special_tokens(&of_kind(CONTROL).collect::<Vec<_>>());
        inner.add_tokens(&of_kind(USER_DEFINED).collect::<Vec<_>>());
        let id = |name: &str| {
            facts
                .number(&format!("tokenizer.ggml.{name}"))
                .map(|n| n as u32)
        };
        // Files name one end; chats end their turns with another token in some models.
        let turns = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|endoftext|>"];
        let turns = turns.iter().filter_map(|t| inner.token_to_id(t));
        let mut end: Vec<u32> = id("eos_token_id")
            .into_iter()
            .chain(id("eot_token_id"))
            .collect();
        end.extend(turns);
        end.sort_unstable();
        end.dedup();
        // Where the file does not say: models with pieces of sentences begin with a token.
        let adds_begin = facts
            .truth("tokenizer.ggml.add_bos_token")
            .unwrap_or(kind == "llama");
        Ok(Tokenizer {
            pieces: (0..tokens.len() as u32).map(|t| piece(&inner, t)).collect(),
            begin: id("bos_token_id"),
            end,
            adds_begin,
            inner,
        })
    }

    /// From the text of a `tokenizer.json`, and the numbers of the tokens that begin and end a text.
    ///
    /// # Errors
    /// [`Error::Io`] for what is no such text.
    #[track_caller]
    pub fn from_json(text: &str, begin: Option<u32>, end: Vec<u32>) -> Result<Self> {
        let inner = match tokenizers::Tokenizer::from_bytes(text.as_bytes()) {
            Ok(inner) => inner,
            Err(e) => return Err(Error::io(format!("tokenizer.json: {e}"))),
        };
        // What it adds to a text is its own rule.
        let added = inner
            .encode("", true)
            .map_err(|e| Error::io(e.to_string()))?;
        let adds_begin = begin.is_some_and(|b| added.get_ids().contains(&b));
        let known = inner.get_vocab(true);
        let last = known.values().max().copied();
        // A piece is made for each number up to the last one.
        let most = 4 * known.len() as u64 + (1 << 20);
        if let Some(last) = last.filter(|&n| u64::from(n) > most) {
            let count = known.len();
            return Err(Error::io(format!(
                "tokenizer.json: token {last} in a vocabulary of {count}"
            )));
        }
        let count = last.map_or(0, |last| last + 1);
        Ok(Tokenizer {
            pieces: (0..count).map(|t| piece(&inner, t)).collect(),
            begin,
            end,
            adds_begin,
            inner,
        })
    }

    #[track_caller]
    pub(super) fn from_folder(folder: &Path, config: &serde_json::Value) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) => return Err(Error::io(format!("{}: {e}", path.display()))),
        };
        let ids = |value: &serde_json::Value| match value {
            serde_json::Value::Array(all) => {
                all.iter().filter_map(serde_json::Value::as_u64).collect()
            }
            one => one.as_u64().into_iter().collect::<Vec<_>>(),
        };
        let mut end = ids(&config["eos_token_id"]);
        if let Ok(text) = std::fs::read_to_string(folder.join("generation_config.json")) {
            let more: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            end.extend(ids(&more["eos_token_id"]));
        }
        let begin = ids(&config["bos_token_id"]).first().map(|&b| b as u32);
        let mut end: Vec<u32> = end.into_iter().map(|e| e as u32).collect();
        end.sort_unstable();
        end.dedup();
        Tokenizer::from_json(&text, begin, end)
    }

    /// The tokens of a text. `begin` says whether the token that begins texts is put before, where the model wants one.
    ///
    /// # Errors
    /// [`Error::Io`] for a text that the tokenizer has no tokens for.
    #[track_caller]
    pub fn encode(&self, text: &str, begin: bool) -> Result<Vec<u32>> {
        let encoded = match self.inner.encode(text, false) {
            Ok(encoded) => encoded,
            Err(e) => return Err(Error::io(format!("the text has no tokens: {e}"))),
        };
        let first = self.begin.filter(|_| begin && self.adds_begin);
        Ok(first
            .into_iter()
            .chain(encoded.get_ids().iter().copied())
            .collect())
    }

    /// The bytes of a token's text: a part of a character, in some cases. None of a token that is no text.
    pub fn bytes(&self, token: u32) -> &[u8] {
        self.pieces.get(token as usize).map_or(&[], |p| p)
    }

    /// The text of tokens. Bytes that are no text become the sign for that.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|&t| self.bytes(t))
            .copied()
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The tokens that end a text.
    pub fn ends(&self) -> &[u32] {
        &self.end
    }

    /// The text of a special token such as the one that begins texts.
    pub(super) fn special(&self, token: Option<u32>) -> String {
        token
            .and_then(|t| self.inner.id_to_token(t))
            .unwrap_or_default()
    }

    pub(super) fn begin(&self) -> Option<u32> {
        self.begin
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("tokens", &self.pieces.len())
            .finish_non_exhaustive()
    }
}

/// The bytes of a token: of byte-level ones by the table of characters that stand for bytes; of pieces of sentences as they
/// are, with spaces for their sign, and `<0x0A>` for a byte.
fn piece(inner: &tokenizers::Tokenizer, token: u32) -> Box<[u8]> {
    let added = inner.get_added_vocabulary();
    let text = inner.id_to_token(token).unwrap_or_default();
    if added.is_special_token(&text) {
        return Box::default();
    }
    let byte_level = matches!(inner.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
    if !byte_level {
        let hex = text.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
        return match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => [byte].into(),
            None => text.replace('\u{2581}', " ").into_bytes().into(),
        };
    }
    match added.get_added_tokens_decoder().contains_key(&token) {
        true => text.into_bytes().into(),
        false => text.chars().filter_map(byte_of).collect(),
    }
}

/// The byte that a character stands for in byte-level tokens: printable ones for themselves, the others, in their order, are the
/// characters from 256 on (Radford and others, "Language Models are Unsupervised Multitask Learners", 2019, their code).
fn byte_of(character: char) -> Option<u8> {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let code = u32::from(character);
    match u8::try_from(code) {
        Ok(byte) => Some(byte).filter(|b| printable(*b)),
        Err(_) => (0..=255u8)
            .filter(|b| !printable(*b))
            .nth(code as usize - 256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All 256 bytes have a character each, which is told apart from the library's own list of them.
    #[test]
    fn each_byte_has_a_character() {
        let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        let mut bytes: Vec<u8> = alphabet.into_iter().filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(
            [byte_of('\u{120}'), byte_of('\u{10A}')],
            [Some(b' '), Some(b'\n')]
        );
    }
}
