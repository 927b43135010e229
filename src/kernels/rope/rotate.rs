//! The rotation as an operation: of halves or neighbours, with heads before or behind the positions.

use crate::kernels::arguments::rows_of;
use crate::kernels::kernel::RowKernel;
use crate::kernels::op::Op;
use crate::{Array, Dtype, Result, ops};

/// Which elements make a pair, and where its table row stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Neighbours in place of halves.
    pub pairs: bool,
    /// `x` is (..., S, H, D) in place of (..., S, D).
    pub heads: bool,
    /// How many rows that differ in neither batch nor position nor head there are: matters where the tables have
    /// rows for each batch.
    pub more: i32,
}

impl Form {
    /// That of a call without options.
    pub(super) fn of(pairs: bool, shape: &[i32]) -> Form {
        let leading = &shape[..shape.len().saturating_sub(2)];
        Form {
            pairs,
            heads: false,
            more: leading.iter().skip(1).product(),
        }
    }
}

/// The sizes of `x` as (repeats, batch, more, steps, heads, width).
struct Sizes([i32; 6]);

impl Sizes {
    fn of(form: &Form, x: &Array, cos: &Array) -> Sizes {
        let shape = x.shape();
        let behind = if form.heads { 3 } else { 2 };
        let leading = shape.len().saturating_sub(behind);
        let heads = if form.heads { shape[leading + 1] } else { 1 };
        let (steps, width) = (shape[leading], shape[shape.len() - 1]);
        // Of no elements there may be more rows than a number holds.
        let rows = match x.size() {
            0 => 0,
            _ => shape[..leading].iter().product(),
        };
        let batch = if steps == 0 {
            1
        } else {
            cos.shape()[0] / steps
        };
        let more = if batch == 1 { 1 } else { form.more };
        let repeats = if batch * more == 0 {
            0
        } else {
            rows / (batch * more)
        };
        Sizes([repeats, batch, more, steps, heads, width])
    }

    /// Whether all batches have the same positions.
    fn shared(&self) -> bool {
        self.0[1] == 1
    }
}

/// Inputs: `x`, and cosines and sines, (S, pairs), or (B S, pairs) where each batch has its own. Only as many
/// elements as the tables have pairs turn.
pub(super) static ROTATE: Op<Form> = Op {
    name: "rope",
    rows: 1,
    visible: 1,
    forward: |form, p| {
        let (rows, width) = rows_of("x", p[0])?;
        let pairs = rows_of("cos", p[1])?.1;
        let whole = 2 * pairs == width;
        let (kernel, widest) = match (form.pairs, whole, form.heads) {
            (false, true, false) => (&HALVES, pairs),
            (false, true, true) => (&HEADS, pairs),
            (false, false, false) => (&PART, width),
            (false, false, true) => (&HEADS_PART, width),
            (true, _, false) => (&PAIRS, width),
            (true, _, true) => (&HEADS_PAIRS, width),
        };
        let like = (p[0].shape(), p[0].dtype());
        let sizes = Sizes::of(form, p[0], p[1]);
        let [repeats, batch, more, steps, heads, last] = sizes.0;
        if sizes.shared() {
            return Ok(kernel.launch(p, [like], rows, widest)?.into());
        }
        let x = match form.heads {
            true => p[0].reshape((repeats * batch, more, steps, heads, last))?,
            false => p[0].reshape((repeats * batch, more, steps, last))?,
        };
        Ok(kernel
            .launch(&[&x, p[1], p[2]], [like], rows, widest)?
            .into())
    },
    // The way back is the rotation by the opposite angle.
    vjp: |form, p, g, _| {
        let (x, g, cos, sin) = (&p[0], &g[0], &p[1], &p[2]);
        let dx = ROTATE.call1(*form, &[g, cos, &sin.negative()?])?;
        let [dcos, dsin] = of_tables(form, x, g, cos)?;
        Ok(vec![
            dx,
            dcos.astype(cos.dtype())?,
            dsin.astype(sin.dtype())?,
        ])
    },
    composite: |form, p| {
        let sizes = Sizes::of(form, &p[0], &p[1]);
        let [_, batch, _, steps, _, width] = sizes.0;
        let pairs = p[1].shape()[1];
        let [a, b] = halves(form, &sizes, &p[0], pairs)?;
        let spread = |t: &Array| t.reshape((batch, 1, steps, 1, pairs));
        let (cos, sin) = (spread(&p[1])?, spread(&p[2])?);
        let first = ((&a * &cos)? - (&b * &sin)?)?;
        let second = ((&a * &sin)? + (&b * &cos)?)?;
        let mut turned = match form.pairs {
            false => vec![first, second],
            true => {
                let both = ops::stack([&first, &second], -1)?;
                let [r, b, m, s, h, _] = sizes.0;
                vec![both.reshape((r, b, m, s, h, 2 * pairs))?]
            }
        };
        if 2 * pairs < width {
            turned.push(
                p[0].reshape(sizes.0)?
                    .index((crate::Ellipsis, 2 * pairs..))?,
            );
        }
        Ok(vec![ops::concatenate(turned, -1)?.reshape(p[0].shape())?])
    },
};

/// The first and the second elements of the pairs, each (repeats, batch, more, steps, heads, pairs).
fn halves(form: &Form, sizes: &Sizes, x: &Array, pairs: i32) -> Result<[Array; 2]> {
    let x = x.reshape(sizes.0)?;
    let part = |from: i32, to: i32| x.index((crate::Ellipsis, from..to));
    if !form.pairs {
        return Ok([part(0, pairs)?, part(pairs, 2 * pairs)?]);
    }
    let [r, b, m, s, h, _] = sizes.0;
    let both = part(0, 2 * pairs)?.reshape((r, b, m, s, h, pairs, 2))?;
    let one = |i: i32| both.index((crate::Ellipsis, i));
    Ok([one(0)?, one(1)?])
}

/// The gradients of cosines and sines, float32.
fn of_tables(form: &Form, x: &Array, g: &Array, cos: &Array) -> Result<[Array; 2]> {
    let sizes = Sizes::of(form, x, cos);
    let (steps, pairs) = rows_of("cos", cos)?;
    let whole = 2 * pairs == sizes.0[5] as usize;
    if !form.pairs && !form.heads && sizes.shared() && whole {
        let table = (cos.shape(), Dtype::Float32);
        return TABLES.launch(&[x, g, cos], [table; 2], steps, pairs);
    }
    let wide = |a: &Array| match a.dtype() {
        Dtype::Float64 => Ok(a.clone()),
        _ => a.astype(Dtype::Float32),
    };
    let [a, b] = halves(form, &sizes, &wide(x)?, pairs as i32)?;
    let [da, db] = halves(form, &sizes, &wide(g)?, pairs as i32)?;
    let sum = |v: Array| v.sum([0, 2, 4])?.reshape(cos.shape());
    Ok([
        sum(((&a * &da)? + (&b * &db)?)?)?,
        sum(((&a * &db)? - (&b * &da)?)?)?,
    ])
}

macro_rules! rotation {
    ($static:ident, $name:literal, $heads:literal, $call:literal) => {
        static $static: RowKernel = RowKernel::new(
            $name,
            &["x", "cosine", "sine"],
            &["out"],
            // `batches` differ in their tables; in each there are `more` rows of a position.
            concat!(
                "const int leading = x_ndim - 2 - ", $heads, ";\n\
                 const size_t heads = ", $heads, " ? x_shape[x_ndim - 2] : 1;\n\
                 const size_t pairs = cosine_shape[1], steps = x_shape[leading];\n\
                 const size_t more = leading > 0 ? x_shape[leading - 1] : 1;\n\
                 const size_t batches = cosine_shape[0] / steps, place = row / heads;\n\
                 const size_t at = (place / steps / more % batches * steps + place % steps) * pairs;\n",
                $call
            ),
        );
    };
}
rotation!(
    HALVES,
    "rope",
    0,
    "kk_rope_row(x + row * n, cosine + at, sine + at, 1.0f, out + row * n, pairs, g)"
);
rotation!(
    HEADS,
    "rope_heads",
    1,
    "kk_rope_row(x + row * n, cosine + at, sine + at, 1.0f, out + row * n, pairs, g)"
);
rotation!(
    PART,
    "rope_part",
    0,
    "kk_rope_part_row(x + row * n, cosine + at, sine + at, out + row * n, pairs, n, g)"
);
rotation!(
    HEADS_PART,
    "rope_heads_part",
    1,
    "kk_rope_part_row(x + row * n, cosine + at, sine + at, out + row * n, pairs, n, g)"
);
rotation!(
    PAIRS,
    "rope_pairs",
    0,
    "kk_rope_pairs_row(x + row * n, cosine + at, sine + at, out + row * n, pairs, n, g)"
);
rotation!(
    HEADS_PAIRS,
    "rope_heads_pairs",
    1,
    "kk_rope_pairs_row(x + row * n, cosine + at, sine + at, out + row * n, pairs, n, g)"
);

static TABLES: RowKernel = RowKernel::new(
    "rope_grad_tables",
    &["x", "dy", "cosine"],
    &["dcos", "dsin"],
    "size_t rows = 1;\n\
     for (int i = 0; i + 2 < x_ndim; ++i) rows *= x_shape[i];\n\
     const size_t half_n = n / 2, step = n * cosine_shape[0], at = row * half_n;\n\
     kk_sum_rows(rows, 0, 1, half_n, dcos + at, g, \
     kk_rope_position<false>(x + row * n, dy + row * n, half_n, step));\n\
     kk_sum_rows(rows, 0, 1, half_n, dsin + at, g, \
     kk_rope_position<true>(x + row * n, dy + row * n, half_n, step))",
);
