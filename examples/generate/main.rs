//! Text of a language model, token by token.
//!
//! ```sh
//! model=$(scripts/fetch-model)
//! cargo run --release --example generate -- --model $model "Once upon a time"
//! cargo run --release --example generate -- --model $model --chat "What is the capital of France?" --temperature 0.7 --seed 1
//! ```

use std::io::Write as _;
use std::time::Instant;

use zmlx::kernels::quant::Activations;
use zmlx::llm::{self, Message, Plain, Sampling, TextOut};

const USAGE: &str = "\
usage: generate --model FILE.gguf|FOLDER [options] PROMPT
  --chat                   the prompt is a message of a conversation
  --max-tokens N           how many tokens at most (128)
  --temperature T          0, the default, takes the most likely token
  --top-k N  --top-p P  --min-p P  --repetition-penalty R  --seed N
  --float                  vectors as they are, not rounded to 8 bits before products with packed matrices
  --reference              by MLX's operations alone, weights in float32; takes the most likely token";

struct Arguments {
    model: String,
    prompt: String,
    chat: bool,
    reference: bool,
    float: bool,
    max_tokens: usize,
    sampling: Sampling,
}

fn main() {
    let outcome = arguments().and_then(|a| run(&a).map_err(|e| e.to_string()));
    if let Err(message) = outcome {
        eprintln!("{message}");
        std::process::exit(1);
    }
}

fn run(arguments: &Arguments) -> zmlx::Result<()> {
    let start = Instant::now();
    let (model, language) = llm::load_parts(&arguments.model)?;
    let messages = [Message::new("user", &arguments.prompt)];
    let prompt = match arguments.chat {
        true => language.chat_tokens(&messages)?,
        false => language.tokenizer.encode(&arguments.prompt, true)?,
    };
    let speed = match arguments.reference {
        true => {
            let mut plain = Plain::new(model)?;
            eprintln!("loaded in {:.2} s", start.elapsed().as_secs_f64());
            reference(&mut plain, &language, &prompt, arguments.max_tokens)?
        }
        false => {
            let model = match arguments.float {
                true => model.with_activations(Activations::Float),
                false => model,
            };
            let llm = llm::Llm::new(model, language, llm::Limits::default())?;
            eprintln!("loaded in {:.2} s", start.elapsed().as_secs_f64());
            kernels(&llm, &prompt, arguments)?
        }
    };
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

/// Seconds to the first token, seconds after it and tokens after it; seconds of the fastest token, as other programs may use the
/// processors, too.
struct Speed {
    first: f64,
    rest: f64,
    count: usize,
    fastest: f64,
}

fn kernels(llm: &llm::Llm, prompt: &[u32], arguments: &Arguments) -> zmlx::Result<Speed> {
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
        say(&piece?);
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
        say(&out.push(language.tokenizer.bytes(token)));
        next = vec![token];
    }
    say(&out.finish());
    let rest = start.elapsed().as_secs_f64() - first;
    let count = count.saturating_sub(1);
    Ok(Speed {
        first,
        rest,
        count,
        fastest,
    })
}

fn say(text: &str) {
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
        sampling: Sampling::default(),
    };
    while let Some(name) = all.next() {
        let mut value = || all.next().ok_or(format!("{name} needs a value\n{USAGE}"));
        match name.as_str() {
            "--chat" => found.chat = true,
            "--reference" => found.reference = true,
            "--float" => found.float = true,
            "--model" => found.model = value()?,
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
