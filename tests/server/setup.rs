//! A running server.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zmlx::llm::Limits;

use crate::app::model::{ModelThread, Running};
use crate::app::{self, Settings};
use crate::client::{Answer, get, post};
use crate::{rng, tiny};

/// A server, what it serves loaded once more to compare with, and its runtime.
pub struct Server {
    pub address: SocketAddr,
    // Dropped in this order: the model's thread ends once nobody can ask it any more.
    _runtime: tokio::runtime::Runtime,
    _running: Mutex<Running>,
    pub folder: tempfile::TempDir,
}

impl Server {
    pub fn start(settings: Settings, limits: Limits) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tiny.gguf");
        let mut rng = rng::Rng::new();
        tiny::write(&path, "llama", || rng.normal()).expect("a model");
        let (thread, running) = ModelThread::start(&path, limits).expect("a model's thread");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = app::router(settings, thread);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Server {
            address,
            _runtime: runtime,
            _running: Mutex::new(running),
            folder,
        }
    }

    pub fn usual() -> Server {
        Server::start(
            Settings {
                name: "tiny".into(),
                ..Settings::default()
            },
            Limits::default(),
        )
    }

    pub fn ask(&self, path: &str, body: &Value) -> Answer {
        post(self.address, path, &body.to_string(), &[])
    }

    pub fn text(&self, body: &Value) -> String {
        let answer = self.ask("/v1/completions", body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["choices"][0]["text"]
            .as_str()
            .expect("a text")
            .to_owned()
    }

    /// The value of a number of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = get(self.address, "/metrics", &[]).body;
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        line.expect("a metric").parse().expect("a number")
    }

    /// Waits until it holds. What is waited for comes with the next computation; a minute is for machines under load.
    pub fn until(&self, holds: impl Fn(&Server) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds(self) {
            assert!(
                Instant::now() < end,
                "{}",
                get(self.address, "/metrics", &[]).body
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn greedy(prompt: &str, max_tokens: usize) -> Value {
    json!({"model": "tiny", "prompt": prompt, "max_tokens": max_tokens, "temperature": 0})
}

/// A text that goes on for long, with a queue of one behind it.
pub fn long_text() -> Value {
    // Sampled from nearly equal probabilities, so that the token that ends texts rarely comes; if it does, the next one is asked for.
    json!({"prompt": "the", "max_tokens": 450, "temperature": 0, "stream": true, "n": 1})
}
