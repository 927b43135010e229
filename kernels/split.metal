// Rows that a group does not hold in registers, chunk by chunk, and rows shared by several groups because there
// are too few of them to occupy a GPU.
//
// The row function runs for one chunk of TG * VEC * ITEMS elements after the other, with kk_chunk in place of
// kk_group: the chunk is in registers. It runs over the whole row once for each of its reductions, from the
// first on, which is number PASS, and then for the chunks of this group's part, which it writes. So each group
// that shares a row adds up all of it, which the GPU's cache holds after the first has read it; no
// group waits for another, and there is one launch.
#include "rows.metal"

// What a row function has found so far: the results of its reductions, and its width.
template <int PASSES>
struct kk_found {
  float2 v[PASSES + 1];
  int reductions;
  uint width;
};

template <int TG, int VEC, int ITEMS, int PASS, int PASSES>
struct kk_chunk {
  kk_group<TG, VEC, ITEMS> group;
  uint part;   // of the group among those that share the row
  uint parts;
  uint from;   // where the chunk begins
  thread kk_found<PASSES>* found;
  threadgroup float* shared;
  uint index;
};

// How many elements a chunk has, and whether it is the row's last.
template <int TG, int VEC, int ITEMS, int PASS, int PASSES>
inline size_t kk_count(size_t n, kk_chunk<TG, VEC, ITEMS, PASS, PASSES> g) {
  return metal::min(n - g.from, size_t(TG * VEC * ITEMS));
}
template <int TG, int VEC, int ITEMS, int PASS, int PASSES>
inline bool kk_ends(size_t n, kk_chunk<TG, VEC, ITEMS, PASS, PASSES> g) {
  g.found->width = uint(n);
  return n - g.from <= size_t(TG * VEC * ITEMS);
}

template <int TG, int VEC, int ITEMS, int PASS, int PASSES, typename P>
inline auto kk_keep(P p, size_t n, kk_chunk<TG, VEC, ITEMS, PASS, PASSES> g)
    -> decltype(kk_keep(p, n, g.group)) {
  return kk_keep(p + g.from, kk_count(n, g), g.group);
}

template <int TG, int VEC, int ITEMS, int PASS, int PASSES>
inline bool kk_streams(kk_chunk<TG, VEC, ITEMS, PASS, PASSES>) {
  return false;
}

template <int TG, int VEC, int ITEMS, int PASS, int PASSES>
inline bool kk_first(kk_chunk<TG, VEC, ITEMS, PASS, PASSES> g) {
  return PASS == PASSES && g.from == 0 && g.index == 0;
}

// A function of places in the row as one of places in the chunk.
template <typename F>
struct kk_behind {
  F f;
  uint from;
  float operator()(kk_at at) const { return f(kk_at{from + at.i, at.slot}); }
};

template <int TG, int VEC, int ITEMS, int PASS, int PASSES, typename T, typename F>
inline void kk_map(size_t n, kk_chunk<TG, VEC, ITEMS, PASS, PASSES> g, device T* out, F f) {
  g.found->width = uint(n);
  if (PASS == PASSES) kk_map(kk_count(n, g), g.group, out + g.from, kk_behind<F>{f, g.from});
}

// A reduction: what an earlier pass has found, or this pass's, whose result the next pass has. More reductions
// than a kernel says it has give NaN.
template <int TG, int VEC, int ITEMS, int PASS, int PASSES, typename R>
inline float2 kk_reduced(size_t n, kk_chunk<TG, VEC, ITEMS, PASS, PASSES> g, R reduce) {
  const int number = g.found->reductions++;
  if (number < PASS) return g.found->v[number];
  if (number == PASS && PASS < PASSES) {
    float2 v = g.from == 0 ? reduce.none() : g.found->v[PASS];
    v = reduce.with(v, kk_count(n, g), g.from, g.group);
    if (kk_ends(n, g)) v = reduce.whole(v, g.group);
    g.found->v[PASS] = v;
  }
  return float2(NAN);
}

template <typename F>
struct kk_chunk_sum {
  F f;
  float2 none() const { return float2(0.0f); }
  template <typename S>
  float2 with(float2 v, size_t n, uint from, S g) const {
    float sum = 0.0f;
    kk_for(n, g, kk_add<kk_behind<F>>{kk_behind<F>{f, from}, &sum});
    return float2(v.x + sum, 0.0f);
  }
  template <typename S>
  float2 whole(float2 v, S g) const {
    return float2(kk_group_sum(v.x, g), 0.0f);
  }
};
template <int TG, int VEC, int ITEMS, int PASS, int PASSES, typename F>
inline float kk_sum(size_t n, kk_chunk<TG, VEC, ITEMS, PASS, PASSES> g, F f) {
  return kk_reduced(n, g, kk_chunk_sum<F>{f}).x;
}

template <typename F>
struct kk_chunk_max {
  F f;
  float2 none() const { return float2(-INFINITY); }
  template <typename S>
  float2 with(float2 v, size_t n, uint from, S g) const {
    float most = v.x;
    kk_for(n, g, kk_raise<kk_behind<F>>{kk_behind<F>{f, from}, &most});
    return float2(most, 0.0f);
  }
  template <typename S>
  float2 whole(float2 v, S g) const {
    return float2(kk_group_max(v.x, g), 0.0f);
  }
};
template <int TG, int VEC, int ITEMS, int PASS, int PASSES, typename F>
inline float kk_max(size_t n, kk_chunk<TG, VEC, ITEMS, PASS, PASSES> g, F f) {
  return kk_reduced(n, g, kk_chunk_max<F>{f}).x;
}

// Sums over rows, each group for the columns of its chunk.
template <int TG, int VEC, int ITEMS, int PASS, int PASSES, typename F>
inline void kk_sum_rows(size_t rows, size_t group, size_t groups, size_t n, device float* out,
                        kk_chunk<TG, VEC, ITEMS, PASS, PASSES> g, F f) {
  const size_t from = rows * group / groups;
  const size_t to = rows * (group + 1) / groups;
  const size_t end = PASS == PASSES ? g.from + kk_count(n, g) : 0;
  g.found->width = uint(n);
  for (size_t i = g.from + g.index; i < end; i += TG) {
    float v = 0.0f;
    for (size_t r = from; r < to; ++r) v += f.row(r)(kk_at{i, 0});
    out[i] = v;
  }
}
