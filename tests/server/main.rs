//! The example of a server, asked by a client over TCP, with a tiny random model.

#[path = "../../examples/server/app/mod.rs"]
#[allow(dead_code, reason = "the program uses more of it")]
mod app;
mod client;
#[path = "../common/rng.rs"]
mod rng;
#[path = "../llm/tiny.rs"]
mod tiny;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use app::Settings;
use app::model::{ModelThread, Running};
use client::{Answer, get, post, start_post};
use serde_json::{Value, json};
use zmlx::llm::{Limits, Llm};

/// A server, what it serves loaded once more to compare with, and its runtime.
struct Server {
    address: SocketAddr,
    // Dropped in this order: the model's thread ends once nobody can ask it any more.
    _runtime: tokio::runtime::Runtime,
    _running: Mutex<Running>,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(settings: Settings, limits: Limits) -> Server {
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

    fn usual() -> Server {
        Server::start(
            Settings {
                name: "tiny".into(),
                ..Settings::default()
            },
            Limits::default(),
        )
    }

    fn ask(&self, path: &str, body: &Value) -> Answer {
        post(self.address, path, &body.to_string(), &[])
    }

    fn text(&self, body: &Value) -> String {
        let answer = self.ask("/v1/completions", body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["choices"][0]["text"]
            .as_str()
            .expect("a text")
            .to_owned()
    }

    /// The value of a number of `/metrics`.
    fn metric(&self, name: &str) -> f64 {
        let text = get(self.address, "/metrics", &[]).body;
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        line.expect("a metric").parse().expect("a number")
    }

    /// Waits until it holds. What is waited for comes with the next computation; a minute is for machines under load.
    fn until(&self, holds: impl Fn(&Server) -> bool) {
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

fn greedy(prompt: &str, max_tokens: usize) -> Value {
    json!({"model": "tiny", "prompt": prompt, "max_tokens": max_tokens, "temperature": 0})
}

/// Many clients at once, streaming and not, get what the library gives to one alone.
#[test]
fn clients_together_get_what_one_gets_alone() {
    let server = Arc::new(Server::usual());
    let path = server.folder.path().join("tiny.gguf");
    let prompts: Vec<String> = (0..12)
        .map(|i| format!("the {} hats of number {i}", "in ".repeat(i)))
        .collect();
    let asked = prompts.clone();
    let alone = zmlx::Worker::spawn(move || zmlx::llm::load(&path)).expect("a worker");
    let wanted = alone.run(move |model: &mut Llm| {
        asked
            .iter()
            .map(|p| model.generate(p.as_str()).max_tokens(24).text())
            .collect::<zmlx::Result<Vec<_>>>()
    });
    let clients: Vec<_> = prompts
        .into_iter()
        .enumerate()
        .map(|(i, prompt)| {
            let server = server.clone();
            std::thread::spawn(move || {
                let mut body = greedy(&prompt, 24);
                if i % 2 == 0 {
                    return server.text(&body);
                }
                body["stream"] = json!(true);
                let answer = server.ask("/v1/completions", &body);
                let events = answer.events();
                let parts = events
                    .iter()
                    .filter_map(|e| e["choices"][0]["text"].as_str());
                parts.collect()
            })
        })
        .collect();
    let got: Vec<String> = clients
        .into_iter()
        .map(|c| c.join().expect("a client"))
        .collect();
    assert_eq!(got, wanted.wait().expect("texts"));
    assert_eq!(
        server.metric("zmlx_free_pages"),
        server.metric("zmlx_pages")
    );
    assert!(server.metric("zmlx_generated_tokens_total") > 12.0);
}

#[test]
fn conversations_have_the_known_shapes() {
    let server = Server::usual();
    let body = json!({
        "model": "tiny", "seed": 7, "n": 2, "max_tokens": 8, "logprobs": true, "top_logprobs": 3,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    });
    let whole = server.ask("/v1/chat/completions", &body).json();
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["choices"].as_array().map(Vec::len), Some(2));
    let first = &whole["choices"][0];
    assert_eq!(
        (&first["index"], &first["message"]["role"]),
        (&json!(0), &json!("assistant"))
    );
    let told = first["logprobs"]["content"]
        .as_array()
        .expect("probabilities");
    assert!(!told.is_empty() || first["finish_reason"] == "stop");
    for token in told {
        let top: Vec<f64> = token["top_logprobs"]
            .as_array()
            .expect("three")
            .iter()
            .map(|t| t["logprob"].as_f64().expect("a number"))
            .collect();
        assert_eq!(top.len(), 3);
        assert!(top.is_sorted_by(|a, b| a >= b) && top[0] <= 0.0, "{top:?}");
        assert!(token["logprob"].as_f64().expect("a number") <= top[0]);
    }
    let usage = &whole["usage"];
    let count = |name: &str| usage[name].as_u64().expect("a number");
    assert_eq!(
        count("total_tokens"),
        count("prompt_tokens") + count("completion_tokens")
    );
    // The same seed gives the same texts, streamed or not, and the parts make up the whole.
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    streamed["stream_options"] = json!({"include_usage": true});
    let events = server.ask("/v1/chat/completions", &streamed).events();
    for index in 0..2 {
        let own: Vec<&Value> = events
            .iter()
            .filter(|e| e["choices"][0]["index"] == index)
            .map(|e| &e["choices"][0])
            .collect();
        assert_eq!(own[0]["delta"]["role"], "assistant");
        let text: String = own
            .iter()
            .filter_map(|c| c["delta"]["content"].as_str())
            .collect();
        assert_eq!(whole["choices"][index]["message"]["content"], text);
        assert_eq!(
            own[own.len() - 1]["finish_reason"],
            whole["choices"][index]["finish_reason"]
        );
    }
    let last = &events[events.len() - 1];
    assert_eq!(
        (&last["usage"], last["choices"].as_array().map(Vec::len)),
        (usage, Some(0))
    );
}

#[test]
fn completions_have_the_known_shapes() {
    let server = Server::usual();
    let whole = server.text(&greedy("the cat", 30));
    assert!(whole.chars().count() > 8, "{whole:?}");
    // A stop that is in the text ends it, and is not told.
    let stop: String = whole.chars().skip(4).take(2).collect();
    let mut body = greedy("the cat", 30);
    body["stop"] = json!([stop, "never there"]);
    let before = whole.find(&stop).map(|at| &whole[..at]);
    assert_eq!(Some(server.text(&body).as_str()), before);
    // Tokens do as prompts, and several at once.
    let tokens =
        json!({"prompt": [[5, 6, 7], [8]], "max_tokens": 3, "temperature": 0, "logprobs": 2});
    let answer = server.ask("/v1/completions", &tokens).json();
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["choices"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["usage"]["prompt_tokens"], 4);
    let told = &answer["choices"][1]["logprobs"];
    assert_eq!(
        told["tokens"].as_array().map(Vec::len),
        told["token_logprobs"].as_array().map(Vec::len)
    );
    let models = get(server.address, "/v1/models", &[]).json();
    assert_eq!(
        (&models["data"][0]["id"], &models["data"][0]["object"]),
        (&json!("tiny"), &json!("model"))
    );
    assert_eq!(get(server.address, "/health", &[]).json()["status"], "ok");
}

/// Whatever comes in, the answer is an error that says which parameter is wrong, and the server goes on.
#[test]
fn wrong_requests_are_told_so() {
    let settings = Settings {
        name: "tiny".into(),
        body_limit: 2000,
        ..Settings::default()
    };
    let server = Server::start(
        settings,
        Limits {
            pages: 8,
            ..Limits::default()
        },
    );
    let chat = "/v1/chat/completions";
    let text = "/v1/completions";
    let long = "x".repeat(3000);
    for (path, body, status, parameter) in [
        (text, "{".into(), 400, None),
        (text, "\u{0}\u{1}".into(), 400, None),
        (text, "{}".into(), 400, None),
        (text, r#"{"prompt": {"a": 1}}"#.into(), 400, None),
        (
            text,
            r#"{"prompt": "x", "max_tokens": -1}"#.into(),
            400,
            None,
        ),
        (
            text,
            r#"{"prompt": "x", "max_tokens": 0}"#.into(),
            400,
            Some("max_tokens"),
        ),
        (
            text,
            r#"{"prompt": "x", "max_tokens": 5000}"#.into(),
            400,
            Some("max_tokens"),
        ),
        (
            text,
            r#"{"prompt": "x", "temperature": 3}"#.into(),
            400,
            Some("temperature"),
        ),
        (
            text,
            r#"{"prompt": "x", "top_p": -0.1}"#.into(),
            400,
            Some("top_p"),
        ),
        (text, r#"{"prompt": "x", "n": 0}"#.into(), 400, Some("n")),
        (
            text,
            r#"{"prompt": "x", "logprobs": 99}"#.into(),
            400,
            Some("logprobs"),
        ),
        (
            text,
            r#"{"prompt": "x", "model": "other"}"#.into(),
            400,
            Some("model"),
        ),
        (
            text,
            r#"{"prompt": "x", "echo": true}"#.into(),
            400,
            Some("echo"),
        ),
        (text, r#"{"prompt": [99999]}"#.into(), 400, Some("prompt")),
        (text, r#"{"prompt": ""}"#.into(), 400, Some("prompt")),
        (
            text,
            r#"{"prompt": "x", "stop": ["a", "b", "c", "d", "e"]}"#.into(),
            400,
            Some("stop"),
        ),
        (chat, r#"{"messages": []}"#.into(), 400, Some("messages")),
        (
            chat,
            r#"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#.into(),
            400,
            Some("messages"),
        ),
        (
            chat,
            r#"{"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]}"#
                .into(),
            400,
            Some("tools"),
        ),
        (
            chat,
            json!({"messages": [{"role": "user", "content": long}]}).to_string(),
            413,
            None,
        ),
        ("/v1/nothing", "{}".into(), 404, None),
        ("/health", "{}".into(), 405, None),
    ] {
        let answer = post(server.address, path, &body, &[]);
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error", "{body}");
        assert!(
            error["message"].as_str().is_some_and(|m| !m.is_empty()),
            "{body}"
        );
        assert_eq!(error["param"].as_str(), parameter, "{body}: {error}");
    }
    assert!(server.metric("zmlx_wrong_total") > 15.0);
    assert!(!server.text(&greedy("the cat", 5)).is_empty());
}

#[test]
fn a_key_is_asked_for() {
    let settings = Settings {
        name: "tiny".into(),
        api_key: Some("open sesame".into()),
        ..Settings::default()
    };
    let server = Server::start(settings, Limits::default());
    let body = greedy("x", 1).to_string();
    for (header, status) in [
        (None, 401),
        (Some("Bearer open sesam"), 401),
        (Some("open sesame"), 401),
        (Some("Bearer open sesame"), 200),
    ] {
        let headers: Vec<(&str, &str)> = header.into_iter().map(|h| ("authorization", h)).collect();
        assert_eq!(
            post(server.address, "/v1/completions", &body, &headers).status,
            status,
            "{header:?}"
        );
        assert_eq!(
            get(server.address, "/v1/models", &headers).status,
            status,
            "{header:?}"
        );
    }
    assert_eq!(get(server.address, "/health", &[]).status, 200);
}

/// A text that goes on for long, with a queue of one behind it.
fn long_text() -> Value {
    // Sampled from nearly equal probabilities, so that the token that ends texts rarely comes; if it does, the next one is asked for.
    json!({"prompt": "the", "max_tokens": 450, "temperature": 0, "stream": true, "n": 1})
}

/// Who finds the queue full is told when to come again; who goes away makes room at once.
#[test]
fn full_queues_refuse_and_clients_that_leave_make_room() {
    let limits = Limits {
        pages: 32,
        running: 1,
        waiting: 1,
        tokens: 32,
    };
    let settings = Settings {
        name: "tiny".into(),
        ..Settings::default()
    };
    let server = Server::start(settings, limits);
    let mut busy = None;
    let mut open = Vec::new();
    // One runs, one waits, the others are refused; where texts end by themselves, more are asked for.
    for _ in 0..200 {
        let mut stream = start_post(server.address, "/v1/completions", &long_text().to_string());
        let status = stream.status();
        if status == 429 {
            busy = Some(stream.rest());
            break;
        }
        assert_eq!(status, 200);
        open.push(stream);
    }
    let busy = busy.expect("a full queue");
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!(busy.json()["error"]["type"], "rate_limit_error");
    assert!(server.metric("zmlx_busy_total") > 0.0);
    drop(open);
    let left = |s: &Server| s.metric("zmlx_left_total") >= 1.0 && s.metric("zmlx_running") == 0.0;
    server.until(left);
    assert_eq!(server.metric("zmlx_free_pages"), 32.0);
    assert!(!server.text(&greedy("the cat", 5)).is_empty());
}

#[test]
fn texts_that_take_too_long_are_ended() {
    let settings = Settings {
        name: "tiny".into(),
        time_limit: Duration::ZERO,
        ..Settings::default()
    };
    let server = Server::start(settings, Limits::default());
    let answer = server.ask("/v1/completions", &greedy("the cat", 400));
    assert_eq!(answer.status, 504, "{}", answer.body);
    assert_eq!(server.metric("zmlx_late_total"), 1.0);
    assert_eq!(
        server.metric("zmlx_free_pages"),
        server.metric("zmlx_pages")
    );
}

/// The server's end: texts that are read are finished first.
#[test]
fn the_end_waits_for_texts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    let mut rng = rng::Rng::new();
    tiny::write(&path, "llama", || rng.normal()).expect("a model");
    let (thread, running) = ModelThread::start(&path, Limits::default()).expect("a thread");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (address, serving) = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let settings = Settings {
            name: "tiny".into(),
            ..Settings::default()
        };
        let server = axum::serve(listener, app::router(settings, thread));
        let server = server.with_graceful_shutdown(async { _ = stopped.await });
        (address, tokio::spawn(async move { server.await }))
    });
    let body = long_text().to_string();
    let mut stream = start_post(address, "/v1/completions", &body);
    assert_eq!(stream.status(), 200);
    stop.send(()).expect("the server runs");
    let events = stream.rest().events();
    let last = &events[events.len() - 1]["choices"][0]["finish_reason"];
    assert!(last == "length" || last == "stop", "{last}");
    runtime
        .block_on(serving)
        .expect("no panic")
        .expect("no error");
    drop(runtime);
    running.wait().expect("the thread ends");
    assert!(std::net::TcpStream::connect(address).is_err());
}
