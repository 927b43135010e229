//! Attention by whichever implementation is faster, as measured.

use std::fmt;

use super::decode::decode_attention;
use super::flash::{FlashAttention, flash_attention};
use crate::stream::current;
use crate::{Array, Dtype, Result};

/// What computes an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Implementation {
    /// [`fast::scaled_dot_product_attention`](crate::fast::scaled_dot_product_attention): cuDNN on NVIDIA's GPUs where that serves, MLX's
    /// own kernels on Apple's.
    Mlx,
    /// [`decode_attention`].
    Decode,
    /// [`flash_attention`].
    Flash,
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Implementation::Mlx => "MLX",
            Implementation::Decode => "decode_attention",
            Implementation::Flash => "flash_attention",
        })
    }
}

/// The kinds of machines that the rule tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    Cpu,
    Cuda,
    Metal,
}

impl Machine {
    /// That of the current stream.
    fn here() -> Machine {
        match (current().gpu, cfg!(target_os = "macos")) {
            (false, _) => Machine::Cpu,
            (true, true) => Machine::Metal,
            (true, false) => Machine::Cuda,
        }
    }
}

/// What the rule looks at.
#[derive(Clone, Copy, Debug)]
struct Question {
    machine: Machine,
    queries: i32,
    width: i32,
    /// Window, soft-cap or segments, which MLX's operation has not.
    only_ours: bool,
    mask: bool,
    segments: bool,
}

/// A line of the rule: the first whose condition holds decides.
struct Line {
    when: &'static str,
    holds: fn(&Question) -> bool,
    choice: Implementation,
}

/// Queries that count as few.
const FEW: i32 = 16;

static RULE: [Line; 5] = [
    Line {
        when: "D is above 256 or no multiple of 8, with options that MLX has",
        holds: |q| !q.only_ours && (q.width > 256 || q.width % 8 != 0),
        choice: Implementation::Mlx,
    },
    Line {
        when: "at most 16 queries without mask and segments, on a CPU or an NVIDIA GPU",
        holds: |q| q.machine != Machine::Metal && q.queries <= FEW && !q.mask && !q.segments,
        choice: Implementation::Decode,
    },
    Line {
        when: "on a CPU, or with a window, a soft-cap or segments",
        holds: |q| q.machine == Machine::Cpu || q.only_ours,
        choice: Implementation::Flash,
    },
    Line {
        when: "D above 128 on an NVIDIA GPU, which cuDNN does not serve",
        holds: |q| q.machine == Machine::Cuda && q.width > 128,
        choice: Implementation::Flash,
    },
    Line {
        when: "otherwise",
        holds: |_| true,
        choice: Implementation::Mlx,
    },
];

fn choose(question: &Question) -> Implementation {
    let line = RULE.iter().find(|line| (line.holds)(question));
    line.map_or(Implementation::Flash, |line| line.choice)
}

/// The rule of [`scaled_dot_product_attention`] in words: the first line whose condition holds decides.
///
/// ```
/// for (when, choice) in zmlx::kernels::attention::attention_rule() {
///     println!("{when}: {choice}");
/// }
/// ```
pub fn attention_rule() -> impl Iterator<Item = (&'static str, Implementation)> {
    RULE.iter().map(|line| (line.when, line.choice))
}

/// `softmax(scale q k^T + mask) v` by MLX's operation or one of this module's, whichever [the rule](attention_rule) names, which follows
/// what was measured. [`choice`](ScaledDotProductAttention::choice) tells which one a call takes.
///
/// Arguments, options and errors are those of [`flash_attention`], except that D may be any number where neither a window, a soft-cap nor
/// segments are asked for.
///
/// ```
/// use zmlx::kernels::attention::scaled_dot_product_attention;
/// use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let q = random::normal((1, 4, 10, 64))?;
/// let call = scaled_dot_product_attention(&q, &q, &q).causal();
/// println!("by {}", call.choice());
/// assert_eq!(call.call()?.shape(), q.shape());
/// # Ok(())
/// # }
/// ```
pub fn scaled_dot_product_attention<'a>(
    q: &'a Array,
    k: &'a Array,
    v: &'a Array,
) -> ScaledDotProductAttention<'a> {
    ScaledDotProductAttention(flash_attention(q, k, v))
}

/// A call of [`scaled_dot_product_attention`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct ScaledDotProductAttention<'a>(FlashAttention<'a>);

impl<'a> ScaledDotProductAttention<'a> {
    /// See [`FlashAttention::scale`].
    pub fn scale(self, scale: f32) -> Self {
        Self(self.0.scale(scale))
    }

    /// See [`FlashAttention::causal`].
    pub fn causal(self) -> Self {
        Self(self.0.causal())
    }

    /// See [`FlashAttention::window`].
    pub fn window(self, keys: i32) -> Self {
        Self(self.0.window(keys))
    }

    /// See [`FlashAttention::mask`].
    pub fn mask(self, mask: &'a Array) -> Self {
        Self(self.0.mask(mask))
    }

    /// See [`FlashAttention::softcap`].
    pub fn softcap(self, cap: f32) -> Self {
        Self(self.0.softcap(cap))
    }

    /// See [`FlashAttention::sinks`].
    pub fn sinks(self, sinks: &'a Array) -> Self {
        Self(self.0.sinks(sinks))
    }

    /// See [`FlashAttention::segments`].
    pub fn segments(self, of_queries: &'a Array, of_keys: &'a Array) -> Self {
        Self(self.0.segments(of_queries, of_keys))
    }

    /// What computes it on the current stream.
    pub fn choice(&self) -> Implementation {
        let o = &self.0;
        let [queries, width] = match *o.q.shape() {
            [_, _, n, d] => [n, d],
            // Refused by `flash_attention`, which says what it expects.
            _ => return Implementation::Flash,
        };
        choose(&Question {
            machine: Machine::here(),
            queries,
            width,
            only_ours: o.window.is_some() || o.softcap.is_some() || o.segments.is_some(),
            mask: o.mask.is_some(),
            segments: o.segments.is_some(),
        })
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// As [`FlashAttention::call`].
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let o = self.0;
        match self.choice() {
            Implementation::Flash => o.call(),
            Implementation::Decode => {
                o.check()?;
                let mut call = decode_attention(o.q, o.k, o.v);
                call.scale = o.scale;
                call.causal = o.causal;
                call.window = o.window;
                call.softcap = o.softcap;
                call.sinks = o.sinks;
                call.call()
            }
            Implementation::Mlx => self.by_mlx(),
        }
    }

    #[track_caller]
    fn by_mlx(self) -> Result<Array> {
        let o = self.0;
        o.check()?;
        let width = o.q.shape()[3];
        let scale = super::options::scale_of(o.scale, width)?;
        let [n, l] = [o.q.shape()[2], o.k.shape()[2]];
        if l == 0 {
            return o.q.zeros_like();
        }
        // Rows that see a key, where there may be others: MLX gives those an average, or NaN.
        let mut sees = None;
        let full;
        let mut call = crate::fast::scaled_dot_product_attention(o.q, o.k, o.v, scale);
        if let Some(mask) = o.mask {
            let mut mask = match mask.dtype() {
                Dtype::Bool => mask.clone(),
                _ => mask.astype(o.q.dtype())?,
            };
            if o.causal {
                // MLX takes one of both.
                let seen = Array::arange(l)?.less_equal(&places(n, l)?)?;
                mask = match mask.dtype() {
                    Dtype::Bool => mask.logical_and(&seen)?,
                    _ => crate::ops::where_(&seen, &mask, f32::NEG_INFINITY)?,
                };
            }
            let some = match mask.dtype() {
                Dtype::Bool => mask.any(crate::keepdims(-1))?,
                _ => {
                    let most = mask.max(crate::keepdims(-1))?;
                    let some = most
                        .greater(f32::NEG_INFINITY)?
                        .logical_or(&most.isnan()?)?;
                    // Numbers in place of NaN, which gradients would multiply with 0.
                    mask = crate::ops::where_(&some, &mask, 0.0)?;
                    some
                }
            };
            sees = Some(some);
            full = mask;
            call = call.mask(&full);
        } else if o.causal {
            if n > l {
                sees = Some(places(n, l)?.greater_equal(0)?);
            }
            call = call.causal();
        }
        let y = match o.sinks {
            Some(sinks) => call.sinks(&sinks.astype(o.q.dtype())?).call()?,
            None => call.call()?,
        };
        match sees {
            Some(sees) => crate::ops::where_(&sees, &y, 0.0),
            None => Ok(y),
        }
    }
}

/// The last key that each of `n` queries sees of `l` in a causal call, (n, 1); a negative one for none.
fn places(n: i32, l: i32) -> Result<Array> {
    Array::arange(n)?.add(l - n)?.reshape((n, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_holds_decides() {
        let plain = Question {
            machine: Machine::Cuda,
            queries: 1024,
            width: 128,
            only_ours: false,
            mask: false,
            segments: false,
        };
        assert_eq!(choose(&plain), Implementation::Mlx);
        let wide = Question {
            width: 192,
            ..plain
        };
        assert_eq!(choose(&wide), Implementation::Flash);
        let cpu = Question {
            machine: Machine::Cpu,
            ..plain
        };
        assert_eq!(choose(&cpu), Implementation::Flash);
        let one = Question {
            queries: 1,
            ..plain
        };
        assert_eq!(choose(&one), Implementation::Decode);
        assert_eq!(choose(&Question { mask: true, ..one }), Implementation::Mlx);
        let odd = Question { width: 300, ..one };
        assert_eq!(choose(&odd), Implementation::Mlx);
        let window = Question {
            only_ours: true,
            ..plain
        };
        assert_eq!(choose(&window), Implementation::Flash);
    }
}
