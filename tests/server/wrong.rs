//! Requests that are refused.

use serde_json::json;
use zmlx::llm::Limits;

use crate::app::Settings;
use crate::client::{get, post};
use crate::setup::{Server, greedy};

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
        (text, "[]".into(), 400, None),
        (text, "{}".into(), 400, Some("prompt")),
        (text, r#"{"prompt": {"a": 1}}"#.into(), 400, Some("prompt")),
        (
            text,
            r#"{"prompt": "x", "max_tokens": -1}"#.into(),
            400,
            Some("max_tokens"),
        ),
        (
            text,
            r#"{"seed": 1, "temperature": "x", "prompt": "x"}"#.into(),
            400,
            Some("temperature"),
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
            r#"{"messages": [{"content": "x"}]}"#.into(),
            400,
            Some("messages"),
        ),
        (
            chat,
            r#"{"messages": [{"role": "user", "content": "x"}], "logprobs": true, "top_logprobs": 99}"#
                .into(),
            400,
            Some("top_logprobs"),
        ),
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
    // It answers. The text of a random model may end at once.
    server.text(&greedy("the cat", 5));
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
