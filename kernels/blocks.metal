// Elementwise kernels on a GPU: a thread takes a block of neighbours, with one load and one store an array.
#include "rows.metal"

// Whether a block of this array lies in one piece: views may begin anywhere.
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

// The block that begins here.
template <int VEC, typename T>
struct kk_taker {
  template <typename P>
  static kk_block<T, VEC> take(P p) {
    if (kk_aligned<VEC>(p)) return *reinterpret_cast<const device kk_block<T, VEC>*>(p);
    kk_block<T, VEC> b;
    for (int k = 0; k < VEC; ++k) b.v[k] = p[k];
    return b;
  }
};
template <typename T>
struct kk_taker<1, T> {
  template <typename P>
  static kk_block<T, 1> take(P p) {
    kk_block<T, 1> b;
    b.v[0] = p[0];
    return b;
  }
};
template <int VEC, typename P, typename T>
inline kk_block<T, VEC> kk_take_as(P p, T) {
  return kk_taker<VEC, T>::take(p);
}
template <int VEC, typename P>
inline auto kk_take(P p) {
  return kk_take_as<VEC>(p, *p);
}

// The same as floats, and floats that go to their place. A CPU's runtime converts blocks of 16-bit numbers with a few instructions
// (`runtime/host/floats.h`).
template <int VEC>
struct kk_float_block {
  float v[VEC];
};
template <int VEC, typename P>
inline kk_float_block<VEC> kk_take_floats(P p) {
  const auto b = kk_take<VEC>(p);
  kk_float_block<VEC> y;
  for (int k = 0; k < VEC; ++k) y.v[k] = float(b.v[k]);
  return y;
}
template <int VEC, typename T>
inline void kk_store_floats(device T* p, thread const float* v) {
  kk_block<T, VEC> b;
  for (int k = 0; k < VEC; ++k) b.v[k] = T(v[k]);
  kk_store_block<VEC>(p, 0, b);
}
