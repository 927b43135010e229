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

// Element i of a unit, from the word that has it.
template <int FORMAT, typename C>
struct kk_of_words {
  enum { bytes = sizeof(C) };
  static float get(uint word, int i) { return kk_of_word(word, i % (4 / bytes), C(0)); }
};
template <typename C>
struct kk_of_words<8, C> {
  enum { bytes = 1 };
  static float get(uint word, int i) { return kk_byte_of(word ^ 0x80808080u, i % 4, 8388736.0f); }
};
template <typename C>
struct kk_of_words<4, C> {
  enum { bytes = 0 };
  static float get(uint word, int i) {
    return kk_byte_of((i < 4 ? word : word >> 4) & 0x0f0f0f0fu, i % 4, 8388616.0f);
  }
};

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
    if (UNIT % 16 == 0 && from->step == 1 && count == UNIT) {
      if (sizeof(p[0]) == 4) {
        for (int k = 0; k < UNIT; ++k) to[k] = float(p[k]);
        return;
      }
      for (; i < UNIT; i += 16) {
        const auto f = kk_as_floats<16>(p + i);
        for (int k = 0; k < 16; ++k) to[i + k] = float(f[k]);
      }
      return;
    }
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
        const int at = i * kk_of_words<FORMAT, C>::bytes / 4;
        const float x = kk_of_words<FORMAT, C>::get(b[j][at / each].v[at % each], i);
        to[j * UNIT + i] = FORMAT == 0 ? x : scale[j] * x;
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

// The inner products of a row with MANY others, on a CPU in sums side by side.
template <int W, int SUMS, int MANY>
inline void kk_inner(thread const float* a, thread const float* b, thread float* out) {
  float part[MANY][SUMS];
  for (int m = 0; m < MANY; ++m)
    for (int k = 0; k < SUMS; ++k) part[m][k] = a[k] * b[m * W + k];
  for (int i = SUMS; i < W; i += SUMS)
    for (int m = 0; m < MANY; ++m)
      for (int k = 0; k < SUMS; ++k) part[m][k] = metal::fma(a[i + k], b[m * W + i + k], part[m][k]);
  for (int m = 0; m < MANY; ++m) {
    for (int h = SUMS / 2; h > 0; h /= 2)
      for (int k = 0; k < h; ++k) part[m][k] += part[m][k + h];
    out[m] = part[m][0];
  }
}

// One instruction where metal::max takes several, for the sake of NaN, which comes through by the exponentials anyway.
inline float kk_larger_of(float x, float y) { return x > y ? x : y; }

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

// A token will be needed soon: on a CPU, where a thread has all of it, memory fetches it meanwhile.
template <int W, int FORMAT, typename P, typename S>
inline void kk_token_soon(thread const kk_cache<FORMAT, P, S>& cache, kk_token at) {
  kk_ahead<FORMAT == 4 ? W / 2 : W>(cache.p + (at.block * cache.blocks + at.slot * cache.slots));
}

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
  // Tokens that a CPU takes together, so that sums are loaded and stored less often.
  constexpr int many = TEAM == 1 && U % 4 == 0 ? 4 : 1;
  // A CPU's thread finds the tokens of the next round while it works on these.
  constexpr bool soon = TEAM == 1;
  kk_token next[soon ? U : 1];
  if (soon)
    for (int u = 0; u < U; ++u) {
      next[u] = kk_find<PAGED>(table, step, columns, blocks, slots, metal::min(from + u, to - 1));
      if (next[u].block >= 0) kk_token_soon<W>(keys, next[u]);
    }
  for (long base = from; base < to; base += teams * U) {
    const long mine = base + long(index / TEAM);
    kk_slice<FAST, FORMAT, C, W, UNIT, TEAM, P, S> k[U], v[U];
    bool there[U];
    for (int u = 0; u < U; ++u) {
      const kk_token at =
          soon ? next[soon ? u : 0] : kk_find<PAGED>(table, step, columns, blocks, slots, metal::min(mine + u * teams, to - 1));
      there[u] = !PAGED || at.block >= 0;
      const kk_token real = {there[u] ? at.block : 0, at.slot};
      k[u].take(keys, real, own, n);
      v[u].take(values, real, own, n);
      if (soon) next[soon ? u : 0] = real;
    }
    float s[ROWS][U];
    for (int u = 0; u < U; u += many) {
      float key[many * W];
      if (soon)
        for (int m = 0; m < many; ++m) kk_token_soon<W>(values, next[soon ? u + m : 0]);
      for (int m = 0; m < many; ++m) k[u + m].floats(own, n, key + m * W);
      for (int r = 0; r < ROWS; ++r) kk_inner<W, TEAM == 1 ? 16 : 1, many>(q + r * W, key, s[r] + u);
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
      const long first = seen[r].first, end = metal::min(seen[r].end, to);
      const bool whole = !PAGED && first <= base && base + teams * U <= end;
      float part[kept];
      for (int i = 0; i < kept; ++i) {
        const int u = TEAM == 1 ? i : which;
        const long token = mine + u * teams;
        float x = kk_capped<CAPPED>(s[r][i], cap);
        if (PAGED) {
          bool here = there[TEAM == 1 ? u : 0];
          for (int w = 1; w < (TEAM == 1 ? 1 : U); ++w) here = u == w ? there[w] : here;
          x = here ? x : NAN;
        }
        if (CAPPED || PAGED) s[r][i] = x;
        if (!whole) s[r][i] = token >= first && token < end ? x : -INFINITY;
      }
      for (int i = 0; i < kept; ++i) part[i] = s[r][i];
      for (int h = kept / 2; h > 0; h /= 2)
        for (int i = 0; i < h; ++i) part[i] = kk_larger_of(part[i], part[i + h]);
      float most = part[0];
      if (TEAM > 1)
        for (int left = U / 2, apart = TEAM / 2; left > 0; left /= 2, apart /= 2)
          most = kk_larger_of(most, metal::simd_shuffle_xor(most, ushort(apart)));
      most = kk_larger_of(most, found.most[r]);
      const float shift = most == -INFINITY ? 0.0f : most;
      const float factor = metal::fast::exp2(found.most[r] - shift);
      found.most[r] = most;
      for (int i = 0; i < kept; ++i) part[i] = s[r][i] = metal::fast::exp2(s[r][i] - shift);
      for (int h = kept / 2; h > 0; h /= 2)
        for (int i = 0; i < h; ++i) part[i] += part[i + h];
      found.sum[r] = found.sum[r] * factor + part[0];
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
    for (int u = 0; u < U; u += many) {
      float value[many * W];
      if (soon && base + U < to)
        for (int m = 0; m < many; ++m) {
          next[soon ? u + m : 0] = kk_find<PAGED>(table, step, columns, blocks, slots, metal::min(base + U + u + m, to - 1));
          if (next[soon ? u + m : 0].block >= 0) kk_token_soon<W>(keys, next[soon ? u + m : 0]);
        }
      for (int m = 0; m < many; ++m) v[u + m].floats(own, n, value + m * W);
      for (int r = 0; r < ROWS; ++r)
        for (int i = 0; i < W; ++i) {
          float sum = found.values[r][i];
          for (int m = 0; m < many; ++m) sum = metal::fma(s[r][u + m], value[m * W + i], sum);
          found.values[r][i] = sum;
        }
    }
  }
}
