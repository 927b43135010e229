// forward: (x_in) -> (y_out)
template <typename T>
inline T kk_sigmoid(T x) {
  return T(1.0f / (1.0f + metal::exp(-float(x))));
}
typedef float T;
const uint zk_i = thread_position_in_grid.x;
const T x = T(x_in[zk_i]);
y_out[zk_i] = static_cast<O0>(x * kk_sigmoid(x));

// vjp: (x_in, g_in) -> (dx_out)
template <typename T>
inline T kk_sigmoid(T x) {
  return T(1.0f / (1.0f + metal::exp(-float(x))));
}
typedef float T;
const uint zk_i = thread_position_in_grid.x;
const T x = T(x_in[zk_i]);
const T g = T(g_in[zk_i]);
const auto zk_t0 = kk_sigmoid(x);
dx_out[zk_i] = static_cast<O0>(g * (zk_t0 + x * (zk_t0 * (1.0f - zk_t0))));

// jvp: (x_in, dx_in) -> (dy_out)
template <typename T>
inline T kk_sigmoid(T x) {
  return T(1.0f / (1.0f + metal::exp(-float(x))));
}
typedef float T;
const uint zk_i = thread_position_in_grid.x;
const T x = T(x_in[zk_i]);
const T dx = T(dx_in[zk_i]);
const auto zk_t0 = kk_sigmoid(x);
dy_out[zk_i] = static_cast<O0>((zk_t0 + x * (zk_t0 * (1.0f - zk_t0))) * dx);

