//! The model by kernels against the same model by MLX's operations.

use zmlx::llm::{self, Batch, Model, PagedCache, Plain, SLOTS};
use zmlx::{Array, Result};

use crate::common::{Rng, on_worker};
use crate::tiny;

/// Each architecture differs in something: order of pairs in the rotation, biases, norms of heads, windows (12 tokens here), norms behind
/// the parts, activation, scale of the embedding.
const ALL: [&str; 5] = ["llama", "mistral", "qwen2", "qwen3", "gemma3"];

/// Logits behind each token of a text, computed in parts of random length, differ from the reference's by float32 roundings: sums of 32 to
/// 48 products in two layers, with logits of a magnitude of some ten.
#[test]
fn logits_agree_with_the_reference() {
    on_worker(|| {
        for architecture in ALL {
            agree(architecture).unwrap_or_else(|e| panic!("{architecture}: {e}"));
        }
    });
}

fn agree(architecture: &str) -> Result<()> {
    let mut rng = Rng::new();
    let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
    let path = folder.path().join("tiny.gguf");
    tiny::write(&path, architecture, || rng.normal())?;
    let (model, _) = llm::load_parts(&path)?;
    let mut plain = Plain::new(llm::load_parts(&path)?.0)?;
    let count = 40;
    let known = model.config().vocabulary as u64;
    let tokens: Vec<u32> = (0..count).map(|_| (rng.next() % known) as u32).collect();
    let want = plain.logits(&tokens)?;
    let got = in_parts(&model, &tokens, &mut rng)?;
    let most = want.abs()?.max(..)?.item::<f32>()?;
    let error = got.subtract(&want)?.abs()?.max(..)?.item::<f32>()?;
    assert!(most > 1.0, "{architecture}: no logits to compare: {most}");
    assert!(error <= 2e-5 * most, "{architecture}: {error} of {most}");
    Ok(())
}

/// The logits behind each token, with pages in a random order.
fn in_parts(model: &Model, tokens: &[u32], rng: &mut Rng) -> Result<Array> {
    let mut cache = PagedCache::new(model, 512)?;
    let count = tokens.len().div_ceil(SLOTS);
    cache.reserve(count + 3)?;
    let mut pages: Vec<u32> = (0..count as u32 + 3).collect();
    for i in (1..pages.len()).rev() {
        pages.swap(i, (rng.next() % (i as u64 + 1)) as usize);
    }
    pages.truncate(count);
    let (mut at, mut all) = (0, Vec::new());
    while at < tokens.len() {
        let end = (at + 1 + (rng.next() % 9) as usize).min(tokens.len());
        let places: Vec<(usize, &[u32])> = (at..end).map(|p| (p, &pages[..])).collect();
        let batch = Batch::new(&places)?;
        let rows = Array::arange((end - at) as i32)?;
        let part = Array::from_slice(&tokens[at..end], end - at)?;
        let logits = model.forward(&part, &rows, &mut cache.with(&batch))?;
        logits.eval()?;
        all.push(logits);
        at = end;
    }
    zmlx::ops::concatenate(&all, 0)
}

#[test]
fn a_position_behind_the_pages_is_refused() {
    let refused = Batch::new(&[(SLOTS, &[3])]).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("`position`"), "{refused}");
    assert!(Batch::new(&[]).is_err());
}
