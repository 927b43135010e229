//! The parameters of requests, as OpenAI's interface has them, and what is made of them.

use serde::Deserialize;
use serde_json::Value;
use zmlx::llm::{Message, Sampling};

use super::problem::Problem;

/// Most choices of one request, most stops, and most likely tokens that are told.
const MOST_CHOICES: usize = 16;
const MOST_STOPS: usize = 4;
const MOST_TOP: usize = 20;
const MOST_PROMPTS: usize = 16;

/// What both kinds of requests have.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Common {
    pub model: Option<String>,
    pub max_tokens: Option<usize>,
    pub max_completion_tokens: Option<usize>,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub n: Option<usize>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    pub stop: Option<OneOrMany<String>>,
    pub seed: Option<i64>,
    // Not OpenAI's, but of other servers with this interface.
    pub top_k: Option<usize>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    // Not done here: refused where they would change the answer.
    pub frequency_penalty: Option<f32>,
    pub presence_penalty: Option<f32>,
    pub logit_bias: Option<Value>,
    pub tools: Option<Value>,
    pub functions: Option<Value>,
    pub response_format: Option<Value>,
    pub suffix: Option<String>,
    pub echo: Option<bool>,
    pub best_of: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamOptions {
    pub include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// The body of `/v1/completions`.
#[derive(Debug, Deserialize)]
pub struct CompletionRequest {
    pub prompt: Prompt,
    pub logprobs: Option<usize>,
    #[serde(flatten)]
    pub common: Common,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Prompt {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    ManyTokens(Vec<Vec<u32>>),
}

/// The body of `/v1/chat/completions`.
#[derive(Debug, Deserialize)]
pub struct ChatRequest {
    pub messages: Vec<ChatMessage>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<usize>,
    #[serde(flatten)]
    pub common: Common,
}

#[derive(Debug, Deserialize)]
pub struct ChatMessage {
    pub role: String,
    pub content: Content,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
pub struct Part {
    #[serde(rename = "type")]
    pub kind: String,
    pub text: Option<String>,
}

/// What is to be computed for one request.
#[derive(Debug)]
pub struct Plan {
    pub prompts: Vec<PlannedPrompt>,
    pub choices: usize,
    pub max_tokens: Option<usize>,
    pub sampling: Sampling,
    pub stops: Vec<String>,
    /// How many of the most likely tokens are told, if probabilities are.
    pub top: Option<usize>,
    pub stream: bool,
    pub usage: bool,
}

#[derive(Debug)]
pub enum PlannedPrompt {
    Text(String),
    Tokens(Vec<u32>),
    Chat(Vec<Message>),
}

impl Common {
    fn plan(
        self,
        model: &str,
        prompts: Vec<PlannedPrompt>,
        (top_name, top): (&str, Option<usize>),
    ) -> Result<Plan, Problem> {
        let refuse = |name: &str, message: String| Err(Problem::parameter(name, message));
        self.check_undone()?;
        if let Some(other) = self.model.filter(|m| m != model) {
            return refuse(
                "model",
                format!("the model here is `{model}`, not `{other}`"),
            );
        }
        let choices = self.n.unwrap_or(1);
        if choices == 0 || choices > MOST_CHOICES {
            return refuse(
                "n",
                format!("`n`: expected a number from 1 to {MOST_CHOICES}, got {choices}"),
            );
        }
        if prompts.is_empty() || prompts.len() > MOST_PROMPTS {
            let count = prompts.len();
            return refuse(
                "prompt",
                format!("`prompt`: expected 1 to {MOST_PROMPTS} prompts, got {count}"),
            );
        }
        let stops = self.stop.map(OneOrMany::into_vec).unwrap_or_default();
        if stops.len() > MOST_STOPS {
            let count = stops.len();
            return refuse(
                "stop",
                format!("`stop`: expected at most {MOST_STOPS} texts, got {count}"),
            );
        }
        if let Some(top) = top.filter(|&t| t > MOST_TOP) {
            return refuse(
                top_name,
                format!("expected at most {MOST_TOP} most likely tokens, got {top}"),
            );
        }
        let temperature = self.temperature.unwrap_or(1.0);
        if !(0.0..=2.0).contains(&temperature) {
            return refuse(
                "temperature",
                format!("`temperature`: expected a number from 0 to 2, got {temperature}"),
            );
        }
        let sampling = Sampling {
            temperature,
            top_k: self.top_k.unwrap_or(0),
            top_p: self.top_p.unwrap_or(1.0),
            min_p: self.min_p.unwrap_or(0.0),
            repetition_penalty: self.repetition_penalty.unwrap_or(1.0),
            seed: match self.seed {
                Some(seed) => seed as u64,
                None => super::answer::fresh(),
            },
        };
        sampling.check()?;
        Ok(Plan {
            prompts,
            choices,
            max_tokens: self.max_completion_tokens.or(self.max_tokens),
            sampling,
            stops,
            top,
            stream: self.stream.unwrap_or(false),
            usage: self
                .stream_options
                .is_some_and(|o| o.include_usage == Some(true)),
        })
    }

    /// What would change the answer, and is not done, is refused rather than ignored.
    fn check_undone(&self) -> Result<(), Problem> {
        let some = |value: &Option<Value>| {
            let empty = |v: &Value| match v {
                Value::Null => true,
                Value::Array(all) => all.is_empty(),
                Value::Object(all) => all.is_empty(),
                _ => false,
            };
            value.as_ref().is_some_and(|v| !empty(v))
        };
        let number = |n: Option<f32>| n.is_some_and(|n| n != 0.0);
        let format = self
            .response_format
            .as_ref()
            .is_some_and(|f| f["type"] != "text");
        for (name, is_there) in [
            ("frequency_penalty", number(self.frequency_penalty)),
            ("presence_penalty", number(self.presence_penalty)),
            ("logit_bias", some(&self.logit_bias)),
            ("tools", some(&self.tools)),
            ("functions", some(&self.functions)),
            ("response_format", some(&self.response_format) && format),
            (
                "suffix",
                self.suffix.as_ref().is_some_and(|s| !s.is_empty()),
            ),
            ("echo", self.echo == Some(true)),
            (
                "best_of",
                self.best_of.is_some_and(|b| b > self.n.unwrap_or(1)),
            ),
        ] {
            if is_there {
                return Err(Problem::parameter(
                    name,
                    format!("`{name}` is not supported here"),
                ));
            }
        }
        Ok(())
    }
}

impl CompletionRequest {
    pub fn plan(self, model: &str) -> Result<Plan, Problem> {
        let prompts = match self.prompt {
            Prompt::Text(text) => vec![PlannedPrompt::Text(text)],
            Prompt::Texts(texts) => texts.into_iter().map(PlannedPrompt::Text).collect(),
            Prompt::Tokens(tokens) => vec![PlannedPrompt::Tokens(tokens)],
            Prompt::ManyTokens(many) => many.into_iter().map(PlannedPrompt::Tokens).collect(),
        };
        self.common
            .plan(model, prompts, ("logprobs", self.logprobs))
    }
}

impl ChatRequest {
    pub fn plan(self, model: &str) -> Result<Plan, Problem> {
        if self.messages.is_empty() {
            return Err(Problem::parameter(
                "messages",
                "`messages`: expected at least one",
            ));
        }
        let mut messages = Vec::new();
        for message in self.messages {
            let content = match message.content {
                Content::Text(text) => text,
                Content::Parts(parts) => {
                    let mut all = String::new();
                    for part in parts {
                        match (part.kind.as_str(), part.text) {
                            ("text", Some(text)) => all.push_str(&text),
                            (kind, _) => {
                                let message =
                                    format!("content of the type `{kind}` is not supported here");
                                return Err(Problem::parameter("messages", message));
                            }
                        }
                    }
                    all
                }
            };
            messages.push(Message::new(message.role, content));
        }
        if self.top_logprobs.is_some() && self.logprobs != Some(true) {
            let message = "`top_logprobs` needs `logprobs` to be true";
            return Err(Problem::parameter("top_logprobs", message));
        }
        let top = (self.logprobs == Some(true)).then(|| self.top_logprobs.unwrap_or(0));
        let prompts = vec![PlannedPrompt::Chat(messages)];
        self.common.plan(model, prompts, ("top_logprobs", top))
    }
}
