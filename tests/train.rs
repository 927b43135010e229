//! `examples/train` in a short form.

#[path = "common/mod.rs"]
mod common;

#[path = "../examples/train/data.rs"]
mod data;
#[path = "../examples/train/model.rs"]
#[allow(dead_code, reason = "the example has sizes of its own")]
mod model;
#[path = "../examples/train/plain.rs"]
mod plain;
#[path = "../examples/train/run.rs"]
mod run;

use common::{exactly, on_worker};
use data::Data;
use model::{Config, Transformer};
use plain::Plain;
use run::{Steps, Training, add_lora};
use zmlx::nn::{Init, ModuleExt};

const TINY: Config = Config {
    width: 32,
    layers: 2,
    heads: 2,
    kv_heads: 1,
    hidden: 64,
};

fn text() -> Data {
    let text = std::fs::read(common::root().join("docs/KERNELS.md")).unwrap();
    Data::new(text, 8, 32).unwrap()
}

fn fresh() -> Transformer {
    Transformer::new(&TINY, &mut Init::seed(7)).unwrap()
}

fn steps(training: &mut dyn Steps, data: &Data, range: std::ops::Range<u64>) -> Vec<f32> {
    let losses = range.map(|step| training.step(&data.batch(step).unwrap()).unwrap());
    losses.collect()
}

#[test]
fn the_loss_falls_as_by_plain_operations() {
    on_worker(|| {
        exactly(|| {
            let data = text();
            let mut plain = Plain::new(TINY, &fresh()).unwrap();
            let mut training = Training::new(fresh());
            let want = steps(&mut plain, &data, 0..25);
            let got = steps(&mut training, &data, 0..25);
            // A uniform guess among 256 bytes.
            assert!((want[0] - 256f32.ln()).abs() < 1.0, "{}", want[0]);
            // The text is a document that changes with the catalog, and batches differ, so several steps tell.
            let last = got[20..].iter().sum::<f32>() / 5.0;
            assert!(last < 0.8 * got[0], "{got:?}");
            for (step, (g, w)) in got.iter().zip(&want).enumerate() {
                // Rounding of float32 that each of the steps passes on.
                assert!((g - w).abs() <= 1e-3 * w, "step {step}: {g} {w}");
            }
            assert!(plain.parameters.size() > 20_000);
        });
    });
}

#[test]
fn a_resumed_run_is_the_run_to_the_last_bit() {
    on_worker(|| {
        let data = text();
        let folder = tempfile::tempdir().unwrap();
        let mut whole = Training::new(fresh());
        let mut losses = steps(&mut whole, &data, 0..3);
        whole.save(folder.path()).unwrap();
        losses.extend(steps(&mut whole, &data, 3..6));
        let mut resumed = Training::new(fresh());
        resumed.resume(folder.path()).unwrap();
        assert_eq!(resumed.done(), 3);
        let again = steps(&mut resumed, &data, 3..6);
        if zmlx::Device::default_device().unwrap() == zmlx::Device::GPU {
            // MLX adds up the gradients of the embedding in any order there.
            for (g, w) in again.iter().zip(&losses[3..]) {
                assert!((g - w).abs() <= 1e-5 * w, "{again:?} {losses:?}");
            }
            return;
        }
        assert_eq!(again, losses[3..]);
        let bytes = |t: &Training<Transformer>| -> Vec<Vec<u8>> {
            let all = t.model.parameters();
            all.values().map(|a| a.to_bytes().unwrap()).collect()
        };
        assert_eq!(bytes(&resumed), bytes(&whole));
    });
}

#[test]
fn fine_tuning_of_low_rank_changes_its_products_only() {
    on_worker(|| {
        let data = text();
        let mut model = fresh();
        let before = model.parameters();
        assert_eq!(add_lora(&mut model, 1).unwrap(), 4);
        let mut training = Training::new(model);
        // The same batch each time.
        let batch = data.batch(0).unwrap();
        let losses: Vec<f32> = (0..15).map(|_| training.step(&batch).unwrap()).collect();
        assert!(losses[14] < losses[0] - 0.01, "{losses:?}");
        let after = training.model.parameters();
        for (name, old) in &before {
            assert_eq!(
                after[name].to_bytes().unwrap(),
                old.to_bytes().unwrap(),
                "{name}"
            );
        }
    });
}
