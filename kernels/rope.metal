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

// Row x where neighbours meet: of a thread that has one in its registers, which has the other too, or in memory.
template <typename P, typename S>
inline kk_row<P> kk_keep_pairs(P p, size_t, S) {
  return kk_read(p);
}
template <int TG, int VEC, int ITEMS, typename P>
inline auto kk_keep_pairs(P p, size_t n, kk_group<TG, VEC, ITEMS> g) {
  return kk_keep(p, n, g);
}
template <int TG, int ITEMS, typename P>
inline kk_row<P> kk_keep_pairs(P p, size_t, kk_group<TG, 1, ITEMS>) {
  return kk_read(p);
}

// An element of a row of which only the first 2 n elements turn: with its neighbour, or (NEIGHBOURS is false) with the
// element n places on.
template <typename X, typename A, typename B, bool NEIGHBOURS>
struct kk_rope_turned {
  X x;
  A cosine;
  B sine;
  size_t n;
  float operator()(kk_at at) const {
    if (at.i >= 2 * n) return x(at);
    const bool second = NEIGHBOURS ? at.i % 2 != 0 : at.i >= n;
    const size_t pair = NEIGHBOURS ? at.i / 2 : second ? at.i - n : at.i;
    kk_at with = {at.i ^ 1, at.slot ^ 1};
    if (!NEIGHBOURS) with.i = second ? at.i - n : at.i + n;
    const float c = cosine(kk_at{pair, 0});
    const float s = sine(kk_at{pair, 0});
    return second ? x(with) * s + x(at) * c : x(at) * c - x(with) * s;
  }
};

// Halves of a part of the row: pairs of them, of width elements.
template <typename S, typename P, typename Q, typename R, typename T>
inline void kk_rope_part_row(P x, Q cosine, R sine, device T* out, size_t pairs, size_t width, S g) {
  kk_map(width, g, out, kk_rope_turned<kk_row<P>, kk_row<Q>, kk_row<R>, false>{
                            kk_read(x), kk_read(cosine), kk_read(sine), pairs});
}
template <int VEC, typename P, typename Q, typename R, typename T>
inline void kk_rope_part_row(P x, Q cosine, R sine, device T* out, size_t pairs, size_t width,
                             kk_group<1, VEC, 0> g) {
  kk_rope_row(x, cosine, sine, 1.0f, out, pairs, g);
  kk_map(width - 2 * pairs, g, out + 2 * pairs, kk_read(x + 2 * pairs));
}

// Neighbours. One thread takes them pair by pair, which its compiler makes vectors of.
template <typename S, typename P, typename Q, typename R, typename T>
inline void kk_rope_pairs_row(P x, Q cosine, R sine, device T* out, size_t pairs, size_t width, S g) {
  typedef decltype(kk_keep_pairs(x, width, g)) X;
  kk_map(width, g, out, kk_rope_turned<X, kk_row<Q>, kk_row<R>, true>{
                            kk_keep_pairs(x, width, g), kk_read(cosine), kk_read(sine), pairs});
}
template <int VEC, typename P, typename Q, typename R, typename T>
inline void kk_rope_pairs_row(P x, Q cosine, R sine, device T* out, size_t pairs, size_t width,
                              kk_group<1, VEC, 0>) {
  for (size_t i = 0; i < pairs; ++i) {
    const float a = float(x[2 * i]), b = float(x[2 * i + 1]);
    const float c = float(cosine[i]), s = float(sine[i]);
    out[2 * i] = T(a * c - b * s);
    out[2 * i + 1] = T(a * s + b * c);
  }
  for (size_t i = 2 * pairs; i < width; ++i) out[i] = T(float(x[i]));
}
