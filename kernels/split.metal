// Rows shared by several groups because there are too few of them to occupy a GPU.
//
// The row function runs once in each group, with kk_chunk in place of kk_group, for a chunk of at most TG * VEC * ITEMS elements.
#include "hold.metal"

template <int TG, int VEC, int ITEMS>
struct kk_chunk {
  kk_group<TG, VEC, ITEMS> group;
  uint part;  // of the group among those that share the row
  uint parts;
  uint from;  // where the chunk begins
  uint index;
};

// How many elements a chunk has; none where it begins beyond the row's end.
template <int TG, int VEC, int ITEMS>
inline size_t kk_count(size_t n, kk_chunk<TG, VEC, ITEMS> g) {
  return g.from < n ? metal::min(n - g.from, size_t(TG * VEC * ITEMS)) : 0;
}

template <int TG, int VEC, int ITEMS, typename P>
inline auto kk_keep(P p, size_t n, kk_chunk<TG, VEC, ITEMS> g)
    -> decltype(kk_keep(p, n, g.group)) {
  return kk_keep(p + g.from, kk_count(n, g), g.group);
}

// A function of places in the row as one of places in the chunk.
template <typename F>
struct kk_behind {
  F f;
  uint from;
  float operator()(kk_at at) const { return f(kk_at{from + at.i, at.slot}); }
};

template <int TG, int VEC, int ITEMS, typename T, typename F>
inline void kk_map(size_t n, kk_chunk<TG, VEC, ITEMS> g, device T* out, F f) {
  kk_map(kk_count(n, g), g.group, out + g.from, kk_behind<F>{f, g.from});
}

// Sums over rows, each group for the columns of its chunk.
template <int TG, int VEC, int ITEMS, typename F>
inline void kk_sum_rows(size_t rows, size_t group, size_t groups, size_t n, device float* out,
                        kk_chunk<TG, VEC, ITEMS> g, F f) {
  const size_t from = rows * group / groups;
  const size_t to = rows * (group + 1) / groups;
  const size_t end = g.from + kk_count(n, g);
  for (size_t i = g.from + g.index; i < end; i += TG) {
    float v = 0.0f;
    for (size_t r = from; r < to; ++r) v += f.row(r)(kk_at{i, 0});
    out[i] = v;
  }
}
