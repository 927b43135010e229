// Rows that are moved by indices: fetched, added up where they go, and weighed.
//
// A thread has the elements [from, to) of one row of the result, in blocks of VEC. With VEC above 1 rows are made of whole
// blocks, and no array that is read by blocks has fewer than 8 elements.
#include "blocks.metal"

template <int VEC, typename T>
struct kk_taker {
  template <typename P>
  static kk_block<T, VEC> take(P p) {
    if (kk_aligned<VEC>(p)) return *reinterpret_cast<const device kk_block<T, VEC>*>(p);
    kk_block<T, VEC> b;
    for (int k = 0; k < VEC; ++k) b.v[k] = p[k];
    return b;
  }
};
template <typename T>
struct kk_taker<1, T> {
  template <typename P>
  static kk_block<T, 1> take(P p) {
    kk_block<T, 1> b;
    b.v[0] = p[0];
    return b;
  }
};
template <int VEC, typename P, typename T>
inline kk_block<T, VEC> kk_take_as(P p, T) {
  return kk_taker<VEC, T>::take(p);
}
template <int VEC, typename P>
inline auto kk_take(P p) {
  return kk_take_as<VEC>(p, *p);
}

// The row that an index means, or `rows` where there is none. A negative index counts from the end if it may.
template <bool WRAP, typename I>
inline size_t kk_row_of(I i, size_t rows) {
  if (I(-1) < I(0) && i < I(0)) {
    const size_t back = size_t(-(long(i) + 1)) + 1;
    return WRAP && back <= rows ? rows - back : rows;
  }
  return size_t(i) < rows ? size_t(i) : rows;
}

// out = the row, or zeros.
template <int VEC, typename P, typename T>
inline void kk_fetch(P src, bool valid, device T* out, size_t from, size_t to) {
  if (valid) {
    for (size_t i = from; i < to; i += VEC) kk_store_block<VEC>(out + i, 0, kk_take<VEC>(src + i));
  } else {
    for (size_t i = from; i < to; ++i) out[i] = T(0.0f);
  }
}

// out = the row + other, or NaN.
template <int VEC, typename P, typename Q, typename T>
inline void kk_fetch_add(P src, bool valid, Q other, device T* out, size_t from, size_t to) {
  if (valid) {
    for (size_t i = from; i < to; i += VEC) {
      const auto a = kk_take<VEC>(src + i);
      const auto b = kk_take<VEC>(other + i);
      kk_block<T, VEC> sum;
      for (int k = 0; k < VEC; ++k) sum.v[k] = T(float(a.v[k]) + float(b.v[k]));
      kk_store_block<VEC>(out + i, 0, sum);
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
      const auto b = kk_take<VEC>(src + row * n + i);
      for (int k = 0; k < VEC; ++k) sum[k] += weight * float(b.v[k]);
    }
    kk_block<T, VEC> result;
    for (int k = 0; k < VEC; ++k) result.v[k] = T(sum[k]);
    kk_store_block<VEC>(out + i, 0, result);
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
