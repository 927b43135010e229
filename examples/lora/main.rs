//! Fine-tunes a language model on a few lines of text by products of low rank, and generates with what it learnt.
//!
//! ```sh
//! model=$(scripts/fetch-model)
//! cargo run --release --example lora -- --model $model
//! cargo run --release --example lora -- --model $model --text lines.txt --steps 30 --save adapters.safetensors
//! cargo run --release --example lora -- --model $model --adapters adapters.safetensors --steps 0 --prompt "The zmlx is"
//! ```

mod lines;

use std::path::PathBuf;
use std::time::Instant;

use zmlx::llm::{self, Decoder, Language, Limits, Model};
use zmlx::nn::{self, Init, Lora, ModuleExt, Tree};
use zmlx::{Error, Result, io, optim};

use self::lines::{Lines, TEXT};

const USAGE: &str = "\
usage: lora --model FILE.gguf|FOLDER [options]
  --text FILE       one text a line (some lines about an animal that there is not)
  --steps N         steps of training (20)
  --rate R          the rate of AdamW (0.002)
  --rank N          the rank of the products (8)
  --save FILE       where what was trained goes, a safetensors file of some megabytes
  --adapters FILE   where it comes from, in place of beginning anew
  --prompt TEXT     a beginning to go on from, before and after (the first words of the first line)";

struct Arguments {
    model: PathBuf,
    text: Option<PathBuf>,
    steps: usize,
    rate: f64,
    rank: i32,
    save: Option<PathBuf>,
    adapters: Option<PathBuf>,
    prompt: Option<String>,
}

fn main() {
    let outcome = arguments().and_then(|a| run(&a).map_err(|e| e.to_string()));
    if let Err(message) = outcome {
        eprintln!("{message}");
        std::process::exit(1);
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let (mut model, language) = llm::load_decoder(&arguments.model)?;
    let text = match &arguments.text {
        Some(path) => std::fs::read_to_string(path).map_err(Error::other)?,
        None => TEXT.to_owned(),
    };
    let lines = Lines::new(&text, &language)?;
    // Queries and values of each layer, as in the paper.
    let chosen = |name: &str| name.ends_with("attention.q") || name.ends_with("attention.v");
    let layers = Lora::add(&mut model, arguments.rank, 2.0, &mut Init::seed(1), chosen)?;
    if let Some(path) = &arguments.adapters {
        model.set(&Tree::from(io::load_safetensors(path)?))?;
    }
    println!(
        "{} lines of up to {} tokens; products beside {layers} matrices: {} numbers are trained",
        lines.count(),
        lines.longest(),
        model.trained().size()
    );
    let losses = train(&mut model, &lines, arguments)?;
    if let Some(path) = &arguments.save {
        model.trained().save(path)?;
        println!("{}", path.display());
    }
    Lora::merge(&mut model)?;
    let learnt = lines.loss(&model)?.item::<f32>()?;
    println!("loss with the products merged into the matrices: {learnt:.3}");
    if let [first, ..] = losses[..]
        && (learnt.is_nan() || learnt >= first)
    {
        return Err(Error::other("nothing was learnt: the loss did not fall"));
    }
    say(&model, language, arguments)
}

/// Does the steps, and gives the loss before each of them.
fn train(model: &mut Decoder, lines: &Lines, arguments: &Arguments) -> Result<Vec<f32>> {
    let mut optimizer = optim::AdamW::new(arguments.rate).weight_decay(0.0);
    let step = nn::value_and_grad(&*model, |m, lines: &Lines| lines.loss(m));
    let mut all = Vec::new();
    let mut start = Instant::now();
    for number in 0..arguments.steps {
        if number == 1 {
            // The first step compiles kernels.
            start = Instant::now();
        }
        let (loss, grads) = step(model, lines)?;
        optimizer.update(model, nn::clip_norm(grads, 1.0)?)?;
        nn::eval_all((&*model, &optimizer, &loss))?;
        all.push(loss.item::<f32>()?);
        println!("step {number}: loss {:.3}", all[number]);
    }
    if let count @ 2.. = all.len() {
        let each = start.elapsed().as_secs_f64() / (count - 1) as f64;
        println!("{each:.2} s a step, the first one left out");
    }
    Ok(all)
}

/// How the model goes on from the prompt.
fn say(model: &Decoder, language: Language, arguments: &Arguments) -> Result<()> {
    let prompt = match &arguments.prompt {
        Some(prompt) => prompt.clone(),
        None => TEXT
            .split_whitespace()
            .take(3)
            .collect::<Vec<_>>()
            .join(" "),
    };
    let before = llm::load(&arguments.model)?;
    let text = before.generate(prompt.as_str()).max_tokens(32).text()?;
    println!("before: {prompt}{}", text.replace('\n', " "));
    let model = Model::new(model.config().clone(), model.weights()?)?;
    let after = llm::Llm::new(model, language, Limits::default())?;
    let text = after.generate(prompt.as_str()).max_tokens(32).text()?;
    println!("after: {prompt}{}", text.replace('\n', " "));
    Ok(())
}

fn arguments() -> std::result::Result<Arguments, String> {
    let mut found = Arguments {
        model: PathBuf::new(),
        text: None,
        steps: 20,
        rate: 2e-3,
        rank: 8,
        save: None,
        adapters: None,
        prompt: None,
    };
    let mut all = std::env::args().skip(1);
    while let Some(name) = all.next() {
        if matches!(&*name, "--help" | "-h") {
            println!("{USAGE}");
            std::process::exit(0);
        }
        let value = all.next().ok_or(format!("{name} needs a value\n{USAGE}"))?;
        match name.as_str() {
            "--model" => found.model = value.into(),
            "--text" => found.text = Some(value.into()),
            "--steps" => found.steps = number(&name, &value)?,
            "--rate" => found.rate = number(&name, &value)?,
            "--rank" => found.rank = number(&name, &value)?,
            "--save" => found.save = Some(value.into()),
            "--adapters" => found.adapters = Some(value.into()),
            "--prompt" => found.prompt = Some(value),
            other => return Err(format!("{other}?\n{USAGE}")),
        }
    }
    match found.model.as_os_str().is_empty() {
        true => Err(USAGE.into()),
        false => Ok(found),
    }
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> std::result::Result<T, String> {
    text.parse()
        .map_err(|_| format!("{name}: `{text}` is no number\n{USAGE}"))
}
