//! Many texts at once, and each alone.

use std::collections::BTreeMap;

use rstest::rstest;
use zmlx::Result;
use zmlx::llm::{Engine, EngineOptions, Finish, Id, Limits, Request};

use crate::common::{Rng, on_worker};
use crate::{tiny_model, tiny_model_of};

fn alone(engine: &mut Engine, request: &Request) -> Result<Vec<u32>> {
    let all = run(engine, std::slice::from_ref(request))?;
    Ok(all.into_values().next().unwrap_or_default())
}

/// Submits all as there is room, and gives the tokens of each.
fn run(engine: &mut Engine, requests: &[Request]) -> Result<BTreeMap<Id, Vec<u32>>> {
    let (mut all, mut waiting) = (BTreeMap::new(), requests.iter());
    let mut next = waiting.next();
    while next.is_some() || !engine.is_idle() {
        while let Some(request) = next {
            match engine.submit(request.clone())? {
                Some(id) => _ = all.insert(id, Vec::new()),
                None => break,
            }
            next = waiting.next();
        }
        for event in engine.step()? {
            all.get_mut(&event.id)
                .expect("one of ours")
                .push(event.chosen.token);
        }
    }
    Ok(all)
}

fn limits(pages: usize) -> Limits {
    Limits {
        pages,
        running: 5,
        waiting: 3,
        tokens: 24,
    }
}

/// Texts with common beginnings, cut into parts, together with others, with pages for a few only: the same tokens as alone in an engine
/// that shares nothing. Whether the next computation is built while one runs makes no difference.
#[rstest]
fn texts_together_are_those_alone(#[values(false, true)] ahead: bool) {
    on_worker(move || {
        let mut rng = Rng::new();
        let options = EngineOptions::from(limits(12)).build_ahead(ahead);
        let model = tiny_model("llama", options).expect("a model");
        let mut engine = model.into_parts().0;
        let beginning: Vec<u32> = (0..40).map(|_| 3 + (rng.next() % 250) as u32).collect();
        let requests: Vec<Request> = (0..14)
            .map(|_| {
                let shared = (rng.next() % 41) as usize;
                let own = 1 + rng.next() % 20;
                let mut prompt = beginning[..shared].to_vec();
                prompt.extend((0..own).map(|_| 3 + (rng.next() % 250) as u32));
                Request {
                    prompt,
                    max_tokens: 1 + (rng.next() % 30) as usize,
                    ends: vec![2],
                    ..Request::default()
                }
            })
            .collect();
        let together = run(&mut engine, &requests).expect("all together");
        let counts = engine.counts();
        assert_eq!(
            (counts.free_pages, counts.running),
            (12, 0),
            "pages are back"
        );
        assert!(counts.shared_tokens > 0, "nothing was shared");
        let prompts: usize = requests.iter().map(|r| r.prompt.len()).sum();
        assert_eq!(counts.prompt_tokens + counts.shared_tokens, prompts as u64);
        for (request, got) in requests.iter().zip(together.values()) {
            engine.forget();
            assert_eq!(&alone(&mut engine, request).expect("alone"), got);
        }
    });
}

/// What was built for a text that is cancelled, or for others when one comes, is not used.
#[test]
fn what_comes_meanwhile_changes_nothing() {
    on_worker(|| {
        let rng = Rng::new();
        let tokens = |ahead: bool| -> Result<Vec<Vec<u32>>> {
            let options = EngineOptions::from(limits(24)).build_ahead(ahead);
            let mut rng = rng.clone();
            let mut engine = tiny_model_of("gemma3", options, &mut rng)?.into_parts().0;
            let request = |rng: &mut Rng| Request {
                prompt: (0..5).map(|_| 3 + (rng.next() % 250) as u32).collect(),
                max_tokens: 40,
                ..Request::default()
            };
            let mut all: BTreeMap<Id, Vec<u32>> = BTreeMap::new();
            for step in 0..60 {
                if matches!(step, 0 | 7 | 8 | 20) {
                    let id = engine.submit(request(&mut rng))?.expect("room");
                    all.insert(id, Vec::new());
                }
                if step == 12 {
                    engine.cancel(*all.keys().next().expect("the first"));
                }
                for event in engine.step()? {
                    let own = all.get_mut(&event.id).expect("one of ours");
                    own.push(event.chosen.token);
                }
            }
            Ok(all.into_values().collect())
        };
        let (with, without) = (tokens(true).expect("texts"), tokens(false).expect("texts"));
        assert_eq!(
            with.iter().map(Vec::len).collect::<Vec<_>>(),
            [12, 40, 40, 40]
        );
        assert_eq!(with, without);
    });
}

/// Sampling depends on the seed, not on the company.
#[test]
fn seeds_repeat() {
    on_worker(|| {
        let mut engine = tiny_model("qwen3", limits(12))
            .expect("a model")
            .into_parts()
            .0;
        let mut request = Request {
            prompt: vec![7, 8, 9],
            max_tokens: 12,
            ..Request::default()
        };
        // The tiny model is sure of its tokens.
        request.sampling.temperature = 50.0;
        let requests: Vec<Request> = [1, 2, 1]
            .map(|seed| {
                request.sampling.seed = seed;
                request.clone()
            })
            .to_vec();
        let all: Vec<_> = run(&mut engine, &requests)
            .expect("texts")
            .into_values()
            .collect();
        assert_eq!(all[0], all[2]);
        assert_ne!(all[0], all[1]);
    });
}

#[test]
fn limits_are_kept() {
    on_worker(|| {
        let mut engine = tiny_model("qwen2", limits(6))
            .expect("a model")
            .into_parts()
            .0;
        let request = |prompt: usize, max_tokens| Request {
            prompt: vec![5; prompt],
            max_tokens,
            ..Request::default()
        };
        for (wrong, name) in [
            (request(0, 1), "prompt"),
            (request(1, 0), "max_tokens"),
            (request(6 * 16, 1), "max_tokens"),
            (
                Request {
                    prompt: vec![9999],
                    ..request(1, 1)
                },
                "prompt",
            ),
        ] {
            let refused = engine.submit(wrong).unwrap_err().to_string();
            assert!(refused.contains(&format!("`{name}`")), "{refused}");
        }
        // Three of two pages each run, and three wait.
        let ids: Vec<_> = (0..7)
            .map(|_| engine.submit(request(20, 12)).expect("taken"))
            .collect();
        engine.step().expect("a step");
        let refused = (0..4).filter(|_| engine.submit(request(20, 12)).expect("valid").is_none());
        assert!(refused.count() > 0);
        let counts = engine.counts();
        assert_eq!((counts.running, counts.free_pages), (3, 0));
        // Who goes makes room at once.
        engine.cancel(ids[0].expect("the first one runs"));
        assert_eq!(engine.counts().free_pages, 2);
        engine.step().expect("a step");
        assert_eq!(engine.counts().running, 3);
        // And a text has no more tokens than it may.
        while !engine.is_idle() {
            for event in engine.step().expect("a step") {
                assert!(event.finish.is_none_or(|f| f == Finish::Length));
            }
        }
        assert_eq!(engine.counts().free_pages, 6);
    });
}

/// Two streams that are read in turn, and one that is dropped half way.
#[test]
fn streams_share_a_model() {
    on_worker(|| {
        let model = tiny_model("llama", limits(20)).expect("a model");
        let whole = model
            .generate("the cat")
            .max_tokens(20)
            .text()
            .expect("text");
        let other = model
            .generate("in the hat")
            .max_tokens(20)
            .text()
            .expect("text");
        let mut a = model.generate("the cat").max_tokens(20).stream();
        let mut b = model.generate("in the hat").max_tokens(20).stream();
        let _ = model.generate("the dog").max_tokens(20).stream().next();
        let (mut of_a, mut of_b) = (String::new(), String::new());
        loop {
            let (x, y) = (a.next(), b.next());
            if x.is_none() && y.is_none() {
                break;
            }
            of_a += &x.transpose().expect("text").unwrap_or_default();
            of_b += &y.transpose().expect("text").unwrap_or_default();
        }
        assert_eq!([of_a, of_b], [whole, other]);
        assert_eq!(model.counts().free_pages, 20);
        let wrong = model.generate("x").temperature(-1.0).text().unwrap_err();
        assert!(wrong.to_string().contains("`temperature`"), "{wrong}");
    });
}
