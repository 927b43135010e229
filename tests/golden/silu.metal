// forward: (x_in) -> (y_out)
template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
template <bool SHORT>
inline float kk_divide(float a, float b) {
  return SHORT ? metal::fast::divide(a, b) : a / b;
}
template <bool SHORT = false, typename T>
inline T kk_sigmoid(T x) {
  const float v = float(x);
  const float e = kk_exp<SHORT>(-metal::abs(v));
  const float upper = kk_divide<SHORT>(1.0f, 1.0f + e);
  return T(v < 0.0f ? e * upper : upper);
}
typedef float T;
constexpr bool zk_short = sizeof(O0) == 2;
const uint zk_i = thread_position_in_grid.x;
const T x = T(x_in[zk_i]);
y_out[zk_i] = static_cast<O0>(x * kk_sigmoid<zk_short>(x));

// vjp: (x_in, g_in) -> (dx_out)
template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
template <bool SHORT>
inline float kk_divide(float a, float b) {
  return SHORT ? metal::fast::divide(a, b) : a / b;
}
template <bool SHORT = false, typename T>
inline T kk_sigmoid(T x) {
  const float v = float(x);
  const float e = kk_exp<SHORT>(-metal::abs(v));
  const float upper = kk_divide<SHORT>(1.0f, 1.0f + e);
  return T(v < 0.0f ? e * upper : upper);
}
typedef float T;
constexpr bool zk_short = sizeof(O0) == 2;
const uint zk_i = thread_position_in_grid.x;
const T x = T(x_in[zk_i]);
const T g = T(g_in[zk_i]);
const auto zk_t0 = kk_sigmoid<zk_short>(x);
dx_out[zk_i] = static_cast<O0>(g * (zk_t0 + x * (zk_t0 * (1.0f - zk_t0))));

// jvp: (x_in, dx_in) -> (dy_out)
template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
template <bool SHORT>
inline float kk_divide(float a, float b) {
  return SHORT ? metal::fast::divide(a, b) : a / b;
}
template <bool SHORT = false, typename T>
inline T kk_sigmoid(T x) {
  const float v = float(x);
  const float e = kk_exp<SHORT>(-metal::abs(v));
  const float upper = kk_divide<SHORT>(1.0f, 1.0f + e);
  return T(v < 0.0f ? e * upper : upper);
}
typedef float T;
constexpr bool zk_short = sizeof(O0) == 2;
const uint zk_i = thread_position_in_grid.x;
const T x = T(x_in[zk_i]);
const T dx = T(dx_in[zk_i]);
const auto zk_t0 = kk_sigmoid<zk_short>(x);
dy_out[zk_i] = static_cast<O0>((zk_t0 + x * (zk_t0 * (1.0f - zk_t0))) * dx);

