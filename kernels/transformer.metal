// Gated activations and dropout.
#include "functions.metal"
#include "rows.metal"

template <typename X, typename T>
struct kk_swiglu_write {
  X a;
  X b;
  device T* out;
  template <typename At>
  void operator()(At at) const { kk_write(out, at, kk_silu(a(at)) * b(at)); }
};

// out = silu(a) b for a row [a, b] of 2 n elements.
template <typename S, typename P, typename T>
inline void kk_swiglu_row(P x, device T* out, size_t n, S g) {
  typedef decltype(kk_keep(x, n, g)) X;
  const X a = kk_keep(x, n, g);
  const X b = kk_keep(x + n, n, g);
  kk_for(n, g, kk_swiglu_write<X, T>{a, b, out});
}

template <typename X, typename G, typename T>
struct kk_swiglu_grad_write {
  X a;
  X b;
  G dy;
  device T* da;
  device T* db;
  template <typename At>
  void operator()(At at) const {
    // From -200 on the sigmoid is 0, and so are both gradients, where infinity times 0 is none.
    const float v = a(at) < -200.0f ? -200.0f : a(at);
    const float s = kk_sigmoid(v);
    kk_write(da, at, dy(at) * b(at) * (s + v * s * (1.0f - s)));
    kk_write(db, at, dy(at) * v * s);
  }
};

// da = dy b (s + a s (1 - s)) and db = dy a s, where s is the sigmoid of a.
template <typename S, typename P, typename G, typename T>
inline void kk_swiglu_grad_row(P x, G dy, device T* dx, size_t n, S g) {
  typedef decltype(kk_keep(x, n, g)) X;
  typedef decltype(kk_keep(dy, n, g)) D;
  const X a = kk_keep(x, n, g);
  const X b = kk_keep(x + n, n, g);
  const D d = kk_keep(dy, n, g);
  kk_for(n, g, kk_swiglu_grad_write<X, D, T>{a, b, d, dx, dx + n});
}

// A bijection of 32 bits in which each bit of the input changes each bit of the output with a
// probability near one half (C. Wellons, "Prospecting for hash functions", 2018).
inline uint kk_mix(uint x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}

// key: two words of the seed, the bound below which an element is dropped, and the bits of
// the factor of those that are kept. The number of an element depends on the key and its index alone:
// random access, so no state. One round would give keys that differ by d the same
// sequence, d elements apart.
template <typename P, typename K, typename T>
inline void kk_dropout(P x, K key, device T* out, uint i) {
  // Both values exist before the choice, so that a vector of elements needs no branch.
  const float kept = float(x[i]) * as_type<float>(key[3]);
  const uint drawn = kk_mix(kk_mix(i + key[0]) ^ key[1]);
  out[i] = T(drawn < key[2] ? 0.0f : kept);
}
