//! Memory stays steady over many launches, gradients and errors.

mod common;

use zmlx::prelude::*;
use zmlx::{CustomFunction, MetalKernel, Result, compile, custom_function, grad};

/// Resident memory of this process in KiB.
fn resident() -> f64 {
    if let Ok(text) = std::fs::read_to_string("/proc/self/status") {
        let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let number = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
        return number.expect("a VmRSS line with a number");
    }
    let pid = std::process::id().to_string();
    let out = std::process::Command::new("ps")
        .args(["-o", "rss=", "-p", &pid])
        .output()
        .expect("ps runs where there is no /proc");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.trim().parse().expect("ps prints a number")
}

fn cube() -> Result<CustomFunction> {
    let forward = MetalKernel::new("leak_cube", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = x[i] * x[i] * x[i];")
        .build()?;
    let backward = MetalKernel::new("leak_cube_backward", ["x", "g"], ["dx"])
        .source("uint i = thread_position_in_grid.x; dx[i] = 3.0f * x[i] * x[i] * g[i];")
        .build()?;
    Ok(
        custom_function(move |p: &[Array]| forward.launch(&[&p[0]]).run_vec())
            .with_vjp(move |p, g, _| backward.launch(&[&p[0], &g[0]]).run_vec()),
    )
}

/// Ten launches and as many gradients of 4 KiB arrays, one failing closure, one compilation.
fn round(f: &CustomFunction, x: &Array) -> Result<f32> {
    let mut y = x.clone();
    for _ in 0..10 {
        y = (&f.call1(&y)? * 0.5)?;
    }
    let g = grad(|x: &Array| {
        let mut y = x.clone();
        for _ in 0..10 {
            y = f.call1(&y)?;
        }
        y.sum(..)
    })(x)?;
    let failing = grad(|_: &Array| Err(Error::other("on purpose")))(x);
    assert!(matches!(failing, Err(Error::Other(_))));
    let compiled = compile(|p: &[Array]| Ok(vec![p[0].exp()?]))?;
    let z = compiled.call([&y])?.remove(0);
    (&g + &z)?.sum(..)?.item::<f32>()
}

#[test]
fn a_hundred_thousand_launches_and_gradients() {
    let f = cube().unwrap();
    let x = Array::from_slice(&[0.25f32; 1024], 1024).unwrap();
    let first = round(&f, &x).unwrap();
    // 30 launches a round, counting the backward ones.
    let rounds = |n: usize| {
        for _ in 0..n {
            assert_eq!(round(&f, &x).unwrap(), first);
        }
    };
    rounds(1000);
    let before = resident();
    rounds(2400);
    let after = resident();
    println!("resident: {before} KiB, {after} KiB after 72,000 more launches");
    // One leaked array of 4 KiB a round would be 9600 KiB; one leaked node a launch 14,000.
    assert!(after - before < 4000.0, "{before} KiB grew to {after} KiB");
}
