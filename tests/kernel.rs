//! Custom kernels on the CPU as nodes of MLX's graph.

use zmlx::prelude::*;
use zmlx::{MetalKernel, TemplateArg, compile, custom_function, grad, vmap};

fn array(values: &[f32]) -> Array {
    Array::from_slice(values, values.len()).unwrap()
}

fn silu() -> MetalKernel {
    MetalKernel::new("test_silu", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; float v = x[i]; out[i] = T(v / (1.0f + metal::exp(-v)));")
        .build()
        .unwrap()
}

fn run_silu(x: &Array) -> zmlx::Result<Array> {
    let [y] = silu().launch(&[x]).template("T", x.dtype()).run()?;
    Ok(y)
}

#[test]
fn elementwise() {
    let x = array(&[-3.0, -1.0, 0.0, 0.5, 2.0, 30.0, -80.0, 1e-3, 7.0]);
    let y = run_silu(&x).unwrap();
    let want = x.multiply(&x.sigmoid().unwrap()).unwrap();
    for (g, w) in y.to_vec::<f32>().unwrap().iter().zip(want.to_vec::<f32>().unwrap()) {
        assert!((g - w).abs() <= 1e-6 * (1.0 + w.abs()), "{g} {w}");
    }
}

#[test]
fn text() {
    let x = array(&[1.0; 9]);
    let t = silu().launch(&[&x]).template("T", F32).source().unwrap();
    assert!(t.msl.contains("[[kernel]] void custom_kernel_test_silu"), "{}", t.msl);
    println!("{}", t.lowered);
}

#[test]
fn compile_error() {
    let x = array(&[1.0; 9]);
    let k = MetalKernel::new("scale", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x;\nout[i] = x[i] * q;")
        .build()
        .unwrap();
    let e = k.launch(&[&x]).run::<1>().unwrap_err();
    println!("{e}");
    assert!(matches!(e, Error::Kernel { .. }));
}
