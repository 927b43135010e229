// What simdgroup functions share on every device: the neutral values of reductions, and votes.
#pragma once
#include "common.h"

namespace zmlx {
// bfloat sums in float, as MLX's own overloads do.
template <class T> struct wide { typedef T type; };
template <> struct wide<bfloat> { typedef float type; };
template <class T> struct element { typedef T type; };
template <class T, int N> struct element<metal::vec<T, N>> { typedef T type; };
template <class T> using element_t = typename element<T>::type;
template <class T> ZMLX_FN T lowest_of() {
  typedef element_t<T> E;
  if constexpr (metal::is_floating_point_v<E>) return T(E(-__builtin_inff()));
  else return T(metal::numeric_limits<E>::lowest());
}
template <class T> ZMLX_FN T highest_of() {
  typedef element_t<T> E;
  if constexpr (metal::is_floating_point_v<E>) return T(E(__builtin_inff()));
  else return T(metal::numeric_limits<E>::max());
}
template <class T> ZMLX_FN T zero_of() {
  if constexpr (metal::is_floating_point_v<element_t<T>>) return T(element_t<T>(-0.0f));
  else return T(element_t<T>(0));
}
}  // namespace zmlx

namespace metal {
// What Metal's own library calls the question whether a simdgroup function takes a type.
template <class T> struct __is_valid_simdgroup_type : bool_constant<is_arithmetic_v<zmlx::element_t<T>>> {};

// Votes.
template <int W> struct zmlx_vote {
  typedef uint64_t vote_t;
  uint64_t bits;
  constexpr zmlx_vote(uint64_t b = 0) : bits(b) {}
  constexpr explicit operator vote_t() const { return bits; }
  template <class I> requires(zmlx::integer<I> && !is_same_v<I, uint64_t>)
  constexpr explicit operator I() const { return I(bits); }
  constexpr bool all() const { return (bits & ((1ull << W) - 1)) == (1ull << W) - 1; }
  constexpr bool any() const { return bits != 0; }
};
typedef zmlx_vote<32> simd_vote;
typedef zmlx_vote<4> quad_vote;
}  // namespace metal
