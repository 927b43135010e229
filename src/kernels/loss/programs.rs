//! The row programs of losses.

use crate::kernels::catalog::{Input, Kind, input};
use crate::kernels::recipe::Kernel;

/// The names of `Ignored::words`.
const WORDS: &[&str] = &["index", "counts"];

/// A program of a loss. A row that does not count is one of zeros, so that nothing in it reaches a derivative. The
/// largest element is taken off first, of which the result does not depend. Differences from it are exact where they
/// count; those from the logarithm of the sum would not be. A denormal exponential does not count beside the sum, so the
/// fast one is exact enough.
macro_rules! program {
    ($logits:literal, $($results:literal),+) => {
        concat!(
            "ignored = counts != 0 && targets == index;
            counted = when(!ignored, logits);
            x = ",
            $logits,
            ";
            most = max(x);
            shift = stop(most == -INFINITY ? 0.0f : most);
            above = x - shift;
            power = metal::fast::exp(above);
            ",
            $($results),+
        )
    };
}

/// One of `softmax_cross_entropy`. What a number of 0 takes away is not computed, as it may be infinite. A target
/// outside of the row makes the loss NaN by a factor, so that the row's gradient is, too.
macro_rules! loss {
    ($logits:literal, $loss:literal $(, $more:literal)?) => {
        program!(
            $logits,
            "total = log(sum(power));
            all = total + shift;
            square = z == 0.0f ? 0.0f : z * all * all;
            own = total - at(above, targets);
            ignored ? 0.0f : (",
            $loss,
            " + square) * at(1.0f, targets)"
            $(, $more)?
        )
    };
}

macro_rules! smooth {
    ($logits:literal) => {
        loss!(
            $logits,
            "(1.0f - smoothing) * own + (smoothing == 0.0f ? 0.0f : smoothing * (total - mean(above)))"
        )
    };
}

macro_rules! weighted {
    ($logits:literal) => {
        loss!(
            $logits,
            "(1.0f - smoothing) * at(weight, targets) * own
            + (smoothing == 0.0f ? 0.0f : smoothing * (mean(weight) * total - mean(weight * above)))",
            ", ignored ? 0.0f : at(weight, targets)"
        )
    };
}

pub(super) const LOGITS: Input = input("logits", Kind::Rows);
pub(super) const TARGETS: Input = input("targets", Kind::Targets);
const WEIGHT: Input = input("weight", Kind::Weight);
pub(super) const COTAN: Input = input("cotan", Kind::Scalars);

pub(super) static PLAIN: Kernel = kernel(&[LOGITS, TARGETS], &["z"], loss!("counted", "own"));
pub(super) static SMOOTH: Kernel =
    kernel(&[LOGITS, TARGETS], &["z", "smoothing"], smooth!("counted"));
pub(super) static CAPPED: Kernel = kernel(
    &[LOGITS, TARGETS],
    &["z", "smoothing", "cap"],
    smooth!("cap * tanh(counted / cap)"),
);
pub(super) static WEIGHTED: Kernel = kernel(
    &[LOGITS, TARGETS, WEIGHT],
    &["z", "smoothing"],
    weighted!("counted"),
);
pub(super) static WEIGHTED_CAPPED: Kernel = kernel(
    &[LOGITS, TARGETS, WEIGHT],
    &["z", "smoothing", "cap"],
    weighted!("cap * tanh(counted / cap)"),
);

/// The loss without options, which is what the table compares.
const ENTROPY: &str =
    "above = logits - max(stop(logits)); log(sum(exp(above))) - at(above, targets)";

const fn kernel(
    inputs: &'static [Input],
    numbers: &'static [&'static str],
    program: &'static str,
) -> Kernel {
    let name = "loss::softmax_cross_entropy";
    Kernel::new(name, inputs, numbers, program, ENTROPY).with_words(WORDS)
}

pub(super) static SLOPE: Kernel = Kernel::new(
    "loss::softmax_cross_entropy_grad",
    &[LOGITS, TARGETS, COTAN],
    &[],
    program!(
        "counted",
        "(power / sum(power) - (j == targets ? 1.0f : 0.0f)) * (ignored ? 0.0f : cotan * at(1.0f, targets))"
    ),
    SLOPE_FORMULA,
)
.with_words(WORDS);

const SLOPE_FORMULA: &str = "shift = max(stop(logits));
    (exp(logits - shift) / sum(exp(logits - shift)) - onehot(logits, targets)) * cotan";
