//! Gated activations and dropout.

use smallvec::SmallVec;

use super::arguments::{check_float, number, rows_of};
use super::catalog::{Entry, Kind, few_roundings, input};
use super::generated::Generated;
use super::kernel::RowKernel;
use super::op::Op;
use crate::codegen::op::Operation;
use crate::codegen::program::{InputKind, Program};
use crate::expr::Expr;
use crate::{Array, Dtype, Error, Result};

/// `silu(a) b`, where `a` is the first and `b` the second half of the last axis
/// (N. Shazeer, "GLU Variants Improve Transformer", 2020).
///
/// `x`: (..., 2 D), float32, float16 or bfloat16; the result is (..., D) of its dtype. Computed
/// in float32. Differentiable any number of times.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 20.0, 5.0, 3.0], 4)?;
/// let y = kernels::transformer::swiglu(&x)?;
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 60.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for a scalar or an odd last axis, [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn swiglu(x: &Array) -> Result<Array> {
    check_float("x", x)?;
    let (_, width) = rows_of("x", x)?;
    if width % 2 != 0 {
        return Err(Error::shape(format!(
            "`x`: expected an even last axis, got shape {:?}",
            x.shape()
        )));
    }
    SWIGLU.call1((), &[x])
}

static SWIGLU: Op<()> = Op {
    name: "swiglu",
    rows: 1,
    visible: 1,
    forward: |(), p| {
        let (rows, width) = rows_of("x", p[0])?;
        let mut shape: SmallVec<[i32; 4]> = p[0].shape().into();
        if let Some(last) = shape.last_mut() {
            *last /= 2;
        }
        let out = (shape.as_slice(), p[0].dtype());
        Ok(SWIGLU_FORWARD.launch(p, [out], rows, width / 2)?.into())
    },
    vjp: |(), p, g, _| {
        let (rows, width) = rows_of("x", &p[0])?;
        let like = (p[0].shape(), p[0].dtype());
        let dx = SWIGLU_BACKWARD.launch(&[&p[0], &g[0]], [like], rows, width / 2)?;
        Ok(dx.into())
    },
    composite: |(), p| {
        let halves = p[0].split(2, -1)?;
        Ok(vec![((&halves[0] * halves[0].sigmoid())? * &halves[1])?])
    },
};

static SWIGLU_FORWARD: RowKernel = RowKernel::new(
    "swiglu",
    &["x"],
    &["out"],
    "kk_swiglu_row(x + row * n, out + row * (n / 2), n / 2, g)",
)
.reduces(0);
static SWIGLU_BACKWARD: RowKernel = RowKernel::new(
    "swiglu_grad",
    &["x", "dy"],
    &["dx"],
    "kk_swiglu_grad_row(x + row * n, dy + row * (n / 2), dx + row * n, n / 2, g)",
)
.reduces(0);

/// Sets each element to 0 with probability `p` and divides the others by `1 - p` (N. Srivastava
/// and others, "Dropout", 2014).
///
/// `x`: any shape, float32, float16 or bfloat16; the result is like it. Which elements are dropped
/// depends on `seed`, `p` and the element's number in row-major order only, so that the gradient and
/// every engine drop the same ones. Neither `seed` nor `p` compiles anything.
///
/// ```
/// use zmlx::{Array, Dtype, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::ones((100, 100), Dtype::Float32)?;
/// let y = kernels::transformer::dropout(&x, 0.25, 7)?;
/// let dropped = 10_000 - y.count_nonzero(..)?.item::<i32>()?;
/// assert!((2_200..2_800).contains(&dropped));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] unless `0 <= p < 1`, [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn dropout(x: &Array, p: f32, seed: u64) -> Result<Array> {
    check_float("x", x)?;
    if !(0.0..1.0).contains(&p) {
        return Err(Error::argument("p", "a probability below 1", p));
    }
    let mask = Mask::new(p, seed);
    let [a, b] = mask.words;
    let (a, b) = (number(a)?, number(b)?);
    let (below, factor) = (number(mask.below)?, number(mask.factor)?);
    DROPOUT.op()?.call1(&[x, &a, &b, &below, &factor])
}

/// What decides which elements stay.
#[derive(Clone, Copy)]
pub(super) struct Mask {
    pub(super) words: [u32; 2],
    pub(super) below: u32,
    pub(super) factor: f32,
}

impl Mask {
    pub(super) fn new(p: f32, seed: u64) -> Self {
        // splitmix64 (S. Vigna): seeds that differ in one bit get unrelated words.
        let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        Mask {
            words: [z as u32, (z >> 32) as u32],
            // Exact: p has 24 bits, and the product is below 2^32.
            below: (f64::from(p) * 4_294_967_296.0) as u32,
            factor: (1.0 / (1.0 - f64::from(p))) as f32,
        }
    }
}

/// Both values exist before the choice, so that neighbours need no branch.
static DROPOUT: Generated = Generated::new(|| {
    let kept = "kk_random_bits(a, b, elem) < uint(below) ? 0.0f : x * factor";
    let names = ["x", "a", "b", "below", "factor"];
    let value = Expr::parse(kept, &["x", "a", "b", "below", "factor", "elem"])?;
    let mut program = Program::elementwise(&names, value);
    for word in ["a", "b", "below"] {
        program.set_kind("inputs", word, InputKind::Index)?;
    }
    program.set_kind("inputs", "factor", InputKind::Parameter)?;
    Operation::new("dropout", program, None)
});

/// The same by MLX's operations.
pub(super) fn composite(mask: &Mask, p: &[Array]) -> Result<Vec<Array>> {
    let words = |n: u32| Array::scalar(n);
    let mix = |x: Array| -> Result<Array> {
        let x = (&x ^ x.right_shift(words(16)?))?.multiply(words(0x7feb_352d)?)?;
        let x = (&x ^ x.right_shift(words(15)?))?.multiply(words(0x846c_a68b)?)?;
        &x ^ x.right_shift(words(16)?)
    };
    let size = p[0].size() as i32;
    let index = Array::arange(size)?.astype(Dtype::Uint32)?;
    let first = mix(index.add(words(mask.words[0])?)?)?;
    let drawn = mix(first.bitwise_xor(words(mask.words[1])?)?)?;
    let kept = drawn
        .greater_equal(words(mask.below)?)?
        .reshape(p[0].shape())?;
    let factor = Array::from(mask.factor).astype(p[0].dtype())?;
    Ok(vec![
        p[0].multiply(&kept.astype(p[0].dtype())?)?
            .multiply(&factor)?,
    ])
}

pub(super) static TABLE: &[Entry] = &[
    Entry {
        name: "transformer::swiglu",
        formula: "silu(a) b, x = [a, b]",
        file: "transformer.metal",
        inputs: &[input("x", Kind::DoubleRows)],
        call: |p| Ok(vec![swiglu(&p[0])?]),
        composite: |p| (SWIGLU.composite)(&(), p),
        mlx: None,
        bytes: |rows, width, size| 3 * rows * width * size,
        roundings: few_roundings,
    },
    Entry {
        name: "transformer::dropout",
        formula: "x / (1 - p) or, with probability p, 0",
        file: "terms.metal",
        inputs: &[input("x", Kind::Rows)],
        call: |p| Ok(vec![dropout(&p[0], 0.1, 17)?]),
        composite: |p| composite(&Mask::new(0.1, 17), p),
        mlx: Some(|p| {
            let keep = crate::random::bernoulli(0.9, p[0].shape())?.astype(p[0].dtype())?;
            Ok(vec![((&p[0] * &keep)? * (1.0 / 0.9))?])
        }),
        bytes: |rows, width, size| 2 * rows * width * size,
        roundings: few_roundings,
    },
];
