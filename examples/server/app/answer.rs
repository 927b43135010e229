//! The bodies of answers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use zmlx::llm::{Chosen, Language};

use super::stream::Delta;

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

/// A number that is another one each time.
pub fn fresh() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos() as u64);
    time.wrapping_add(COUNT.fetch_add(1, Relaxed) << 48)
}

/// What all answers to one request have in common.
#[derive(Clone, Debug)]
pub struct Frame {
    pub id: String,
    pub created: u64,
    pub model: String,
    pub chat: bool,
    /// Whether probabilities are told.
    pub probabilities: bool,
}

/// Tokens of the prompts and of the texts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub prompt: usize,
    pub texts: usize,
}

impl Usage {
    fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.texts,
            "total_tokens": self.prompt + self.texts,
        })
    }
}

/// A text that is whole.
#[derive(Debug, Default)]
pub struct Whole {
    pub text: String,
    pub finish: &'static str,
    pub tokens: Vec<Chosen>,
    /// Where in the text each token begins, in characters.
    offsets: Vec<usize>,
}

impl Whole {
    pub fn add(&mut self, delta: Delta) {
        if let Some(token) = delta.token {
            self.offsets.push(delta.offset);
            self.tokens.push(token);
        }
        self.text.push_str(&delta.text);
        self.finish = delta.finish.unwrap_or(self.finish);
    }
}

/// A token as text, or as bytes where it is a part of a character.
fn shown(language: &Language, token: u32) -> String {
    let bytes = language.tokenizer.bytes(token);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let each = bytes.iter().map(|b| format!("\\x{b:02x}"));
            format!("bytes:{}", each.collect::<String>())
        }
    }
}

impl Frame {
    pub fn new(chat: bool, model: &str, probabilities: bool) -> Self {
        let kind = if chat { "chatcmpl" } else { "cmpl" };
        Frame {
            id: format!("{kind}-{:016x}", fresh()),
            created: now(),
            model: model.into(),
            chat,
            probabilities,
        }
    }

    fn body(&self, part: bool, choices: Value) -> Value {
        let object = match (self.chat, part) {
            (true, true) => "chat.completion.chunk",
            (true, false) => "chat.completion",
            (false, _) => "text_completion",
        };
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    /// The answer as a whole.
    pub fn whole(&self, texts: &[Whole], usage: Usage, language: &Language) -> Value {
        let choices = texts.iter().enumerate().map(|(index, whole)| {
            let logprobs = self.logprobs(&whole.tokens, &whole.offsets, language);
            let mut choice = json!({
                "index": index,
                "finish_reason": whole.finish,
                "logprobs": logprobs,
            });
            match self.chat {
                true => choice["message"] = json!({"role": "assistant", "content": whole.text}),
                false => choice["text"] = json!(whole.text),
            }
            choice
        });
        let mut body = self.body(false, choices.collect());
        body["usage"] = usage.json();
        body
    }

    /// The first part of a streamed text of a conversation.
    pub fn first(&self, index: usize) -> Value {
        let delta = json!({"role": "assistant", "content": ""});
        let choice =
            json!({"index": index, "delta": delta, "finish_reason": null, "logprobs": null});
        self.body(true, json!([choice]))
    }

    /// A part of a streamed text.
    pub fn part(&self, index: usize, delta: &Delta, language: &Language) -> Value {
        let tokens: Vec<Chosen> = delta.token.iter().cloned().collect();
        let mut choice = json!({
            "index": index,
            "finish_reason": delta.finish,
            "logprobs": self.logprobs(&tokens, &[delta.offset], language),
        });
        match self.chat {
            true if delta.text.is_empty() => choice["delta"] = json!({}),
            true => choice["delta"] = json!({"content": delta.text}),
            false => choice["text"] = json!(delta.text),
        }
        self.body(true, json!([choice]))
    }

    /// The last part, where the client wants to know.
    pub fn usage(&self, usage: Usage) -> Value {
        let mut body = self.body(true, json!([]));
        body["usage"] = usage.json();
        body
    }

    fn logprobs(&self, tokens: &[Chosen], offsets: &[usize], language: &Language) -> Value {
        if !self.probabilities {
            return Value::Null;
        }
        let text = |token: u32| language.tokenizer.decode(&[token]);
        if self.chat {
            let told = |token: u32, value: Option<f32>| json!({"token": text(token), "logprob": value, "bytes": language.tokenizer.bytes(token)});
            let content = tokens.iter().map(|t| {
                let mut one = told(t.token, t.log_probability);
                one["top_logprobs"] = t
                    .top
                    .iter()
                    .map(|&(token, p)| told(token, Some(p)))
                    .collect();
                one
            });
            return json!({"content": content.collect::<Vec<_>>()});
        }
        let top = tokens.iter().map(|t| {
            let each = t
                .top
                .iter()
                .map(|&(token, p)| (shown(language, token), json!(p)));
            Value::Object(each.collect())
        });
        json!({
            "tokens": tokens.iter().map(|t| shown(language, t.token)).collect::<Vec<_>>(),
            "token_logprobs": tokens.iter().map(|t| t.log_probability).collect::<Vec<_>>(),
            "top_logprobs": top.collect::<Vec<_>>(),
            "text_offset": offsets.iter().take(tokens.len()).collect::<Vec<_>>(),
        })
    }
}
