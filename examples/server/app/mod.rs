//! The server without its command line: what tests start, too.
//!
//! Requests come in on tokio's threads, which turn texts into tokens and back. One thread owns MLX ([`model`]): it takes requests
//! between two computations and sends tokens back.

mod answer;
mod api;
mod handlers;
mod metrics;
pub mod model;
mod problem;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use sha2::{Digest, Sha256};
use zmlx::llm::Language;

use self::metrics::Metrics;
use self::model::ModelThread;

/// What a server is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The model's name in answers.
    pub name: String,
    /// What clients have to show, if anything.
    pub api_key: Option<String>,
    /// Bytes of a request.
    pub body_limit: usize,
    /// How long a text may take, waiting included.
    pub time_limit: Duration,
    /// Tokens of a text where the client does not say.
    pub default_tokens: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            name: "model".into(),
            api_key: None,
            body_limit: 1 << 20,
            time_limit: Duration::from_secs(600),
            default_tokens: 256,
        }
    }
}

/// What all handlers know.
pub struct State {
    settings: Settings,
    /// The SHA-256 of the key, as texts of one length compare in one time.
    key: Option<[u8; 32]>,
    language: Arc<Language>,
    model: ModelThread,
    metrics: Arc<Metrics>,
    started: u64,
}

/// The server of a model.
pub fn router(settings: Settings, model: ModelThread) -> Router {
    let key = settings.api_key.as_ref().map(|k| Sha256::digest(k).into());
    let state = State {
        settings,
        key,
        language: model.language().clone(),
        metrics: model.metrics().clone(),
        model,
        started: answer::now(),
    };
    Router::new()
        .route("/v1/completions", post(handlers::completions))
        .route("/v1/chat/completions", post(handlers::chat))
        .route("/v1/models", get(handlers::models))
        .route("/v1/models/{id}", get(handlers::model))
        .route("/health", get(handlers::health))
        .route("/metrics", get(handlers::metrics))
        .fallback(handlers::nothing)
        .method_not_allowed_fallback(handlers::other_method)
        .with_state(Arc::new(state))
}
