// Normalization of rows.
#include "rows.metal"

template <typename X>
struct kk_square {
  X x;
  float operator()(kk_at at) const {
    const float v = x(at);
    return v * v;
  }
};

template <typename X, typename W>
struct kk_rmsnorm_value {
  X x;
  W w;
  float scale;
  float operator()(kk_at at) const { return x(at) * scale * w(at); }
};

// out = x w / sqrt(mean(x^2) + eps). Gives the factor before w, which the gradient needs again.
template <typename S, typename P, typename Q, typename T>
inline float kk_rmsnorm_row(P p, Q q, device T* out, size_t n, float eps, S g) {
  typedef decltype(kk_keep(p, n, g)) X;
  typedef decltype(kk_keep(q, n, g)) W;
  const X x = kk_keep(p, n, g);
  const W w = kk_keep(q, n, g);
  const float r = metal::rsqrt(kk_sum(n, g, kk_square<X>{x}) / float(n) + eps);
  kk_map(n, g, out, kk_rmsnorm_value<X, W>{x, w, r});
  return r;
}

template <typename X, typename W, typename G>
struct kk_product3 {
  X x;
  W w;
  G dy;
  float operator()(kk_at at) const { return x(at) * w(at) * dy(at); }
};

template <typename X, typename W, typename G>
struct kk_rmsnorm_gradient {
  X x;
  W w;
  G dy;
  float scale;
  float pull;
  float operator()(kk_at at) const { return scale * (dy(at) * w(at) - x(at) * pull); }
};

// dx = r (w dy - x r^2 mean(x w dy)), with r from the forward pass.
template <typename S, typename P, typename Q, typename G, typename T>
inline void kk_rmsnorm_grad_row(P p, Q q, G d, device T* out, float r, size_t n, S g) {
  typedef decltype(kk_keep(p, n, g)) X;
  typedef decltype(kk_keep(q, n, g)) W;
  typedef decltype(kk_keep(d, n, g)) D;
  const X x = kk_keep(p, n, g);
  const W w = kk_keep(q, n, g);
  const D dy = kk_keep(d, n, g);
  const float mean = kk_sum(n, g, kk_product3<X, W, D>{x, w, dy}) / float(n);
  kk_map(n, g, out, kk_rmsnorm_gradient<X, W, D>{x, w, dy, r, r * r * mean});
}

template <typename X, typename G>
struct kk_scaled_product {
  X x;
  G dy;
  float scale;
  float operator()(kk_at at) const { return x(at) * scale * dy(at); }
};

// What a row adds to the gradient of the weights: x r dy.
template <typename P, typename G, typename R>
struct kk_rmsnorm_weight {
  P x;
  G dy;
  R scale;
  size_t n;
  typedef kk_scaled_product<kk_row<P>, kk_row<G>> Row;
  Row row(size_t r) const {
    return Row{kk_read(x + r * n), kk_read(dy + r * n), float(scale[r])};
  }
};
template <typename P, typename G, typename R>
inline kk_rmsnorm_weight<P, G, R> kk_rmsnorm_weights(P x, G dy, R scale, size_t n) {
  return kk_rmsnorm_weight<P, G, R>{x, dy, scale, n};
}
