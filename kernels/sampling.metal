// A token of each row of logits, drawn at random from those that top-k, top-p and min-p leave.
//
// A row is never sorted. Which elements are kept is told by a floor, a value and a place: larger values are kept, and of equal ones those at
// lower places. The floor is found by halving the interval of values; each step counts the elements above its middle, and adds up their
// weights where a share of them is wanted. As soon as few elements are left they are collected, in an order that is always the same, and
// the search goes on among those.
//
// The token is drawn by a race of exponential variates (the one of weight w arrives after E / w), so no sums have to be
// scanned, and a row is drawn alike however many threads work on it.
#include "rows.metal"
#include "selection.metal"

// What the user asks for.
struct kk_wishes {
  float temperature, top_p, min_p;
  int top_k;
};
// Where random numbers come from: two words, and the number of the row's first element.
struct kk_dice {
  uint a, b;
  ulong first;
};
// The dice of a seed, of which each row has its own, and of so many draws before (splitmix64: G. Steele and others, "Fast Splittable
// Pseudorandom Number Generators", 2014).
inline kk_dice kk_dice_of(ulong seed, ulong row, ulong first) {
  ulong z = seed + (row + 1) * 0x9e3779b97f4a7c15ul;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ul;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebul;
  z ^= z >> 31;
  return kk_dice{uint(z), uint(z >> 32), first};
}

// The logits of a row where they lie, NaN as the least.
template <typename P>
struct kk_logits {
  P p;
  float value(size_t i) const {
    const float v = float(p[i]);
    return v == v ? v : -INFINITY;
  }
  uint place(size_t i) const { return uint(i); }
};
// Those of them that were collected.
struct kk_collected {
  threadgroup const float* v;
  threadgroup const uint* at;
  float value(size_t i) const { return v[i]; }
  uint place(size_t i) const { return at[i]; }
};

struct kk_floor {
  float value;
  uint before;
};
inline bool kk_keeps(kk_floor f, float v, uint place) { return v > f.value || (v == f.value && place < f.before); }
// The value that a key of a float comes from; keys are as near to each other as floats are.
inline float kk_of_order(uint key) {
  return as_type<float>(key >= 0x80000000u ? key - 0x80000000u : (0x80000000u - key) | 0x80000000u);
}

// Weights of logits, relative to the largest.
struct kk_heat {
  float most, scale;
  float score(float v) const { return (v - most) * scale; }
};

// What passes over a row ask of an element.
template <typename S>
struct kk_sample_value {
  S s;
  float operator()(size_t i) const { return s.value(i); }
};
template <typename S>
struct kk_sample_first {
  S s;
  float most;
  float operator()(size_t i) const { return s.value(i) == most ? -float(s.place(i)) : -INFINITY; }
};
template <typename S>
struct kk_sample_count {
  S s;
  kk_floor f;
  float operator()(size_t i) const { return kk_keeps(f, s.value(i), s.place(i)) ? 1.0f : 0.0f; }
};
template <typename S>
struct kk_sample_weight {
  S s;
  kk_floor f;
  kk_heat heat;
  float operator()(size_t i) const {
    const float v = s.value(i), w = metal::exp(heat.score(v));
    return kk_keeps(f, v, s.place(i)) ? w : 0.0f;
  }
};

// Counts stay exact: rows have fewer than 2^24 elements.
template <int TG, int VEC, int ITEMS, typename F>
inline float kk_sample_sum(size_t n, kk_group<TG, VEC, ITEMS> g, F f) {
  float all[VEC], sum = 0.0f;
  for (int k = 0; k < VEC; ++k) all[k] = 0.0f;
  const size_t blocks = n / VEC;
  for (size_t b = g.index; b < blocks; b += TG)
    for (int k = 0; k < VEC; ++k) all[k] += f(b * VEC + k);
  for (size_t i = blocks * VEC + g.index; i < n; i += TG) sum += f(i);
  for (int half_vec = VEC / 2; half_vec > 0; half_vec /= 2)
    for (int k = 0; k < half_vec; ++k) all[k] += all[k + half_vec];
  return kk_group_sum(sum + all[0], g);
}
template <int TG, int VEC, int ITEMS, typename F>
inline float kk_sample_most(size_t n, kk_group<TG, VEC, ITEMS> g, F f) {
  float all[VEC], most = -INFINITY;
  for (int k = 0; k < VEC; ++k) all[k] = -INFINITY;
  const size_t blocks = n / VEC;
  for (size_t b = g.index; b < blocks; b += TG)
    for (int k = 0; k < VEC; ++k) {
      const float v = f(b * VEC + k);
      all[k] = v > all[k] ? v : all[k];
    }
  for (size_t i = blocks * VEC + g.index; i < n; i += TG) most = metal::max(most, f(i));
  for (int half_vec = VEC / 2; half_vec > 0; half_vec /= 2)
    for (int k = 0; k < half_vec; ++k) all[k] = metal::max(all[k], all[k + half_vec]);
  return kk_group_max(metal::max(most, all[0]), g);
}

// How much has to be kept: so many elements, or so much weight.
struct kk_share {
  float count, weight;
};
// Where the floor lies: what is above `low` is enough, what is from `high` on is not.
struct kk_search {
  kk_floor low;
  uint high;            // a key
  float count;          // above `low`
  float above, weight;  // from `high` on
};
// Halves the interval until no more than `room` elements are above `low`, or one value or one element is left in it.
template <int TG, int VEC, int ITEMS, typename S>
inline kk_search kk_halve(S s, size_t n, kk_group<TG, VEC, ITEMS> g, kk_heat heat, kk_share share, kk_search at, float room) {
  uint low = kk_order(at.low.value);
  while (at.count > room && at.high - low > 1u && at.count - at.above > 1.0f) {
    const uint key = low + (at.high - low) / 2u;
    const kk_floor middle = {kk_of_order(key), 0xffffffffu};
    const float count = kk_sample_sum(n, g, kk_sample_count<S>{s, middle});
    const float weight = share.weight > 0.0f ? kk_sample_sum(n, g, kk_sample_weight<S>{s, middle, heat}) : 0.0f;
    if (count >= share.count && weight >= share.weight) {
      at.low = middle;
      at.count = count;
      low = key;
    } else {
      at.high = key;
      at.above = count;
      at.weight = weight;
    }
  }
  return at;
}
// The floor at the end of the search. Of equal elements of which some are too many, those at lower places are kept.
template <int TG, int VEC, int ITEMS, typename S>
inline kk_floor kk_settle(S s, size_t n, size_t width, kk_group<TG, VEC, ITEMS> g, kk_heat heat, kk_share share, kk_search at) {
  at = kk_halve(s, n, g, heat, share, at, 0.0f);
  const float equal = at.count - at.above;
  if (equal <= 1.0f) return at.low;
  const float each = metal::exp(heat.score(at.low.value));
  const float more = share.weight > 0.0f ? metal::ceil((share.weight - at.weight) / each) : share.count - at.above;
  if (more >= equal) return at.low;
  uint from = 0u, to = metal::min(at.low.before, uint(width));
  while (to - from > 1u) {
    const uint middle = from + (to - from) / 2u;
    const float count = kk_sample_sum(n, g, kk_sample_count<S>{s, kk_floor{at.low.value, middle}});
    if (count - at.above >= metal::max(more, 1.0f))
      to = middle;
    else
      from = middle;
  }
  return kk_floor{at.low.value, to};
}

// A random number above 0 and below 1 of an element.
inline float kk_chance(kk_dice dice, uint place) {
  const float bits = float(kk_random_bits(dice.a, dice.b, kk_row_element{dice.first, place}));
  return metal::min((bits + 0.5f) * 0x1p-32f, 0x1.fffffep-1f);
}
// The winner of a thread so far: when it arrives, as a logarithm with the sign turned round, so that the largest wins.
struct kk_winner {
  float arrival;
  uint place;
  void meet(float chance, float score, uint other) {
    const float a = score - metal::log(-kk_log1p(-chance));
    if (a > arrival) {
      arrival = a;
      place = other;
    }
  }
};
// The winner among the elements that the floor keeps. The variate -log(1 - u) is at least u, so an element whose u is above
// exp(score - arrival of the winner) comes later, and hardly one has to be looked at closely.
template <int TG, int VEC, int ITEMS, typename S>
inline uint kk_race(S s, size_t n, kk_group<TG, VEC, ITEMS> g, kk_heat heat, kk_floor floor, kk_dice dice) {
  kk_winner best = {-INFINITY, 0u};
  const size_t blocks = n / VEC;
  for (size_t b = g.index; b < blocks; b += TG) {
    const float bound = metal::max(best.arrival, -80.0f);
    uint early = 0u;
    for (int k = 0; k < VEC; ++k) {
      const float v = s.value(b * VEC + k);
      const uint place = s.place(b * VEC + k);
      const float latest = metal::exp(metal::min(heat.score(v) - bound, 80.0f)) * 1.0001f;
      early |= kk_keeps(floor, v, place) && kk_chance(dice, place) <= latest ? 1u : 0u;
    }
    if (early != 0u) {
      for (int k = 0; k < VEC; ++k) {
        const float v = s.value(b * VEC + k);
        const uint place = s.place(b * VEC + k);
        if (kk_keeps(floor, v, place)) best.meet(kk_chance(dice, place), heat.score(v), place);
      }
    }
  }
  for (size_t i = blocks * VEC + g.index; i < n; i += TG) {
    const float v = s.value(i);
    if (kk_keeps(floor, v, s.place(i))) best.meet(kk_chance(dice, s.place(i)), heat.score(v), s.place(i));
  }
  const float top = kk_group_max(best.arrival, g);
  return uint(-kk_group_max(best.arrival == top ? -float(best.place) : -INFINITY, g));
}

// Collects the elements that the floor keeps: those of the first thread, of the second, and so on. Gives their number.
template <int TG, int VEC, int ITEMS, typename S>
inline uint kk_collect_kept(S s, size_t n, kk_group<TG, VEC, ITEMS> g, kk_floor floor, threadgroup float* v, threadgroup uint* at) {
  uint own = 0u;
  for (size_t i = g.index; i < n; i += TG) own += kk_keeps(floor, s.value(i), s.place(i)) ? 1u : 0u;
  uint to = metal::simd_prefix_exclusive_sum(own), all = metal::simd_sum(own);
  if (TG > 32) {
    if (g.lane == 0) g.shared[g.simd] = float(all);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    all = 0u;
    for (uint k = 0; k < uint(TG) / 32; ++k) {
      to += k < g.simd ? uint(g.shared[k]) : 0u;
      all += uint(g.shared[k]);
    }
  }
  for (size_t i = g.index; i < n; i += TG) {
    const float value = s.value(i);
    if (kk_keeps(floor, value, s.place(i))) {
      v[to] = value;
      at[to] = s.place(i);
      ++to;
    }
  }
  if (TG > 1) metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  return all;
}

// What is left to do where one search is under way: to end it, to search for top-p behind top-k, and to draw.
template <int TG, int VEC, int ITEMS, typename S>
inline uint kk_end_sample(S s, size_t n, size_t width, kk_group<TG, VEC, ITEMS> g, kk_wishes wishes, kk_heat heat, kk_share share,
                          kk_search at, kk_dice dice) {
  kk_floor floor = kk_settle(s, n, width, g, heat, share, at);
  if (share.weight == 0.0f && wishes.top_p < 1.0f) {
    const float count = kk_sample_sum(n, g, kk_sample_count<S>{s, floor});
    const float weight = kk_sample_sum(n, g, kk_sample_weight<S>{s, floor, heat});
    const kk_share rest = {0.0f, metal::max(wishes.top_p * weight, 1e-30f)};
    floor = kk_settle(s, n, width, g, heat, rest, kk_search{floor, kk_order(heat.most) + 1u, count, 0.0f, 0.0f});
  }
  return kk_race(s, n, g, heat, floor, dice);
}

// A token of a row of n logits; `v` and `at` have room for ROOM elements, where more than one simdgroup or but one thread works on the row.
template <int ROOM, int TG, int VEC, int ITEMS, typename P>
inline uint kk_sample_row(P p, size_t n, kk_group<TG, VEC, ITEMS> g, kk_wishes wishes, kk_dice dice, threadgroup float* v,
                          threadgroup uint* at) {
  typedef kk_logits<P> S;
  const S s = {p};
  const float most = kk_sample_most(n, g, kk_sample_value<S>{s});
  const bool greedy = !(wishes.temperature > 1e-37f) || wishes.top_k == 1 || metal::isinf(most);
  if (greedy) return uint(-kk_sample_most(n, g, kk_sample_first<S>{s, most}));
  const kk_heat heat = {most, 1.0f / wishes.temperature};
  // What is below exp(-40) of the largest weight is never drawn: a whole vocabulary of it is below the roundings.
  float least = most - 40.0f * wishes.temperature;
  if (wishes.min_p > 0.0f) least = metal::max(least, most + wishes.temperature * metal::log(metal::min(wishes.min_p, 1.0f)));
  const kk_floor floor = {least, 0xffffffffu};
  kk_search found = {floor, kk_order(most) + 1u, 0.0f, 0.0f, 0.0f};
  kk_share share = {0.0f, 0.0f};
  if (wishes.top_k > 0 || wishes.top_p < 1.0f) {
    found.count = kk_sample_sum(n, g, kk_sample_count<S>{s, floor});
    if (wishes.top_k > 0 && float(wishes.top_k) < found.count)
      share.count = float(wishes.top_k);
    else if (wishes.top_p < 1.0f)
      share.weight = metal::max(wishes.top_p * kk_sample_sum(n, g, kk_sample_weight<S>{s, floor, heat}), 1e-30f);
  }
  if (share.count == 0.0f && share.weight == 0.0f) return kk_race(s, n, g, heat, floor, dice);
  // Rows of one simdgroup share a threadgroup, and so its memory; they are short.
  if (TG != 32) {
    found = kk_halve(s, n, g, heat, share, found, float(ROOM));
    if (found.count <= float(ROOM)) {
      const uint few = kk_collect_kept(s, n, g, found.low, v, at);
      const kk_collected list = {v, at};
      return kk_end_sample(list, few, n, g, wishes, heat, share, found, dice);
    }
  }
  return kk_end_sample(s, n, n, g, wishes, heat, share, found, dice);
}
