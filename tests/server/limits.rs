//! Full queues, late texts, the server's end.

use std::time::Duration;

use zmlx::llm::Limits;

use crate::app::model::ModelThread;
use crate::app::{self, Settings};
use crate::client::start_post;
use crate::setup::{Server, greedy, long_text};
use crate::{rng, tiny};

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
    // It answers. The text of a random model may end at once.
    server.text(&greedy("the cat", 5));
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
