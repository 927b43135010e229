// What kernels over rows share. A group of TG threads works on one row of n elements.
//
// A pass is a loop over the row that calls a functor with each element's place. How the loop goes is
// the launch's choice, and the group's type carries it:
//
// - On a CPU TG is 1, so that no barrier is left and one thread walks the whole row, in blocks of VEC
//   elements: independent accumulators are what lets a compiler that may not reorder sums use vector
//   registers. VEC is a power of two, as accumulators are folded in halves.
// - On a GPU neighbouring threads read neighbouring blocks of VEC elements. With ITEMS above 0 each thread has
//   at most that many blocks, all loads are under way before the first is used, and `kk_keep` holds a row in
//   registers, so that further passes read no memory. With ITEMS = 0 a row may have any width.
//   VEC above 1 with ITEMS wants rows of whole blocks, and outputs that begin at a multiple of a block.

template <int TG, int VEC, int ITEMS>
struct kk_group {
  threadgroup float* shared;  // 32 floats
  uint index;                 // of the thread in the group
  uint lane;                  // in the simdgroup
  uint simd;                  // of the simdgroup in the group
};

// An element: its place in the row, and among those of its thread.
struct kk_at {
  size_t i;
  int slot;
};

// A block, which one instruction loads or stores.
template <typename T, int VEC>
struct kk_block {
  alignas(sizeof(T) * VEC) T v[VEC];
};

// A number of a word of memory, which holds two of 16 bits or one float.
template <typename T>
inline float kk_of_word(uint word, int which, T) {
  return float(as_type<T>(ushort(word >> (16 * which))));
}
inline float kk_of_word(uint word, int, float) { return as_type<float>(word); }

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

// A row that is read more than once; in registers, see hold.metal.
template <int TG, int VEC, typename P>
inline kk_row<P> kk_keep(P p, size_t, kk_group<TG, VEC, 0>) {
  return kk_row<P>{p};
}
// Whether the thread writes what a row has but once.
template <int TG, int VEC, int ITEMS>
inline bool kk_first(kk_group<TG, VEC, ITEMS> g) {
  return g.index == 0;
}

// Up to 16 simdgroups, each thread adds their sums up by itself: that is sooner done than another exchange
// within the simdgroup.
template <int TG, int VEC, int ITEMS>
inline float kk_group_sum(float v, kk_group<TG, VEC, ITEMS> g) {
  v = metal::simd_sum(v);
  if (TG > 32) {
    if (g.lane == 0) g.shared[g.simd] = v;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    if (TG <= 512) {
      v = g.shared[0];
      for (int k = 1; k < TG / 32; ++k) v += g.shared[k];
    } else {
      v = metal::simd_sum(g.lane < uint(TG + 31) / 32 ? g.shared[g.lane] : 0.0f);
    }
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
  return v;
}

template <int TG, int VEC, int ITEMS>
inline float kk_group_max(float v, kk_group<TG, VEC, ITEMS> g) {
  v = metal::simd_max(v);
  if (TG > 32) {
    if (g.lane == 0) g.shared[g.simd] = v;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    if (TG <= 512) {
      v = g.shared[0];
      for (int k = 1; k < TG / 32; ++k) v = metal::max(v, g.shared[k]);
    } else {
      v = metal::simd_max(g.lane < uint(TG + 31) / 32 ? g.shared[g.lane] : -INFINITY);
    }
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
  return v;
}

// *out = v, rounded to the output's type.
template <typename T>
inline void kk_store(device T* out, float v) {
  *out = T(v);
}

// out = f, rounded to the output's type.
template <int TG, int VEC, typename T, typename F>
inline void kk_map(size_t n, kk_group<TG, VEC, 0> g, device T* out, F f) {
  const size_t blocks = n / VEC;
  for (size_t b = g.index; b < blocks; b += TG)
    for (int k = 0; k < VEC; ++k) out[b * VEC + k] = T(f(kk_at{b * VEC + k, 0}));
  for (size_t i = blocks * VEC + g.index; i < n; i += TG) out[i] = T(f(kk_at{i, 0}));
}
template <int TG, int ITEMS, typename T, typename F>
inline void kk_map(size_t n, kk_group<TG, 1, ITEMS> g, device T* out, F f) {
  for (int k = 0; k < ITEMS; ++k) {
    const size_t i = size_t(k) * TG + g.index;
    if (i < n) out[i] = T(f(kk_at{i, k}));
  }
}
template <int TG, int VEC, int ITEMS, typename T, typename F>
inline void kk_map(size_t n, kk_group<TG, VEC, ITEMS> g, device T* out, F f) {
  for (int k = 0; k < ITEMS; ++k) {
    const uint block = uint(k) * TG + g.index;
    if (block * VEC < uint(n)) {
      kk_block<T, VEC> b;
      for (int j = 0; j < VEC; ++j) b.v[j] = T(f(kk_at{block * VEC + j, k * VEC + j}));
      reinterpret_cast<device kk_block<T, VEC>*>(out)[block] = b;
    }
  }
}

// Calls f for each element that a thread keeps.
template <int TG, int VEC, int ITEMS, typename F>
inline void kk_for(size_t n, kk_group<TG, VEC, ITEMS> g, F f) {
  for (int k = 0; k < ITEMS; ++k) {
    const uint block = uint(k) * TG + g.index;
    if (block * VEC < uint(n))
      for (int j = 0; j < VEC; ++j) f(kk_at{block * VEC + j, k * VEC + j});
  }
}

// a += b; what the float cannot hold goes to `rest` (D. Knuth, "The Art of Computer Programming", volume 2, 4.2.2).
inline void kk_two_sum(thread float& a, thread float& rest, float b) {
  const float sum = a + b;
  const float of_b = sum - a;
  rest += (a - (sum - of_b)) + (b - of_b);
  a = sum;
}

// A sum with what was left over, which is no number where the sum has overflowed.
inline float kk_with_rest(float sum, float rest) {
  return metal::isfinite(rest) ? sum + rest : sum;
}

// How many blocks in a row one accumulator takes in. A large element swallows the small ones that come after it in the
// same accumulator, so these are few.
constant constexpr int kk_run = 8;

// Sums over rows: out[i] is the sum of rows.row(r)(i) over the rows r of this group's share,
// so that the sum of all groups' outputs is the whole. On a CPU the row is the inner loop, in order of
// memory.
template <int TG, int VEC, int ITEMS, typename F>
inline void kk_sum_rows(size_t rows, size_t group, size_t groups, size_t n, device float* out,
                        kk_group<TG, VEC, ITEMS> g, F f) {
  const size_t from = rows * group / groups;
  const size_t to = rows * (group + 1) / groups;
  if (TG == 1) {
    for (size_t i = 0; i < n; ++i) out[i] = 0.0f;
    for (size_t r = from; r < to; ++r) {
      const typename F::Row row = f.row(r);
      for (size_t i = 0; i < n; ++i) out[i] += row(kk_at{i, 0});
    }
  } else {
    for (size_t i = g.index; i < n; i += TG) {
      float v = 0.0f;
      for (size_t r = from; r < to; ++r) v += f.row(r)(kk_at{i, 0});
      out[i] = v;
    }
  }
}
