//! A server of a language model, with OpenAI's interface. docs/SERVING.md tells more.
//!
//! ```sh
//! cargo run --release --example server -- --model $(scripts/fetch-model)
//! curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
//!      -d '{"messages": [{"role": "user", "content": "What is a whale?"}], "stream": true}'
//! ```

mod app;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use zmlx::llm::EngineOptions;

use crate::app::Settings;
use crate::app::model::ModelThread;

const USAGE: &str = "\
usage: server --model FILE.gguf|FOLDER [options]
  --address HOST:PORT   where to listen (127.0.0.1:8080)
  --name NAME           the model's name in answers (the file's)
  --api-key-file FILE   a file with a key that clients have to show; also the variable ZMLX_API_KEY
  --pages N             pages of the cache, 16 tokens each (1024)
  --page-kind KIND      what a page holds: floats, float16, int8 or int4 (floats)
  --preallocate         all pages have their memory from the start
  --running N           texts that are computed at once (64)
  --waiting N           texts that may wait (256); more get the status 429
  --step-tokens N       tokens of one computation (256)
  --body-limit BYTES    of a request (1048576)
  --time-limit SECONDS  of a text, waiting included (600)
  --default-tokens N    of a text where the client does not say (256)";

/// How long texts may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(30);

struct Arguments {
    model: PathBuf,
    address: SocketAddr,
    settings: Settings,
    options: EngineOptions,
}

fn main() {
    let outcome = arguments().and_then(run);
    if let Err(message) = outcome {
        eprintln!("{message}");
        std::process::exit(1);
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let Arguments {
        model,
        address,
        settings,
        options,
    } = arguments;
    let start = Instant::now();
    let (thread, running) = ModelThread::start(&model, options).map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let seconds = start.elapsed().as_secs_f64();
    let name = settings.name.clone();
    runtime.block_on(async {
        let router = app::router(settings, thread);
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.map_err(|e| format!("cannot listen at {address}: {e}"))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        println!("{name}: ready after {seconds:.1} s at http://{address}/v1");
        let server = axum::serve(listener, router).with_graceful_shutdown(told_to_stop());
        tokio::select! {
            outcome = server => outcome.map_err(|e| e.to_string()),
            () = too_late() => Ok(()),
        }
    })?;
    // Texts that still run lose their clients here, which ends them.
    runtime.shutdown_timeout(Duration::from_secs(1));
    running.wait().map_err(|e| e.to_string())?;
    println!("stopped");
    Ok(())
}

async fn told_to_stop() {
    let interrupt = async { _ = tokio::signal::ctrl_c().await };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => _ = terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

async fn too_late() {
    told_to_stop().await;
    println!("stopping: texts have {} s to end", GRACE.as_secs());
    tokio::time::sleep(GRACE).await;
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments {
        model: PathBuf::new(),
        address: SocketAddr::from(([127, 0, 0, 1], 8080)),
        settings: Settings {
            name: String::new(),
            api_key: std::env::var("ZMLX_API_KEY").ok().filter(|k| !k.is_empty()),
            ..Settings::default()
        },
        options: EngineOptions::default(),
    };
    let (settings, options) = (&mut found.settings, &mut found.options);
    let limits = &mut options.limits;
    let mut all = std::env::args().skip(1);
    while let Some(name) = all.next() {
        if matches!(&*name, "--help" | "-h") {
            println!("{USAGE}");
            std::process::exit(0);
        }
        if name == "--preallocate" {
            options.preallocate = true;
            continue;
        }
        let value = all.next().ok_or(format!("{name} needs a value\n{USAGE}"))?;
        match name.as_str() {
            "--model" => found.model = value.into(),
            "--address" => found.address = number(&name, &value)?,
            "--name" => settings.name = value,
            "--api-key-file" => {
                let key = std::fs::read_to_string(&value).map_err(|e| format!("{value}: {e}"))?;
                settings.api_key = Some(key.trim().to_owned());
            }
            "--pages" => limits.pages = number(&name, &value)?,
            "--page-kind" => options.pages = number(&name, &value)?,
            "--running" => limits.running = number(&name, &value)?,
            "--waiting" => limits.waiting = number(&name, &value)?,
            "--step-tokens" => limits.tokens = number(&name, &value)?,
            "--body-limit" => settings.body_limit = number(&name, &value)?,
            "--time-limit" => settings.time_limit = Duration::from_secs(number(&name, &value)?),
            "--default-tokens" => settings.default_tokens = number(&name, &value)?,
            other => return Err(format!("{other}?\n{USAGE}")),
        }
    }
    if settings.api_key.as_deref() == Some("") {
        return Err("the API key is empty".into());
    }
    if found.model.as_os_str().is_empty() {
        return Err(USAGE.into());
    }
    if settings.name.is_empty() {
        let stem = found.model.file_stem().unwrap_or_default();
        settings.name = stem.to_string_lossy().into_owned();
    }
    Ok(found)
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{name}: `{text}` is not understood\n{USAGE}"))
}
