//! What a GPU's memory cannot hold. Takes an NVIDIA GPU, and passes where there is none.

mod common;

use common::{Rng, on_worker};
use zmlx::prelude::*;
use zmlx::{async_eval, eval, with_device};

/// An error of its own kind, at its own evaluation, and the thread goes on as before.
#[test]
fn memory_that_the_gpu_does_not_have() {
    if !zmlx::engine::info().cuda {
        eprintln!("skipped: takes an NVIDIA GPU and MLX's CUDA build");
        return;
    }
    let mut rng = Rng::new();
    let values = rng.normals(1000);
    on_worker(move || {
        with_device(Device::GPU, || {
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            let x = Array::from_slice(&values, 1000).unwrap();
            for round in 0..4 {
                // 4 TiB.
                let wide = Array::zeros((1 << 20, 1 << 20), F32).unwrap();
                let large = wide.contiguous().unwrap();
                let after = large.square().unwrap();
                let is_it = |e: Error| assert!(matches!(e, Error::Memory { .. }), "{e}");
                match round % 2 {
                    0 => is_it(after.eval().unwrap_err()),
                    _ => is_it(async_eval([&after]).unwrap().wait().unwrap_err()),
                }
                assert!(!large.is_ready().unwrap());
                // The first wait after it, and the second.
                let (order, twice) = (x.sort(-1).unwrap(), x.multiply(2.0f32).unwrap());
                if round < 2 {
                    let pending = async_eval([&order, &twice]).unwrap();
                    pending.wait().unwrap();
                } else {
                    eval([&order, &twice]).unwrap();
                }
                assert_eq!(order.to_vec::<f32>().unwrap(), sorted);
                let want: Vec<f32> = values.iter().map(|v| v * 2.0).collect();
                assert_eq!(twice.to_vec::<f32>().unwrap(), want);
            }
        });
    });
}
