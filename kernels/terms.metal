// Terms of row programs beside numbers: indices, and random numbers by their position.

// An integer as an index. What a `long` cannot hold is the lowest of all, which is the place of no element: were it
// cut, it could be any number, also one that an author gave a meaning.
template <typename I>
inline long kk_index(I i) {
  const long v = long(i);
  return v < 0 && !(i < I(0)) ? metal::numeric_limits<long>::lowest() : v;
}

// The index as a place of a row, in 32 bits; the largest number where no row has such a place.
inline uint kk_place(long i) { return i >= 0 && i < 0xffffffffl ? uint(i) : 0xffffffffu; }

// A bijection of 32 bits in which each bit of the input changes each bit of the output with a
// probability near one half (C. Wellons, "Prospecting for hash functions", 2018).
inline uint kk_mix(uint x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}

// 32 random bits that depend on two words of a seed and a position alone: random access, so no state. One round
// would give seeds that differ by d the same sequence, d positions apart.
inline uint kk_random_word(uint a, uint b, uint at) {
  return kk_mix(kk_mix(at + a) ^ b);
}

// The same for any position: each 2^32 of them have a seed of their own, the first ones the seed itself.
template <typename I>
inline uint kk_random_bits(uint a, uint b, I at) {
  if (sizeof(I) <= 4) return kk_random_word(a, b, uint(at));
  const uint high = uint(ulong(at) >> 32);
  const uint first = kk_mix(kk_mix(high + b) ^ a);
  const uint second = kk_mix(kk_mix(high ^ a) + b);
  return kk_random_word(high == 0 ? a : first, high == 0 ? b : second, uint(at));
}

// Element j of a row whose first element has the number `first`.
struct kk_row_element {
  ulong first;
  uint j;
};

// The same for an element of a row, with numbers of 32 bits in the loop over it: what belongs to the upper half of the
// position is that of the row's beginning or the next one.
inline uint kk_random_bits(uint a, uint b, kk_row_element at) {
  const uint low = uint(at.first);
  const uint high = uint(at.first >> 32);
  const uint first = high == 0 ? a : kk_mix(kk_mix(high + b) ^ a);
  const uint second = high == 0 ? b : kk_mix(kk_mix(high ^ a) + b);
  const uint next_first = kk_mix(kk_mix(high + 1 + b) ^ a);
  const uint next_second = kk_mix(kk_mix((high + 1) ^ a) + b);
  const uint place = low + at.j;
  return kk_random_word(place < low ? next_first : first, place < low ? next_second : second, place);
}

// A number from 0 on and below 1: of the bits the upper 24, which a float holds.
template <typename I>
inline float kk_random(uint a, uint b, I at) {
  return float(kk_random_bits(a, b, at) >> 8) * 0x1p-24f;
}
