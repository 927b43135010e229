//! The text that a model expects of a conversation.

use minijinja::{Environment, Error as Problem, ErrorKind, Value, context};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of this role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Message {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// A model's template of conversations, in the language of Jinja.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    begin: String,
    end: String,
}

const NAME: &str = "chat";

/// How many instructions of a template a conversation may take, and how many more with each of its messages. Templates of models take
/// some tens a message; one that counts without end is stopped after a fraction of a second.
const STEPS: u64 = 200_000;
const STEPS_OF_A_MESSAGE: u64 = 2_000;

impl ChatTemplate {
    /// From the text of a template, and the texts of the tokens that begin and end a text.
    ///
    /// # Errors
    /// [`Error::Io`] for what is no template.
    #[track_caller]
    pub fn new(template: &str, begin: &str, end: &str) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |text: String| -> std::result::Result<Value, _> {
                Err(Problem::new(ErrorKind::InvalidOperation, text))
            },
        );
        if let Err(e) = environment.add_template_owned(NAME, template.to_owned()) {
            return Err(Error::io(format!("the model's chat template: {e}")));
        }
        Ok(ChatTemplate {
            environment,
            begin: begin.into(),
            end: end.into(),
        })
    }

    /// The text of a conversation, up to where the model's answer begins.
    ///
    /// # Errors
    /// [`Error::Argument`] for conversations that the template refuses, and where it takes more than 200,000 steps and 2,000 for each
    /// message.
    #[track_caller]
    pub fn render(&self, messages: &[Message]) -> Result<String> {
        let all = context! {
            messages => messages,
            add_generation_prompt => true,
            bos_token => self.begin,
            eos_token => self.end,
        };
        let steps = STEPS_OF_A_MESSAGE.saturating_mul(messages.len() as u64);
        let steps = steps.saturating_add(STEPS);
        // A copy for this conversation alone, as the number of steps is a setting of it; its templates are shared.
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(steps));
        let text = environment.get_template(NAME).and_then(|t| t.render(all));
        match text {
            Ok(text) => Ok(text),
            Err(e) if e.kind() == ErrorKind::OutOfFuel => Err(Error::argument(
                "messages",
                format_args!("what the chat template renders in {steps} steps"),
                "more",
            )),
            Err(e) => {
                let why = e.detail().map_or_else(|| e.to_string(), str::to_owned);
                Err(Error::argument(
                    "messages",
                    "what the chat template takes",
                    why,
                ))
            }
        }
    }
}
