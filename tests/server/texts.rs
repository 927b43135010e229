//! Texts and conversations.

use std::sync::Arc;

use serde_json::{Value, json};
use zmlx::llm::Llm;

use crate::client::get;
use crate::setup::{Server, greedy};

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
    // The weights are random, so that some texts end at once.
    let prompts = ["the cat", "a dog", "one two", "the sun", "in my house"];
    let texts = prompts.map(|prompt| (prompt, server.text(&greedy(prompt, 30))));
    let long = texts.iter().find(|(_, text)| text.chars().count() > 8);
    let (prompt, whole) = long.expect("a text of more than 8 characters");
    // A stop that is in the text ends it, and is not told.
    let stop: String = whole.chars().skip(4).take(2).collect();
    let mut body = greedy(prompt, 30);
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
    // Places of tokens in characters: the same in a stream, each token with its own.
    let mut streamed = tokens.clone();
    streamed["prompt"] = json!([[8]]);
    let whole = server.ask("/v1/completions", &streamed).json();
    let whole = whole["choices"][0]["logprobs"]["text_offset"].clone();
    streamed["stream"] = json!(true);
    let events = server.ask("/v1/completions", &streamed).events();
    let parts = events
        .iter()
        .filter_map(|e| e["choices"][0]["logprobs"]["text_offset"].as_array());
    let parts: Vec<_> = parts.flatten().cloned().collect();
    assert_eq!(Some(&parts), whole.as_array());
    assert_eq!(parts.first(), Some(&json!(0)));
    let models = get(server.address, "/v1/models", &[]).json();
    assert_eq!(
        (&models["data"][0]["id"], &models["data"][0]["object"]),
        (&json!("tiny"), &json!("model"))
    );
    let model = get(server.address, "/v1/models/tiny", &[]).json();
    assert_eq!(model, models["data"][0]);
    assert_eq!(get(server.address, "/v1/models/other", &[]).status, 404);
    assert_eq!(get(server.address, "/health", &[]).json()["status"], "ok");
}
