//! Activations: functions of each element.
//!
//! No argument overflows, and NaN stays NaN. Results of 16 bits are computed with the fast forms of exponential and division, which
//! have no denormal numbers: what is below 2^-118 (3e-36) may become 0. The gradients of `quick_gelu` at plus infinity are NaN.

use super::family::family;

/// The names of the original for functions with derivatives: here all have them.
pub use self::{
    elu as elu_grad, exp as exp_grad, gelu_tanh as gelu_tanh_grad, mish as mish_grad,
    relu as relu_grad, sigmoid as sigmoid_grad, silu as silu_grad, softplus as softplus_grad,
    tanh as tanh_grad,
};

pub(super) static OTHER_NAMES: &[(&str, &str)] = &[
    ("activations::exp_grad", "activations::exp"),
    ("activations::tanh_grad", "activations::tanh"),
    ("activations::sigmoid_grad", "activations::sigmoid"),
    ("activations::relu_grad", "activations::relu"),
    ("activations::silu_grad", "activations::silu"),
    ("activations::gelu_tanh_grad", "activations::gelu_tanh"),
    ("activations::softplus_grad", "activations::softplus"),
    ("activations::mish_grad", "activations::mish"),
    ("activations::elu_grad", "activations::elu"),
];

family! { TABLE of "activations":

/// GELU by the hyperbolic tangent (D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units", 2016); 0 at minus infinity.
fn gelu_tanh(x: Rows) {
    formula: "x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2",
    program: "kk_gelu_tanh(x)",
    example: 1.0 => 0.841_192,
}

/// GELU by the error function (D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units", 2016); 0 at minus infinity.
fn gelu(x: Rows) {
    formula: "x * (1 + erf(x / sqrt(2))) / 2",
    program: "kk_gelu(x)",
    example: 1.0 => 0.841_344_8,
}

/// GELU by the logistic function (D. Hendrycks and K. Gimpel, 2016); 0 at minus infinity.
fn quick_gelu(x: Rows) {
    formula: "x / (1 + exp(-1.702 * x))",
    // Not by `kk_silu(1.702f * x)`, which overflows before x does.
    program: "c = x < -200.0f ? -200.0f : x; c * kk_sigmoid(1.702f * c)",
    example: 1.0 => 0.845_795_8,
}

/// The exponential function.
fn exp(x: Rows) {
    formula: "exp(x)",
    program: "exp(x)",
    example: 1.0 => 2.718_281_8,
}

/// The natural logarithm: minus infinity at 0, NaN below.
fn log(x: Rows) {
    formula: "log(x)",
    program: "log(x)",
    example: 2.0 => 0.693_147_2,
}

/// The hyperbolic tangent.
fn tanh(x: Rows) {
    formula: "tanh(x)",
    program: "tanh(x)",
    example: 1.0 => 0.761_594_2,
}

/// The logistic function.
fn sigmoid(x: Rows) {
    formula: "1 / (1 + exp(-x))",
    program: "kk_sigmoid(x)",
    example: 1.0 => 0.731_058_6,
}

/// The logarithm of the logistic function, without overflow.
fn logsigmoid(x: Rows) {
    formula: "-log(1 + exp(-x))",
    program: "-kk_softplus(-x)",
    example: 1.0 => -0.313_261_7,
}

/// A line from 0 at -3 to 1 at 3, as an approximation of the logistic function.
fn hard_sigmoid(x: Rows) {
    formula: "min(max(x / 6 + 1 / 2, 0), 1)",
    program: "x <= -3 ? 0.0f : (x >= 3 ? 1.0f : x / 6.0f + 0.5f)",
    example: 1.0 => 0.666_666_7,
}

/// The positive part; its derivative at 0 is 0.
fn relu(x: Rows) {
    formula: "max(x, 0)",
    program: "kk_relu(x)",
    example: -1.0 => 0.0,
}

/// The square of the positive part (D. So and others, "Primer", 2021).
fn relu2(x: Rows) {
    formula: "max(x, 0)^2",
    program: "kk_relu(x) * kk_relu(x)",
    example: 3.0 => 9.0,
}

/// A smaller slope below 0 (A. Maas and others, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013).
fn leaky_relu(x: Rows) -> LeakyRelu(
    /// The slope below 0 (default 0.01).
    slope = 0.01, tested 0.25,
) {
    formula: "x > 0 ? x : slope * x",
    program: "x > 0 ? x : slope * x",
}

/// SiLU or swish (S. Elfwing and others, "Sigmoid-Weighted Linear Units", 2017); 0 at minus infinity.
fn silu(x: Rows) {
    formula: "x / (1 + exp(-x))",
    program: "kk_silu(x)",
    example: 1.0 => 0.731_058_6,
}

/// SiLU with a line in place of the logistic function (A. Howard and others, "Searching for MobileNetV3", 2019).
fn hardswish(x: Rows) {
    formula: "x * min(max(x + 3, 0), 6) / 6",
    program: "x <= -3 ? 0.0f : (x >= 3 ? x : x * (x + 3.0f) / 6.0f)",
    example: 1.0 => 0.666_666_7,
}

/// A smooth form of the positive part, without overflow.
fn softplus(x: Rows) {
    formula: "log(1 + exp(x))",
    program: "kk_softplus(x)",
    example: 1.0 => 1.313_261_7,
}

/// Mish (D. Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019); 0 at minus infinity.
fn mish(x: Rows) {
    formula: "x * tanh(log(1 + exp(x)))",
    program: "kk_mish(x)",
    example: 1.0 => 0.865_098_4,
}

/// ELU (D. Clevert and others, "Fast and Accurate Deep Network Learning by Exponential Linear Units", 2015).
fn elu(x: Rows) -> Elu(
    /// Minus the limit at minus infinity (default 1).
    alpha = 1.0, tested 0.75,
) {
    formula: "x > 0 ? x : alpha * (exp(x) - 1)",
    program: "kk_elu(x, alpha)",
}

/// CELU (J. Barron, "Continuously Differentiable Exponential Linear Units", 2017): its slope at 0 is 1 for every alpha.
fn celu(x: Rows) -> Celu(
    /// Minus the limit at minus infinity (default 1). Not 0.
    alpha = 1.0, tested 1.5 where "a number other than 0" |alpha| alpha != 0.0,
) {
    formula: "max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)",
    program: "x > 0 ? x : alpha * kk_expm1(x / alpha)",
}

/// SELU (G. Klambauer and others, "Self-Normalizing Neural Networks", 2017).
fn selu(x: Rows) {
    formula: "1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * (exp(x) - 1))",
    program: "1.0507009873554805f * kk_elu(x, 1.6732632423543772f)",
    example: 1.0 => 1.050_701,
}

/// Softsign (J. Bergstra and others, 2009).
fn softsign(x: Rows) {
    formula: "x / (1 + abs(x))",
    program: "abs(x) > 1e30f ? sign(x) : x / (1.0f + abs(x))",
    example: -3.0 => -0.75,
}

}
