//! A kernel against MLX's operations, one by one and compiled, and against the speed of a copy.
//!
//! `cargo run --release --example compare`

use zmlx::{bench, compile, prelude::*, testing};

fn main() -> zmlx::Result<()> {
    let kernel = MetalKernel::new("silu", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; float v = x[i]; out[i] = T(v / (1.0f + metal::exp(-v)));")
        .build()?;
    let silu = |x: &Array| kernel.launch(&[x]).template("T", x.dtype()).run::<1>();
    let composite = |x: &Array| Ok([x.multiply(&x.sigmoid()?)?]);
    let compiled = compile(move |p| Ok(composite(&p[0])?.into()))?;

    let cases = testing::shapes([(4096, 256), (3, 5)]).dtypes([F32, F16, BF16]);
    testing::assert_matches(silu, composite, cases)?;
    bench::compare([
        ("zmlx", &silu),
        ("mlx", &composite),
        ("compiled", &|x| {
            compiled
                .call([x])?
                .try_into()
                .map_err(|_| Error::other("one output"))
        }),
    ])
    .kernel("silu")
    .shapes([(4096, 4096), (64, 4096), (1, 4096)])
    .dtypes([F32, BF16])
    .print()?;
    Ok(())
}
