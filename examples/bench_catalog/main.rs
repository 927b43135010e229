//! The kernels of the catalog against MLX's own operation, a composite of its operations and both
//! compiled, and against the speed of a copy in the same run.
//!
//! `cargo run --release --example bench_catalog -- --help` tells the options.

mod lines;
mod options;
mod plot;
mod report;

use zmlx::bench::{Case, Racing, Row, Settings, race};
use zmlx::kernels::{Entry, catalog};
use zmlx::prelude::*;
use zmlx::{Result, eval, vjp, with_device};

use options::Options;

/// What a call works on: an entry's inputs and then, for gradients, cotangents.
type Function<'a> = Box<dyn Fn(&[Array]) -> Result<Vec<Array>> + 'a>;

/// Beyond the last cache of the GPUs there are; inputs and outputs of so many bytes take turns.
const ROTATED: usize = 256 << 20;

fn main() -> Result<()> {
    let Some(options) = Options::from_args() else {
        return Ok(());
    };
    let rows = with_device(options.device, || run(&options))?;
    report::totals(&rows);
    if let Some(path) = &options.plot {
        plot::draw(&rows, path)?;
    }
    Ok(())
}

fn run(options: &Options) -> Result<Vec<Row>> {
    let mut json = lines::Json::create(options.json.as_deref())?;
    let mut csv = lines::Csv::create(options.csv.as_deref())?;
    let mut rows = Vec::new();
    for &dtype in &options.dtypes {
        for (leading, width) in &options.shapes {
            for entry in catalog().filter(|e| options.wants(e.name)) {
                if entry.width(*width) != *width {
                    println!("{}: no rows of {width}", entry.name);
                    continue;
                }
                let row = match measure(options, entry, dtype, leading, *width) {
                    Ok(row) => row,
                    Err(e) => {
                        println!("{}: {e}", entry.name);
                        continue;
                    }
                };
                // What one kernel needed much of is not there for the next.
                zmlx::memory::clear_cache()?;
                if rows.is_empty() {
                    println!("{}", report::head(&row));
                }
                println!("{}", report::line(&row));
                json.add(&row)?;
                csv.add(&row)?;
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

fn measure(
    options: &Options,
    entry: &'static Entry,
    dtype: Dtype,
    leading: &[i32],
    width: i32,
) -> Result<Row> {
    let gpu = options.device == Device::GPU;
    let first = inputs(options, entry, dtype, leading, width)?;
    let outputs = call(entry.call, entry, options.grad)(&first)?;
    eval(&outputs)?;
    let moved: usize = first.iter().chain(&outputs).map(Array::nbytes).sum();
    let rotate = if gpu {
        ROTATED.div_ceil(moved.max(1)).clamp(1, 16)
    } else {
        1
    };
    let mut sets = vec![first];
    for _ in 1..rotate {
        // The same values elsewhere: drawing others would take longer than all measurements.
        let copies: Result<Vec<Array>> = sets[0].iter().map(duplicate).collect();
        sets.push(copies?);
        eval(&sets[sets.len() - 1])?;
    }
    // A composite may have more outputs, which nobody would compute.
    let visible = (entry.call)(&sets[0][..entry.inputs.len()])?.len();
    drop(outputs);

    let mut contenders: Vec<(&str, Function)> = Vec::new();
    contenders.push(("zmlx", call(entry.call, entry, options.grad)));
    let composite = move |p: &[Array]| {
        let mut outputs = (entry.composite)(p)?;
        outputs.truncate(visible);
        Ok(outputs)
    };
    if let (Some(mlx), false) = (entry.mlx, options.alone) {
        contenders.push(("MLX op", call(mlx, entry, options.grad)));
        let compiled = compile(call(mlx, entry, options.grad))?;
        contenders.push(("MLX op, compiled", Box::new(move |p| compiled.call(p))));
    }
    if !options.alone {
        contenders.push(("composite", call(composite, entry, options.grad)));
        let compiled = compile(call(composite, entry, options.grad))?;
        contenders.push(("composite, compiled", Box::new(move |p| compiled.call(p))));
    }

    let shape = [leading, &[width]].concat();
    let rows: i32 = leading.iter().product();
    let size = if dtype == F32 { 4 } else { 2 };
    let case = Case {
        kernel: &match options.grad {
            true => format!("{} (grad)", entry.name),
            false => entry.name.to_owned(),
        },
        shape: &shape,
        dtype,
        bytes: match options.grad {
            true => moved,
            false => (entry.bytes)(rows as usize, width as usize, size),
        },
        sets,
    };
    let racing: Vec<Racing> = contenders.iter().map(|(name, f)| (*name, &**f)).collect();
    race(case, &racing, &settings(options, gpu))
}

/// An entry's inputs and, for gradients, cotangents.
fn inputs(
    options: &Options,
    entry: &Entry,
    dtype: Dtype,
    leading: &[i32],
    width: i32,
) -> Result<Vec<Array>> {
    let mut all = entry.inputs(leading, width, dtype, 0)?;
    if options.grad {
        for y in (entry.call)(&all)? {
            all.push(random::normal(y.shape())?.astype(y.dtype())?);
        }
    }
    eval(&all)?;
    Ok(all)
}

/// The same values in other memory.
fn duplicate(x: &Array) -> Result<Array> {
    let zero = Array::zeros(1, x.dtype())?;
    x.add(&zero)
}

/// The function, or its outputs and the gradients of the inputs that have one.
fn call(
    f: impl Fn(&[Array]) -> Result<Vec<Array>> + 'static,
    entry: &'static Entry,
    grad: bool,
) -> Function<'static> {
    if !grad {
        return Box::new(f);
    }
    let all = entry.inputs.iter().enumerate();
    let which: Vec<usize> = all
        .filter(|(_, i)| i.kind.differentiable())
        .map(|(i, _)| i)
        .collect();
    Box::new(move |p| {
        let (inputs, cotangents) = p.split_at(entry.inputs.len());
        let of_those = |some: &[Array]| {
            let mut all = inputs.to_vec();
            for (&i, a) in which.iter().zip(some) {
                all[i] = a.clone();
            }
            f(&all)
        };
        let some: Vec<&Array> = which.iter().map(|&i| &inputs[i]).collect();
        let (mut outputs, gradients) = vjp(of_those, some, cotangents)?;
        outputs.extend(gradients);
        Ok(outputs)
    })
}

fn settings(options: &Options, gpu: bool) -> Settings {
    let settings = Settings::default().time(options.time);
    let settings = settings.fastest(options.fastest);
    match options.batch {
        Some(calls) => settings.batch(calls),
        // The wait for a GPU is long beside one launch.
        None if gpu => settings.batch(30),
        None => settings,
    }
}
