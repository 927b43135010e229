//! State, groups, dtypes, errors.

use zmlx::nn::{self, Init, ModuleExt, Tree};
use zmlx::optim;
use zmlx::prelude::*;

use crate::common::{Rng, on_worker};

fn random_grads(rng: &mut Rng, like: &Tree) -> Tree {
    let all = like.iter().map(|(name, a)| {
        let g = Array::from_slice(&rng.normals(a.size()), a.shape()).unwrap();
        (name.clone(), g)
    });
    all.collect()
}

fn bytes(tree: &Tree) -> Vec<Vec<u8>> {
    tree.values().map(|a| a.to_bytes().unwrap()).collect()
}

/// Saved in the middle and loaded, a run goes on to the last bit.
#[test]
fn a_resumed_run_is_the_run() {
    on_worker(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = Rng::new();
        let fresh = || nn::Mlp::new(3, 5, &mut Init::seed(4)).unwrap();
        let new = || optim::AdamW::new(0.01).schedule(optim::cosine(10));
        let (mut model, mut optimizer) = (fresh(), new());
        let grads: Vec<Tree> = (0..6)
            .map(|_| random_grads(&mut rng, &model.trained()))
            .collect();
        for (i, g) in grads.iter().enumerate() {
            if i == 3 {
                model.save(folder.path().join("model.safetensors")).unwrap();
                optimizer
                    .save_state(folder.path().join("state.safetensors"))
                    .unwrap();
            }
            optimizer.update(&mut model, g.clone()).unwrap();
        }
        let (mut again, mut resumed) = (fresh(), new());
        again.load(folder.path().join("model.safetensors")).unwrap();
        resumed
            .load_state_from(&again, folder.path().join("state.safetensors"))
            .unwrap();
        assert_eq!(resumed.step(), 3);
        for g in &grads[3..] {
            resumed.update(&mut again, g.clone()).unwrap();
        }
        assert_eq!(bytes(&again.parameters()), bytes(&model.parameters()));
        assert_eq!(
            bytes(&resumed.state().unwrap()),
            bytes(&optimizer.state().unwrap())
        );
        assert_eq!(resumed.current_rate(), optimizer.current_rate());
    });
}

#[test]
fn each_optimizer_has_a_state_that_loads() {
    on_worker(|| {
        fn check<R: optim::Rule>(
            name: &str,
            new: impl Fn() -> optim::Optimizer<R>,
            slots: &[&str],
        ) {
            let mut model = nn::Linear::new(3, 2, &mut Init::seed(4)).unwrap();
            let mut optimizer = new();
            let grads = random_grads(&mut Rng::new(), &model.trained());
            optimizer.update(&mut model, grads).unwrap();
            let state = optimizer.state().unwrap();
            let mut names: Vec<&str> = state.keys().map(String::as_str).collect();
            names.retain(|n| *n != "step");
            assert_eq!(names, slots, "{name}");
            let mut other = new();
            other.load_state(&model, &state).unwrap();
            assert_eq!(bytes(&other.state().unwrap()), bytes(&state), "{name}");
            let mut missing = state.clone();
            missing.remove("step");
            assert!(other.load_state(&model, &missing).is_err());
            if let Some(slot) = slots.first() {
                let mut missing = state.clone();
                missing.remove(*slot);
                missing.insert("more".into(), Array::from(1.0f32));
                let error = other.load_state(&model, &missing).unwrap_err().to_string();
                assert!(error.contains(slot) && error.contains("`more`"), "{error}");
                assert_eq!(
                    bytes(&other.state().unwrap()),
                    bytes(&state),
                    "nothing changed"
                );
            }
        }
        let moments = ["bias.m", "bias.v", "weight.m", "weight.v"];
        check("adamw", || optim::AdamW::new(0.1), &moments);
        check("adam", || optim::Adam::new(0.1), &moments);
        check("sgd", || optim::Sgd::new(0.1), &[]);
        check(
            "momentum",
            || optim::Sgd::new(0.1).momentum(0.9),
            &["bias.v", "weight.v"],
        );
        check("lion", || optim::Lion::new(0.1), &["bias.m", "weight.m"]);
        check(
            "muon",
            || optim::Muon::new(0.1),
            &["bias.m", "bias.v", "weight.momentum"],
        );
        check(
            "adafactor",
            || optim::Adafactor::new(0.1),
            &["bias.v", "weight.columns", "weight.rows"],
        );
    });
}

#[test]
fn groups_have_their_own_settings() {
    on_worker(|| {
        let mut model = nn::Linear::new(3, 2, &mut Init::seed(4)).unwrap();
        let mut optimizer = optim::Sgd::new(0.5)
            .group(|n| n == "bias", |o| o.rate(2.0).schedule(optim::linear(1)))
            .group(|_| true, |o| o.weight_decay(1.0));
        let before = model.parameters();
        let grads = model.trained().map(|_, p| p.ones_like()).unwrap();
        optimizer.update(&mut model, grads.clone()).unwrap();
        optimizer.update(&mut model, grads).unwrap();
        let moved = |name: &str, f: fn(f32) -> f32| {
            let old = before[name].to_vec::<f32>().unwrap();
            let new = model.parameters()[name].to_vec::<f32>().unwrap();
            for (o, n) in old.into_iter().zip(new) {
                assert!((f(o) - n).abs() < 1e-6, "{name} {o} {n}");
            }
        };
        // The second step has a factor of 0.
        moved("bias", |p| p - 2.0);
        moved("weight", |p| {
            let p = p - 0.5 * (1.0 + p);
            p - 0.5 * (1.0 + p)
        });
    });
}

/// What is kept is in float32, so that small changes add up; the parameter keeps its dtype.
#[test]
fn sixteen_bits() {
    on_worker(|| {
        fn check<R: optim::Rule>(mut optimizer: optim::Optimizer<R>) {
            for dtype in [F16, BF16] {
                let w = Array::ones((4, 8), dtype).unwrap();
                let mut model: Tree = [("w".to_owned(), w)].into_iter().collect();
                let g = Array::full((4, 8), 0.01, dtype).unwrap();
                let grads: Tree = [("w".to_owned(), g)].into_iter().collect();
                optimizer.update(&mut model, grads).unwrap();
                assert_eq!(model.get("w").unwrap().dtype(), dtype);
                let state = optimizer.state().unwrap();
                let kept = state.iter().filter(|(n, _)| *n != "step");
                kept.for_each(|(n, a)| assert_eq!(a.dtype(), F32, "{n}"));
                let now = model
                    .get("w")
                    .unwrap()
                    .astype(F32)
                    .unwrap()
                    .to_vec::<f32>()
                    .unwrap();
                assert!(now.iter().all(|v| *v < 1.0 && *v > 0.5), "{now:?}");
            }
        }
        check(optim::AdamW::new(0.1));
        check(optim::Sgd::new(10.0).momentum(0.9));
        check(optim::Lion::new(0.1));
        check(optim::Muon::new(0.1));
        check(optim::Adafactor::new(0.1));
    });
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    on_worker(|| {
        let mut model = nn::Linear::new(3, 2, &mut Init::seed(4)).unwrap();
        model.freeze(|n| n == "bias");
        let mut optimizer = optim::AdamW::new(0.1);
        let before = bytes(&model.parameters());
        let tree: Tree = [
            ("bias".to_owned(), Array::ones(2, F32).unwrap()),
            ("weight".to_owned(), Array::ones((3, 2), F32).unwrap()),
        ]
        .into_iter()
        .collect();
        let error = optimizer.update(&mut model, tree).unwrap_err().to_string();
        for words in [
            "`bias`, which",
            "`weight` of shape [3, 2] in place of [2, 3]",
            file!(),
        ] {
            assert!(error.contains(words), "{error}");
        }
        // An optimizer that has seen arrays of other shapes by the same names.
        let tree = |n: i32| -> Tree {
            let names =
                ["a", "b", "c", "d"].map(|name| (name.to_owned(), Array::ones(n, F32).unwrap()));
            names.into_iter().collect()
        };
        let mut seen = optim::AdamW::new(0.1);
        seen.update(&mut tree(16), tree(16)).unwrap();
        assert!(seen.update(&mut tree(32), tree(32)).is_err());
        let wrong = optim::AdamW::new(f64::NAN);
        let grads = model.trained();
        assert!({ wrong }.update(&mut model, grads).is_err());
        assert_eq!((optimizer.step(), bytes(&model.parameters())), (0, before));
        assert!(optimizer.parameters().is_empty());
    });
}

/// Small arrays share a launch with others; each goes the way that it would go alone.
#[test]
fn many_small_arrays_go_as_each_alone() {
    on_worker(|| {
        let mut rng = Rng::new();
        // Some below the least size, some too large, a shape of several axes, more than two fours.
        let shapes: [&[i32]; 13] = [
            &[8],
            &[9],
            &[64],
            &[3],
            &[5, 7],
            &[1000],
            &[2048],
            &[1],
            &[300, 300],
            &[33],
            &[16],
            &[100],
            &[31],
        ];
        for (dtype, grad_dtype) in [(F32, F32), (BF16, BF16), (F16, F32)] {
            let random = |rng: &mut Rng, shape: &[i32], dtype| {
                let n = shape.iter().product::<i32>() as usize;
                let a = Array::from_slice(&rng.normals(n), shape).unwrap();
                a.astype(dtype).unwrap()
            };
            let named = |i: usize| format!("p{i:02}");
            let mut together: Tree = Tree::new();
            for (i, shape) in shapes.iter().enumerate() {
                together.insert(named(i), random(&mut rng, shape, dtype));
            }
            let new = || optim::AdamW::new(0.01).weight_decay(0.1);
            let mut optimizer = new();
            let mut alone: Vec<(Tree, optim::AdamW)> = Vec::new();
            for (name, p) in &together {
                alone.push(([(name.clone(), p.clone())].into_iter().collect(), new()));
            }
            for step in 0..6 {
                let mut grads = Tree::new();
                for (i, shape) in shapes.iter().enumerate() {
                    grads.insert(named(i), random(&mut rng, shape, grad_dtype));
                }
                match step {
                    // An array that another hand changed.
                    2 => {
                        let other = random(&mut rng, &[33], dtype);
                        together.insert(named(9), other.clone());
                        alone[9].0.insert(named(9), other);
                    }
                    // A state that was loaded.
                    3 => {
                        let state = optimizer.state().unwrap();
                        let mut loaded = new();
                        loaded.load_state(&together, &state).unwrap();
                        optimizer = loaded;
                    }
                    _ => {}
                }
                for ((tree, own), (name, g)) in alone.iter_mut().zip(&grads) {
                    own.update(tree, [(name.clone(), g.clone())].into_iter().collect())
                        .unwrap();
                }
                optimizer.update(&mut together, grads).unwrap();
                nn::eval_all((&together, &optimizer)).unwrap();
            }
            // On a CPU it is the same arithmetic. A GPU's kernel of four has corrections that are rounded once more: a rounding of the
            // parameter's dtype now and then.
            let exact = zmlx::Device::default_device().unwrap() == zmlx::Device::CPU;
            let (off, of_moments) = match (exact, dtype) {
                (true, _) => (0.0, 0.0),
                (false, F32) => (2e-6, 1e-6),
                (false, _) => (2e-2, 1e-6),
            };
            let wide = |a: &Array| crate::common::f64s(&a.astype(F32).unwrap());
            for (tree, own) in &alone {
                for (name, want) in tree {
                    assert_eq!(
                        (together[name].dtype(), together[name].shape()),
                        (dtype, want.shape())
                    );
                    crate::common::all_close(&wide(&together[name]), &wide(want), off);
                }
                let all = optimizer.state().unwrap();
                for (name, want) in own.state().unwrap().iter().filter(|(n, _)| *n != "step") {
                    crate::common::all_close(&wide(&all[name]), &wide(want), of_moments);
                }
            }
        }
    });
}
