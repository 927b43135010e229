// Gated activations.
#include "functions.metal"
#include "rows.metal"

template <typename X>
struct kk_swiglu_value {
  X a;
  X b;
  float operator()(kk_at at) const { return kk_silu(a(at)) * b(at); }
};

// out = silu(a) b for a row [a, b] of 2 n elements.
template <typename S, typename P, typename T>
inline void kk_swiglu_row(P x, device T* out, size_t n, S g) {
  typedef decltype(kk_keep(x, n, g)) X;
  const X a = kk_keep(x, n, g);
  const X b = kk_keep(x + n, n, g);
  kk_map(n, g, out, kk_swiglu_value<X>{a, b});
}

// The gradient of a, or (GATED) of b. From -200 on the sigmoid is 0, and so are both, where infinity times 0
// is none.
template <typename X, typename G, bool GATED>
struct kk_swiglu_gradient {
  X a;
  X b;
  G dy;
  float operator()(kk_at at) const {
    const float v = a(at) < -200.0f ? -200.0f : a(at);
    const float s = kk_sigmoid(v);
    return dy(at) * (GATED ? v * s : b(at) * (s + v * s * (1.0f - s)));
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
  kk_map(n, g, dx, kk_swiglu_gradient<X, D, false>{a, b, d});
  kk_map(n, g, dx + n, kk_swiglu_gradient<X, D, true>{a, b, d});
}
