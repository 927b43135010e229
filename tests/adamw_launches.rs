//! How many launches a step of AdamW takes. Alone in its program, as launches are counted for the whole process.

use zmlx::nn::{self, Tree};
use zmlx::prelude::*;
use zmlx::{Device, optim, profile, with_device};

/// However many small arrays there are, a CPU changes them by one launch; parts of a tree change as well, and steps with others later.
#[test]
fn one_launch_changes_all_small_arrays() {
    std::thread::spawn(|| {
        with_device(Device::CPU, || {
            let launches = || {
                let all = profile::kernel_stats();
                let own = all.iter().filter(|k| k.name.contains("adamw_step"));
                own.map(|k| k.stats.launches).sum::<u64>()
            };
            let tree = |n: usize| -> Tree {
                let all = (0..n).map(|i| (format!("p{i:03}"), Array::ones(20, F32).unwrap()));
                all.collect()
            };
            let mut model = tree(100);
            let mut optimizer = optim::Adam::new(0.5);
            // Gradients of 1 move each by the rate.
            for (step, count) in [100, 100, 60, 100].into_iter().enumerate() {
                let before = launches();
                optimizer.update(&mut model, tree(count)).unwrap();
                nn::eval_all((&model, &optimizer)).unwrap();
                assert_eq!(launches() - before, 1, "step {step}");
            }
            for (name, p) in &model {
                // Those that had no gradient in the third step have moments of two steps, corrected as of four in the last one: less.
                let p = p.index(7).unwrap().item::<f32>().unwrap();
                let moved = 1.0 - p;
                match &name[1..] < "060" {
                    true => assert!((moved - 2.0).abs() < 1e-4, "{name}: {moved}"),
                    false => assert!(moved > 1.0 && moved < 1.9, "{name}: {moved}"),
                }
            }
        });
    })
    .join()
    .expect("no panic");
}
