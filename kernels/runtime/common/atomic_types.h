// The atomic types of MSL, and the words that hold them.
#pragma once
#include "order.h"

namespace metal {
template <class T> struct atomic {
  typedef T value_type;
  T v;
  atomic() = default;
  constexpr atomic(T x) : v(x) {}
};
template <class T> using _atomic = atomic<T>;
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<bool> atomic_bool;
typedef atomic<float> atomic_float;
typedef atomic<ulong> atomic_ulong;
typedef atomic<long> atomic_long;
}  // namespace metal

namespace zmlx {
template <int N> struct word;
template <> struct word<1> { typedef uint8_t type; };
template <> struct word<2> { typedef uint16_t type; };
template <> struct word<4> { typedef uint32_t type; };
template <> struct word<8> { typedef uint64_t type; };
template <class T> using word_t = typename word<sizeof(T)>::type;

template <class T> struct same { typedef T type; };
template <class T> using same_t = typename same<T>::type;
}  // namespace zmlx
