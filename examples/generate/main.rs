//! Text of a language model, token by token.
//!
//! ```sh
//! model=$(scripts/fetch-model)
//! cargo run --release --example generate -- --model $model "Once upon a time"
//! cargo run --release --example generate -- --model $model --chat "What is the capital of France?" --temperature 0.7 --seed 1
//! cargo run --release --example generate -- --model $model --ranks 2 "Once upon a time"
//! ```
//!
//! With `--ranks`, or started by the example `launch`, several processes share the model: each has a part of its weights.

use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use zmlx::distributed::{self, Ring, Said};
use zmlx::kernels::quant::Activations;
use zmlx::llm::{self, Message, Plain, Sampling, TextOut};

const USAGE: &str = "\
usage: generate --model FILE.gguf|FOLDER [options] PROMPT
  --chat                   the prompt is a message of a conversation
  --max-tokens N           how many tokens at most (128)
  --temperature T          0, the default, takes the most likely token
  --top-k N  --top-p P  --min-p P  --repetition-penalty R  --seed N
  --ranks N                in N processes of this machine, each with a part of the model
  --page-kind KIND         keys and values as floats, float16, int8 or int4 (floats)
  --float                  vectors as they are, not rounded to 8 bits before products with packed matrices
  --reference              by MLX's operations alone, weights in float32; takes the most likely token";

struct Arguments {
    model: String,
    prompt: String,
    chat: bool,
    reference: bool,
    float: bool,
    max_tokens: usize,
    ranks: usize,
    pages: llm::PageKind,
    sampling: Sampling,
}

fn main() {
    let outcome = arguments().and_then(|a| run_all(&a).map_err(|e| e.to_string()));
    if let Err(message) = outcome {
        eprintln!("{message}");
        std::process::exit(1);
    }
}

/// In as many processes as asked for, of which this one may be one.
fn run_all(arguments: &Arguments) -> zmlx::Result<()> {
    if arguments.ranks == 1 || std::env::var_os("MLX_RANK").is_some() {
        return run(arguments);
    }
    let program = std::env::current_exe().map_err(zmlx::Error::other)?;
    let ring = Ring::local(arguments.ranks)?;
    let ended = ring.run(0..arguments.ranks, Said::ByFirst, |_| {
        let mut command = Command::new(&program);
        command.args(std::env::args_os().skip(1));
        command
    })?;
    match ended.success() {
        true => Ok(()),
        // It has said why.
        false => std::process::exit(ended.code().unwrap_or(1)),
    }
}

fn run(arguments: &Arguments) -> zmlx::Result<()> {
    let start = Instant::now();
    let group = distributed::init()?;
    let (model, language) = llm::load_shared(&arguments.model, &group)?;
    // All processes have the same text, and one prints it.
    let speaks = group.rank() == 0;
    let messages = [Message::new("user", &arguments.prompt)];
    let prompt = match arguments.chat {
        true => language.chat_tokens(&messages)?,
        false => language.tokenizer.encode(&arguments.prompt, true)?,
    };
    let speed = match arguments.reference {
        true => {
            let mut plain = Plain::new(model)?;
            loaded(start, speaks);
            reference(&mut plain, &language, &prompt, arguments.max_tokens, speaks)?
        }
        false => {
            let model = match arguments.float {
                true => model.with_activations(Activations::Float),
                false => model,
            };
            let options = llm::EngineOptions::default().pages(arguments.pages);
            let llm = llm::Llm::new(model, language, options)?;
            loaded(start, speaks);
            kernels(&llm, &prompt, arguments, speaks)?
        }
    };
    if !speaks {
        return Ok(());
    }
    let Speed {
        first,
        rest,
        count,
        fastest,
    } = speed;
    eprintln!(
        "\n{} tokens of the prompt in {first:.3} s ({:.1} a second), then {count} in {rest:.3} s ({:.1} a second; the fastest \
         one as {:.1} a second)",
        prompt.len(),
        prompt.len() as f64 / first,
        count as f64 / rest,
        1.0 / fastest,
    );
    Ok(())
}

fn loaded(start: Instant, speaks: bool) {
    if speaks {
        eprintln!("loaded in {:.2} s", start.elapsed().as_secs_f64());
    }
}

/// Seconds to the first token, seconds after it and tokens after it; seconds of the fastest token, as other programs may use the
/// processors, too.
struct Speed {
    first: f64,
    rest: f64,
    count: usize,
    fastest: f64,
}

fn kernels(
    llm: &llm::Llm,
    prompt: &[u32],
    arguments: &Arguments,
    speaks: bool,
) -> zmlx::Result<Speed> {
    let generate = llm.generate_tokens(prompt).max_tokens(arguments.max_tokens);
    let start = Instant::now();
    let mut stream = generate.sampling(arguments.sampling.clone()).stream();
    let (mut first, mut before, mut fastest) = (0.0, 0, f64::INFINITY);
    let mut last = (0.0, 0);
    while let Some(piece) = stream.next() {
        let now = (start.elapsed().as_secs_f64(), stream.tokens().len());
        if first == 0.0 {
            (first, before) = now;
        } else if now.1 > last.1 {
            fastest = fastest.min((now.0 - last.0) / (now.1 - last.1) as f64);
        }
        last = now;
        say(&piece?, speaks);
    }
    let count = stream.tokens().len() - before;
    let rest = start.elapsed().as_secs_f64() - first;
    Ok(Speed {
        first,
        rest,
        count,
        fastest,
    })
}

fn reference(
    plain: &mut Plain,
    language: &llm::Language,
    prompt: &[u32],
    max_tokens: usize,
    speaks: bool,
) -> zmlx::Result<Speed> {
    let start = Instant::now();
    let mut out = TextOut::new([]);
    let mut next = prompt.to_vec();
    let (mut first, mut count, mut fastest) = (0.0, 0, f64::INFINITY);
    while count < max_tokens {
        let begun = Instant::now();
        let token = plain.next_greedy(&next)?;
        if count == 0 {
            first = start.elapsed().as_secs_f64();
        } else {
            fastest = fastest.min(begun.elapsed().as_secs_f64());
        }
        count += 1;
        if language.tokenizer.ends().contains(&token) {
            break;
        }
        say(&out.push(language.tokenizer.bytes(token)), speaks);
        next = vec![token];
    }
    say(&out.finish(), speaks);
    let rest = start.elapsed().as_secs_f64() - first;
    let count = count.saturating_sub(1);
    Ok(Speed {
        first,
        rest,
        count,
        fastest,
    })
}

fn say(text: &str, speaks: bool) {
    if !speaks {
        return;
    }
    print!("{text}");
    // A reader that has gone is no reason to fail.
    let _ = std::io::stdout().flush();
}

fn arguments() -> Result<Arguments, String> {
    let mut all = std::env::args().skip(1);
    let mut found = Arguments {
        model: String::new(),
        prompt: String::new(),
        chat: false,
        reference: false,
        float: false,
        max_tokens: 128,
        ranks: 1,
        pages: llm::PageKind::Floats,
        sampling: Sampling::default(),
    };
    while let Some(name) = all.next() {
        if matches!(&*name, "--help" | "-h") {
            println!("{USAGE}");
            std::process::exit(0);
        }
        let mut value = || all.next().ok_or(format!("{name} needs a value\n{USAGE}"));
        match name.as_str() {
            "--chat" => found.chat = true,
            "--reference" => found.reference = true,
            "--float" => found.float = true,
            "--model" => found.model = value()?,
            "--ranks" => found.ranks = number(&name, &value()?)?,
            "--page-kind" => found.pages = number(&name, &value()?)?,
            "--max-tokens" => found.max_tokens = number(&name, &value()?)?,
            "--temperature" => found.sampling.temperature = number(&name, &value()?)?,
            "--top-k" => found.sampling.top_k = number(&name, &value()?)?,
            "--top-p" => found.sampling.top_p = number(&name, &value()?)?,
            "--min-p" => found.sampling.min_p = number(&name, &value()?)?,
            "--repetition-penalty" => {
                found.sampling.repetition_penalty = number(&name, &value()?)?;
            }
            "--seed" => found.sampling.seed = number(&name, &value()?)?,
            other if other.starts_with("--") => return Err(format!("{other}?\n{USAGE}")),
            _ => found.prompt = name,
        }
    }
    if found.model.is_empty() || found.prompt.is_empty() {
        return Err(USAGE.into());
    }
    Ok(found)
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{name}: `{text}` is no number\n{USAGE}"))
}
