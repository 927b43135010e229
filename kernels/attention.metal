// Attention of a few queries over a long cache.
//
// Queries of one batch that share a head of keys are the rows of a threadgroup, which goes over a part of the cache. A token
// belongs to a team of TEAM neighbouring threads; each thread has W of its elements, in units of UNIT. On a GPU a unit is what one
// instruction loads. On a CPU a team is one thread and a unit a whole token. Each team goes through its tokens U at a time, with a
// softmax that goes along (M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018); what the teams found is
// put together at the end, and what the groups found by `kk_merge_row`.
#include "blocks.metal"
#include "floats.metal"

// A head of keys or values. Token (block, slot) begins at p + block * blocks + slot * slots; FORMAT is 0 for floats, 8 for whole
// numbers of a byte, 4 for two of them a byte (element 2 i in the lower half, 8 subtracted), with a scale for every `group`
// elements.
template <int FORMAT, typename P, typename S>
struct kk_cache {
  P p;
  long blocks, slots, step;
  S scales;
  long scale_blocks, scale_slots, scale_step;
  int group;
};

struct kk_token {
  long block, slot;
};

// The place of a token: in the cache itself, or in a block that the table names. A block of -1 is none.
template <bool PAGED, typename B>
inline kk_token kk_find(B table, long step, long columns, long blocks, long slots, long token) {
  if (!PAGED) return kk_token{0, token};
  const long column = long(uint(token) / uint(slots));
  if (column >= columns) return kk_token{-1, 0};
  const long block = long(table[column * step]);
  return kk_token{block < 0 || block >= blocks ? -1 : block, token - column * slots};
}

// A byte as a float, without a conversion: 2^23 + byte is put together, and what is too much subtracted.
inline float kk_byte_of(uint word, int which, float minus) {
  return as_type<float>(0x4b000000u | ((word >> (8 * which)) & 255u)) - minus;
}

// The elements of a token that a thread has, not read yet.
template <bool FAST, int FORMAT, typename C, int W, int UNIT, int TEAM, typename P, typename S>
struct kk_slice {
  thread const kk_cache<FORMAT, P, S>* from;
  kk_token at;
  void take(thread const kk_cache<FORMAT, P, S>& cache, kk_token token, int, int) {
    from = &cache;
    at = token;
  }
  // As floats, zeros behind the last of n.
  void floats(int thread_of_team, int n, thread float* to) const {
    const P p = from->p + (at.block * from->blocks + at.slot * from->slots);
    const S s = from->scales + (at.block * from->scale_blocks + at.slot * from->scale_slots);
    for (int j = 0; j < W / UNIT; ++j) {
      const int e = (j * TEAM + thread_of_team) * UNIT, count = metal::clamp(n - e, 0, UNIT);
      if (FORMAT == 0) plain(p + e * from->step, count, to + j * UNIT);
      else codes(p + (FORMAT == 4 ? e / 2 : e) * from->step, s, e, count, to + j * UNIT);
    }
  }
  void plain(P p, int count, thread float* to) const {
    int i = 0;
    if (from->step == 1) {
      if (UNIT >= 16) {
        for (; i + 16 <= count; i += 16) {
          const auto f = kk_as_floats<16>(p + i);
          for (int k = 0; k < 16; ++k) to[i + k] = float(f[k]);
        }
      }
      for (; i < count; ++i) to[i] = float(p[i]);
    } else {
      for (; i < count; ++i) to[i] = float(p[i * from->step]);
    }
    for (; i < UNIT; ++i) to[i] = 0.0f;
  }
  // So many at a time have one scale, and stand in both halves of the unit where two are in a byte.
  void codes(P p, S scales, int e, int count, thread float* to) const {
    constexpr int chunk = UNIT < 32 ? UNIT : 32, part = FORMAT == 4 ? chunk / 2 : chunk;
    for (int c = 0; c < UNIT; c += chunk) {
      const int to_at = FORMAT == 4 ? c / 2 : c;
      if (c >= count) {
        for (int i = 0; i < part; ++i) to[to_at + i] = 0.0f;
        if (FORMAT == 4)
          for (int i = 0; i < part; ++i) to[UNIT / 2 + to_at + i] = 0.0f;
        continue;
      }
      const float scale = float(scales[(e + c) / from->group * from->scale_step]);
      if (FORMAT == 8) {
        for (int i = 0; i < part; ++i) to[to_at + i] = scale * float(p[(to_at + i) * from->step]);
      } else {
        for (int i = 0; i < part; ++i) {
          const int code = int(p[(to_at + i) * from->step]);
          to[to_at + i] = scale * float((code & 15) - 8);
          to[UNIT / 2 + to_at + i] = scale * float((code >> 4) - 8);
        }
      }
    }
  }
};

// The same, loaded: all elements are neighbours, and units begin where blocks of memory do. A unit beyond the last of n is the
// last once more.
template <int FORMAT, typename C, int W, int UNIT, int TEAM, typename P, typename S>
struct kk_slice<true, FORMAT, C, W, UNIT, TEAM, P, S> {
  enum { words = FORMAT == 4 ? 1 : FORMAT == 8 ? 2 : 2 * sizeof(C), each = words < 4 ? words : 4 };
  kk_block<uint, each> b[W / UNIT][words / each];
  float scale[W / UNIT];
  void take(thread const kk_cache<FORMAT, P, S>& cache, kk_token token, int thread_of_team, int n) {
    const P p = cache.p + (token.block * cache.blocks + token.slot * cache.slots);
    const S s = cache.scales + (token.block * cache.scale_blocks + token.slot * cache.scale_slots);
    for (int j = 0; j < W / UNIT; ++j) {
      const int e = metal::min((j * TEAM + thread_of_team) * UNIT, n - UNIT);
      const device kk_block<uint, each>* q =
          reinterpret_cast<const device kk_block<uint, each>*>(p + (FORMAT == 4 ? e / 2 : e));
      for (int i = 0; i < words / each; ++i) b[j][i] = q[i];
      scale[j] = FORMAT == 0 ? 1.0f : float(s[e / cache.group * cache.scale_step]);
    }
  }
  void floats(int, int, thread float* to) const {
    for (int j = 0; j < W / UNIT; ++j) {
      for (int i = 0; i < UNIT; ++i) {
        if (FORMAT == 0) {
          const int at = i * int(sizeof(C)) / 4;
          to[j * UNIT + i] = kk_of_word(b[j][at / each].v[at % each], i % (4 / int(sizeof(C))), C(0));
        } else if (FORMAT == 8) {
          to[j * UNIT + i] = scale[j] * kk_byte_of(b[j][0].v[i / 4 % each] ^ 0x80808080u, i % 4, 8388736.0f);
        } else {
          const uint word = b[j][0].v[0];
          to[j * UNIT + i] = scale[j] * kk_byte_of((i < 4 ? word : word >> 4) & 0x0f0f0f0fu, i % 4, 8388616.0f);
        }
      }
    }
  }
};

// Where an element of a thread stands among those of the token: of two codes in a byte all lower ones come first.
template <int FORMAT, int UNIT, int TEAM>
inline int kk_element(int i, int thread_of_team) {
  const int unit = i / UNIT, at = i % UNIT;
  const int place = FORMAT != 4 ? at : at < UNIT / 2 ? 2 * at : 2 * (at - UNIT / 2) + 1;
  return (unit * TEAM + thread_of_team) * UNIT + place;
}

// The inner product, on a CPU in sums side by side.
template <int W, int SUMS>
inline float kk_inner(thread const float* a, thread const float* b) {
  float part[SUMS];
  for (int k = 0; k < SUMS; ++k) part[k] = a[k] * b[k];
  for (int i = SUMS; i < W; i += SUMS)
    for (int k = 0; k < SUMS; ++k) part[k] = metal::fma(a[i + k], b[i + k], part[k]);
  for (int h = SUMS / 2; h > 0; h /= 2)
    for (int k = 0; k < h; ++k) part[k] += part[k + h];
  return part[0];
}

// What tokens a query sees, and how its scores become logits of base 2.
struct kk_seen {
  long first, end;
};

// cap * tanh(x / cap), all in powers of two.
template <bool CAPPED>
inline float kk_capped(float x, float cap) {
  return CAPPED ? cap * metal::tanh(x / cap) : x;
}

// What a team has found of a row: its largest score, the sum of powers of two and of values times those.
template <int ROWS, int W>
struct kk_found_rows {
  float most[ROWS], sum[ROWS], values[ROWS][W];
};

// Sums over the team of what its threads have of U tokens, each thread's token in [0]: neighbours exchange halves.
template <int U, int TEAM>
inline void kk_team_scores(thread float* s, uint lane) {
  int apart = TEAM / 2;
  for (int left = U / 2; left > 0; left /= 2) {
    const bool upper = (lane & uint(apart)) != 0;
    for (int u = 0; u < left; ++u) {
      const float keep = upper ? s[u + left] : s[u], give = upper ? s[u] : s[u + left];
      s[u] = keep + metal::simd_shuffle_xor(give, ushort(apart));
    }
    apart /= 2;
  }
  for (; apart > 0; apart /= 2) s[0] += metal::simd_shuffle_xor(s[0], ushort(apart));
}

// All tokens from `from` to `to` (at least one) for ROWS queries q, whose elements are scaled by `scale`, log2(e) included.
template <bool FAST, int FORMAT, bool PAGED, bool CAPPED, typename C, int ROWS, int W, int UNIT, int TEAM, int TG, int U,
          typename P, typename S, typename B>
inline void kk_go(thread const float* q, thread const kk_cache<FORMAT, P, S>& keys,
                  thread const kk_cache<FORMAT, P, S>& values, B table, long step,
                  long columns, long blocks, long slots, long from, long to, thread const kk_seen* seen, float cap, int n, uint index,
                  uint lane, thread kk_found_rows<ROWS, W>& found) {
  constexpr int teams = TG / TEAM;
  const int own = int(index) % TEAM;
  // Of U tokens a thread has the score of one, or of all where it is a team.
  constexpr int kept = TEAM == 1 ? U : 1;
  for (long base = from; base < to; base += teams * U) {
    const long mine = base + long(index / TEAM);
    kk_slice<FAST, FORMAT, C, W, UNIT, TEAM, P, S> k[U], v[U];
    bool there[U];
    for (int u = 0; u < U; ++u) {
      const kk_token at = kk_find<PAGED>(table, step, columns, blocks, slots, metal::min(mine + u * teams, to - 1));
      there[u] = !PAGED || at.block >= 0;
      const kk_token real = {there[u] ? at.block : 0, at.slot};
      k[u].take(keys, real, own, n);
      v[u].take(values, real, own, n);
    }
    float s[ROWS][U];
    for (int u = 0; u < U; ++u) {
      float key[W];
      k[u].floats(own, n, key);
      for (int r = 0; r < ROWS; ++r) s[r][u] = kk_inner<W, TEAM == 1 ? 16 : 1>(q + r * W, key);
    }
    // Which of the U tokens is this thread's.
    int which = 0;
    if (TEAM > 1) {
      int apart = TEAM / 2;
      for (int left = U / 2; left > 0; left /= 2) {
        if (lane & uint(apart)) which += left;
        apart /= 2;
      }
    }
    for (int r = 0; r < ROWS; ++r) {
      if (TEAM > 1) kk_team_scores<U, TEAM>(s[r], lane);
      float most = -INFINITY;
      for (int i = 0; i < kept; ++i) {
        const int u = TEAM == 1 ? i : which;
        const long token = mine + u * teams;
        float x = kk_capped<CAPPED>(s[r][i], cap);
        if (PAGED) {
          bool here = there[0];
          for (int w = 1; w < U; ++w) here = u == w ? there[w] : here;
          x = here ? x : NAN;
        }
        s[r][i] = token >= seen[r].first && token < metal::min(seen[r].end, to) ? x : -INFINITY;
        most = metal::max(most, s[r][i]);
      }
      if (TEAM > 1)
        for (int left = U / 2, apart = TEAM / 2; left > 0; left /= 2, apart /= 2)
          most = metal::max(most, metal::simd_shuffle_xor(most, ushort(apart)));
      most = metal::max(most, found.most[r]);
      const float shift = most == -INFINITY ? 0.0f : most;
      const float factor = metal::fast::exp2(found.most[r] - shift);
      found.most[r] = most;
      float sum = 0.0f;
      for (int i = 0; i < kept; ++i) {
        s[r][i] = metal::fast::exp2(s[r][i] - shift);
        sum += s[r][i];
      }
      found.sum[r] = found.sum[r] * factor + sum;
      for (int i = 0; i < W; ++i) found.values[r][i] *= factor;
      if (TEAM > 1) {
        // The thread that has token u: the bits of u, the highest first, are those of its number in the team.
        const float weight = s[r][0];
        for (int u = 0; u < U; ++u) {
          int owner = 0;
          for (int left = U / 2, apart = TEAM / 2; left > 0; left /= 2, apart /= 2)
            if (u & left) owner += apart;
          s[r][u] = metal::simd_shuffle(weight, ushort((lane & ~uint(TEAM - 1)) + uint(owner)));
        }
      }
    }
    for (int u = 0; u < U; ++u) {
      float value[W];
      v[u].floats(own, n, value);
      for (int r = 0; r < ROWS; ++r)
        for (int i = 0; i < W; ++i) found.values[r][i] = metal::fma(s[r][u], value[i], found.values[r][i]);
    }
  }
}

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

// The mean of values: 0 where no token was seen. A sink is a score without a value.
template <bool SINKS>
inline float kk_weight_of_all(float most, float sum, float sink) {
  float here = 1.0f, there = 0.0f, both;
  if (SINKS) kk_join_weights(most, sink * 1.44269504f, here, there, both);
  const float all = here * sum + there;
  return all == 0.0f ? 0.0f : here / all;
}

// A row's findings go out: as the result where the group has seen all tokens, or with what the others need to be put together.
template <bool WHOLE, typename T>
inline void kk_put_value(device T* out, int e, float value, float weight) {
  out[e] = T(WHOLE ? value * weight : value);
}

// One group. `out` has a row of n elements, or n + 2, for each query of this head and each part of the cache.
template <bool WHOLE, bool SINKS, int FORMAT, int ROWS, int W, int UNIT, int TEAM, int TG, int U, typename T, typename K>
inline void kk_write_rows(thread kk_found_rows<ROWS, W>& found, int rows, device T* out, long row_step, int n, uint index,
                          uint lane, uint simd, threadgroup float* shared, K sinks, long sink_step, int first, int queries) {
  constexpr int simds = TG / 32;
  if (TEAM > 1) kk_join_teams<ROWS, W, TEAM, U>(found);
  const int own = int(index) % TEAM;
  for (int r = 0; r < ROWS; ++r) {
    // The same for all threads.
    if (r >= rows) break;
    device T* to = out + r * row_step;
    const float sink = SINKS ? float(sinks[(first + r) / queries * sink_step]) : 0.0f;
    if (TG <= 32) {
      const float weight = kk_weight_of_all<SINKS>(found.most[r], found.sum[r], sink);
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
    const float weight = kk_weight_of_all<SINKS>(most, sum, sink);
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

// A row of the result from those of `parts` groups, each of n + 2 elements.
template <bool SINKS, int TG, int VEC, typename P, typename T>
inline void kk_merge_row(P found, int parts, int n, float sink, device T* out, uint index) {
  float most = -INFINITY, sum = 0.0f;
  for (int s = 0; s < parts; ++s) most = metal::max(most, float(found[long(s) * (n + 2) + n]));
  const float shift = most == -INFINITY ? 0.0f : most;
  for (int s = 0; s < parts; ++s)
    sum += metal::fast::exp2(found[long(s) * (n + 2) + n] - shift) * found[long(s) * (n + 2) + n + 1];
  const float weight = kk_weight_of_all<SINKS>(most, sum, sink);
  for (int b = int(index); b < n / VEC; b += TG) {
    float values[VEC];
    for (int k = 0; k < VEC; ++k) values[k] = 0.0f;
    for (int s = 0; s < parts; ++s) {
      const float factor = metal::fast::exp2(found[long(s) * (n + 2) + n] - shift);
      for (int k = 0; k < VEC; ++k) values[k] += factor * found[long(s) * (n + 2) + b * VEC + k];
    }
    for (int k = 0; k < VEC; ++k) out[b * VEC + k] = T(values[k] * weight);
  }
}
