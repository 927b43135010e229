// What kernels over rows share. A threadgroup of TG threads works on one row of n elements.
// On a GPU TG is some dozens to a thousand and VEC a few; on a CPU TG is 1, so that no barrier is left and
// one thread walks the whole row, and VEC is 64: independent accumulators are what lets a
// compiler that may not reorder sums use vector registers. VEC is a power of two: accumulators are
// folded in halves.
//
// A pass is a loop over the row that calls a functor with each index. Threads take blocks of
// VEC consecutive elements in turn, so that neighbours read neighbouring memory; what is left over at
// the row's end goes to the first threads, one element each.

// The place of a thread in its threadgroup, and the memory that the group's reductions use.
struct kk_group {
  threadgroup float* shared;  // 32 floats
  uint index;
  uint lane;
  uint simd;
};

// An element of the row.
struct kk_at {
  size_t i;
};

// A row that is read as floats.
template <typename P>
struct kk_row {
  P p;
  float operator()(kk_at at) const { return float(p[at.i]); }
};

template <typename P>
inline kk_row<P> kk_read(P p) {
  return kk_row<P>{p};
}

// A row that is written from floats.
template <typename T>
inline void kk_write(device T* p, kk_at at, float v) {
  p[at.i] = T(v);
}

template <typename T>
struct kk_fill {
  device T* out;
  float v;
  void operator()(kk_at at) const { kk_write(out, at, v); }
};

template <int TG>
inline float kk_group_sum(float v, kk_group g) {
  v = metal::simd_sum(v);
  if (TG > 32) {
    if (g.lane == 0) g.shared[g.simd] = v;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    v = metal::simd_sum(g.lane < uint(TG + 31) / 32 ? g.shared[g.lane] : 0.0f);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
  return v;
}

template <int TG>
inline float kk_group_max(float v, kk_group g) {
  v = metal::simd_max(v);
  if (TG > 32) {
    if (g.lane == 0) g.shared[g.simd] = v;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    v = metal::simd_max(g.lane < uint(TG + 31) / 32 ? g.shared[g.lane] : -INFINITY);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
  return v;
}

// Calls f for each element.
template <int TG, int VEC, typename F>
inline void kk_for(size_t n, kk_group g, F f) {
  const size_t blocks = n / VEC;
  for (size_t b = g.index; b < blocks; b += TG)
    for (int k = 0; k < VEC; ++k) f(kk_at{b * VEC + k});
  for (size_t i = blocks * VEC + g.index; i < n; i += TG) f(kk_at{i});
}

// The sum of f over a row, the same for every thread of the group.
template <int TG, int VEC, typename F>
inline float kk_sum(size_t n, kk_group g, F f) {
  float part[VEC];
  for (int k = 0; k < VEC; ++k) part[k] = 0.0f;
  const size_t blocks = n / VEC;
  for (size_t b = g.index; b < blocks; b += TG)
    for (int k = 0; k < VEC; ++k) part[k] += f(kk_at{b * VEC + k});
  float v = 0.0f;
  for (size_t i = blocks * VEC + g.index; i < n; i += TG) v += f(kk_at{i});
  for (int half = VEC / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) part[k] += part[k + half];
  return kk_group_sum<TG>(v + part[0], g);
}

// The largest f over a row, minus infinity if it is empty. NaN does not count.
template <int TG, int VEC, typename F>
inline float kk_max(size_t n, kk_group g, F f) {
  float most[VEC];
  for (int k = 0; k < VEC; ++k) most[k] = -INFINITY;
  const size_t blocks = n / VEC;
  for (size_t b = g.index; b < blocks; b += TG)
    for (int k = 0; k < VEC; ++k) most[k] = metal::max(most[k], f(kk_at{b * VEC + k}));
  float v = -INFINITY;
  for (size_t i = blocks * VEC + g.index; i < n; i += TG) v = metal::max(v, f(kk_at{i}));
  for (int half = VEC / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) most[k] = metal::max(most[k], most[k + half]);
  return kk_group_max<TG>(metal::max(v, most[0]), g);
}

// Sums over rows: out[i] is the sum of rows.row(r)(i) over the rows r of this group's share,
// so that the sum of all groups' outputs is the whole. On a CPU the row is the inner loop, in order of memory.
template <int TG, typename F>
inline void kk_sum_rows(size_t rows, size_t group, size_t groups, size_t n, device float* out,
                        kk_group g, F f) {
  const size_t from = rows * group / groups;
  const size_t to = rows * (group + 1) / groups;
  if (TG == 1) {
    for (size_t i = 0; i < n; ++i) out[i] = 0.0f;
    for (size_t r = from; r < to; ++r) {
      const typename F::Row row = f.row(r);
      for (size_t i = 0; i < n; ++i) out[i] += row(kk_at{i});
    }
  } else {
    for (size_t i = g.index; i < n; i += TG) {
      float v = 0.0f;
      for (size_t r = from; r < to; ++r) v += f.row(r)(kk_at{i});
      out[i] = v;
    }
  }
}
