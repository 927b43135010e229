// Attention over keys and values in blocks.
#include "rows.metal"

// Tokens that a group looks at together.
constant constexpr int kk_tokens = 128;

// The number of a token's slot in all blocks together, or -1 where the table has none.
template <typename B>
inline long kk_slot_of(B table, size_t columns, size_t blocks, size_t slots, size_t token) {
  const size_t column = token / slots;
  if (column >= columns) return -1;
  const long block = long(table[column]);
  if (block < 0 || size_t(block) >= blocks) return -1;
  return block * long(slots) + long(token - column * slots);
}

// The inner product, in sums side by side.
template <typename P, typename Q>
inline float kk_dot(P a, Q b, size_t n) {
  float part[8];
  for (int k = 0; k < 8; ++k) part[k] = 0.0f;
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) part[k] += float(a[i + k]) * float(b[i + k]);
  float rest = 0.0f;
  for (; i < n; ++i) rest += float(a[i]) * float(b[i]);
  for (int k = 0; k < 4; ++k) part[k] += part[k + 4];
  return (part[0] + part[2]) + (part[1] + part[3]) + rest;
}

// One query. Keys and values of neighbouring slots are `step` elements apart. The softmax goes along (M. Milakov, N. Gimelshein,
// "Online normalizer calculation for softmax", 2018): what has been added up is rescaled when a larger score comes. A token
// without a block makes the result NaN.
template <int ITEMS, int TG, typename Q, typename P, typename V, typename B, typename T>
inline void kk_paged_row(Q q, P keys, V values, B table, size_t columns, size_t blocks, size_t slots, size_t step,
                         long length, float scale, device T* out, size_t n, threadgroup float* scores,
                         threadgroup long* places, kk_group<TG, 1, 1> g) {
  float sum = 0.0f, most = -INFINITY;
  float kept[ITEMS];
  for (int t = 0; t < ITEMS; ++t) kept[t] = 0.0f;
  // One token beyond the table says that there are too many.
  const size_t count = size_t(metal::clamp(length, long(0), long(columns * slots + 1)));
  for (size_t from = 0; from < count; from += kk_tokens) {
    const size_t here = metal::min(size_t(kk_tokens), count - from);
    float largest = -INFINITY;
    for (size_t i = g.index; i < here; i += TG) {
      const long place = kk_slot_of(table, columns, blocks, slots, from + i);
      float score = NAN;
      if (place >= 0) score = scale * kk_dot(q, keys + size_t(place) * step, n);
      places[i] = place;
      scores[i] = score;
      largest = metal::max(largest, score);
    }
    largest = metal::max(most, kk_group_max(largest, g));
    const float shift = largest == -INFINITY ? 0.0f : largest;
    const float factor = metal::exp(most - shift);
    float added = 0.0f;
    for (size_t i = g.index; i < here; i += TG) {
      const float e = metal::exp(scores[i] - shift);
      scores[i] = e;
      added += e;
    }
    sum = sum * factor + kk_group_sum(added, g);
    for (int t = 0; t < ITEMS; ++t) kept[t] *= factor;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    for (size_t i = 0; i < here; ++i) {
      if (places[i] < 0) continue;
      const float weight = scores[i];
      const size_t at = size_t(places[i]) * step;
      if (TG == 1) {
        // Without a condition, so that the compiler makes vectors of it.
        for (size_t d = 0; d < n; ++d) kept[d] += weight * float(values[at + d]);
      } else {
        for (int t = 0; t < ITEMS; ++t) {
          const size_t d = size_t(t) * TG + g.index;
          if (d < n) kept[t] += weight * float(values[at + d]);
        }
      }
    }
    most = largest;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
  for (int t = 0; t < ITEMS; ++t) {
    const size_t d = size_t(t) * TG + g.index;
    if (d < n) out[d] = T(count == 0 ? 0.0f : kept[t] / sum);
  }
}
