//! Queries, keys and values of one product: turned and taken apart by one kernel.

use crate::kernels::arguments::number;
use crate::kernels::kernel::RowKernel;
use crate::{Array, Result};

/// Queries (T, heads, D), keys and values (T, KV, D) out of `all`, (T, heads + 2 KV, D): queries and keys are turned by the angles of their
/// tokens, `cos` and `sin`, (T, pairs); elements behind 2 pairs stay as they are. Pairs are neighbours where `traditional`, else
/// halves. Shapes are the caller's to check. No derivatives.
#[track_caller]
pub(crate) fn turned_apart(
    all: &Array,
    [cos, sin]: [&Array; 2],
    heads: i32,
    traditional: bool,
) -> Result<[Array; 3]> {
    let (shape, pairs) = (all.shape(), cos.shape()[1]);
    let (tokens, total, width) = (shape[0], shape[1], shape[2]);
    let kv = (total - heads) / 2;
    let (kernel, widest) = match traditional {
        true => (&PAIRS, width),
        false if 2 * pairs == width => (&HALVES, pairs),
        false => (&PART, width),
    };
    let heads_of = number(i64::from(heads))?;
    let outputs = [heads, kv, kv].map(|h| [tokens, h, width]);
    let [q, k, v] = [0, 1, 2].map(|i| (&outputs[i][..], all.dtype()));
    let rows = (tokens * total) as usize;
    kernel.launch(
        &[all, cos, sin, &*heads_of],
        [q, k, v],
        rows,
        widest as usize,
    )
}

macro_rules! apart {
    ($static:ident, $name:literal, $call:literal) => {
        static $static: RowKernel = RowKernel::new(
            $name,
            &["x", "cosine", "sine", "heads"],
            &["q", "k", "v"],
            concat!(
                "const size_t pairs = cosine_shape[1], all = x_shape[1], many = size_t(heads[0]), kv = (all - many) / 2;\n\
                 const size_t token = row / all, head = row % all, at = token * pairs;\n\
                 if (head < many) { const auto to = q + (token * many + head) * n; ",
                $call,
                "; }\nelse if (head < many + kv) { const auto to = k + (token * kv + head - many) * n; ",
                $call,
                "; }\nelse kk_map(n, g, v + (token * kv + head - many - kv) * n, kk_read(x + row * n))"
            ),
        )
        .alone();
    };
}
apart!(
    HALVES,
    "rope_apart",
    "kk_rope_row(x + row * n, cosine + at, sine + at, 1.0f, to, pairs, g)"
);
apart!(
    PART,
    "rope_apart_part",
    "kk_rope_part_row(x + row * n, cosine + at, sine + at, to, pairs, n, g)"
);
apart!(
    PAIRS,
    "rope_apart_pairs",
    "kk_rope_pairs_row(x + row * n, cosine + at, sine + at, to, pairs, n, g)"
);
