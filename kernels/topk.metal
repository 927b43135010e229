// The k largest elements of a row, in order; keys are those of selection.metal.
#include "hold.metal"
#include "selection.metal"

// The k largest, by one thread: a heap of the k best so far with the worst of them on top. `best` has room for k.
inline ulong kk_ranked(uint key, size_t i) { return (ulong(key) << 32) | ulong(~uint(i)); }
inline void kk_sift(thread ulong* heap, uint at, uint k) {
  const ulong v = heap[at];
  for (uint child = 2 * at + 1; child < k; child = 2 * at + 1) {
    if (child + 1 < k && heap[child + 1] < heap[child]) ++child;
    if (heap[child] >= v) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = v;
}
template <int VEC, typename P>
inline void kk_topk_one(P p, size_t n, uint k, thread ulong* heap) {
  for (uint i = 0; i < k; ++i) heap[i] = kk_ranked(kk_order(p[i]), i);
  for (uint i = k / 2; i > 0; --i) kk_sift(heap, i - 1, k);
  uint least = uint(heap[0] >> 32);
  size_t i = k;
  for (; i + VEC <= n; i += VEC) {
    uint found = 0;
    for (int j = 0; j < VEC; ++j) found |= kk_order(p[i + j]) > least ? 1u : 0u;
    if (found != 0u) {
      for (int j = 0; j < VEC; ++j) {
        const uint key = kk_order(p[i + j]);
        if (key > least) {
          heap[0] = kk_ranked(key, i + j);
          kk_sift(heap, 0, k);
          least = uint(heap[0] >> 32);
        }
      }
    }
  }
  for (; i < n; ++i) {
    const uint key = kk_order(p[i]);
    if (key > least) {
      heap[0] = kk_ranked(key, i);
      kk_sift(heap, 0, k);
      least = uint(heap[0] >> 32);
    }
  }
  // The worst goes to the end, again and again: what is left is in descending order.
  for (uint last = k - 1; last > 0; --last) {
    const ulong worst = heap[0];
    heap[0] = heap[last];
    heap[last] = worst;
    kk_sift(heap, 0, last);
  }
}

// The k largest, by a threadgroup. Candidates that are certain to contain them are collected in threadgroup memory, then
// each finds its own rank.
//
// `key` and `at` have room for CAP candidates, `bins` for 256 counts; `bins[256]` counts candidates.
template <int CAP>
struct kk_candidates {
  threadgroup uint* key;
  threadgroup uint* at;
  threadgroup atomic_uint* bins;
  threadgroup uint* shared;  // 64
  void take(uint k, uint i) const {
    const uint to = atomic_fetch_add_explicit(&bins[256], 1u, metal::memory_order_relaxed);
    if (to < uint(CAP)) {
      key[to] = k;
      at[to] = i;
    }
  }
};
// Takes elements that are at least `least`, and those that are not a number: one comparison an element.
template <int CAP, typename C>
struct kk_collect {
  kk_candidates<CAP> c;
  C least;
  template <typename T>
  void operator()(T v, uint i) {
    if (!(kk_comparable(v) < least)) c.take(kk_order(v), i);
  }
};
// Takes elements whose ranked keys begin with at least `least`.
template <int CAP>
struct kk_collect_ranked {
  kk_candidates<CAP> c;
  ulong least;
  int shift;
  template <typename T>
  void operator()(T v, uint i) {
    const uint key = kk_order(v);
    if ((kk_ranked(key, i) >> shift) >= least) c.take(key, i);
  }
};
struct kk_count_bins {
  threadgroup atomic_uint* bins;
  ulong prefix;
  ulong least;
  int shift;
  template <typename T>
  void operator()(T v, uint i) {
    const ulong ranked = kk_ranked(kk_order(v), i);
    if (ranked >= least && (shift + 8 >= 64 || (ranked >> (shift + 8)) == prefix))
      atomic_fetch_add_explicit(&bins[uint(ranked >> shift) & 255u], 1u, metal::memory_order_relaxed);
  }
};
// The largest element that is a number.
template <typename C>
struct kk_largest {
  C most;
  template <typename T>
  void operator()(T v, uint) {
    const C other = kk_comparable(v);
    most = other > most ? other : most;
  }
};

// Calls f for each element of the thread, from registers where these hold the row.
template <int TG, int VEC, int ITEMS, typename H, typename F>
inline void kk_each_held(H held, size_t from, uint n, uint index, thread F& f) {
  for (int k = 0; k < ITEMS; ++k) {
    const uint block = uint(k) * TG + index;
    if (block * VEC < n)
      for (int j = 0; j < VEC; ++j) f(held.at(k * VEC + j), uint(from) + block * VEC + j);
  }
}
template <int TG, int VEC, int ITEMS, bool HELD, typename P, typename H, typename F>
inline void kk_each(P p, H held, size_t n, uint index, thread F& f) {
  if (HELD) {
    kk_each_held<TG, VEC, ITEMS>(held, 0, uint(n), index, f);
  } else {
    const size_t step = size_t(TG) * VEC * ITEMS;
    for (size_t from = 0; from < n; from += step) {
      const uint rest = uint(metal::min(n - from, step));
      kk_each_held<TG, VEC, ITEMS>(kk_hold<TG, VEC, ITEMS>(p + from, rest, index), from, rest, index, f);
    }
  }
}

// The m-th largest value of a simdgroup, by a bitonic sort over the lanes.
template <typename C>
inline C kk_lanes_nth(C v, uint lane, uint m) {
  for (uint size = 2; size <= 32; size *= 2) {
    for (uint step = size / 2; step > 0; step /= 2) {
      const C other = metal::simd_shuffle_xor(v, ushort(step));
      const bool descends = (lane & size) == 0, low = (lane & step) == 0;
      v = low == descends ? metal::max(v, other) : metal::min(v, other);
    }
  }
  return metal::simd_shuffle(v, ushort(m - 1));
}

// A value that at least m lanes of a simdgroup reach: of a few the largest goes again and again, with all lanes that have it; of
// many it is the m-th largest, by a bitonic sort over the lanes.
template <typename C>
inline C kk_lanes_reach(C v, uint lane, uint m, C least) {
  if (m > 4) return kk_lanes_nth(v, lane, m);
  C top = metal::simd_max(v);
  for (uint i = 1; i < m; ++i) {
    v = v == top ? least : v;
    top = metal::simd_max(v);
  }
  return top;
}

// A number that came of an element, as the element's type.
template <typename C, typename T>
inline T kk_like(C v, T) {
  return T(v);
}

// The bin in which the `need`-th largest lies, and how many lie above and in it; for all threads.
inline void kk_find_bin(threadgroup atomic_uint* bins, threadgroup uint* shared, uint lane, uint simd,
                        uint need, thread uint& bin, thread uint& above, thread uint& within) {
  if (simd == 0) {
    uint count[8], sum = 0;
    for (int k = 0; k < 8; ++k) {
      count[k] = atomic_load_explicit(&bins[255 - (lane * 8 + k)], metal::memory_order_relaxed);
      sum += count[k];
    }
    uint before = metal::simd_prefix_exclusive_sum(sum);
    for (int k = 0; k < 8; ++k) {
      if (before < need && need <= before + count[k]) {
        shared[0] = 255 - (lane * 8 + k);
        shared[1] = before;
        shared[2] = count[k];
      }
      before += count[k];
    }
  }
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  bin = shared[0];
  above = shared[1];
  within = shared[2];
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
}

// Puts the candidates in order where they lie; `count` is a power of two at most CAP.
template <int TG, int CAP>
inline void kk_sort_candidates(kk_candidates<CAP> c, uint count, uint index) {
  for (uint size = 2; size <= count; size *= 2) {
    for (uint step = size / 2; step > 0; step /= 2) {
      for (uint i = index; i < count / 2; i += TG) {
        const uint a = (i / step) * 2 * step + i % step, b = a + step;
        const uint ka = c.key[a], kb = c.key[b], ia = c.at[a], ib = c.at[b];
        const bool less = ka < kb || (ka == kb && ia > ib);
        if (less == ((a & size) == 0)) {
          c.key[a] = kb;
          c.key[b] = ka;
          c.at[a] = ib;
          c.at[b] = ia;
        }
      }
      metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    }
  }
}

// Leaves the places of the k largest, in order, in the first k of c.at. TG is at least 32, k at most CAP and n. `length` is n,
// where a compiler does not know it.
template <int TG, int VEC, int ITEMS, bool HELD, int CAP, typename P>
inline void kk_topk_row(P p, size_t n, size_t length, uint k, uint index, uint lane, uint simd, kk_candidates<CAP> c) {
  const auto held = kk_hold<TG, VEC, ITEMS>(p, uint(HELD ? n : metal::min(n, size_t(TG) * VEC * ITEMS)), index);
  const int simds = TG / 32;
  if (index == 0) atomic_store_explicit(&c.bins[256], 0u, metal::memory_order_relaxed);
  // The m-th largest of the threads' own largest, in the simdgroup where that is least: k elements are at least that. Where
  // a thread has no number, it is the least there is, and all elements are candidates.
  typedef decltype(kk_comparable(held.at(0))) C;
  const C all = kk_least(C(0));
  C least = all;
  const uint m = (k + simds - 1) / simds;
  if (m <= 32) {
    kk_largest<C> largest{all};
    kk_each<TG, VEC, ITEMS, HELD>(p, held, n, index, largest);
    least = kk_lanes_reach(largest.most, lane, m, all);
    if (simds > 1) {
      threadgroup C* const found = reinterpret_cast<threadgroup C*>(c.shared);
      if (lane == 0) found[simd] = least;
      metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
      for (int s = 0; s < simds; ++s) least = metal::min(least, found[s]);
    }
  }
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  const bool tries = m <= 32 || n <= size_t(CAP);
  uint count = uint(CAP) + 1;
  if (tries) {
    kk_collect<CAP, C> collect{c, least};
    kk_each<TG, VEC, ITEMS, HELD>(p, held, n, index, collect);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    count = atomic_load_explicit(&c.bins[256], metal::memory_order_relaxed);
  }
  if (count > uint(CAP)) {
    // Digit by digit: how the k-th largest begins. Places are part of what is counted, so that it is one element. The row is read
    // from memory once more, so that this rare case takes no registers from the others.
    const ulong floor_of_all = least > all ? ulong(kk_order(kk_like(least, held.at(0)))) << 32 : 0ul;
    ulong prefix = 0;
    uint need = k, sure = 0;
    int shift = 24 + kk_key_bits(*p);
    for (;;) {
      for (uint i = index; i < 256; i += TG) atomic_store_explicit(&c.bins[i], 0u, metal::memory_order_relaxed);
      metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
      kk_count_bins counter{c.bins, prefix, floor_of_all, shift};
      kk_each<TG, VEC, ITEMS, false>(p, held, length, index, counter);
      metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
      uint bin, above, within;
      kk_find_bin(c.bins, c.shared, lane, simd, need, bin, above, within);
      prefix = (prefix << 8) | bin;
      sure += above;
      need -= above;
      if (sure + within <= uint(CAP) || shift == 0) break;
      shift -= 8;
    }
    if (index == 0) atomic_store_explicit(&c.bins[256], 0u, metal::memory_order_relaxed);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    kk_collect_ranked<CAP> collect{c, prefix, shift};
    kk_each<TG, VEC, ITEMS, false>(p, held, length, index, collect);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    count = atomic_load_explicit(&c.bins[256], metal::memory_order_relaxed);
  }
  if (count <= uint(TG)) {
    // Each candidate counts those before it.
    const uint key = index < count ? c.key[index] : 0u, at = index < count ? c.at[index] : 0u;
    uint rank = 0;
    if (index < count)
      for (uint i = 0; i < count; ++i) {
        const uint other = c.key[i];
        rank += other > key || (other == key && c.at[i] < at) ? 1u : 0u;
      }
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    if (index < count) c.at[rank] = at;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  } else {
    uint size = 2 * TG;
    while (size < count) size *= 2;
    for (uint i = count + index; i < size; i += TG) {
      c.key[i] = 0u;
      c.at[i] = 0xffffffffu;
    }
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    kk_sort_candidates<TG, CAP>(c, size, index);
  }
}

// The k largest of a short row, by a simdgroup: the best of each lane, of which the best leaves, and so on. A lane has at most
// 32 elements; those that are gone are bits of a word. The lane that is first gives the places to `out`.
template <int ITEMS, int VEC>
struct kk_lane_best {
  uint key, at;
  template <typename H>
  void find(H held, uint n, uint lane, uint gone) {
    key = 0u;
    at = 0xffffffffu;
    for (int k = 0; k < ITEMS; ++k) {
      const uint block = uint(k) * 32 + lane;
      for (int j = 0; j < VEC; ++j) {
        const uint other = kk_order(held.at(k * VEC + j));
        const bool here = block * VEC < n && ((gone >> (k * VEC + j)) & 1u) == 0u;
        if (here && (other > key || at == 0xffffffffu)) {
          key = other;
          at = block * VEC + j;
        }
      }
    }
  }
};
template <int VEC, int ITEMS, typename P, typename F>
inline void kk_topk_lanes(P p, uint n, uint k, uint lane, F out) {
  const auto held = kk_hold<32, VEC, ITEMS>(p, n, lane);
  uint gone = 0u;
  kk_lane_best<ITEMS, VEC> best;
  best.find(held, n, lane, gone);
  for (uint rank = 0; rank < k; ++rank) {
    const uint top = metal::simd_max(best.key);
    const uint at = metal::simd_min(best.key == top ? best.at : 0xffffffffu);
    if (lane == 0) out(rank, at);
    if (at == best.at) {
      gone |= 1u << ((at / VEC / 32) * VEC + at % VEC);
      best.find(held, n, lane, gone);
    }
  }
}
// Where the places and the values of the k largest of a row go.
template <typename P, typename T>
struct kk_to_row {
  P p;
  device T* values;
  device uint* indices;
  void operator()(uint rank, uint at) const {
    values[rank] = p[at];
    indices[rank] = at;
  }
};
template <typename P, typename T>
inline kk_to_row<P, T> kk_to_row_of(P p, device T* values, device uint* indices) {
  return kk_to_row<P, T>{p, values, indices};
}

// The two weights of a choice of two: the softmax of their values.
template <typename P, typename T>
struct kk_to_gate {
  P p;
  device T* weights;
  device uint* indices;
  // Called with the first place, then with the second.
  void operator()(uint rank, uint at) const {
    indices[rank] = at;
    if (rank == 1u) {
      const float first = float(p[indices[0]]), second = float(p[at]);
      // Equal infinities are equally good.
      const float ratio = first == second ? 1.0f : metal::exp(second - first);
      weights[0] = T(1.0f / (1.0f + ratio));
      weights[1] = T(ratio / (1.0f + ratio));
    }
  }
};
template <typename P, typename T>
inline kk_to_gate<P, T> kk_gate(P p, device T* weights, device uint* indices) {
  return kk_to_gate<P, T>{p, weights, indices};
}
