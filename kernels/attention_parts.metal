// What groups that share the tokens of a query have found, and how it is put together (see `attention.metal`).
#include "rows.metal"

// Another's findings are added to these.
inline void kk_join_weights(float most, float other, thread float& here, thread float& there, thread float& both) {
  both = metal::max(most, other);
  const float shift = both == -INFINITY ? 0.0f : both;
  here = metal::fast::exp2(most - shift);
  there = metal::fast::exp2(other - shift);
}

// What all teams of a simdgroup have found.
template <int ROWS, int W, int TEAM, int U>
inline void kk_join_teams(thread kk_found_rows<ROWS, W>& found) {
  for (int r = 0; r < ROWS; ++r) {
    for (int left = U / 2, apart = TEAM / 2; left > 0; left /= 2, apart /= 2)
      found.sum[r] += metal::simd_shuffle_xor(found.sum[r], ushort(apart));
    for (int apart = TEAM; apart < 32; apart *= 2) {
      float here, there, both;
      kk_join_weights(found.most[r], metal::simd_shuffle_xor(found.most[r], ushort(apart)), here, there, both);
      found.most[r] = both;
      found.sum[r] = here * found.sum[r] + there * metal::simd_shuffle_xor(found.sum[r], ushort(apart));
      for (int i = 0; i < W; ++i)
        found.values[r][i] =
            here * found.values[r][i] + there * metal::simd_shuffle_xor(found.values[r][i], ushort(apart));
    }
  }
}

// The mean of values: 0 where no token was seen. A sink is a score without a value, minus infinity for none.
inline float kk_weight_of_all(float most, float sum, float sink) {
  float here, there, both;
  kk_join_weights(most, sink * 1.44269504f, here, there, both);
  const float all = here * sum + there;
  return all == 0.0f ? 0.0f : here / all;
}

// A row's findings go out: as the result where the group has seen all tokens, or with what the others need to be put together.
template <bool WHOLE, typename T>
inline void kk_put_value(device T* out, int e, float value, float weight) {
  out[e] = T(WHOLE ? value * weight : value);
}

// One group. `out` has a row of n elements, or n + 2, for each query of this head and each part of the cache.
template <bool WHOLE, int FORMAT, int ROWS, int W, int UNIT, int TEAM, int TG, int U, typename T, typename K>
inline void kk_write_rows(thread kk_found_rows<ROWS, W>& found, int rows, device T* out, long row_step, int n, uint index,
                          uint lane, uint simd, threadgroup float* shared, K sinks, bool sink_there, long sink_step, int first, int queries) {
  constexpr int simds = TG / 32;
  if (TEAM > 1) kk_join_teams<ROWS, W, TEAM, U>(found);
  const int own = int(index) % TEAM;
  for (int r = 0; r < ROWS; ++r) {
    // The same for all threads.
    if (r >= rows) break;
    device T* to = out + r * row_step;
    const float sink = sink_there ? float(sinks[(first + r) / queries * sink_step]) : -INFINITY;
    if (TG <= 32) {
      const float weight = kk_weight_of_all(found.most[r], found.sum[r], sink);
      if (lane < uint(TEAM)) {
        for (int i = 0; i < W; ++i) {
          const int e = kk_element<FORMAT, UNIT, TEAM>(i, own);
          if (e < n) kk_put_value<WHOLE>(to, e, found.values[r][i], weight);
        }
        if (!WHOLE && own == 0) {
          to[n] = T(found.most[r]);
          to[n + 1] = T(found.sum[r]);
        }
      }
      continue;
    }
    threadgroup float* mine = shared + int(simd) * (W * TEAM + 2);
    if (lane < uint(TEAM))
      for (int i = 0; i < W; ++i) mine[kk_element<FORMAT, UNIT, TEAM>(i, own)] = found.values[r][i];
    if (lane == 0) {
      mine[W * TEAM] = found.most[r];
      mine[W * TEAM + 1] = found.sum[r];
    }
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    float most = -INFINITY, sum = 0.0f, factors[simds > 0 ? simds : 1];
    for (int k = 0; k < simds; ++k) most = metal::max(most, shared[k * (W * TEAM + 2) + W * TEAM]);
    const float shift = most == -INFINITY ? 0.0f : most;
    for (int k = 0; k < simds; ++k) {
      factors[k] = metal::fast::exp2(shared[k * (W * TEAM + 2) + W * TEAM] - shift);
      sum += factors[k] * shared[k * (W * TEAM + 2) + W * TEAM + 1];
    }
    const float weight = kk_weight_of_all(most, sum, sink);
    for (int e = int(index); e < n; e += TG) {
      float value = 0.0f;
      for (int k = 0; k < simds; ++k) value += factors[k] * shared[k * (W * TEAM + 2) + e];
      kk_put_value<WHOLE>(to, e, value, weight);
    }
    if (!WHOLE && index == 0) {
      to[n] = T(most);
      to[n + 1] = T(sum);
    }
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
}

// A row of the result from those of `parts` groups, each of n + 2 elements; of at most 64 groups where simdgroups do it.
template <int TG, int VEC, typename P, typename T>
inline void kk_merge_row(P found, int parts, int n, float sink, device T* out, uint index, uint lane) {
  const int step = n + 2;
  if (TG >= 32) {
    // Lanes share the parts, each simdgroup for itself.
    float factors[2], sum = 0.0f, most = -INFINITY;
    for (int i = 0; i < 2; ++i) {
      const int s = int(lane) + 32 * i;
      factors[i] = s < parts ? float(found[s * step + n]) : -INFINITY;
      most = metal::max(most, factors[i]);
    }
    most = metal::simd_max(most);
    const float shift = most == -INFINITY ? 0.0f : most;
    for (int i = 0; i < 2; ++i) {
      const int s = int(lane) + 32 * i;
      factors[i] = metal::fast::exp2(factors[i] - shift);
      sum += s < parts ? factors[i] * found[s * step + n + 1] : 0.0f;
    }
    const float weight = kk_weight_of_all(most, metal::simd_sum(sum), sink);
    for (int first = 0; first < n; first += TG) {
      const int e = first + int(index), at = metal::min(e, n - 1);
      float value = 0.0f;
      _Pragma("unroll 8") for (int s = 0; s < parts; ++s) {
        const float mine = s < 32 ? factors[0] : factors[1];
        value = metal::fma(metal::simd_shuffle(mine, ushort(s & 31)), float(found[s * step + at]), value);
      }
      if (e < n) out[e] = T(value * weight);
    }
    return;
  }
  float most = -INFINITY, sum = 0.0f;
  for (int s = 0; s < parts; ++s) most = metal::max(most, float(found[long(s) * step + n]));
  const float shift = most == -INFINITY ? 0.0f : most;
  for (int s = 0; s < parts; ++s) sum += metal::fast::exp2(found[long(s) * step + n] - shift) * found[long(s) * step + n + 1];
  const float weight = kk_weight_of_all(most, sum, sink);
  for (int b = int(index); b < n / VEC; b += TG) {
    float values[VEC];
    for (int k = 0; k < VEC; ++k) values[k] = 0.0f;
    for (int s = 0; s < parts; ++s) {
      const float factor = metal::fast::exp2(found[long(s) * step + n] - shift);
      for (int k = 0; k < VEC; ++k) values[k] += factor * found[long(s) * step + b * VEC + k];
    }
    for (int k = 0; k < VEC; ++k) out[b * VEC + k] = T(values[k] * weight);
  }
}
