//! Texts to tokens and back.

use super::chat::{ChatTemplate, Message};
use super::tokenizer::Tokenizer;
use crate::{Error, Result};

/// What turns texts into tokens; threads may share it.
#[derive(Debug)]
pub struct Language {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The text of conversations, where the model has one.
    pub chat: Option<ChatTemplate>,
}

impl Language {
    /// The tokens of a conversation, up to where the model's answer begins.
    ///
    /// # Errors
    /// [`Error::Argument`] where the model has no template of conversations, or it refuses this one.
    #[track_caller]
    pub fn chat_tokens(&self, messages: &[Message]) -> Result<Vec<u32>> {
        let Some(chat) = &self.chat else {
            return Err(Error::argument(
                "messages",
                "a model with a chat template",
                "one without",
            ));
        };
        let text = chat.render(messages)?;
        let mut tokens = self.tokenizer.encode(&text, true)?;
        // Some templates begin with the token that the tokenizer puts before a text.
        if tokens.len() > 1 && tokens[0] == tokens[1] && Some(tokens[0]) == self.tokenizer.begin() {
            tokens.remove(0);
        }
        Ok(tokens)
    }
}
