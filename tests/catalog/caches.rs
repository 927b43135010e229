//! Updates of caches against loops in float64, and what becomes of the slots that nobody writes.

use std::rc::Rc;

use zmlx::kernels::rope::{paged_rope_and_cache_update, rope_and_cache_update};
use zmlx::prelude::*;
use zmlx::{Result, compile, eval, jvp, memory, vjp};

use crate::common::{Rng, on_worker};
use crate::process;
use crate::tolerance::numbers;

const BATCH: usize = 4;
const HEADS: usize = 6;
const KV: usize = 3;
const WIDTH: usize = 10;
const POSITIONS: usize = 20;

struct Case {
    /// `q`, `k`, `v`, cosines, sines and the caches.
    p: Vec<Array>,
    offsets: Vec<i64>,
    table: Option<Vec<i64>>,
    blocks: usize,
    slots: usize,
    traditional: bool,
}

impl Case {
    fn new(
        rng: &mut Rng,
        offsets: &[i64],
        table: Option<&[i64]>,
        dtypes: [Dtype; 3],
    ) -> Result<Case> {
        let (blocks, slots) = if table.is_some() { (7, 4) } else { (BATCH, 16) };
        let cache = [blocks, slots, KV, WIDTH];
        let shapes: [(&[usize], Dtype); 7] = [
            (&[BATCH, HEADS, WIDTH], dtypes[0]),
            (&[BATCH, KV, WIDTH], dtypes[1]),
            (&[BATCH, KV, WIDTH], dtypes[1]),
            (&[POSITIONS, WIDTH / 2], F32),
            (&[POSITIONS, WIDTH / 2], F32),
            (&cache, dtypes[2]),
            (&cache, dtypes[2]),
        ];
        let mut p = Vec::new();
        for (shape, dtype) in shapes {
            let values = rng.normals(shape.iter().product());
            let shape: Vec<i32> = shape.iter().map(|&n| n as i32).collect();
            p.push(Array::from_slice(&values, shape)?.astype(dtype)?);
        }
        eval(&p)?;
        Ok(Case {
            p,
            offsets: offsets.to_vec(),
            table: table.map(<[i64]>::to_vec),
            blocks,
            slots,
            traditional: rng.below(2) == 1,
        })
    }

    fn indices(&self) -> Result<Vec<Array>> {
        let mut all = vec![Array::from_slice(&self.offsets, BATCH)?];
        if let Some(table) = &self.table {
            all.push(Array::from_slice(table, (BATCH, table.len() / BATCH))?);
        }
        Ok(all)
    }

    fn call(&self, p: &[Array], indices: &[Array]) -> Result<Vec<Array>> {
        let [q, k, v, cos, sin, k_cache, v_cache] = p else {
            panic!("7 arrays")
        };
        let call = match indices {
            [offset] => rope_and_cache_update(q, k, v, cos, sin, k_cache, v_cache, offset),
            [offset, table] => {
                paged_rope_and_cache_update(q, k, v, cos, sin, k_cache, v_cache, offset, table)
            }
            _ => panic!("offset and table"),
        };
        Ok(call.traditional(self.traditional).call()?.into())
    }

    /// The slot of a sequence's token.
    fn slot(&self, b: usize) -> Option<usize> {
        let at = usize::try_from(self.offsets[b]).ok()?;
        let Some(table) = &self.table else {
            return (at < self.slots).then_some(b * self.slots + at);
        };
        let columns = table.len() / BATCH;
        if at >= POSITIONS.min(columns * self.slots) {
            return None;
        }
        let block = usize::try_from(table[b * columns + at / self.slots]).ok()?;
        (block < self.blocks).then_some(block * self.slots + at % self.slots)
    }

    fn turned(&self, x: &[f64], heads: usize) -> Result<Vec<f64>> {
        let (c, s) = (numbers(&self.p[3])?, numbers(&self.p[4])?);
        let half = WIDTH / 2;
        let mut y = vec![f64::NAN; x.len()];
        for b in (0..BATCH).filter(|&b| self.slot(b).is_some()) {
            for h in 0..heads {
                for i in 0..half {
                    let row = (b * heads + h) * WIDTH;
                    let (i0, i1) = if self.traditional {
                        (2 * i, 2 * i + 1)
                    } else {
                        (i, i + half)
                    };
                    let t = self.offsets[b] as usize * half + i;
                    y[row + i0] = x[row + i0] * c[t] - x[row + i1] * s[t];
                    y[row + i1] = x[row + i0] * s[t] + x[row + i1] * c[t];
                }
            }
        }
        Ok(y)
    }

    fn want(&self) -> Result<Vec<Vec<f64>>> {
        let p = self.p.iter().map(numbers).collect::<Result<Vec<_>>>()?;
        let k = self.turned(&p[1], KV)?;
        let written = |cache: &[f64], token: &[f64]| {
            let (mut all, size) = (cache.to_vec(), KV * WIDTH);
            for b in 0..BATCH {
                if let Some(slot) = self.slot(b) {
                    all[slot * size..][..size].copy_from_slice(&token[b * size..][..size]);
                }
            }
            all
        };
        Ok(vec![
            self.turned(&p[0], HEADS)?,
            written(&p[5], &k),
            written(&p[6], &p[2]),
        ])
    }
}

#[track_caller]
fn close(what: &str, got: &Array, want: &[f64]) -> Result<()> {
    let unit = match got.dtype() {
        F32 => 1e-6,
        F16 => 1.0 / 1024.0,
        _ => 1.0 / 128.0,
    };
    let got = numbers(got)?;
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let good = (g - w).abs() <= unit * w.abs().max(1.0) || (g.is_nan() && w.is_nan());
        assert!(good, "{what}: element {i} is {g}, expected {w}");
    }
    Ok(())
}

fn cases(rng: &mut Rng) -> Result<Vec<(&'static str, Case)>> {
    let table = [0i64, 1, -1, 2, 3, 6, 4, -1, 0, 5, 7, 1];
    let shared = [0i64, 1, 2, 0, 3, 4, 0, 1, 5, 5, 6, 1];
    let all = [F32; 3];
    Ok(vec![
        ("dense", Case::new(rng, &[3, 0, 15, 7], None, all)?),
        (
            "dense, out of range",
            Case::new(rng, &[16, -1, 2, i64::MAX], None, all)?,
        ),
        (
            "nothing in range",
            Case::new(rng, &[16, 17, -5, 1 << 40], None, all)?,
        ),
        ("paged", Case::new(rng, &[5, 9, 3, 1], Some(&table), all)?),
        // The third block of the first sequence and the second of the third are none.
        (
            "paged, out of range",
            Case::new(rng, &[8, 11, 5, 12], Some(&table), all)?,
        ),
        (
            "paged, no block",
            Case::new(rng, &[8, 19, 4, 4], Some(&table), all)?,
        ),
        // Sequences 0, 1 and 2 write into slot 2 of block 0.
        (
            "paged, one slot for three",
            Case::new(rng, &[2, 2, 2, 9], Some(&shared), all)?,
        ),
        (
            "mixed",
            Case::new(rng, &[3, 0, 15, 7], None, [F16, F32, BF16])?,
        ),
        (
            "bfloat16",
            Case::new(rng, &[5, 9, 3, 1], Some(&table), [BF16; 3])?,
        ),
    ])
}

/// The original's caches held only the new token's slot; the rest was memory that nobody had written.
#[test]
fn caches_keep_what_was_there() {
    on_worker(|| -> Result<()> {
        for (name, case) in cases(&mut Rng::new())? {
            let case = Rc::new(case);
            let want = case.want()?;
            let indices = case.indices()?;
            let lazily = |a: &Array| a.add(0)?.astype(Dtype::Int64);
            let lazy = indices.iter().map(lazily).collect::<Result<Vec<_>>>()?;
            let shared = Rc::clone(&case);
            let compiled = compile(move |p: &[Array]| shared.call(&p[..7], &p[7..]))?;
            let all = [&case.p[..], &indices].concat();
            let ways = [
                ("known", case.call(&case.p, &indices)?),
                ("unknown", case.call(&case.p, &lazy)?),
                ("compiled", compiled.call(&all)?),
            ];
            for (way, got) in ways {
                for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                    close(&format!("{name}, {way}, output {i}"), got, want)?;
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Each element of the results is a copy, a rotation or a constant, so gradients are those elements back.
#[test]
fn gradients_of_cache_updates() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (name, case) in cases(&mut rng)?.into_iter().take(7) {
            let indices = case.indices()?;
            let slots: Vec<Option<usize>> = (0..BATCH).map(|b| case.slot(b)).collect();
            let last = |b: usize| slots[b].is_some() && !slots[b + 1..].contains(&slots[b]);
            let f = |p: &[Array]| case.call(p, &indices);
            let size = KV * WIDTH;
            let g = Array::from_slice(&rng.normals(case.p[6].size()), case.p[6].shape())?;
            let none = [case.p[0].zeros_like()?, case.p[5].zeros_like()?];
            let (_, d) = vjp(f, &case.p, [&none[0], &none[1], &g])?;
            let g64 = numbers(&g)?;
            let (mut dv, mut dcache) = (vec![0.0; BATCH * size], g64.clone());
            for b in 0..BATCH {
                if let Some(slot) = slots[b] {
                    dcache[slot * size..][..size].fill(0.0);
                    if last(b) {
                        dv[b * size..][..size].copy_from_slice(&g64[slot * size..][..size]);
                    }
                }
            }
            close(&format!("{name}, dv"), &d[2], &dv)?;
            close(&format!("{name}, dv_cache"), &d[6], &dcache)?;
            // A gradient of k is that of the rotation: <g, turned t> = <dk, t>, and so for tangents.
            let (_, d) = vjp(f, &case.p, [&none[0], &g, &none[1]])?;
            let t = Array::from_slice(&rng.normals(BATCH * size), case.p[1].shape())?;
            let mut others: Vec<Array> = case
                .p
                .iter()
                .map(Array::zeros_like)
                .collect::<Result<_>>()?;
            others[1] = t.clone();
            let (_, tangents) = jvp(f, &case.p, &others)?;
            let turned = case.turned(&numbers(&t)?, KV)?;
            let mut want = 0.0;
            let tangent = numbers(&tangents[1])?;
            for b in (0..BATCH).filter(|&b| last(b)) {
                let slot = slots[b].unwrap();
                for i in 0..size {
                    want += g64[slot * size + i] * turned[b * size + i];
                    let (got, want) = (tangent[slot * size + i], turned[b * size + i]);
                    assert!(
                        (got - want).abs() < 1e-5,
                        "{name}, tangent: {got}, expected {want}"
                    );
                }
            }
            let got: f64 = numbers(&d[1])?
                .iter()
                .zip(numbers(&t)?)
                .filter(|(d, _)| !d.is_nan())
                .map(|(d, t)| d * t)
                .sum();
            assert!(
                (got - want).abs() < 1e-4,
                "{name}, dk: {got}, expected {want}"
            );
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn caches_are_updated_in_place() {
    process::run("caches::without_a_copy", &[], 1);
}

#[test]
#[ignore = "run by caches_are_updated_in_place"]
fn without_a_copy() {
    let cache = || Array::zeros((4, 1 << 14, 8, 16), F32);
    let bytes = 4 * 4 * (1 << 14) * 8 * 16;
    let run = || -> Result<usize> {
        let (q, kv) = (Array::ones((4, 8, 16), F32)?, Array::ones((4, 8, 16), F32)?);
        let [cos, sin] = zmlx::kernels::rope::rope_tables(1 << 14, 16).call()?;
        let (mut k, mut v) = (cache()?, cache()?);
        eval([&q, &kv, &cos, &sin, &k, &v])?;
        // The first step copies: arrays of zeros are views of one zero.
        for token in 0..3 {
            if token == 1 {
                memory::clear_cache()?;
                memory::reset_peak()?;
            }
            let offset = Array::full(4, token, Dtype::Int32)?;
            eval([&offset])?;
            let before = memory::active()?;
            [_, k, v] = rope_and_cache_update(&q, &kv, &kv, &cos, &sin, &k, &v, &offset).call()?;
            eval([&k, &v])?;
            if token == 2 {
                return Ok(memory::peak()?.saturating_sub(before));
            }
        }
        unreachable!()
    };
    let more = run().unwrap();
    assert!(more < bytes / 2, "{more} bytes beside caches of {bytes}");
}

#[test]
fn cache_updates_refuse() {
    on_worker(|| -> Result<()> {
        let case = Case::new(&mut Rng::new(), &[0; 4], Some(&[0; 8]), [F32; 3])?;
        let indices = case.indices()?;
        let names = [
            "`q`",
            "`k`",
            "`v`",
            "`cos`",
            "`sin`",
            "`k_cache`",
            "`v_cache`",
            "`offset`",
            "`block_table`",
        ];
        let all = [&case.p[..], &indices].concat();
        let with = |i: usize, a: Array| {
            let mut all = all.clone();
            all[i] = a;
            case.call(&all[..7], &all[7..]).map(drop)
        };
        for (i, name) in names.iter().enumerate() {
            let wrong = all[i].expand_dims(0)?;
            let shape = with(i, wrong);
            assert!(
                matches!(&shape, Err(e @ Error::Shape { .. }) if e.to_string().contains(name)),
                "{name}: {shape:?}"
            );
            // The first of another width is told by the second.
            if i > 0 {
                let wrong = all[i].index((Ellipsis, 0..1))?;
                let fits = i == 8;
                let shape = with(i, wrong);
                assert!(fits == shape.is_ok(), "{name}: {shape:?}");
            }
            let other = if i < 7 { Dtype::Int32 } else { F32 };
            let dtype = with(i, all[i].astype(other)?);
            assert!(
                matches!(&dtype, Err(e @ Error::Dtype { .. }) if e.to_string().contains(name)),
                "{name}: {dtype:?}"
            );
        }
        let [q, k, v, cos, sin, k_cache, v_cache] = &case.p[..] else {
            panic!()
        };
        for at in [-1, 8] {
            let table = &indices[1];
            let call = paged_rope_and_cache_update(q, k, v, cos, sin, k_cache, v_cache, at, table);
            let got = call.call();
            assert!(matches!(got, Err(Error::Argument { .. })), "{at}: {got:?}");
        }
        let table = &indices[1];
        let dims =
            paged_rope_and_cache_update(q, k, v, cos, sin, k_cache, v_cache, 0, table).dims(5);
        assert!(matches!(dims.call(), Err(Error::Argument { .. })));
        Ok(())
    })
    .unwrap();
}
