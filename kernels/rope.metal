// Rotary position embedding.
#include "rows.metal"

// Rotates the pairs (a, b) of a row by the angles of its position; b follows a after n elements.
template <typename X, typename A, typename B, typename T>
struct kk_rope_write {
  X a;
  X b;
  A cosine;
  B sine;
  float sign;
  device T* out;
  size_t n;
  template <typename At>
  void operator()(At at) const {
    const float c = cosine(at);
    const float s = sign * sine(at);
    const float u = a(at);
    const float v = b(at);
    kk_write(out, at, u * c - v * s);
    kk_write(out + n, at, u * s + v * c);
  }
};

// sign is 1 to rotate and -1 to rotate back.
template <typename S, typename P, typename Q, typename R, typename T>
inline void kk_rope_row(P x, Q cosine, R sine, float sign, device T* out, size_t n, S g) {
  typedef decltype(kk_keep(x, n, g)) X;
  typedef decltype(kk_keep(cosine, n, g)) A;
  typedef decltype(kk_keep(sine, n, g)) B;
  const X a = kk_keep(x, n, g);
  const X b = kk_keep(x + n, n, g);
  const A c = kk_keep(cosine, n, g);
  const B s = kk_keep(sine, n, g);
  kk_for(n, g, kk_rope_write<X, A, B, T>{a, b, c, s, sign, out, n});
}

// What a row adds to the gradient of its position's cosines, or (QUARTER) sines: the product of dy
// with the row, or with the row a quarter turn further.
template <typename X, typename G, bool QUARTER>
struct kk_rope_product {
  X a;
  X b;
  G da;
  G db;
  template <typename At>
  float operator()(At at) const {
    return QUARTER ? a(at) * db(at) - b(at) * da(at) : a(at) * da(at) + b(at) * db(at);
  }
};

// The rows of one position, one for each index of the leading axes; they lie `step` elements apart.
template <bool QUARTER, typename P, typename G>
struct kk_rope_rows {
  P x;
  G dy;
  size_t n;
  size_t step;
  typedef kk_rope_product<kk_row<P>, kk_row<G>, QUARTER> Row;
  Row row(size_t r) const {
    return Row{kk_read(x + r * step), kk_read(x + r * step + n), kk_read(dy + r * step),
               kk_read(dy + r * step + n)};
  }
};
template <bool QUARTER, typename P, typename G>
inline kk_rope_rows<QUARTER, P, G> kk_rope_position(P x, G dy, size_t n, size_t step) {
  return kk_rope_rows<QUARTER, P, G>{x, dy, n, step};
}
