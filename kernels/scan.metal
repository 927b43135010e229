// Running sums of rows.
#include "floats.metal"
#include "split.metal"

// The i-th element from either end.
template <bool REVERSE>
inline kk_at kk_scan_at(size_t i, size_t n) {
  return kk_at{REVERSE ? n - 1 - i : i, 0};
}

// out[i] = x[0] + ... + x[i], or x[i] + ... + x[n - 1] in reverse. One thread, as on a CPU: it adds up VEC
// neighbours by themselves; these sums do not wait for what comes before, only the last addition does.
template <bool REVERSE, int VEC, typename P, typename T>
inline void kk_cumsum_row(P p, device T* out, size_t n, kk_group<1, VEC, 0>) {
  const kk_row<P> x = kk_read(p);
  float carry = 0.0f, rest = 0.0f;
  size_t from = 0;
  for (; from + VEC <= n; from += VEC) {
    const size_t begin = REVERSE ? n - from - VEC : from;
    const auto block = kk_as_floats<VEC>(p + begin);
    // Sums stand where their elements do, so that they are loaded and stored in order of memory in both directions.
    float part[VEC];
    for (int k = 0; k < VEC; ++k) part[k] = float(block[k]);
    if (REVERSE)
      for (int k = 1; k < VEC; ++k) part[VEC - 1 - k] += part[VEC - k];
    else
      for (int k = 1; k < VEC; ++k) part[k] += part[k - 1];
    auto to = kk_open<VEC>(out + begin);
    for (int k = 0; k < VEC; ++k) kk_put<T>(to, k, carry + (rest + part[k]));
    kk_close<VEC>(out + begin, to);
    kk_two_sum(carry, rest, part[REVERSE ? 0 : VEC - 1]);
    rest = metal::isfinite(rest) ? rest : 0.0f;
  }
  float part = 0.0f;
  for (; from < n; ++from) {
    const kk_at at = kk_scan_at<REVERSE>(from, n);
    part += x(at);
    out[at.i] = T(carry + (rest + part));
  }
}

// So many floats, for simdgroup functions of several values at once.
template <int N>
struct kk_floats {
  typedef metal::vec<float, N> type;
};
template <>
struct kk_floats<1> {
  typedef float type;
};
inline float kk_get(float v, int) { return v; }
inline void kk_set(thread float& v, int, float to) { v = to; }
template <typename V>
inline float kk_get(V v, int k) {
  return v[k];
}
template <typename V>
inline void kk_set(thread V& v, int k, float to) {
  v[k] = to;
}

// A block that one instruction loads. Of arrays that may lie in constant memory, as small ones do, no more than
// an element is loaded at once.
template <typename T, int VEC>
struct kk_block_load {
  template <typename P>
  static kk_block<T, VEC> at(P p, uint block) {
    return reinterpret_cast<const device kk_block<T, VEC>*>(p)[block];
  }
};
template <typename T>
struct kk_block_load<T, 1> {
  template <typename P>
  static kk_block<T, 1> at(P p, uint i) {
    return kk_block<T, 1>{{p[i]}};
  }
};

// The blocks that begin at the i-th element from either end and every `step` elements further. What lies
// beyond `to` is of no use to anybody: some other block, or zeros. With `blocks` the row is made of whole
// blocks that one instruction loads or stores, and no branch stands between their loads.
template <bool REVERSE, int VEC, int ITEMS, typename P, typename T>
inline void kk_scan_load(P p, uint i, uint step, uint to, uint n, bool blocks, thread float* v, T) {
  if (blocks) {
    kk_block<T, VEC> b[ITEMS];
    for (int k = 0; k < ITEMS; ++k) {
      const uint at = metal::min(i + k * step, to - VEC);
      b[k] = kk_block_load<T, VEC>::at(p, (REVERSE ? n - VEC - at : at) / VEC);
    }
    for (int k = 0; k < ITEMS; ++k)
      for (int j = 0; j < VEC; ++j) v[k * VEC + j] = float(b[k].v[REVERSE ? VEC - 1 - j : j]);
  } else {
    for (int k = 0; k < ITEMS; ++k)
      for (int j = 0; j < VEC; ++j) {
        const uint at = i + k * step + j;
        v[k * VEC + j] = at < to ? float(p[kk_scan_at<REVERSE>(at, n).i]) : 0.0f;
      }
  }
}
template <bool REVERSE, int VEC, typename T>
inline void kk_scan_store(device T* out, uint i, uint to, uint n, bool blocks, thread const float* v,
                          float before) {
  if (blocks && i < to) {
    const uint block = (REVERSE ? n - VEC - i : i) / VEC;
    kk_block<T, VEC> b;
    for (int j = 0; j < VEC; ++j) b.v[REVERSE ? VEC - 1 - j : j] = T(before + v[j]);
    reinterpret_cast<device kk_block<T, VEC>*>(out)[block] = b;
  } else {
    for (int j = 0; j < VEC; ++j)
      if (i + j < to) out[kk_scan_at<REVERSE>(i + j, n).i] = T(before + v[j]);
  }
}
template <int VEC, typename P>
inline bool kk_in_blocks(P p, uint n) {
  return n % VEC == 0 && reinterpret_cast<size_t>(p) % (sizeof(*p) * VEC) == 0;
}

// The elements from `from` to `to`, after those whose sum is `carry`, by a group as on a GPU. In each step a
// thread has ITEMS blocks; a simdgroup's threads have neighbouring ones. All loads are under way before
// the first sum, and the sums of all blocks go through the simdgroup at once. One barrier a step: the
// simdgroups' sums lie in the halves of the shared memory in turn, so there are at most 16.
template <bool REVERSE, typename P, typename T, int TG, int VEC, int ITEMS>
inline void kk_cumsum_part(P p, device T* out, uint n, uint from, uint to, float carry,
                           kk_group<TG, VEC, ITEMS> g) {
  typedef typename kk_floats<ITEMS>::type Sums;
  const bool blocks = kk_in_blocks<VEC>(p, n) && kk_in_blocks<VEC>(out, n);
  threadgroup float* simds = g.shared;
  for (uint i = from + (g.index / 32 * (32 * ITEMS) + g.lane) * VEC; from < to;
       i += TG * VEC * ITEMS, from += TG * VEC * ITEMS) {
    float v[ITEMS * VEC];
    kk_scan_load<REVERSE, VEC, ITEMS>(p, i, 32 * VEC, to, n, blocks, v, *p);
    Sums sums = Sums(0.0f);
    for (int k = 0; k < ITEMS; ++k) {
      for (int j = 1; j < VEC; ++j) v[k * VEC + j] += v[k * VEC + j - 1];
      kk_set(sums, k, v[k * VEC + VEC - 1]);
    }
    const Sums through = metal::simd_prefix_inclusive_sum(sums);
    const Sums shifted = metal::simd_shuffle_up(through, 1);
    const Sums totals = metal::simd_broadcast(through, 31);
    float before = carry;
    float all = 0.0f;
    for (int k = 0; k < ITEMS; ++k) all += kk_get(totals, k);
    if (TG > 32) {
      if (g.lane == 0) simds[g.simd] = all;
      metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
      all = 0.0f;
      for (int w = 0; w < TG / 32; ++w) {
        const float other = simds[w];
        before += uint(w) < g.simd ? other : 0.0f;
        all += other;
      }
      simds = simds == g.shared ? g.shared + 16 : g.shared;
    }
    for (int k = 0; k < ITEMS; ++k) {
      kk_scan_store<REVERSE, VEC>(out, i + k * (32 * VEC), to, n, blocks, v + k * VEC,
                                  g.lane == 0 ? before : before + kk_get(shifted, k));
      before += kk_get(totals, k);
    }
    carry += all;
  }
}
template <bool REVERSE, int TG, int VEC, int ITEMS, typename P, typename T>
inline void kk_cumsum_row(P p, device T* out, size_t n, kk_group<TG, VEC, ITEMS> g) {
  kk_cumsum_part<REVERSE>(p, out, uint(n), 0u, uint(n), 0.0f, g);
}

// A part of a row, after what comes before it, which the group adds up by itself.
template <bool REVERSE, int TG, int VEC, int ITEMS, typename P, typename T>
inline void kk_cumsum_row(P p, device T* out, size_t width, kk_chunk<TG, VEC, ITEMS> g) {
  const uint n = uint(width);
  const uint each = ((n + VEC - 1) / VEC + g.parts - 1) / g.parts * VEC;
  const uint from = metal::min(n, g.part * each);
  const bool blocks = kk_in_blocks<VEC>(p, n);
  float sums[ITEMS];
  for (int k = 0; k < ITEMS; ++k) sums[k] = 0.0f;
  for (uint start = 0; start < from; start += TG * VEC * ITEMS) {
    const uint i = start + g.index * VEC;
    float v[ITEMS * VEC];
    kk_scan_load<REVERSE, VEC, ITEMS>(p, i, TG * VEC, from, n, blocks, v, *p);
    for (int k = 0; k < ITEMS; ++k)
      if (i + k * (TG * VEC) < from)
        for (int j = 0; j < VEC; ++j) sums[k] += v[k * VEC + j];
  }
  for (int k = 1; k < ITEMS; ++k) sums[0] += sums[k];
  const float carry = kk_group_sum(sums[0], g.group);
  kk_cumsum_part<REVERSE>(p, out, n, from, metal::min(n, from + each), carry, g.group);
}
