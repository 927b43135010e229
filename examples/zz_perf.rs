use std::time::Instant;
use zmlx::Result;
use zmlx::api::Pass;
use zmlx::prelude::*;
fn best(mut f: impl FnMut() -> Result<()>, n: usize) -> f64 {
    let mut b = f64::MAX;
    for _ in 0..n {
        let t = Instant::now();
        f().unwrap();
        b = b.min(t.elapsed().as_secs_f64());
    }
    b * 1e6
}
fn main() -> Result<()> {
    let silu = elementwise::unary("my_silu", "x * kk_sigmoid(x)")?;
    let raw = MetalKernel::new("bench_silu", ["x"], ["out"])
        .header("inline float silu_of(float v, float u) { return v / (1.0f + metal::exp(-u)); } inline float silu(float v) { return silu_of(v, v); }")
        .source("uint i = thread_position_in_grid.x; float v = x[i]; out[i] = T(silu(v));").build()?;
    let copy = MetalKernel::new("bench_copy", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = x[i];")
        .build()?;
    let x = random::normal(16 << 20)?;
    x.eval()?;
    for _ in 0..2 {
        println!(
            "16M copy {:.0} us",
            best(
                || {
                    let [y] = copy.launch(&[&x]).run()?;
                    y.eval()
                },
                30
            )
        );
        println!(
            "16M raw silu {:.0} us",
            best(
                || {
                    let [y] = raw.launch(&[&x]).template("T", F32).run()?;
                    y.eval()
                },
                30
            )
        );
        println!(
            "16M unary silu {:.0} us",
            best(|| silu.call(&x)?.eval(), 30)
        );
    }
    let lib = elementwise::unary("lib_silu", "kk_silu(x)")?;
    println!(
        "16M unary kk_silu {:.0} us",
        best(|| lib.call(&x)?.eval(), 30)
    );
    let softmax = api::map_reduce("softmax")
        .pass1(Pass {
            init: "-INFINITY",
            update: "max(acc1, x)",
            reduce: "max(a, b)",
        })
        .pass2(Pass {
            init: "0.0f",
            update: "acc2 + exp(x - s1)",
            reduce: "a + b",
        })
        .write("exp(x - s1) / s2")
        .build()?;
    let rows = include_str!("../kernels/bench/rows.metal");
    let raws = MetalKernel::new("bench_softmax", ["x"], ["out"]).header(rows).source("threadgroup float shared[32];
             const uint n = x_shape[1], row = threadgroup_position_in_grid.x;
             const size_t start = size_t(row) * n;
             const Position at = {thread_position_in_threadgroup.x, thread_index_in_simdgroup, simdgroup_index_in_threadgroup};
             softmax_row<T, TG, VEC>(x + start, out + start, n, shared, at);").build()?;
    let x = random::normal((2048, 4096))?;
    x.eval()?;
    let ln = api::map_reduce("layernorm")
        .inputs(["x", "w"])
        .pass1(Pass {
            init: "0.0f",
            update: "acc1 + x",
            reduce: "a + b",
        })
        .pass2(Pass {
            init: "0.0f",
            update: "acc2 + (x - s1 / D) * (x - s1 / D)",
            reduce: "a + b",
        })
        .write("(x - s1 / D) * rsqrt(s2 / D + 1e-5f) * w")
        .build()?;
    let sum = api::reduce("sum").update("acc + v").build()?;
    let w = random::normal(4096)?;
    let col = random::normal((2048, 1))?;
    let mul = elementwise::binary("mul", "a * b")?;
    zmlx::eval([&w, &col])?;
    for _ in 0..2 {
        println!(
            "copy {:.0}",
            best(
                || {
                    let [y] = copy.launch(&[&x]).run()?;
                    y.eval()
                },
                60
            )
        );
        println!(
            "raw softmax {:.0}",
            best(
                || {
                    let [y] = raws
                        .launch(&[&x])
                        .template("T", F32)
                        .template("TG", 1)
                        .template("VEC", 64)
                        .output((2048, 4096), F32)
                        .grid(2048)
                        .threadgroup(1)
                        .run()?;
                    y.eval()
                },
                60
            )
        );
        println!(
            "map_reduce softmax {:.0}",
            best(|| softmax.call(&x)?.eval(), 60)
        );
        println!(
            "layernorm {:.0}",
            best(|| ln.call_all(&[&x, &w])?[0].eval(), 60)
        );
        println!("sum {:.0}", best(|| sum.call(&x)?.eval(), 60));
        println!(
            "mul row {:.0} col {:.0} full {:.0}",
            best(|| mul.call(&x, &w)?.eval(), 60),
            best(|| mul.call(&x, &col)?.eval(), 60),
            best(|| mul.call(&x, &x)?.eval(), 60)
        );
        println!(
            "softmax grad {:.0}",
            best(
                || grad(|z| softmax.call(z)?.square()?.sum(..))(&x)?.eval(),
                5
            )
        );
    }
    let y = random::normal(1024)?;
    y.eval()?;
    let n = 100000;
    for _ in 0..3 {
        let t = Instant::now();
        for _ in 0..n {
            let [z] = raw.launch(&[&y]).template("T", F32).run()?;
            std::hint::black_box(z);
        }
        let a = t.elapsed().as_secs_f64() / n as f64 * 1e9;
        let t = Instant::now();
        for _ in 0..n {
            std::hint::black_box(silu.call(&y)?);
        }
        let b = t.elapsed().as_secs_f64() / n as f64 * 1e9;
        let t = Instant::now();
        for _ in 0..n {
            std::hint::black_box(mul.call(&x, &w)?);
        }
        let c = t.elapsed().as_secs_f64() / n as f64 * 1e9;
        let t = Instant::now();
        for _ in 0..n {
            std::hint::black_box(softmax.call(&x)?);
        }
        let d = t.elapsed().as_secs_f64() / n as f64 * 1e9;
        println!(
            "node: raw {a:.0} ns, unary {b:.0} ns, binary broadcast {c:.0} ns, softmax {d:.0} ns"
        );
    }
    Ok(())
}
