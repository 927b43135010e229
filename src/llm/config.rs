//! What a model's file says about its shape.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::io::GgufValue;
use crate::{Error, Result};

/// The function between the two products of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(x)`.
    Silu,
    /// The form of GELU with a hyperbolic tangent.
    Gelu,
}

/// How the angles of the rotary embedding are stretched for long texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stretch {
    /// Not at all.
    None,
    /// Positions are divided by a number.
    Linear(f64),
    /// Llama 3's: slow pairs are divided by `factor`, fast ones not, those between a little.
    Llama3 {
        /// What slow pairs are divided by.
        factor: f64,
        /// Pairs with fewer turns than this in the original context are slow.
        low: f64,
        /// Pairs with more turns than this in the original context are fast.
        high: f64,
        /// The context that the model was trained with first.
        context: f64,
    },
}

/// The shape of a decoder of the Llama family, and what distinguishes its relatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The family's name, such as `llama`, `qwen2`, `gemma3`.
    pub architecture: String,
    /// Number of tokens that the model knows.
    pub vocabulary: i32,
    /// Elements of a token's vector.
    pub width: i32,
    /// Number of layers.
    pub layers: usize,
    /// Heads of queries.
    pub heads: i32,
    /// Heads of keys and values.
    pub kv_heads: i32,
    /// Elements of a head.
    pub head_width: i32,
    /// Elements between the products of a feed-forward layer.
    pub hidden: i32,
    /// Tokens that the model can look at.
    pub context: i32,
    /// What is added to the mean of squares in norms.
    pub epsilon: f32,
    /// The base of the rotary angles.
    pub rope_base: f64,
    /// The base in layers with a window.
    pub rope_local_base: f64,
    /// How many elements of a head turn.
    pub rope_dims: i32,
    /// Whether neighbours turn together, in place of halves.
    pub rope_neighbours: bool,
    /// How the angles are stretched, in layers without a window.
    pub rope_stretch: Stretch,
    /// How many tokens layers with a window see.
    pub window: Option<i32>,
    /// Of so many layers the last one has no window; 1 where all have one.
    pub window_period: usize,
    /// The factor on products of queries and keys.
    pub attention_scale: f32,
    /// The factor on the vectors of tokens.
    pub embedding_scale: f32,
    /// What stands between the products of a feed-forward layer.
    pub activation: Activation,
    /// Whether norms multiply by 1 + weight.
    pub norm_adds_one: bool,
}

/// The architectures that [`Config`] describes.
const KNOWN: [&str; 5] = ["llama", "mistral", "qwen2", "qwen3", "gemma3"];

impl Config {
    /// The window of a layer, if it has one.
    pub fn window_of(&self, layer: usize) -> Option<i32> {
        let whole = self.window_period > 1 && (layer + 1).is_multiple_of(self.window_period);
        self.window.filter(|_| !whole)
    }

    /// From the metadata of a GGUF file.
    ///
    /// # Errors
    /// [`Error::Io`] for an architecture that is not known and for what is missing.
    #[track_caller]
    pub fn from_gguf(metadata: &BTreeMap<String, GgufValue>) -> Result<Self> {
        let facts = Facts { metadata };
        let architecture = facts.text("general.architecture")?;
        check_known(&architecture)?;
        let name = |key: &str| format!("{architecture}.{key}");
        let whole = |key: &str| facts.whole(&name(key));
        let number = |key: &str| facts.number(&name(key));
        let (width, heads) = (need(whole("embedding_length"), "embedding_length")?, {
            need(whole("attention.head_count"), "attention.head_count")?
        });
        let head_width = match whole("attention.key_length") {
            Some(n) => n,
            None => divided(width, heads)?,
        };
        let vocabulary = match whole("vocab_size") {
            Some(n) => n,
            None => match metadata.get("tokenizer.ggml.tokens") {
                Some(GgufValue::Texts(all)) => all.len() as i32,
                _ => return Err(missing("vocab_size")),
            },
        };
        let base = number("rope.freq_base").unwrap_or(10_000.0);
        let gemma = architecture == "gemma3";
        let stretch = match number("rope.scaling.factor") {
            Some(factor) if factor != 1.0 => Stretch::Linear(factor),
            _ => Stretch::None,
        };
        Config {
            vocabulary,
            width,
            layers: need(whole("block_count"), "block_count")? as usize,
            heads,
            kv_heads: whole("attention.head_count_kv").unwrap_or(heads),
            head_width,
            hidden: need(whole("feed_forward_length"), "feed_forward_length")?,
            context: whole("context_length").unwrap_or(2048),
            epsilon: number("attention.layer_norm_rms_epsilon").unwrap_or(1e-5) as f32,
            rope_base: base,
            rope_local_base: if gemma { 10_000.0 } else { base },
            rope_dims: whole("rope.dimension_count").unwrap_or(head_width),
            // Files of these were made with the rows of queries and keys in another order.
            rope_neighbours: matches!(architecture.as_str(), "llama" | "mistral"),
            rope_stretch: stretch,
            window: whole("attention.sliding_window").filter(|&n| n > 0),
            window_period: if gemma { 6 } else { 1 },
            attention_scale: 1.0 / (head_width as f32).sqrt(),
            embedding_scale: if gemma { (width as f32).sqrt() } else { 1.0 },
            activation: if gemma {
                Activation::Gelu
            } else {
                Activation::Silu
            },
            norm_adds_one: false,
            architecture,
        }
        .checked()
    }

    /// From the text of a `config.json`.
    ///
    /// # Errors
    /// [`Error::Io`] for what is no JSON, an architecture that is not known and what is missing.
    #[track_caller]
    pub fn from_json(text: &str) -> Result<Self> {
        let json: Value = match serde_json::from_str(text) {
            Ok(json) => json,
            Err(e) => return Err(Error::io(format!("config.json: {e}"))),
        };
        let kind = json["model_type"].as_str().unwrap_or_default();
        let architecture = if kind == "gemma3_text" {
            "gemma3"
        } else {
            kind
        };
        check_known(architecture)?;
        let whole = |key: &str| json[key].as_i64().and_then(|n| i32::try_from(n).ok());
        let number = |key: &str| json[key].as_f64();
        let width = need(whole("hidden_size"), "hidden_size")?;
        let heads = need(whole("num_attention_heads"), "num_attention_heads")?;
        let head_width = match whole("head_dim") {
            Some(n) => n,
            None => divided(width, heads)?,
        };
        let gemma = architecture == "gemma3";
        let base = number("rope_theta").unwrap_or(10_000.0);
        let scaled_by = number("query_pre_attn_scalar").unwrap_or(f64::from(head_width));
        // Qwen's files name a window that they say is not used.
        let window = whole("sliding_window").filter(|_| json["use_sliding_window"] != false);
        let scaling = &json["rope_scaling"];
        let of = |key: &str, else_: f64| scaling[key].as_f64().unwrap_or(else_);
        let kind = scaling["rope_type"].as_str().or(scaling["type"].as_str());
        let stretch = match kind {
            None | Some("default") => Stretch::None,
            Some("linear") => Stretch::Linear(of("factor", 1.0)),
            Some("llama3") => Stretch::Llama3 {
                factor: of("factor", 8.0),
                low: of("low_freq_factor", 1.0),
                high: of("high_freq_factor", 4.0),
                context: of("original_max_position_embeddings", 8192.0),
            },
            Some(other) => {
                return Err(Error::io(format!(
                    "config.json: rope_scaling of the type `{other}` is not known"
                )));
            }
        };
        Config {
            architecture: architecture.into(),
            vocabulary: need(whole("vocab_size"), "vocab_size")?,
            width,
            layers: need(whole("num_hidden_layers"), "num_hidden_layers")? as usize,
            heads,
            kv_heads: whole("num_key_value_heads").unwrap_or(heads),
            head_width,
            hidden: need(whole("intermediate_size"), "intermediate_size")?,
            context: whole("max_position_embeddings").unwrap_or(2048),
            epsilon: number("rms_norm_eps").unwrap_or(1e-5) as f32,
            rope_base: base,
            rope_local_base: number("rope_local_base_freq").unwrap_or(base),
            rope_dims: head_width,
            rope_neighbours: false,
            rope_stretch: stretch,
            window,
            window_period: match gemma {
                true => whole("sliding_window_pattern").unwrap_or(6).max(1) as usize,
                false => 1,
            },
            attention_scale: 1.0 / (scaled_by as f32).sqrt(),
            embedding_scale: if gemma { (width as f32).sqrt() } else { 1.0 },
            activation: if gemma {
                Activation::Gelu
            } else {
                Activation::Silu
            },
            norm_adds_one: gemma,
        }
        .checked()
    }

    /// Numbers that fit each other, so that nothing later divides by zero.
    #[track_caller]
    fn checked(self) -> Result<Self> {
        let positive = [
            ("vocabulary", self.vocabulary),
            ("width", self.width),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_width", self.head_width),
            ("hidden", self.hidden),
            ("context", self.context),
        ];
        if let Some((name, n)) = positive.into_iter().find(|(_, n)| *n <= 0) {
            return Err(Error::io(format!("the model's {name} is {n}")));
        }
        let above_0 = |n: f64| n > 0.0 && n.is_finite();
        let factor = match self.rope_stretch {
            Stretch::Linear(factor) | Stretch::Llama3 { factor, .. } => factor,
            _ => 1.0,
        };
        let numbers = [
            ("rope_base", self.rope_base),
            ("rope_local_base", self.rope_local_base),
            ("rope factor", factor),
            ("window", f64::from(self.window.unwrap_or(1))),
        ];
        if let Some((name, n)) = numbers.into_iter().find(|(_, n)| !above_0(*n)) {
            return Err(Error::io(format!("the model's {name} is {n}")));
        }
        // 0 will do where no vector is 0.
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            let n = self.epsilon;
            return Err(Error::io(format!("the model's epsilon is {n}")));
        }
        if self.heads % self.kv_heads != 0 {
            return Err(Error::io(format!(
                "the model has {} heads of queries, which {} heads of keys do not divide",
                self.heads, self.kv_heads
            )));
        }
        if self.rope_dims <= 0 || self.rope_dims % 2 != 0 || self.rope_dims > self.head_width {
            return Err(Error::io(format!(
                "the model turns {} of a head's {} elements",
                self.rope_dims, self.head_width
            )));
        }
        Ok(self)
    }
}

#[track_caller]
fn check_known(architecture: &str) -> Result<()> {
    if KNOWN.contains(&architecture) {
        return Ok(());
    }
    Err(Error::io(format!(
        "models of the architecture `{architecture}` are not known (known: {})",
        KNOWN.join(", ")
    )))
}

#[track_caller]
fn need(value: Option<i32>, name: &str) -> Result<i32> {
    match value {
        Some(n) => Ok(n),
        None => Err(missing(name)),
    }
}

#[track_caller]
fn missing(name: &str) -> Error {
    Error::io(format!("the model's file does not say its `{name}`"))
}

#[track_caller]
fn divided(width: i32, heads: i32) -> Result<i32> {
    match width.checked_div(heads) {
        Some(n) if n * heads == width => Ok(n),
        _ => Err(Error::io(format!(
            "the model's {heads} heads do not divide its width {width}"
        ))),
    }
}

/// Values of GGUF's metadata.
pub(super) struct Facts<'a> {
    pub(super) metadata: &'a BTreeMap<String, GgufValue>,
}

impl Facts<'_> {
    #[track_caller]
    pub(super) fn text(&self, name: &str) -> Result<String> {
        match self.metadata.get(name) {
            Some(GgufValue::Text(text)) => Ok(text.clone()),
            _ => Err(missing(name)),
        }
    }

    /// A number; that of the first layer where there is one for each.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        let Some(GgufValue::Array(array)) = self.metadata.get(name) else {
            return None;
        };
        let all = array.astype(crate::Dtype::Float32).ok()?;
        // The numbers here are small enough for float32, or float32 themselves.
        all.to_vec::<f32>().ok()?.first().copied().map(f64::from)
    }

    pub(super) fn whole(&self, name: &str) -> Option<i32> {
        self.number(name).map(|n| n as i32)
    }

    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        self.number(name).map(|n| n != 0.0)
    }
}
