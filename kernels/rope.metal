// Rotary position embedding.
#include "rows.metal"

// A pair (a, b) rotated by the angle of its position: its first element, or (SECOND) its second.
template <typename X, typename A, typename B, bool SECOND>
struct kk_rope_value {
  X a;
  X b;
  A cosine;
  B sine;
  float sign;
  float operator()(kk_at at) const {
    const float c = cosine(at);
    const float s = sign * sine(at);
    return SECOND ? a(at) * s + b(at) * c : a(at) * c - b(at) * s;
  }
};

// b follows a after n elements; sign is 1 to rotate and -1 to rotate back.
template <typename S, typename P, typename Q, typename R, typename T>
inline void kk_rope_row(P x, Q cosine, R sine, float sign, device T* out, size_t n, S g) {
  typedef decltype(kk_keep(x, n, g)) X;
  typedef decltype(kk_keep(cosine, n, g)) A;
  typedef decltype(kk_keep(sine, n, g)) B;
  const X a = kk_keep(x, n, g);
  const X b = kk_keep(x + n, n, g);
  const A c = kk_keep(cosine, n, g);
  const B s = kk_keep(sine, n, g);
  kk_map(n, g, out, kk_rope_value<X, A, B, false>{a, b, c, s, sign});
  kk_map(n, g, out + n, kk_rope_value<X, A, B, true>{a, b, c, s, sign});
}

// What a row adds to the gradient of its position's cosines, or (QUARTER) sines: the product of dy
// with the row, or with the row a quarter turn further.
template <typename X, typename G, bool QUARTER>
struct kk_rope_product {
  X a;
  X b;
  G da;
  G db;
  float operator()(kk_at at) const {
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
