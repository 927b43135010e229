//! Trains a small transformer on this repository's documents.
//!
//! ```sh
//! cargo run --release --example train                      # 300 steps, a curve of the loss, then fine-tuning of low rank
//! cargo run --release --example train -- --compare         # the same steps by MLX's operations alone, too
//! cargo run --release --example train -- --stop 150        # writes a checkpoint behind step 150 and ends
//! cargo run --release --example train -- --resume          # goes on from there: the same run
//! ```
//!
//! `--steps N`, `--plain` (MLX's operations only), `--folder F` (where the checkpoint and the picture go).

mod chart;
mod data;
mod model;
mod plain;
mod run;

use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use zmlx::nn::{Init, Lora, ModuleExt};
use zmlx::{Error, Result};

use self::data::Data;
use self::model::{Config, Transformer};
use self::plain::Plain;
use self::run::{Steps, Training, add_lora};

/// Losses of both ways that differ by more, relative to the loss, at any step say that one is wrong. Rounding differs in each step
/// and grows with them.
const AGREE: f32 = 2e-2;

struct Options {
    steps: u64,
    stop: Option<u64>,
    resume: bool,
    plain: bool,
    compare: bool,
    folder: PathBuf,
}

fn options() -> Result<Options> {
    let mut options = Options {
        steps: 300,
        stop: None,
        resume: false,
        plain: false,
        compare: false,
        folder: "target/train".into(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut next = || {
            let missing = || Error::other(format!("{argument} needs a value"));
            arguments.next().ok_or_else(missing)
        };
        let number = |text: String| {
            let wrong = |_| Error::other(format!("`{text}` is no number of steps"));
            text.parse::<u64>().map_err(wrong)
        };
        match argument.as_str() {
            "--steps" => options.steps = number(next()?)?,
            "--stop" => options.stop = Some(number(next()?)?),
            "--folder" => options.folder = next()?.into(),
            "--resume" => options.resume = true,
            "--plain" => options.plain = true,
            "--compare" => options.compare = true,
            other => return Err(Error::other(format!("`{other}` is not known"))),
        }
    }
    Ok(options)
}

/// Does steps with a bar, and gives their losses and the steps per second.
fn train(name: &str, from: u64, to: u64, data: &Data, steps: &mut dyn Steps) -> Result<Vec<f32>> {
    let bar = ProgressBar::new(to).with_position(from);
    let style = "{prefix:10} {wide_bar} {pos}/{len} {msg} {eta}";
    bar.set_style(ProgressStyle::with_template(style).map_err(Error::other)?);
    bar.set_prefix(name.to_owned());
    let mut losses = Vec::new();
    let mut began = Instant::now();
    for step in from..to {
        if step == from + 1 {
            // The first step compiles kernels.
            began = Instant::now();
        }
        losses.push(steps.step(&data.batch(step)?)?);
        bar.set_message(format!("loss {:.3}", losses[losses.len() - 1]));
        bar.inc(1);
    }
    bar.finish();
    let speed = losses.len().saturating_sub(1) as f64 / began.elapsed().as_secs_f64();
    let ends = [losses.first(), losses.last()].map(|l| l.copied().unwrap_or(f32::NAN));
    println!(
        "{name}: loss {:.3} to {:.3}, {speed:.2} steps a second",
        ends[0], ends[1]
    );
    Ok(losses)
}

fn main() -> Result<()> {
    let options = options()?;
    // Cargo says where the repository is; so can whoever carries the program elsewhere.
    let root = std::env::var_os("CARGO_MANIFEST_DIR");
    let root = root.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let read = |file: &str| std::fs::read(root.join(file)).map_err(Error::other);
    let mut text = Vec::new();
    for file in [
        "docs/ARCHITECTURE.md",
        "docs/CATALOG.md",
        "docs/DEPLOYING.md",
        "README.md",
    ] {
        text.extend(read(file)?);
    }
    let data = Data::new(text, 16, 64)?;
    let config = Config::SMALL;
    let model = Transformer::new(&config, &mut Init::seed(7))?;
    println!("{} parameters, {}", model.size(), zmlx::engine::info());
    let to = options.stop.unwrap_or(options.steps);
    let mut runs = Vec::new();
    if options.plain || options.compare {
        let mut plain = Plain::new(config, &model)?;
        runs.push(("mlx", train("mlx", 0, to, &data, &mut plain)?));
    }
    if !options.plain {
        let mut training = Training::new(model);
        if options.resume {
            training.resume(&options.folder)?;
        }
        let from = training.done();
        runs.push(("zmlx", train("zmlx", from, to, &data, &mut training)?));
        training.save(&options.folder)?;
        if options.stop.is_none() {
            fine_tune(training.model, read("LICENSE-APACHE")?)?;
        }
    }
    if let [(_, mlx), (_, zmlx)] = &runs[..]
        && mlx.len() == zmlx.len()
    {
        let off = mlx.iter().zip(zmlx).map(|(a, b)| ((a - b) / a).abs());
        let off = off.fold(0.0, f32::max);
        println!("losses differ by up to {off:.1e} of the loss");
        if off.is_nan() || off > AGREE {
            return Err(Error::other(format!("they should agree within {AGREE}")));
        }
    }
    std::fs::create_dir_all(&options.folder).map_err(Error::other)?;
    let path = options.folder.join("loss.svg");
    let lines: Vec<(&str, &[f32])> = runs.iter().map(|(n, l)| (*n, &l[..])).collect();
    chart::write(&path, &lines)?;
    println!("{}", path.display());
    Ok(())
}

/// Teaches a trained model another text by products of low rank, and puts those into the weights.
fn fine_tune(mut model: Transformer, text: Vec<u8>) -> Result<()> {
    let data = Data::new(text, 16, 64)?;
    let layers = add_lora(&mut model, 1)?;
    let trained = model.trained().size();
    println!(
        "fine-tuning {layers} layers, {trained} of {} parameters",
        model.size()
    );
    let mut training = Training::new(model);
    train("low rank", 0, 60, &data, &mut training)?;
    Lora::merge(&mut training.model)?;
    Ok(())
}
