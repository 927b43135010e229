//! Pages of 8 and 4 bits against a reference that rounds each key and value by itself.

use zmlx::llm::{
    self, Attend, Batch, Engine, EngineOptions, Limits, Model, PageKind, PagedCache, Plain,
    Request, SLOTS,
};
use zmlx::{Array, Dtype, Error, Result, fast, ops};

use crate::common::{Rng, on_worker};
use crate::tiny;

const HEAD: i32 = 32;

fn write(folder: &tempfile::TempDir, architecture: &str) -> Result<std::path::PathBuf> {
    let path = folder.path().join("tiny.gguf");
    let mut rng = Rng::new();
    tiny::write_heads(&path, architecture, HEAD, || rng.normal())?;
    Ok(path)
}

/// Numbers of a group of 32 as a code of these bits times a scale gives them, by the documentation of `quantize_cache`; with 16 bits
/// as float16 holds them.
fn rounded(group: &mut [f32], bits: u32) {
    if bits == 16 {
        for x in group {
            *x = half::f16::from_f32(*x).to_f32();
        }
        return;
    }
    let most = group.iter().fold(0f32, |m, x| m.max(x.abs()));
    let (scale, low, high) = match bits {
        8 => (most / 127.0, -127.0, 127.0),
        _ if group.iter().any(|x| *x == -most) => (most / 8.0, -8.0, 7.0),
        _ => (most / -8.0, -8.0, 7.0),
    };
    for x in group {
        let code = match scale == 0.0 {
            true => 0.0,
            false => (*x / scale).round_ties_even().clamp(low, high),
        };
        *x = code * scale;
    }
}

/// The attention of one text by MLX's operations, over rounded keys and values.
struct Rounded {
    bits: u32,
    layers: Vec<Option<[Array; 2]>>,
    offset: i32,
}

impl Attend for Rounded {
    fn attend(&mut self, layer: usize, q: &Array, k: Array, v: Array) -> Result<Array> {
        let by_head = |x: &Array| x.expand_dims(0)?.transpose([0, 2, 1, 3]);
        let turned = |x: &Array| {
            fast::rope(&by_head(x)?, HEAD)
                .traditional(true)
                .base(5000.0)
                .offset(self.offset)
                .call()
        };
        let kept = |x: Array| {
            let mut all = x.contiguous()?.to_vec::<f32>()?;
            all.chunks_mut(32)
                .for_each(|group| rounded(group, self.bits));
            Array::from_slice(&all, x.shape())
        };
        let q = turned(q)?;
        let mut all = [kept(turned(&k)?)?, kept(by_head(&v)?)?];
        if let Some(before) = &self.layers[layer] {
            for (new, old) in all.iter_mut().zip(before) {
                *new = ops::concatenate([old, &*new], 2)?;
            }
        }
        let scale = (HEAD as f32).sqrt().recip();
        let y = fast::scaled_dot_product_attention(&q, &all[0], &all[1], scale);
        let y = y.causal().call()?.transpose([0, 2, 1, 3])?.squeeze(0);
        self.layers[layer] = Some(all);
        y
    }
}

/// Keys of the kernels and of MLX differ by float32 roundings, so one of the 10,000 codes may be the next one: a step of a 127th, or an
/// eighth, of the largest number of its group, in one of 40 keys; in float16 it is a step of a 1024th of a number, in some of
/// them. Without rounding the logits are off by far more, which is checked.
#[test]
fn logits_are_those_of_rounded_keys_and_values() {
    on_worker(|| {
        let kinds = [
            (PageKind::Float16, 16, 6e-4),
            (PageKind::Int8, 8, 1e-3),
            (PageKind::Int4, 4, 1e-2),
        ];
        for (kind, bits, tolerance) in kinds {
            agree(kind, bits, tolerance).unwrap_or_else(|e| panic!("{kind}: {e}"));
        }
    });
}

fn agree(kind: PageKind, bits: u32, tolerance: f32) -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::other)?;
    let path = write(&folder, "llama")?;
    let mut rng = Rng::new();
    let load = || Ok::<Model, Error>(llm::load_parts(&path)?.0);
    let model = load()?;
    let known = model.config().vocabulary as u64;
    let tokens: Vec<u32> = (0..40).map(|_| (rng.next() % known) as u32).collect();
    let mut rounded = Rounded {
        bits,
        layers: vec![None; model.config().layers],
        offset: 0,
    };
    let numbers = Array::from_slice(&tokens, tokens.len())?;
    let all = Array::arange(tokens.len() as i32)?;
    let want = load()?.plain()?.forward(&numbers, &all, &mut rounded)?;
    let exact = Plain::new(load()?)?.logits(&tokens)?;

    let mut cache = PagedCache::of(&model, 512, kind)?;
    cache.reserve(5)?;
    let pages = [3, 0, 4];
    let (mut at, mut got) = (0, Vec::new());
    while at < tokens.len() {
        let end = (at + 1 + (rng.next() % 9) as usize).min(tokens.len());
        let places: Vec<(usize, &[u32])> = (at..end).map(|p| (p, &pages[..])).collect();
        let batch = Batch::new(&places)?;
        let rows = Array::arange((end - at) as i32)?;
        let part = Array::from_slice(&tokens[at..end], end - at)?;
        let logits = model.forward(&part, &rows, &mut cache.with(&batch))?;
        logits.eval()?;
        got.push(logits);
        at = end;
    }
    let got = ops::concatenate(&got, 0)?;
    let far = |a: &Array, b: &Array| a.subtract(b)?.abs()?.max(..)?.item::<f32>();
    let most = want.abs()?.max(..)?.item::<f32>()?;
    let error = far(&got, &want)?;
    assert!(error <= tolerance * most, "{kind}: {error} of {most}");
    let of_rounding = far(&exact, &want)?;
    assert!(of_rounding > 2.0 * error, "{kind}: {of_rounding}, {error}");
    // What is held is what is said.
    let bytes: usize = cache.arrays().map(Array::nbytes).sum();
    assert_eq!(bytes, 5 * cache.page_bytes());
    let floats = PagedCache::new(&model, 512)?.page_bytes();
    let scales = usize::from(bits < 16);
    assert_eq!(floats / 32 * (bits as usize + scales), cache.page_bytes());
    Ok(())
}

/// Texts go through an engine with such pages, shared beginnings included, and all pages come back.
#[test]
fn engines_take_pages_of_few_bits() {
    on_worker(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write(&folder, "gemma3").expect("a model");
        for kind in [PageKind::Float16, PageKind::Int8, PageKind::Int4] {
            let limits = Limits {
                pages: 12,
                ..Limits::default()
            };
            let options = EngineOptions::from(limits).pages(kind).preallocate(true);
            let mut engine = llm::load_with(&path, options)
                .expect("an engine")
                .into_parts()
                .0;
            assert_eq!((engine.cache().pages(), engine.cache().kind()), (12, kind));
            let request = Request {
                prompt: (3..40).collect(),
                max_tokens: 20,
                ..Request::default()
            };
            let first = tokens(&mut engine, &request).expect("a text");
            assert_eq!(first.len(), 20);
            // The second one begins behind the pages of the first one.
            let again = tokens(&mut engine, &request).expect("a text");
            assert_eq!(again.len(), 20);
            assert_eq!(engine.counts().shared_tokens, 2 * SLOTS as u64);
            assert_eq!(engine.counts().free_pages, 12);
        }
    });
}

fn tokens(engine: &mut Engine, request: &Request) -> Result<Vec<u32>> {
    engine.submit(request.clone())?;
    let mut all = Vec::new();
    while !engine.is_idle() {
        all.extend(engine.step()?.into_iter().map(|e| e.chosen.token));
    }
    Ok(all)
}

#[test]
fn what_does_not_fit_is_refused() {
    on_worker(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tiny.gguf");
        let mut rng = Rng::new();
        tiny::write(&path, "llama", || rng.normal()).expect("a model");
        let options = EngineOptions::default().pages(PageKind::Int8);
        let refused = llm::load_with(&path, options).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("`pages`"), "{refused}");
        assert!("int5".parse::<PageKind>().is_err());
        assert_eq!("int4".parse::<PageKind>().expect("one"), PageKind::Int4);

        // Pages that are not reserved, and positions behind the cache's longest sequence.
        let (model, _) = llm::load_parts(&path).expect("a model");
        let mut cache = PagedCache::new(&model, 32).expect("a cache");
        cache.reserve(2).expect("pages");
        let token = Array::from_slice(&[5u32], 1).expect("a token");
        let row = Array::zeros(1, Dtype::Int32).expect("a row");
        for (position, pages, name) in [(0, &[2u32][..], "`page`"), (40, &[0, 1, 0], "`position`")]
        {
            let batch = Batch::new(&[(position, pages)]).expect("a batch");
            let refused = model.forward(&token, &row, &mut cache.with(&batch));
            let refused = refused.map(|_| ()).unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
        }
    });
}
