// Functions of one element for expressions and kernels.
//
// Each takes any floating type and computes in float: in half, exp overflows at 11.1 and a
// rounding for each step costs more accuracy than the storage. Where a formula would meet
// 0 * infinity, its argument stops at a bound from which on the result does not change; the
// comparisons are written so that NaN stays NaN.
//
// SHORT: the result will be rounded to 16 bits, for which the fast forms of exponential and division are
// exact enough. They have no denormal numbers, so results below 2^-118 (3e-36) may become 0. Kernels made from
// expressions say so where all their outputs are that short.

template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
template <bool SHORT>
inline float kk_divide(float a, float b) {
  return SHORT ? metal::fast::divide(a, b) : a / b;
}

// A divisor for many numbers, as a factor: two roundings in place of one. The power of two keeps the inverse of very
// small and very large divisors among the normal numbers.
struct kk_inverse {
  float by;
  float scale;
};
inline kk_inverse kk_inverse_of(float b) {
  const float size = metal::abs(b);
  const float scale = size < 1e-30f ? 1099511627776.0f : size > 1e30f ? 9.094947e-13f : 1.0f;
  return kk_inverse{1.0f / (b * scale), scale};
}
inline float kk_times(float a, kk_inverse b) { return a * b.by * b.scale; }

// 1 / (1 + exp(-x)), by the exponential of what is negative: it does not overflow, and the
// result keeps its digits down to the smallest number.
template <bool SHORT = false, typename T>
inline T kk_sigmoid(T x) {
  const float v = float(x);
  const float e = kk_exp<SHORT>(-metal::abs(v));
  // A quotient of a very small number takes many instructions, a product does not.
  const float upper = kk_divide<SHORT>(1.0f, 1.0f + e);
  return T(v < 0.0f ? e * upper : upper);
}

// x sigmoid(x); 0 at minus infinity.
template <bool SHORT = false, typename T>
inline T kk_silu(T x) {
  const float v = float(x) < -200.0f ? -200.0f : float(x);
  return T(v * kk_sigmoid<SHORT>(v));
}

// x, or 0 unless c, whatever x is. By its bits: loops with a choice that is the same for all of their elements do not
// become vectors.
inline float kk_when(bool c, float x) {
  return as_type<float>(as_type<uint>(x) & (c ? 0xffffffffu : 0u));
}

// max(x, 0).
template <typename T>
inline T kk_relu(T x) {
  return x < T(0.0f) ? T(0.0f) : x;
}

// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. As 1 + tanh(u) is twice the logistic
// function of 2u, one exponential and one division are enough.
template <bool SHORT = false, typename T>
inline T kk_gelu_tanh(T x) {
  const float v = float(x) < -20.0f ? -20.0f : float(x);
  return T(v * kk_sigmoid<SHORT>(1.5957691216f * (v + 0.044715f * v * v * v)));
}

// The error function, within 3 units in the last place of a float: an odd polynomial up to
// 1, from there on 1 - erfc with a polynomial for the logarithm of erfc.
template <bool SHORT = false, typename T>
inline T kk_erf(T x) {
  const float v = float(x);
  const float z = v * v;
  float near = 7.854027e-05f;
  near = near * z + -8.0102477e-04f;
  near = near * z + 5.1883347e-03f;
  near = near * z + -2.6853817e-02f;
  near = near * z + 1.1283579e-01f;
  near = near * z + -3.7612626e-01f;
  near = near * z + 1.1283791f;
  const float a = metal::abs(v) > 4.0f ? 4.0f : metal::abs(v);
  float far = 1.9242607e-04f;
  far = far * a + -3.0085375e-03f;
  far = far * a + 2.2087643e-02f;
  far = far * a + -1.0364033e-01f;
  far = far * a + -6.3751704e-01f;
  far = far * a + -1.1274750f;
  far = far * a + -2.4471359e-04f;
  far = 1.0f - kk_exp<SHORT>(far);
  return T(a > 1.0f ? (v < 0.0f ? -far : far) : near * v);
}

// 1 - erf(a) for a from 0 on, up to 1.5e-7 (M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, 7.1.26).
inline float kk_short_erfc(float a) {
  const float t = metal::fast::divide(1.0f, metal::fma(0.3275911f, a, 1.0f));
  float sum = metal::fma(1.061405429f, t, -1.453152027f);
  sum = metal::fma(sum, t, 1.421413741f);
  sum = metal::fma(sum, t, -0.284496736f);
  sum = metal::fma(sum, t, 0.254829592f);
  return sum * t * metal::fast::exp(-a * a);
}

// x (1 + erf(x / sqrt(2))) / 2.
template <bool SHORT = false, typename T>
inline T kk_gelu(T x) {
  const float v = float(x) < -20.0f ? -20.0f : float(x);
  const float part = v * 0.70710678f;
  if (SHORT) {
    const float other = kk_short_erfc(metal::abs(part));
    return T(0.5f * v * (v < 0.0f ? other : 2.0f - other));
  }
  return T(0.5f * v * (1.0f + kk_erf<SHORT>(part)));
}

// log(1 + x) without losing the digits of a small x (W. Kahan's correction of log(1 + x) by
// the part of x that the sum lost).
template <typename T>
inline T kk_log1p(T x) {
  const float v = float(x);
  const float u = 1.0f + v;
  const float d = u - 1.0f;
  const float r = metal::log(u) * (v / (d == 0.0f ? 1.0f : d));
  return T(d == 0.0f ? v : (u == INFINITY ? u : r));
}

// exp(x) - 1 without losing the digits of a small x: x = n ln(2) + r, and 2^n (exp(r) - 1) + (2^n - 1), where exp(r) - 1 is a polynomial
// without a constant. All of it at half its size, as 2^128 is none of float's numbers. Beyond its bounds the result is -1 or infinity.
template <bool SHORT = false, typename T>
inline T kk_expm1(T x) {
  if (SHORT) {
    const float u = float(x);
    const float small = u * metal::fma(u, metal::fma(u, 0.16666667f, 0.5f), 1.0f);
    return T(metal::abs(u) < 0.015625f ? small : metal::fast::exp(u) - 1.0f);
  }
  // Bounds by bits: where x is the same for all elements of a loop, a choice would keep it from becoming vectors.
  const float u = float(x);
  const uint low = u < -20.0f ? 0xffffffffu : 0u, high = u > 89.0f ? 0xffffffffu : 0u;
  const float v = as_type<float>((as_type<uint>(u) & ~(low | high)) | (as_type<uint>(-20.0f) & low) | (as_type<uint>(89.0f) & high));
  const float n = metal::rint(v * 1.4426950f);
  // The high part of ln(2) has few digits, so that n times it is exact.
  const float r = metal::fma(n, -1.4286068e-06f, metal::fma(n, -6.9314575e-01f, v));
  float tail = metal::fma(1.3950696e-03f, r, 8.3690248e-03f);
  tail = metal::fma(tail, r, 4.1666202e-02f);
  tail = metal::fma(tail, r, 1.6666518e-01f);
  tail = metal::fma(tail, r, 0.5f);
  tail = metal::fma(r * r, tail, r);
  const float scale = as_type<float>(uint(int(n) + 126) << 23);
  return T(2.0f * metal::fma(scale, tail, scale - 0.5f));
}

// log(1 + exp(x)). The logarithm of 1 + e for e from 0 to 1 is twice the inverse hyperbolic tangent of e / (2 + e), an odd series
// of at most 1/3.
template <bool SHORT = false, typename T>
inline T kk_softplus(T x) {
  const float v = float(x);
  const float e = kk_exp<SHORT>(-metal::abs(v));
  const float s = kk_divide<SHORT>(e, 2.0f + e);
  const float z = s * s;
  float tail = metal::fma(1.4078889e-01f, z, 1.3982579e-01f);
  tail = metal::fma(tail, z, 2.0012298e-01f);
  tail = metal::fma(tail, z, 3.3333161e-01f);
  const float rest = 2.0f * metal::fma(s * z, tail, s);
  return T(v < 0.0f ? rest : v + rest);
}

// x tanh(softplus(x)), by tanh(log(1 + e)) = n / (n + 2) for n = e (e + 2).
template <bool SHORT = false, typename T>
inline T kk_mish(T x) {
  const float v = float(x) < -200.0f ? -200.0f : float(x);
  const float e = kk_exp<SHORT>(v > 20.0f ? 20.0f : v);
  const float n = e * (e + 2.0f);
  return T(v * kk_divide<SHORT>(n, n + 2.0f));
}

// x above 0, alpha (exp(x) - 1) below.
template <bool SHORT = false, typename T>
inline T kk_elu(T x, float alpha) {
  return x > T(0.0f) ? x : T(alpha * kk_expm1<SHORT>(float(x)));
}

// x as it is, without a derivative: for a number on which a result does not depend, such as a shift.
template <typename T>
inline T kk_stop(T x) {
  return x;
}
