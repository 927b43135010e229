//! What each address does.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zmlx::llm;

use super::State;
use super::answer::{Frame, Usage, Whole};
use super::api::{ChatRequest, CompletionRequest, Plan, PlannedPrompt};
use super::metrics::add;
use super::problem::Problem;
use super::stream::{Choice, Delta, Deltas, deltas};

/// How long the body of a request may take to come in.
const BODY_TIME: Duration = Duration::from_secs(30);

pub async fn completions(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let plan = match read::<CompletionRequest>(&state, request).await {
        Ok(body) => body.plan(&state.settings.name),
        Err(problem) => Err(problem),
    };
    answer(state, plan, false).await
}

pub async fn chat(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let plan = match read::<ChatRequest>(&state, request).await {
        Ok(body) => body.plan(&state.settings.name),
        Err(problem) => Err(problem),
    };
    answer(state, plan, true).await
}

pub async fn models(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    if let Err(problem) = allowed(&state, &headers) {
        return problem.into_response();
    }
    Json(json!({"object": "list", "data": [the_model(&state)]})).into_response()
}

pub async fn model(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(problem) = allowed(&state, &headers) {
        return problem.into_response();
    }
    match id == state.settings.name {
        true => Json(the_model(&state)).into_response(),
        false => Problem::new(StatusCode::NOT_FOUND, "there is no such model").into_response(),
    }
}

fn the_model(state: &State) -> Value {
    json!({
        "id": state.settings.name,
        "object": "model",
        "created": state.started,
        "owned_by": "local",
        "context_length": state.model.longest(),
        "vocabulary": state.model.vocabulary(),
    })
}

pub async fn health(Shared(state): Shared<Arc<State>>) -> Response {
    match state.model.is_alive() {
        true => Json(json!({"status": "ok"})).into_response(),
        false => Problem::stopping().into_response(),
    }
}

pub async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], state.metrics.text()).into_response()
}

pub async fn nothing() -> Response {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address").into_response()
}

pub async fn other_method() -> Response {
    let message = "this address takes another method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, message).into_response()
}

/// Refuses who does not show the key. Both sides are hashed and all bytes compared, so the time tells nothing of the key.
fn allowed(state: &State, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(key) = state.key else {
        return Ok(());
    };
    let shown = headers
        .get(header::AUTHORIZATION)
        .map_or(&[][..], |v| v.as_bytes());
    // The scheme in any case (RFC 7235).
    let shown = match shown.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => key,
        _ => &[],
    };
    let shown: [u8; 32] = Sha256::digest(shown).into();
    let different = key.iter().zip(&shown).fold(0, |all, (a, b)| all | (a ^ b));
    match std::hint::black_box(different) {
        0 => Ok(()),
        _ => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "the API key is missing or wrong",
        )),
    }
}

/// The body of a request, if it comes in time, is not too long, and says what it should.
async fn read<T: DeserializeOwned>(state: &State, request: Request) -> Result<T, Problem> {
    allowed(state, request.headers())?;
    let limit = state.settings.body_limit;
    let too_long = || {
        let message = format!("the body of a request may have {limit} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|l| l.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|l| l > limit) {
        return Err(too_long());
    }
    let body: Body = request.into_body();
    let bytes = match tokio::time::timeout(BODY_TIME, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return Err(too_long()),
        Err(_) => {
            let message = "the body of the request did not come in time";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, message));
        }
    };
    serde_json::from_slice(&bytes).map_err(|e| {
        let message = format!("the body is not understood: {e}");
        match at_fault::<T>(&bytes) {
            Some(name) => Problem::parameter(&name, message),
            None => Problem::new(StatusCode::BAD_REQUEST, message),
        }
    })
}

/// The parameter for which a body is not understood: without it another sentence is said, or it is not there.
fn at_fault<T: DeserializeOwned>(body: &[u8]) -> Option<String> {
    /// More names than a request has.
    const MOST: usize = 64;
    let fields: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
    let said = |without: Option<&String>| {
        let rest = fields.iter().filter(|(name, _)| Some(*name) != without);
        let rest = rest.map(|(name, value)| (name.as_str(), value));
        let read: Result<T, serde_json::Error> = T::deserialize(MapDeserializer::new(rest));
        read.err().map(|e| e.to_string())
    };
    let whole = said(None)?;
    let missing = |name: &str| format!("missing field `{name}`");
    let mut asked_for = None;
    for name in fields.keys().take(MOST) {
        match said(Some(name)) {
            Some(other) if other == whole => {}
            // What has to be there is at fault if nothing else is.
            Some(other) if other == missing(name) => asked_for = asked_for.or(Some(name.clone())),
            _ => return Some(name.clone()),
        }
    }
    let absent = || whole.strip_prefix("missing field `")?.split('`').next();
    asked_for.or_else(|| absent().map(str::to_owned))
}

async fn answer(state: Arc<State>, plan: Result<Plan, Problem>, chat: bool) -> Response {
    let outcome = match plan {
        Ok(plan) => begin(&state, plan, chat).await,
        Err(problem) => Err(problem),
    };
    let response = outcome.unwrap_or_else(IntoResponse::into_response);
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS => add(&state.metrics.busy, 1),
        s if s.is_client_error() => _ = state.metrics.wrong.fetch_add(1, Relaxed),
        _ => {}
    }
    response
}

async fn begin(state: &Arc<State>, plan: Plan, chat: bool) -> Result<Response, Problem> {
    let deadline = Instant::now() + state.settings.time_limit;
    let frame = Frame::new(chat, &state.settings.name, plan.top.is_some());
    let (choices, usage) = submit(state, &plan, deadline).await?;
    let count = choices.len();
    let deltas = deltas(choices);
    if !plan.stream {
        return whole(state, &frame, deltas, count, usage).await;
    }
    let usage = plan.usage.then_some(usage);
    let events = events(state.clone(), frame, deltas, count, usage);
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// Gives all texts of a request to the model's thread.
async fn submit(
    state: &Arc<State>,
    plan: &Plan,
    deadline: Instant,
) -> Result<(Vec<Choice>, Usage), Problem> {
    let (mut choices, mut usage) = (Vec::new(), Usage::default());
    for prompt in &plan.prompts {
        let language = &state.language;
        let prompt = match prompt {
            PlannedPrompt::Tokens(tokens) => tokens.clone(),
            PlannedPrompt::Text(text) => language.tokenizer.encode(text, true)?,
            PlannedPrompt::Chat(messages) => language.chat_tokens(messages)?,
        };
        usage.prompt += prompt.len();
        let room = state.model.longest().saturating_sub(prompt.len());
        let usual = state.settings.default_tokens.min(room);
        for number in 0..plan.choices {
            let mut sampling = plan.sampling.clone();
            sampling.seed = sampling.seed.wrapping_add(number as u64);
            let request = llm::Request {
                prompt: prompt.clone(),
                max_tokens: plan.max_tokens.unwrap_or(usual),
                sampling,
                ends: language.tokenizer.ends().to_vec(),
                top: plan.top,
            };
            // Where one is refused, those before it are dropped, which ends them.
            let pieces = state.model.submit(request, deadline).await?;
            let language = state.language.clone();
            choices.push(Choice::new(choices.len(), pieces, &plan.stops, language));
        }
    }
    Ok((choices, usage))
}

async fn whole(
    state: &State,
    frame: &Frame,
    mut deltas: Deltas,
    count: usize,
    mut usage: Usage,
) -> Result<Response, Problem> {
    let mut texts: Vec<Whole> = (0..count).map(|_| Whole::default()).collect();
    while let Some((index, delta)) = deltas.next().await {
        let delta = delta?;
        usage.texts += 1;
        texts[index].add(delta);
    }
    Ok(Json(frame.whole(&texts, usage, &state.language)).into_response())
}

/// The events of a streamed answer.
fn events(
    state: Arc<State>,
    frame: Frame,
    deltas: Deltas,
    count: usize,
    usage: Option<Usage>,
) -> impl stream::Stream<Item = Result<Event, Infallible>> + Send {
    let first = (0..count).filter(|_| frame.chat).map(|i| frame.first(i));
    let first: Vec<Value> = first.collect();
    let texts = Counted {
        state,
        frame,
        deltas,
        usage,
        over: false,
    };
    let rest = stream::unfold(texts, |mut texts| async {
        let event = texts.next().await?;
        Some((event, texts))
    });
    let first = stream::iter(first.into_iter().map(|v| event(&v)));
    let done = stream::iter([Event::default().data("[DONE]")]);
    first.chain(rest).chain(done).map(Ok)
}

/// Streamed texts, and the count of their tokens.
struct Counted {
    state: Arc<State>,
    frame: Frame,
    deltas: Deltas,
    usage: Option<Usage>,
    over: bool,
}

impl Counted {
    async fn next(&mut self) -> Option<Event> {
        while !self.over {
            match self.deltas.next().await {
                Some((index, Ok(delta))) => {
                    if let Some(usage) = &mut self.usage {
                        usage.texts += 1;
                    }
                    let Delta { text, finish, .. } = &delta;
                    let told = delta.token.is_some() && self.frame.probabilities;
                    if text.is_empty() && finish.is_none() && !told {
                        continue; // Text that is held back: the next token tells.
                    }
                    return Some(event(&self.frame.part(index, &delta, &self.state.language)));
                }
                Some((_, Err(problem))) => {
                    self.over = true;
                    return Some(event(&problem.json()));
                }
                None => {
                    self.over = true;
                    let usage = self.usage.take()?;
                    return Some(event(&self.frame.usage(usage)));
                }
            }
        }
        None
    }
}

fn event(value: &Value) -> Event {
    Event::default().data(value.to_string())
}
