//! One text as it comes from the model's thread.

use std::pin::Pin;
use std::sync::Arc;

use axum::http::StatusCode;
use futures_util::stream::{self, Stream, StreamExt};
use zmlx::llm::{Chosen, Finish, Language, TextOut};

use super::model::{Piece, Pieces};
use super::problem::Problem;

/// One text of a request.
pub struct Choice {
    index: usize,
    pieces: Pieces,
    out: TextOut,
    language: Arc<Language>,
    /// How many characters have begun.
    begun: usize,
    over: bool,
}

/// What a text grows by.
#[derive(Debug)]
pub struct Delta {
    pub text: String,
    /// The token, unless it is the one that ends texts.
    pub token: Option<Chosen>,
    /// Where the token begins, in characters of the text; within a character, where that one begins.
    pub offset: usize,
    pub finish: Option<&'static str>,
}

/// Growth of the texts of a request, each with the number of its text.
pub type Deltas = Pin<Box<dyn Stream<Item = (usize, Result<Delta, Problem>)> + Send>>;

impl Choice {
    pub fn new(index: usize, pieces: Pieces, stops: &[String], language: Arc<Language>) -> Self {
        Choice {
            index,
            pieces,
            out: TextOut::new(stops.iter().cloned()),
            language,
            begun: 0,
            over: false,
        }
    }

    async fn next(&mut self) -> Option<Result<Delta, Problem>> {
        if self.over {
            return None;
        }
        let piece = self.pieces.recv().await;
        let delta = self.delta(piece);
        self.over = delta.as_ref().map_or(true, |d| d.finish.is_some());
        if self.over {
            // Nobody reads what may still come: a stop ends the computation.
            self.pieces.close();
        }
        Some(delta)
    }

    fn delta(&mut self, piece: Option<Piece>) -> Result<Delta, Problem> {
        let (chosen, finish) = match piece {
            Some(Piece::Token(chosen, finish)) => (chosen, finish),
            Some(Piece::Late) => {
                let message = "the text took longer than the server's time limit";
                return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, message));
            }
            Some(Piece::Failed(why)) => {
                return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why));
            }
            None => return Err(Problem::stopping()),
        };
        if finish == Some(Finish::Stop) {
            return Ok(Delta {
                text: self.out.finish(),
                token: None,
                offset: self.begun,
                finish: Some("stop"),
            });
        }
        let bytes = self.language.tokenizer.bytes(chosen.token);
        let mut text = self.out.push(bytes);
        // Bytes of which the upper bits are 10 go on with a character.
        let goes_on = |b: &u8| b & 0xc0 == 0x80;
        let within = bytes.first().is_some_and(goes_on);
        let offset = self.begun.saturating_sub(usize::from(within));
        self.begun += bytes.iter().filter(|b| !goes_on(b)).count();
        let finish = match (self.out.stopped(), finish) {
            (true, _) => Some("stop"),
            (false, Some(_)) => {
                text.push_str(&self.out.finish());
                // The rest may hold a stop, too.
                Some(if self.out.stopped() { "stop" } else { "length" })
            }
            (false, None) => None,
        };
        Ok(Delta {
            text,
            token: Some(chosen),
            offset,
            finish,
        })
    }
}

/// All texts of a request, in the order in which they grow.
pub fn deltas(choices: Vec<Choice>) -> Deltas {
    let each = choices.into_iter().map(|choice| {
        let index = choice.index;
        stream::unfold(choice, |mut choice| async {
            let delta = choice.next().await?;
            Some((delta, choice))
        })
        .map(move |delta| (index, delta))
        .boxed()
    });
    stream::select_all(each).boxed()
}
