//! How fast memory can be copied: the limit of whatever reads and writes each byte once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::measure::{Contender, Settings, Time, measure};
use crate::stream::current;
use crate::{Array, Dtype, Error, MetalKernel, Result};

/// Gigabytes a second that copying a buffer of `bytes` moves on the current stream, reads and writes both
/// counted. **Evaluates**; takes about a second.
///
/// On the CPU: the fastest of `memcpy` by one thread, by all threads in equal parts, in pieces of 1 MiB and of
/// 64 KiB, and a copying kernel, whose output may lie in huge pages. On a GPU: a copying kernel that moves 4
/// bytes a thread, one that moves 16, and MLX's `bitwise_invert`. A buffer that fits a cache is copied at the
/// cache's speed; of more than a gibibyte, one is copied.
///
/// ```no_run
/// # fn main() -> zmlx::Result<()> {
/// println!("{:.1} GB/s", zmlx::bench::copy_bandwidth(64 << 20)?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the evaluation fails with, when no way of copying works.
#[track_caller]
pub fn copy_bandwidth(bytes: usize) -> Result<f64> {
    let copy = Copy::new(bytes, 1)?;
    // A GPU computes while the host hands over the next calls.
    let settings = match current().gpu {
        true => Settings::default().batch(30),
        false => Settings::default(),
    };
    let results = measure(&copy.contenders(), &settings);
    copy.gb_s(results.into_iter().map(|m| m.time))
}

type Way = Box<dyn Fn() -> Result<Vec<Array>>>;

/// Ways to copy a buffer, to run beside what is compared with them.
pub(super) struct Copy {
    bytes: usize,
    ways: Vec<(&'static str, Way)>,
}

impl Copy {
    /// Copies between `rotate` pairs of buffers of `bytes` in turn.
    #[track_caller]
    pub(super) fn new(bytes: usize, rotate: usize) -> Result<Copy> {
        // Whole blocks of 16 bytes, at least one. A gibibyte is copied as fast as more.
        let words = bytes.div_ceil(16).clamp(1, 1 << 26) * 4;
        let rotate = rotate.max(1);
        let mut sources = Vec::new();
        for _ in 0..rotate {
            sources.push(Array::full((words,), 1u32, Dtype::Uint32)?);
        }
        crate::eval(&sources)?;
        let mut ways: Vec<(&'static str, Way)> = Vec::new();
        let kernel = MetalKernel::new("zmlx_copy", ["x"], ["out"])
            .source("uint i = thread_position_in_grid.x; out[i] = x[i];")
            .build()?;
        let ring = Ring::new(sources.clone());
        ways.push((
            "copy by a kernel",
            Box::new(move || ring.next(|x| kernel.launch(&[x]).run_vec())),
        ));
        if current().gpu {
            let kernel = MetalKernel::new("zmlx_copy_16", ["x"], ["out"])
                .header("struct Block { alignas(16) uint v[4]; };\n")
                .source(
                    "uint i = thread_position_in_grid.x; \
                     reinterpret_cast<device Block*>(out)[i] = \
                     reinterpret_cast<const device Block*>(x)[i];",
                )
                .build()?;
            let ring = Ring::new(sources.clone());
            let blocks = words / 4;
            ways.push((
                "copy by a kernel, 16 bytes a thread",
                Box::new(move || {
                    ring.next(|x| {
                        kernel
                            .launch(&[x])
                            .output(x.shape(), Dtype::Uint32)
                            .grid(blocks)
                            .run_vec()
                    })
                }),
            ));
            let ring = Ring::new(sources);
            ways.push((
                "copy by MLX",
                Box::new(move || ring.next(|x| Ok(vec![x.bitwise_invert()?]))),
            ));
        } else {
            let threads = rayon::current_num_threads();
            for (name, piece) in [
                ("memcpy", words),
                ("memcpy, a part a thread", words.div_ceil(threads)),
                ("memcpy, 1 MiB", 1 << 18),
                ("memcpy, 64 KiB", 1 << 14),
            ] {
                if piece <= words {
                    ways.push((name, memcpy(words, piece, rotate)));
                }
            }
        }
        Ok(Copy {
            bytes: words * 4,
            ways,
        })
    }

    pub(super) fn contenders(&self) -> Vec<Contender<'_>> {
        self.ways.iter().map(|(name, f)| (*name, &**f)).collect()
    }

    /// The rate of the fastest way.
    #[track_caller]
    pub(super) fn gb_s(&self, times: impl IntoIterator<Item = Result<Time>>) -> Result<f64> {
        let mut best: Option<f64> = None;
        let mut failure = None;
        for time in times {
            match time {
                Ok(t) => best = Some(best.map_or(t.median_us, |b| b.min(t.median_us))),
                Err(e) => failure = Some(e),
            }
        }
        match (best, failure) {
            (Some(us), _) => Ok(2.0 * self.bytes as f64 / us / 1e3),
            (None, Some(e)) => Err(e),
            (None, None) => Err(Error::other("no way of copying was measured")),
        }
    }
}

/// By all threads in pieces of so many words; by this thread when there is only one.
fn memcpy(words: usize, piece: usize, rotate: usize) -> Way {
    let pairs = (0..rotate).map(|_| (vec![1u32; words], vec![2u32; words]));
    let pairs = RefCell::new(pairs.collect::<VecDeque<_>>());
    Box::new(move || {
        let mut pairs = pairs.borrow_mut();
        pairs.rotate_left(1);
        let Some((from, to)) = pairs.front_mut() else {
            return Ok(Vec::new());
        };
        if piece >= words {
            to.copy_from_slice(from);
        } else {
            rayon::scope(|scope| {
                for (to, from) in to.chunks_mut(piece).zip(from.chunks(piece)) {
                    scope.spawn(move |_| to.copy_from_slice(from));
                }
            });
        }
        std::hint::black_box(to);
        Ok(Vec::new())
    })
}

/// Takes its inputs in turn, and keeps as many outputs alive as it has inputs less one, so that
/// the memory of outputs changes too.
pub(super) struct Ring<T> {
    inputs: Vec<T>,
    next: Cell<usize>,
    outputs: RefCell<VecDeque<Vec<Array>>>,
}

impl<T> Ring<T> {
    pub(super) fn new(inputs: Vec<T>) -> Self {
        Ring {
            inputs,
            next: Cell::new(0),
            outputs: RefCell::default(),
        }
    }

    /// Calls `f` with the next of the inputs.
    pub(super) fn next(&self, f: impl FnOnce(&T) -> Result<Vec<Array>>) -> Result<Vec<Array>> {
        let i = self.next.get();
        self.next.set((i + 1) % self.inputs.len());
        let mut kept = self.outputs.borrow_mut();
        // Room first, so that its memory can be used again.
        kept.truncate(self.inputs.len().saturating_sub(2));
        let outputs = f(&self.inputs[i])?;
        if self.inputs.len() > 1 {
            kept.push_front(outputs.clone());
        }
        Ok(outputs)
    }
}
