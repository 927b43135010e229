//! Trains a line through noisy points on several processes: each has points of its own, and all take the same steps.
//!
//! ```sh
//! cargo build --release --examples
//! cargo run --release --example launch -- -n 2 -- target/release/examples/data_parallel
//! ```

use zmlx::{distributed, prelude::*, value_and_grad_of};

fn main() -> zmlx::Result<()> {
    let group = distributed::init()?;
    // Points of y = 3 x - 2, each process its own.
    let key = random::key(group.rank() as u64)?;
    let x = random::with_key(&key).uniform((256, 1))?;
    let y = x.multiply(3.0)?.subtract(2.0)?;

    let loss = |p: &[Array]| {
        let line = x.multiply(&p[0])?.add(&p[1])?;
        Ok(vec![line.subtract(&y)?.square()?.mean(..)?])
    };
    let mut parameters = vec![Array::from(0.0f32), Array::from(0.0f32)];
    for step in 0..300 {
        let (value, gradients) = value_and_grad_of(loss, &[0, 1], &parameters)?;
        let gradients = group.average(&gradients)?;
        for (p, g) in parameters.iter_mut().zip(&gradients) {
            *p = p.subtract(&g.multiply(0.5)?)?;
        }
        eval(&parameters)?;
        if step % 100 == 99 && group.rank() == 0 {
            println!("step {}: loss {:.6}", step + 1, value[0].item::<f32>()?);
        }
    }
    println!(
        "process {} of {}: y = {:.3} x + {:.3}",
        group.rank(),
        group.size(),
        parameters[0].item::<f32>()?,
        parameters[1].item::<f32>()?
    );
    Ok(())
}
