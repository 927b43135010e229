// Division of integers. On x86 a divisor of zero, and the least number divided by -1, end the
// process; on a GPU they give some number. The lowering hands every divisor to zmlx_den, which
// leaves all but integers alone; constants fold as ever.
#pragma once
#include "base.h"

namespace zmlx {
template <class T> struct den { T v; };

// Zero divides as one. For signed numbers so does -1, whose quotient is then negated.
template <class R> ZMLX_FN constexpr R quotient(R a, R b) {
#if defined(__x86_64__) || defined(__i386__)
  if constexpr (metal::is_signed_v<R>) {
    typedef metal::make_unsigned_t<R> U;
    const bool odd = U(U(b) + U(1)) <= U(1);
    const R q = R(a / (odd ? R(1) : b));
    return odd && b ? R(U(0) - U(q)) : q;
  } else {
    return a / (b ? b : R(1));
  }
#else
  return a / b;
#endif
}
template <class R> ZMLX_FN constexpr R remainder(R a, R b) {
#if defined(__x86_64__) || defined(__i386__)
  if constexpr (metal::is_signed_v<R>) {
    typedef metal::make_unsigned_t<R> U;
    return R(a % (U(U(b) + U(1)) <= U(1) ? R(1) : b));
  } else {
    return a % (b ? b : R(1));
  }
#else
  return a % b;
#endif
}

template <class A, class B> ZMLX_FN constexpr auto operator/(const A& a, den<B> b) {
  if constexpr (integer<A>) {
    typedef decltype(a / b.v) R;
    return quotient<R>(R(a), R(b.v));
  } else {
    return a / b.v;
  }
}
template <class A, class B> ZMLX_FN constexpr auto operator%(const A& a, den<B> b) {
  if constexpr (integer<A>) {
    typedef decltype(a % b.v) R;
    return remainder<R>(R(a), R(b.v));
  } else {
    return a % b.v;
  }
}
template <class A, class B> ZMLX_FN constexpr decltype(auto) operator/=(A&& a, den<B> b) {
  if constexpr (integer<metal::remove_cvref_t<A>>) return a = metal::remove_cvref_t<A>(a / b);
  else return a /= b.v;
}
template <class A, class B> ZMLX_FN constexpr decltype(auto) operator%=(A&& a, den<B> b) {
  if constexpr (integer<metal::remove_cvref_t<A>>) return a = metal::remove_cvref_t<A>(a % b);
  else return a %= b.v;
}
}  // namespace zmlx

template <class T> ZMLX_INLINE constexpr decltype(auto) zmlx_den(T&& b) {
  typedef metal::remove_cvref_t<T> B;
  if constexpr (metal::is_integral_v<B>) return zmlx::den<B>{b};
  else return zmlx::fwd<T>(b);
}
