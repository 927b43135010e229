//! Models from files.

use std::path::Path;

use super::chat::ChatTemplate;
use super::config::{Config, Facts};
use super::decoder::Decoder;
use super::generate::Llm;
use super::language::Language;
use super::model::Model;
use super::options::EngineOptions;
use super::tokenizer::Tokenizer;
use super::weights::Weights;
use crate::distributed::Group;
use crate::error::Here;
use crate::{Error, Result};

/// The model of a GGUF file, or of a folder with `config.json`, `tokenizer.json` and safetensors files.
///
/// # Errors
/// [`Error::Io`] for files that are not there, damaged, or of models that are not known; [`Error::Shape`] where weights do not fit the
/// configuration.
#[track_caller]
pub fn load(path: impl AsRef<Path>) -> Result<Llm> {
    load_with(path, EngineOptions::default())
}

/// As [`load`], with other limits than the usual ones, or another form of the cache.
///
/// # Errors
/// Those of [`load`].
#[track_caller]
pub fn load_with(path: impl AsRef<Path>, options: impl Into<EngineOptions>) -> Result<Llm> {
    let (model, language) = load_parts(path)?;
    Llm::new(model, language, options)
}

/// The model and the language of a file or folder, for programs that put them together in another way than [`load`].
///
/// # Errors
/// Those of [`load`].
#[track_caller]
pub fn load_parts(path: impl AsRef<Path>) -> Result<(Model, Language)> {
    let (config, weights, language) = load_weights(path)?;
    Ok((Model::new(config, weights)?, language))
}

/// As [`load_parts`], with this process's part of a model that the processes of a group share: see [`Model::shared`].
///
/// ```no_run
/// use zmlx::{distributed, llm};
/// # fn main() -> zmlx::Result<()> {
/// // Every process runs the same lines, and gets the same text.
/// let group = distributed::init()?;
/// let (model, language) = llm::load_shared("model.gguf", &group)?;
/// let llm = llm::Llm::new(model, language, llm::EngineOptions::default())?;
/// let text = llm.generate("Once upon a time").max_tokens(64).text()?;
/// if group.rank() == 0 {
///     println!("{text}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`load`] and [`Model::shared`].
#[track_caller]
pub fn load_shared(path: impl AsRef<Path>, group: &Group) -> Result<(Model, Language)> {
    let (config, weights, language) = load_weights(path)?;
    Ok((Model::shared(config, weights, group)?, language))
}

/// The weights as layers that can be trained, and the language, of a file or folder.
///
/// # Errors
/// Those of [`load`].
#[track_caller]
pub fn load_decoder(path: impl AsRef<Path>) -> Result<(Decoder, Language)> {
    let (config, weights, language) = load_weights(path)?;
    Ok((Decoder::new(config, weights)?, language))
}

/// Shape, weights and language of a file or folder, for programs that share the weights ([`SharedWeights`](super::SharedWeights)) or change them.
///
/// # Errors
/// Those of [`load`].
#[track_caller]
pub fn load_weights(path: impl AsRef<Path>) -> Result<(Config, Weights, Language)> {
    let path = path.as_ref();
    if path.is_dir() {
        return from_folder(path);
    }
    let (weights, metadata) = Weights::from_gguf(path)?;
    let tokenizer = Tokenizer::from_gguf(&metadata)?;
    let chat = match (Facts {
        metadata: &metadata,
    })
    .text("tokenizer.chat_template")
    {
        Ok(template) => Some(chat(&template, &tokenizer)?),
        Err(_) => None,
    };
    let config = Config::from_gguf(&metadata)?;
    Ok((config, weights, Language { tokenizer, chat }))
}

#[track_caller]
fn from_folder(folder: &Path) -> Result<(Config, Weights, Language)> {
    let text = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|e| Error::io(format!("{}: {e}", path.display())))
    };
    let json = text("config.json").here()?;
    let config = Config::from_json(&json)?;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    let tokenizer = Tokenizer::from_folder(folder, &json)?;
    let settings = text("tokenizer_config.json").unwrap_or_default();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap_or_default();
    let template = match settings["chat_template"].as_str() {
        Some(template) => Some(template.to_owned()),
        None => text("chat_template.jinja").ok(),
    };
    let chat = match template {
        Some(template) => Some(chat(&template, &tokenizer)?),
        None => None,
    };
    let post_norms = config.architecture == "gemma3";
    let weights = Weights::from_folder(folder, post_norms)?;
    Ok((config, weights, Language { tokenizer, chat }))
}

#[track_caller]
fn chat(template: &str, tokenizer: &Tokenizer) -> Result<ChatTemplate> {
    let begin = tokenizer.special(tokenizer.begin());
    let end = tokenizer.special(tokenizer.ends().first().copied());
    ChatTemplate::new(template, &begin, &end)
}
