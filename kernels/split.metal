// Rows that one group does not hold in registers, and rows shared by several groups because there are too few
// of them to occupy a GPU.
//
// Such a row function runs with kk_part in place of kk_group. Each group adds up the whole row, which the GPU's
// cache holds after the first has read it, but writes only its part: no group waits for another,
// and there is one launch. A step loads ITEMS blocks of VEC elements, all before the first is
// used. Rows are made of whole blocks, and all arrays begin at a multiple of a block.
#include "rows.metal"

template <int TG, int VEC, int ITEMS>
struct kk_part {
  threadgroup float* shared;  // 32 floats
  uint index;                 // of the thread in the group
  uint lane;                  // in the simdgroup
  uint simd;                  // of the simdgroup in the group
  uint part;                  // of the group among those of the row
  uint parts;
};

// A row in memory. Its elements are asked for one by one, in order, and a block is loaded once.
template <typename T, int VEC>
struct kk_part_row {
  const device kk_block<T, VEC>* p;
  float operator()(kk_at at) const {
    const kk_block<T, VEC> b = p[at.i / VEC];
    return float(b.v[at.slot]);
  }
};

template <typename T, int TG, int VEC, int ITEMS>
inline kk_part_row<T, VEC> kk_keep(const device T* p, size_t, kk_part<TG, VEC, ITEMS>) {
  return kk_part_row<T, VEC>{reinterpret_cast<const device kk_block<T, VEC>*>(p)};
}

template <int TG, int VEC, int ITEMS>
inline bool kk_streams(kk_part<TG, VEC, ITEMS>) {
  return false;
}

// Whether the thread writes what a row has but once.
template <int TG, int VEC, int ITEMS>
inline bool kk_first(kk_part<TG, VEC, ITEMS> g) {
  return g.part == 0 && g.index == 0;
}

// Which blocks of a row are this part of it.
struct kk_range {
  uint from;
  uint to;
};
template <int TG, int VEC, int ITEMS>
inline kk_range kk_part_of(size_t n, kk_part<TG, VEC, ITEMS> g) {
  const uint blocks = uint(n) / VEC;
  const uint each = (blocks + g.parts - 1) / g.parts;
  return kk_range{metal::min(blocks, g.part * each), metal::min(blocks, (g.part + 1) * each)};
}

template <int TG, int VEC, int ITEMS>
inline kk_group<TG, VEC, ITEMS> kk_whole(kk_part<TG, VEC, ITEMS> g) {
  return kk_group<TG, VEC, ITEMS>{g.shared, g.index, g.lane, g.simd};
}

// Calls f with the index of each block of the range, ITEMS of them side by side: `f(b, k)`.
template <int TG, int VEC, int ITEMS, typename F>
inline void kk_blocks(kk_range range, kk_part<TG, VEC, ITEMS> g, F f) {
  uint b = range.from + g.index;
  for (; b + (ITEMS - 1) * TG < range.to; b += ITEMS * TG)
    for (int k = 0; k < ITEMS; ++k) f(b + k * TG, k);
  for (; b < range.to; b += TG) f(b, 0);
}

template <int VEC, typename T, typename F>
struct kk_part_store {
  device kk_block<T, VEC>* out;
  F f;
  void operator()(uint block, int) const {
    kk_block<T, VEC> b;
    for (int j = 0; j < VEC; ++j) b.v[j] = T(f(kk_at{size_t(block) * VEC + j, j}));
    out[block] = b;
  }
};
template <int TG, int VEC, int ITEMS, typename T, typename F>
inline void kk_map(size_t n, kk_part<TG, VEC, ITEMS> g, device T* out, F f) {
  kk_blocks(kk_part_of(n, g), g,
            kk_part_store<VEC, T, F>{reinterpret_cast<device kk_block<T, VEC>*>(out), f});
}

template <int VEC, typename F>
struct kk_part_add {
  F f;
  thread float* sums;
  void operator()(uint block, int k) const {
    float v = 0.0f;
    for (int j = 0; j < VEC; ++j) v += f(kk_at{size_t(block) * VEC + j, j});
    sums[k] += v;
  }
};
template <int TG, int VEC, int ITEMS, typename F>
inline float kk_sum(size_t n, kk_part<TG, VEC, ITEMS> g, F f) {
  float sums[ITEMS];
  for (int k = 0; k < ITEMS; ++k) sums[k] = 0.0f;
  kk_blocks(kk_range{0, uint(n) / VEC}, g, kk_part_add<VEC, F>{f, sums});
  for (int k = 1; k < ITEMS; ++k) sums[0] += sums[k];
  return kk_group_sum(sums[0], kk_whole(g));
}

template <int VEC, typename F>
struct kk_part_raise {
  F f;
  thread float* most;
  void operator()(uint block, int k) const {
    for (int j = 0; j < VEC; ++j)
      most[k] = metal::max(most[k], f(kk_at{size_t(block) * VEC + j, j}));
  }
};
template <int TG, int VEC, int ITEMS, typename F>
inline float kk_max(size_t n, kk_part<TG, VEC, ITEMS> g, F f) {
  float most[ITEMS];
  for (int k = 0; k < ITEMS; ++k) most[k] = -INFINITY;
  kk_blocks(kk_range{0, uint(n) / VEC}, g, kk_part_raise<VEC, F>{f, most});
  for (int k = 1; k < ITEMS; ++k) most[0] = metal::max(most[0], most[k]);
  return kk_group_max(most[0], kk_whole(g));
}
