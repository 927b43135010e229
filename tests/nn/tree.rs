//! Parameters by name: walks, freezing, loading, saving, quantizing.

use zmlx::nn::{self, Init, Module, ModuleExt, Param, Tree};
use zmlx::ops::Quantization;
use zmlx::prelude::*;

use crate::common::{Rng, on_worker};

#[derive(Clone, Module)]
enum Mixer {
    Linear(nn::Linear),
    Twice {
        first: nn::Linear,
        second: nn::Linear,
    },
    Nothing,
}

#[derive(Clone, Module)]
struct Net<T> {
    mixers: Vec<Mixer>,
    norm: Option<nn::RmsNorm>,
    #[module(rename = "out")]
    head: nn::Linear,
    #[module(flatten)]
    more: T,
    table: nn::Buffer,
    width: i32,
    #[module(skip)]
    skipped: std::time::Duration,
    r#type: (Param, [Param; 1]),
}

fn net(init: &mut Init) -> Net<nn::Embedding> {
    let linear = |init: &mut Init| nn::Linear::without_bias(64, 64, init).unwrap();
    let one = |init: &Init| Param::new(init.ones(&[1]).unwrap());
    Net {
        mixers: vec![
            Mixer::Linear(linear(init)),
            Mixer::Nothing,
            Mixer::Twice {
                first: linear(init),
                second: linear(init),
            },
        ],
        norm: Some(nn::RmsNorm::new(64, init).unwrap()),
        head: nn::Linear::new(64, 3, init).unwrap(),
        more: nn::Embedding::new(5, 64, init).unwrap(),
        table: nn::Buffer::new(init.ones(&[2]).unwrap()),
        width: 64,
        skipped: std::time::Duration::ZERO,
        r#type: (one(init), [one(init)]),
    }
}

const NAMES: [&str; 10] = [
    "mixers.0.0.weight",
    "mixers.2.first.weight",
    "mixers.2.second.weight",
    "norm.weight",
    "out.bias",
    "out.weight",
    "table",
    "type.0",
    "type.1.0",
    "weight",
];

fn names(tree: Tree) -> Vec<String> {
    tree.into_names().collect()
}

#[test]
fn names_counts_and_freezing() {
    on_worker(|| {
        let mut net = net(&mut Init::seed(1));
        assert_eq!(names(net.parameters()), NAMES);
        assert_eq!(net.size(), 3 * 64 * 64 + 64 + 3 + 3 * 64 + 2 + 2 + 5 * 64);
        assert_eq!(net.nbytes(), 4 * net.size());
        assert_eq!(
            net.trained().len(),
            NAMES.len() - 1,
            "a buffer is not trained"
        );
        assert_eq!(net.freeze(|n| n.starts_with("mixers.")), 3);
        assert_eq!(net.trained().len(), NAMES.len() - 4);
        assert_eq!(net.unfreeze(|_| true), NAMES.len() - 1);
        assert!(net.trained().contains_key("mixers.0.0.weight"));
        assert_eq!((net.width, net.skipped), (64, std::time::Duration::ZERO));
    });
}

#[test]
fn setting_refuses_what_does_not_fit() {
    on_worker(|| {
        let mut net = net(&mut Init::seed(1));
        let mut some = Tree::new();
        some.insert("type.0".into(), Array::from_slice(&[7.0f32], 1).unwrap());
        net.set(&some).unwrap();
        assert_eq!(net.r#type.0.to_vec::<f32>().unwrap(), [7.0]);
        some.insert("nowhere".into(), Array::from(1.0f32));
        some.insert("out.bias".into(), Array::from(1.0f32));
        some.insert("type.0".into(), Array::from_slice(&[8.0f32], 1).unwrap());
        let error = net.set(&some).unwrap_err().to_string();
        for word in [
            "`nowhere`",
            "`out.bias` of shape [] in place of [3]",
            file!(),
        ] {
            assert!(error.contains(word), "{error}");
        }
        assert_eq!(
            net.r#type.0.to_vec::<f32>().unwrap(),
            [7.0],
            "nothing changed"
        );
        net.update(|_, a| a * 2.0).unwrap();
        assert_eq!(net.r#type.0.to_vec::<f32>().unwrap(), [14.0]);
        net.cast(F16).unwrap();
        assert_eq!(
            (net.head.bias.as_ref().unwrap().dtype(), net.table.dtype()),
            (F16, F32)
        );
        assert!(net.cast(Dtype::Int32).is_err());
    });
}

#[test]
fn files_give_back_what_was_saved() {
    on_worker(|| {
        let folder = tempfile::tempdir().unwrap();
        let saved = net(&mut Init::seed(Rng::new().next()));
        for file in ["a.safetensors", "a.gguf", "a.npz"] {
            let path = folder.path().join(file);
            saved.save(&path).unwrap();
            let mut loaded = net(&mut Init::zeros_only());
            loaded.load(&path).unwrap();
            for (name, want) in &saved.parameters() {
                let got = loaded.parameters().get(name).unwrap().to_bytes().unwrap();
                assert_eq!(got, want.to_bytes().unwrap(), "{name} in {file}");
            }
        }
        assert!(saved.save(folder.path().join("a.bin")).is_err());
        let mut other = nn::RmsNorm::new(3, &Init::seed(0)).unwrap();
        assert!(other.load(folder.path().join("none.safetensors")).is_err());
    });
}

#[test]
fn one_error_names_all_that_does_not_fit() {
    on_worker(|| {
        let mut model = net(&mut Init::seed(1));
        let before = model.parameters();
        let mut arrays = before.clone();
        arrays.remove("norm.weight");
        arrays.remove("type.0");
        arrays.insert("extra.weight".into(), Array::from(1.0f32));
        arrays.insert("out.bias".into(), Array::ones(4, F32).unwrap());
        arrays.insert("weight".into(), Array::ones((5, 64), Dtype::Int32).unwrap());
        let error = model.load_arrays(&arrays).unwrap_err().to_string();
        for words in [
            "2 missing: `norm.weight` [64], `type.0` [1]",
            "`out.bias` [4] in place of [3]",
            "`weight` int32 in place of float32",
            "1 not the module's: `extra.weight`",
            file!(),
        ] {
            assert!(error.contains(words), "{words} in {error}");
        }
        let same = |(name, a): (&String, &Array)| model.parameters()[name].id() == a.id();
        assert!(before.iter().all(same), "nothing changed");
    });
}

#[test]
fn quantizing_in_place_and_loading_what_is_quantized() {
    on_worker(|| {
        let mut init = Init::seed(Rng::new().next());
        let mut model = net(&mut init);
        let q = Quantization::affine(64, 4);
        let error = model.quantize(Quantization::affine(64, 7), |_| true);
        assert!(error.is_err());
        // All but the head.
        assert_eq!(model.quantize(q, |name| name != "out").unwrap(), 4);
        assert_eq!(
            model.quantize(q, |name| name != "out").unwrap(),
            0,
            "done already"
        );
        assert!(names(model.parameters()).contains(&"mixers.2.first.scales".to_owned()));
        assert!(!names(model.trained()).contains(&"mixers.2.first.weight".to_owned()));
        let Mixer::Twice { first, .. } = &model.mixers[2] else {
            panic!("the third one");
        };
        assert_eq!(first.sizes(), (64, 64));

        let mut fresh = net(&mut Init::zeros_only());
        fresh.load_arrays(&model.parameters()).unwrap();
        let tokens = Array::from_slice(&[1u32, 4], 2).unwrap();
        let run = |net: &Net<nn::Embedding>| {
            let Mixer::Linear(mixer) = &net.mixers[0] else {
                panic!("the first one");
            };
            let x = mixer.forward(&net.more.forward(&tokens).unwrap()).unwrap();
            net.head.forward(&x).unwrap().to_vec::<f32>().unwrap()
        };
        assert_eq!(run(&fresh), run(&model));

        let mut wrong = model.parameters();
        let few = Array::ones((64, 5), Dtype::Uint32).unwrap();
        wrong.insert("mixers.0.0.weight".into(), few);
        let error = net(&mut init).load_arrays(&wrong).unwrap_err().to_string();
        assert!(
            error.contains("`mixers.0.0.weight` uint32 [64, 5]"),
            "{error}"
        );
    });
}

#[test]
fn trees_meet_by_name() {
    on_worker(|| {
        let tree = |names: &[&str]| -> Tree {
            let pairs = names.iter().map(|n| ((*n).to_owned(), Array::from(2.0f32)));
            pairs.collect()
        };
        let sum = tree(&["a", "b"])
            .zip(&tree(&["a", "b"]), |_, a, b| a + b)
            .unwrap();
        assert_eq!(sum.get("b").unwrap().item::<f32>().unwrap(), 4.0);
        let error = tree(&["a", "b"]).zip(&tree(&["a", "c"]), |_, a, b| a + b);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`b`, `c`"), "{error}");
        assert!(
            tree(&["a"])
                .get("x")
                .unwrap_err()
                .to_string()
                .contains("`a`")
        );
    });
}

#[test]
fn a_merged_lora_layer_computes_the_same() {
    on_worker(|| {
        let mut rng = Rng::new();
        let mut init = Init::seed(rng.next());
        let mut model = nn::SwiGlu::new(64, 32, &mut init).unwrap();
        model
            .quantize(Quantization::affine(64, 8), |n| n == "up")
            .unwrap();
        let x = crate::toolkit::normal(&mut rng, &[3, 64]);
        let plain = model.forward(&x).unwrap();
        let linear = |name: &str| name != "down";
        assert_eq!(
            nn::Lora::add(&mut model, 2, 1.5, &mut init, linear).unwrap(),
            2
        );
        let want = ["gate.lora.a", "gate.lora.b", "up.lora.a", "up.lora.b"];
        assert_eq!(names(model.trained()), want);
        let fresh = model.forward(&x).unwrap();
        assert_eq!(
            fresh.to_vec::<f32>().unwrap(),
            plain.to_vec::<f32>().unwrap()
        );
        let b = init.normal(&[32, 2], 1.0).unwrap();
        let set = [
            ("up.lora.b".to_owned(), b.clone()),
            ("gate.lora.b".to_owned(), b),
        ];
        model.set(&set.into_iter().collect()).unwrap();
        let with = model.forward(&x).unwrap();
        assert_ne!(
            with.to_vec::<f32>().unwrap(),
            plain.to_vec::<f32>().unwrap()
        );
        assert_eq!(nn::Lora::merge(&mut model).unwrap(), 2);
        assert_eq!(
            names(model.parameters()),
            ["down.weight", "gate.weight", "up.weight"]
        );
        // The sum of products in another order; a GPU rounds factors to 11 bits.
        crate::toolkit::check(&model.forward(&x).unwrap(), &with, 1e-2, "merged");
        for (rank, scale) in [(0, 1.0), (2, f32::NAN)] {
            assert!(nn::Lora::add(&mut model, rank, scale, &mut init, |_| true).is_err());
        }
        assert!(nn::Lora::add(&mut model, 2, 1.0, &mut init, |_| false).is_err());
        assert_eq!(
            model.trained().len(),
            // Two are new, as they were merged; the third one was frozen.
            2,
            "nothing is frozen by what was refused"
        );
    });
}
