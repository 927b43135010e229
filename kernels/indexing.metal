// Rows that are moved by indices: fetched, added up where they go, and weighed.
//
// A thread has the elements [from, to) of one row of the result, in blocks of VEC. With VEC above 1 rows are made of whole
// blocks, and no array that is read by blocks has fewer than 8 elements.
#include "blocks.metal"

// The row that an index means, or `rows` where there is none. A negative index counts from the end if it may.
template <bool WRAP, typename I>
inline size_t kk_row_of(I i, size_t rows) {
  if (I(-1) < I(0) && i < I(0)) {
    const size_t back = size_t(-(long(i) + 1)) + 1;
    return WRAP && back <= rows ? rows - back : rows;
  }
  return size_t(i) < rows ? size_t(i) : rows;
}

// A CPU's runtime copies bytes (`runtime/host/ahead.h`).
template <int VEC, typename P, typename T>
inline void kk_copy(P src, device T* out, size_t from, size_t to) {
  for (size_t i = from; i < to; i += VEC) kk_store_block<VEC>(out + i, 0, kk_take<VEC>(src + i));
}
// out = the row, or zeros.
template <int VEC, typename P, typename T>
inline void kk_fetch(P src, bool valid, device T* out, size_t from, size_t to) {
  if (valid) {
    kk_copy<VEC>(src, out, from, to);
  } else {
    for (size_t i = from; i < to; ++i) out[i] = T(0.0f);
  }
}

// out = the row + other, or NaN.
template <int VEC, typename P, typename Q, typename T>
inline void kk_fetch_add(P src, bool valid, Q other, device T* out, size_t from, size_t to) {
  if (valid) {
    for (size_t i = from; i < to; i += VEC) {
      const auto a = kk_take_floats<VEC>(src + i);
      const auto b = kk_take_floats<VEC>(other + i);
      float sum[VEC];
      for (int k = 0; k < VEC; ++k) sum[k] = a.v[k] + b.v[k];
      kk_store_floats<VEC>(out + i, sum);
    }
  } else {
    for (size_t i = from; i < to; ++i) out[i] = T(NAN);
  }
}

// Rows of a list, each with a weight: `list.row(e)` is its number, or one that is not below `rows`.
template <int VEC, typename P, typename L, typename T>
inline void kk_add_rows(P src, size_t rows, size_t n, L list, device T* out, size_t from, size_t to) {
  for (size_t i = from; i < to; i += VEC) {
    float sum[VEC];
    for (int k = 0; k < VEC; ++k) sum[k] = 0.0f;
    for (size_t e = list.begin; e < list.end; ++e) {
      const size_t row = list.row(e);
      if (row >= rows) continue;
      const float weight = list.weight(e);
      const auto b = kk_take_floats<VEC>(src + row * n + i);
      for (int k = 0; k < VEC; ++k) sum[k] += weight * b.v[k];
    }
    kk_store_floats<VEC>(out + i, sum);
  }
}
// Those whose sorted keys are `begin` to `end`: a key is the row that they go to, times `count`, plus their number.
template <typename K>
struct kk_sorted_list {
  K keys;
  size_t begin, end;
  size_t first;
  size_t row(size_t e) const { return size_t(keys[e]) - first; }
  float weight(size_t) const { return 1.0f; }
};
template <typename K>
inline kk_sorted_list<K> kk_sorted(K keys, size_t begin, size_t end, size_t first) {
  return kk_sorted_list<K>{keys, begin, end, first};
}
// Places with weights.
template <typename K, typename W>
struct kk_weighed_list {
  K places;
  W weights;
  size_t begin, end;
  size_t row(size_t e) const { return size_t(places[e]); }
  float weight(size_t e) const { return float(weights[e]); }
};
template <typename K, typename W>
inline kk_weighed_list<K, W> kk_weighed(K places, W weights, size_t begin, size_t end) {
  return kk_weighed_list<K, W>{places, weights, begin, end};
}
template <typename W>
struct kk_slots_list {
  W weights;
  size_t begin, end;
  size_t row(size_t e) const { return e; }
  float weight(size_t e) const { return float(weights[e]); }
};
template <typename W>
inline kk_slots_list<W> kk_slots(W weights, size_t begin, size_t end) {
  return kk_slots_list<W>{weights, begin, end};
}

// How many sorted keys are below a number.
template <typename K>
inline size_t kk_below(K keys, size_t n, long limit) {
  size_t low = 0, high = n;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    if (keys[mid] < limit) low = mid + 1;
    else high = mid;
  }
  return low;
}
