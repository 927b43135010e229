// Division of integers. On x86 a divisor of zero, and the least number divided by -1, end the
// process, and compilers turn a zero that they see into a trap; here the first gives the
// dividend and a remainder of zero, the second wraps. On a GPU they give some number.
//
// The lowering knows neither types nor where an operand ends once macros are in play, so it
// touches only the operator: `a / b` becomes `a / !zmlx_by / b`, which groups as before. The
// first step keeps a dividend that can take part in a division of integers and leaves all others
// as they are, so that everything else divides as ever. An assignment groups from the right:
// `a /= b` becomes `a /= zmlx_by |= b`. In a preprocessor's condition `!zmlx_by` is 1.
#pragma once
#include "base.h"

namespace zmlx {
// An integer or an enumeration that becomes one by itself, of any width.
template <class T> concept built_in_integer =
    !__is_class(T) && !__is_union(T) && requires(metal::remove_cv_t<T> t) { t % t; };
// What ~ makes an integer of: a class with a conversion to one, as far as its own operators allow.
template <class T> concept whole = built_in_integer<metal::remove_reference_t<T>> ||
    ((__is_class(metal::remove_reference_t<T>) || __is_union(metal::remove_reference_t<T>)) &&
     requires(metal::remove_reference_t<T>& t) { requires built_in_integer<metal::remove_cvref_t<decltype(~t)>>; });
template <class T> concept compound = __is_class(metal::remove_reference_t<T>) || __is_union(metal::remove_reference_t<T>);

template <class R> ZMLX_FN constexpr R quotient(R a, R b) {
#ifdef __CUDACC_RTC__
  return a / b;
#else
  if constexpr (R(-1) < R(0)) {
    typedef metal::make_unsigned_t<R> U;
    // Zero divides as one, and so does -1, whose quotient is then negated.
    const bool odd = U(U(b) + U(1)) <= U(1);
    const R q = R(a / (odd ? R(1) : b));
    return odd && b ? R(U(0) - U(q)) : q;
  } else {
    return a / (b ? b : R(1));
  }
#endif
}
template <class R> ZMLX_FN constexpr R remainder(R a, R b) {
#ifdef __CUDACC_RTC__
  return a % b;
#else
  if constexpr (R(-1) < R(0)) {
    typedef metal::make_unsigned_t<R> U;
    return R(a % (U(U(b) + U(1)) <= U(1) ? R(1) : b));
  } else {
    return a % (b ? b : R(1));
  }
#endif
}

// What `!zmlx_by` is. Numbers are kept by value, as a constant that a lambda has not captured can
// be read but not referred to.
struct by {};
struct by_name { constexpr by operator!() const { return {}; } };
template <class A> struct dividend { A v; };
template <class B> struct divisor { B v; };

// Whether the program has an operator of its own for these types.
#define ZMLX_OWN(name, op)                                                                        \
  template <class A, class B> concept name =                                                      \
      (compound<A> || compound<B> || __is_enum(metal::remove_cvref_t<A>) || __is_enum(metal::remove_cvref_t<B>)) && \
      (requires(A a, B b) { operator op(a, b); } || requires(A a, B b) { a.operator op(b); });
ZMLX_OWN(own_quotient, /)
ZMLX_OWN(own_remainder, %)
#undef ZMLX_OWN

// `a op b`; A and B are references.
template <class A, class B> requires requires(A a, B b) { a / b; }
ZMLX_FN constexpr decltype(auto) over(A a, B b, int) {
  typedef decltype(a / b) R;
  if constexpr (built_in_integer<R> && !own_quotient<A, B>) return quotient<R>(a, b);
  else return a / b;
}
template <class A, class B> requires requires(A a, B b) { a % b; }
ZMLX_FN constexpr decltype(auto) over(A a, B b, char) {
  typedef decltype(a % b) R;
  if constexpr (built_in_integer<R> && !own_remainder<A, B>) return remainder<R>(a, b);
  else return a % b;
}

#define ZMLX_FIRST(op)                                                                            \
  template <class A> requires(!compound<A>) ZMLX_FN constexpr auto operator op(A a, by) {         \
    if constexpr (whole<A>) return dividend<A>{a};                                                \
    else return a;                                                                                \
  }                                                                                               \
  template <class A> requires compound<A> ZMLX_FN constexpr decltype(auto) operator op(A&& a, by) { \
    if constexpr (whole<A>) return dividend<A&&>{fwd<A>(a)};                                      \
    else return fwd<A>(a);                                                                        \
  }
ZMLX_FIRST(/)
ZMLX_FIRST(*)
ZMLX_FIRST(%)
#undef ZMLX_FIRST

#define ZMLX_SECOND(op, which)                                                                    \
  template <class A, class B> requires(!compound<B> && requires(A a, B b) { a op b; })            \
  ZMLX_FN constexpr decltype(auto) operator op(dividend<A> a, B b) {                              \
    return over<metal::remove_reference_t<A>&, B&>(a.v, b, which());                            \
  }                                                                                               \
  template <class A, class B> requires(compound<B> && requires(A a, B&& b) { a op b; })           \
  ZMLX_FN constexpr decltype(auto) operator op(dividend<A> a, B&& b) {                            \
    return over<metal::remove_reference_t<A>&, metal::remove_reference_t<B>&>(a.v, b, which()); \
  }
ZMLX_SECOND(/, int)
ZMLX_SECOND(%, char)
#undef ZMLX_SECOND

template <class B> requires(!compound<B>) ZMLX_FN constexpr auto operator|=(by_name, B b) {
  if constexpr (whole<B>) return divisor<B>{b};
  else return b;
}
template <class B> requires compound<B> ZMLX_FN constexpr decltype(auto) operator|=(by_name, B&& b) {
  if constexpr (whole<B>) return divisor<B&&>{fwd<B>(b)};
  else return fwd<B>(b);
}
#define ZMLX_ASSIGN(op, which)                                                                    \
  template <class A, class B> requires requires(A a, B b) { a op##= b; }                          \
  ZMLX_FN constexpr decltype(auto) operator op##=(A&& a, divisor<B> b) {                          \
    typedef metal::remove_reference_t<A> T;                                                       \
    if constexpr (built_in_integer<T>) return a = T(over<T&, metal::remove_reference_t<B>&>(a, b.v, which())); \
    else return a op##= b.v;                                                                      \
  }
ZMLX_ASSIGN(/, int)
ZMLX_ASSIGN(%, char)
#undef ZMLX_ASSIGN
}  // namespace zmlx

#ifndef __CUDACC_RTC__
static constexpr zmlx::by_name zmlx_by{};
#endif
