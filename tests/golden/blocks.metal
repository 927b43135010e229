// forward: (x_in, w_in, b_in) -> (y_out)
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
template <bool SHORT = false, typename T>
inline T kk_silu(T x) {
  const float v = float(x) < -200.0f ? -200.0f : float(x);
  return T(v * kk_sigmoid<SHORT>(v));
}
template <typename T, int VEC>
struct kk_block {
  alignas(sizeof(T) * VEC) T v[VEC];
};
template <int VEC, typename T>
inline bool kk_aligned(const device T* p) {
  return reinterpret_cast<size_t>(p) % sizeof(kk_block<T, VEC>) == 0;
}
template <int VEC, typename T>
inline kk_block<T, VEC> kk_load(const device T* p, size_t block) {
  if (kk_aligned<VEC>(p)) return reinterpret_cast<const device kk_block<T, VEC>*>(p)[block];
  kk_block<T, VEC> b;
  for (int k = 0; k < VEC; ++k) b.v[k] = p[block * VEC + k];
  return b;
}
template <int VEC, typename T>
inline void kk_store_block(device T* p, size_t block, kk_block<T, VEC> b) {
  if (kk_aligned<VEC>(p)) {
    reinterpret_cast<device kk_block<T, VEC>*>(p)[block] = b;
  } else {
    for (int k = 0; k < VEC; ++k) p[block * VEC + k] = b.v[k];
  }
}
typedef float T;
constexpr bool zk_short = sizeof(O0) == 2;
const uint zk_i = thread_position_in_grid.x;
const T w = T(w_in);
const T b = T(b_in[0]);
const auto zk_in_x = kk_load<VEC>(x_in, zk_i);
kk_block<O0, VEC> zk_out_y;
for (uint zk_k = 0; zk_k < VEC; ++zk_k) {
  const uint elem = zk_i * VEC + zk_k;
  const T x = T(zk_in_x.v[zk_k]);
  zk_out_y.v[zk_k] = static_cast<O0>(kk_silu<zk_short>(x) * w + b * elem);
}
kk_store_block(y_out, zk_i, zk_out_y);

// vjp: (x_in, w_in, g_in) -> (dx_out, dw_out, db_out)
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
template <bool SHORT = false, typename T>
inline T kk_silu(T x) {
  const float v = float(x) < -200.0f ? -200.0f : float(x);
  return T(v * kk_sigmoid<SHORT>(v));
}
template <typename T, int VEC>
struct kk_block {
  alignas(sizeof(T) * VEC) T v[VEC];
};
template <int VEC, typename T>
inline bool kk_aligned(const device T* p) {
  return reinterpret_cast<size_t>(p) % sizeof(kk_block<T, VEC>) == 0;
}
template <int VEC, typename T>
inline kk_block<T, VEC> kk_load(const device T* p, size_t block) {
  if (kk_aligned<VEC>(p)) return reinterpret_cast<const device kk_block<T, VEC>*>(p)[block];
  kk_block<T, VEC> b;
  for (int k = 0; k < VEC; ++k) b.v[k] = p[block * VEC + k];
  return b;
}
template <int VEC, typename T>
inline void kk_store_block(device T* p, size_t block, kk_block<T, VEC> b) {
  if (kk_aligned<VEC>(p)) {
    reinterpret_cast<device kk_block<T, VEC>*>(p)[block] = b;
  } else {
    for (int k = 0; k < VEC; ++k) p[block * VEC + k] = b.v[k];
  }
}
typedef float T;
constexpr bool zk_short = sizeof(O0) == 2 && sizeof(O1) == 2 && sizeof(O2) == 2;
const uint zk_i = thread_position_in_grid.x;
const auto zk_in_x = kk_load<VEC>(x_in, zk_i);
const auto zk_in_w = kk_load<VEC>(w_in, zk_i);
const auto zk_in_g = kk_load<VEC>(g_in, zk_i);
kk_block<O0, VEC> zk_out_dx;
kk_block<O1, VEC> zk_out_dw;
kk_block<O2, VEC> zk_out_db;
for (uint zk_k = 0; zk_k < VEC; ++zk_k) {
  const uint elem = zk_i * VEC + zk_k;
  const T x = T(zk_in_x.v[zk_k]);
  const T w = T(zk_in_w.v[zk_k]);
  const T g = T(zk_in_g.v[zk_k]);
  const auto zk_t0 = x < -200.0f ? -200.0f : x;
  const auto zk_t1 = zk_t0 > 200.0f ? 200.0f : zk_t0;
  const auto zk_t2 = kk_sigmoid<zk_short>(zk_t1);
  zk_out_dx.v[zk_k] = static_cast<O0>(g * (w * (zk_t2 + zk_t1 * (zk_t2 * (1.0f - zk_t2)))));
  zk_out_dw.v[zk_k] = static_cast<O1>(g * kk_silu<zk_short>(x));
  zk_out_db.v[zk_k] = static_cast<O2>(g * elem);
}
kk_store_block(dx_out, zk_i, zk_out_dx);
kk_store_block(dw_out, zk_i, zk_out_dw);
kk_store_block(db_out, zk_i, zk_out_db);

