//! Kernels within compiled functions, and on several threads.

use std::sync::Arc;

use zmlx::prelude::*;
use zmlx::{Frozen, Result};

use crate::cases::{Case, DTYPES, normals};
use crate::reference::{of, pick};
use crate::report::deep_in;
use crate::tolerance::numbers;

/// Outputs, and gradients of all inputs that have one.
fn outputs_and_gradients(case: &Case, inputs: &[Array], seed: u64) -> Result<Vec<Array>> {
    let which = case.differentiable();
    let mut outputs = (case.entry.call)(inputs)?;
    let call = of(&case.entry.call, inputs, &which);
    let cotangents = normals(&outputs, seed)?;
    outputs.extend(zmlx::vjp(call, pick(inputs, &which), cotangents)?.1);
    Ok(outputs)
}

#[test]
fn in_compiled_functions() {
    deep_in(&DTYPES, &[], |report, entry, dtype| {
        let Some(case) = Case::new(entry, dtype, &[4], 100, report.seed) else {
            return Ok(());
        };
        let seed = case.seed;
        let traced = Case::new(entry, dtype, &[4], 100, seed);
        let compiled = compile(move |p: &[Array]| match &traced {
            Some(case) => outputs_and_gradients(case, p, seed),
            None => Ok(Vec::new()),
        })?;
        // The second call runs what the first has traced, on other numbers.
        for sample in 0..2 {
            let inputs = entry.inputs(&case.leading, case.width, dtype, sample)?;
            let (got, want) = (
                compiled.call(&inputs)?,
                outputs_and_gradients(&case, &inputs, seed)?,
            );
            report.compare(&case, "compiled", &got, &want);
        }
        Ok(())
    });
}

#[test]
fn on_two_threads_at_once() {
    // Few threads for all kernels: MLX keeps what a thread costs.
    let workers: [Worker; 2] = std::array::from_fn(|_| Worker::spawn(|| Ok(())).unwrap());
    let workers = Arc::new(workers);
    deep_in(&DTYPES, &[], move |report, entry, dtype| {
        let Some(case) = Case::new(entry, dtype, &[4], 100, report.seed) else {
            return Ok(());
        };
        let inputs = case.inputs()?;
        let frozen = inputs
            .iter()
            .map(Array::freeze)
            .collect::<Result<Vec<Frozen>>>()?;
        let jobs = workers.each_ref().map(|worker| {
            let (frozen, seed) = (frozen.clone(), case.seed);
            worker.run(move |()| {
                let Some(case) = Case::new(entry, dtype, &[4], 100, seed) else {
                    return Ok(Vec::new());
                };
                let inputs = frozen
                    .iter()
                    .map(Frozen::thaw)
                    .collect::<Result<Vec<_>>>()?;
                let all = outputs_and_gradients(&case, &inputs, seed)?;
                all.iter().map(numbers).collect()
            })
        });
        let here = outputs_and_gradients(&case, &inputs, case.seed)?;
        let here = here.iter().map(numbers).collect::<Result<Vec<_>>>()?;
        for job in jobs {
            let differs = job.wait()? != here;
            let text = || "another result than here".to_owned();
            report.check(&case, "on another thread", Ok(differs.then(text)));
        }
        Ok(())
    });
}
