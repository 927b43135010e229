//! Which shapes a kernel is tested on, and its inputs there.

use zmlx::kernels::{Entry, Kind, catalog};
use zmlx::prelude::*;
use zmlx::{Result, eval};

pub const DTYPES: [Dtype; 3] = [F32, F16, BF16];

/// Around the sizes of blocks, simdgroups and vectors, and what fills none of them.
const WIDTHS: [i32; 10] = [0, 1, 2, 31, 32, 33, 64, 100, 1000, 4099];

const LEADING: [&[i32]; 6] = [&[], &[1], &[3], &[2, 3], &[0], &[1, 1, 5]];

/// More axes than kernels would have written out.
const DEEP: [i32; 5] = [2, 1, 2, 1, 3];

/// A long row without any whole blocks at its end, for every kernel.
const ODD: i32 = 100_003;

/// A width at which sums in the wrong order or in the wrong type show.
pub const LONG: i32 = 1_000_003;

/// The logits of a language model: rows that a GPU shares out to several threadgroups each.
pub const LOGITS: i32 = 151_936;

/// A width that a GPU's threadgroup does not hold in registers.
pub const WIDE: i32 = 40_000;

/// Whether a kernel stands for others: its text is its own, or it is the first of its family. The others of a family come from the same
/// generator, so what the generator does with layouts, dtypes, threads and transforms needs no second test, and each
/// further text costs a third of a second of compiler.
pub fn deep(entry: &Entry) -> bool {
    let family = |e: &Entry| e.name.split("::").next();
    let first = catalog().find(|e| family(e) == family(entry));
    // Sums over rows of two halves go ways of their own, and one function stands for them.
    let halves = |e: &&Entry| e.inputs.iter().any(|i| i.kind == Kind::DoubleWeight);
    let of_halves = catalog().find(halves);
    let chosen = first.into_iter().chain(of_halves);
    !entry.file.is_empty() || { chosen }.any(|e| e.name == entry.name)
}

/// A kernel on rows of one width, with some leading axes.
pub struct Case {
    pub entry: &'static Entry,
    pub dtype: Dtype,
    pub leading: Vec<i32>,
    pub width: i32,
    pub seed: u64,
}

impl Case {
    /// `None` where the kernel has no such rows: a table of positions needs an axis of positions.
    /// It also needs an even width, so an odd one becomes the next even one. Nor in 16 bits where rows have fewer than 8 elements or
    /// there are none: so small arrays lie in another address space, which has texts of its own, and what those do is seen in
    /// float32.
    pub fn new(
        entry: &'static Entry,
        dtype: Dtype,
        leading: &[i32],
        width: i32,
        seed: u64,
    ) -> Option<Case> {
        let table = entry.inputs.iter().any(|i| i.kind == Kind::Table);
        let tiny = width < 8 || leading.contains(&0);
        if (table && leading.is_empty()) || (tiny && dtype != F32) {
            return None;
        }
        Some(Case {
            entry,
            dtype,
            leading: leading.to_vec(),
            width: entry.width(width),
            // Different numbers in each shape.
            seed: seed ^ ((width as u64) << 8) ^ ((leading.len() as u64) << 4),
        })
    }

    /// All shapes for kernels that are tested in depth. For others each width and each leading shape once in float32, as the
    /// texts that are compiled for them do not depend on sizes, and a few in bfloat16.
    pub fn chosen(entry: &'static Entry, dtype: Dtype, seed: u64) -> Vec<Case> {
        match (deep(entry), dtype) {
            (true, _) => Self::all(entry, dtype, seed),
            (false, F32) => Self::some(entry, dtype, seed),
            (false, F16) => Vec::new(),
            _ => Self::of(entry, dtype, seed, &[(&[2, 3], 33), (&[3], 1000)]),
        }
    }

    /// Every width with every leading shape, and very long rows. On a GPU, which has other texts for other widths, a few in 16 bits.
    pub fn all(entry: &'static Entry, dtype: Dtype, seed: u64) -> Vec<Case> {
        if dtype != F32 && zmlx::engine::info().cuda {
            let pairs = [33, 1000, 4099, LOGITS, LOGITS - 1].map(|width| (LEADING[2], width));
            return Self::of(entry, dtype, seed, &pairs);
        }
        let mut pairs: Vec<(&[i32], i32)> = Vec::new();
        for leading in LEADING {
            pairs.extend(WIDTHS.map(|width| (leading, width)));
        }
        if dtype == F32 {
            pairs.extend([(&[1i32] as &[i32], LONG), (&[2], LONG), (&[16], LOGITS)]);
            pairs.extend([(&DEEP as &[i32], 9), (&[1], ODD)]);
        }
        // Whole blocks and none, in 16 bits too.
        pairs.extend([(&[3] as &[i32], LOGITS), (&[1, 1], LOGITS - 1)]);
        Self::of(entry, dtype, seed, &pairs)
    }

    /// Every width once, and every leading shape once. On a GPU, which has other texts for other widths, a row that few
    /// threads hold, one of blocks and one that no group holds, unless the kernel stands for others in float32.
    pub fn some(entry: &'static Entry, dtype: Dtype, seed: u64) -> Vec<Case> {
        if (!deep(entry) || dtype != F32) && zmlx::engine::info().cuda {
            let pairs = [33, 1000, ODD].map(|width| (LEADING[2], width));
            return Self::of(entry, dtype, seed, &pairs);
        }
        // So few rows of two elements that all inputs are small, as with one element: another mixture is another text.
        let leading = |width| if width == 2 { LEADING[2] } else { LEADING[3] };
        let mut pairs: Vec<(&[i32], i32)> = WIDTHS.map(|w| (leading(w), w)).to_vec();
        pairs.extend(LEADING.map(|leading| (leading, 33)));
        pairs.extend([(&DEEP as &[i32], 9), (&[1], ODD)]);
        Self::of(entry, dtype, seed, &pairs)
    }

    fn of(entry: &'static Entry, dtype: Dtype, seed: u64, pairs: &[(&[i32], i32)]) -> Vec<Case> {
        let made = pairs
            .iter()
            .map(|(leading, width)| Case::new(entry, dtype, leading, *width, seed));
        made.flatten().collect()
    }

    pub fn label(&self) -> String {
        let Case {
            entry,
            dtype,
            leading,
            width,
            ..
        } = self;
        format!("{} {dtype} {leading:?} x {width}", entry.name)
    }

    /// Random inputs, computed.
    pub fn inputs(&self) -> Result<Vec<Array>> {
        let inputs = self
            .entry
            .inputs(&self.leading, self.width, self.dtype, self.seed)?;
        eval(&inputs)?;
        Ok(inputs)
    }

    /// The numbers of the inputs that have gradients.
    pub fn differentiable(&self) -> Vec<usize> {
        let inputs = self.entry.inputs.iter().enumerate();
        inputs
            .filter(|(_, input)| input.kind.differentiable())
            .map(|(i, _)| i)
            .collect()
    }

    /// The shapes of the outputs in a width whose rows are empty, where a composite may have
    /// no value: sizes are linear in the width.
    pub fn empty_shapes(&self) -> Result<Vec<Vec<i32>>> {
        let shapes = |width| -> Result<Vec<Vec<i32>>> {
            let inputs = self
                .entry
                .inputs(&self.leading, width, self.dtype, self.seed)?;
            let outputs = (self.entry.composite)(&inputs)?;
            Ok(outputs.iter().map(|y| y.shape().to_vec()).collect())
        };
        let at = |two: Vec<i32>, four: Vec<i32>| {
            two.iter()
                .zip(four)
                .map(|(two, four)| 2 * two - four)
                .collect()
        };
        let pairs = shapes(2)?.into_iter().zip(shapes(4)?);
        Ok(pairs.map(|(two, four)| at(two, four)).collect())
    }
}

/// Normal numbers like each of the arrays, of its shape and dtype.
pub fn normals(like: &[Array], seed: u64) -> Result<Vec<Array>> {
    let made = like.iter().enumerate().map(|(i, a)| {
        let key = random::key(seed.wrapping_mul(1000).wrapping_add(i as u64 + 500))?;
        random::with_key(&key).normal(a.shape())?.astype(a.dtype())
    });
    let made = made.collect::<Result<Vec<_>>>()?;
    eval(&made)?;
    Ok(made)
}

/// Leaves memory full of NaN for the next arrays of these sizes, so that an element that
/// nobody writes shows.
pub fn poison(like: &[Array]) -> Result<()> {
    let mut full = Vec::new();
    for a in like {
        for _ in 0..3 {
            full.push(Array::full(a.shape(), f32::NAN, a.dtype())?);
        }
    }
    eval(&full)
}
