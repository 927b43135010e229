// half and bfloat as classes over their 16 bits. Every operation computes in float and
// rounds once: with 24 bits against 11 (or 8) that is the correctly rounded result for
// + - * / and sqrt, so nothing keeps hidden precision. Mixed operations follow MSL: with
// float they give float, with an integer they stay in the small type. As they
// convert both from and to float implicitly, conditionals need help: see zmlx_alt.
#pragma once
#include "base.h"

#ifdef ZMLX_CHECKED
#define ZMLX_BF16_EXPLICIT explicit
#else
#define ZMLX_BF16_EXPLICIT
#endif

#define ZMLX_SMALL_FLOAT(F, OTHER, NARROW)                                                       \
  uint16_t zb;                                                                                   \
  F() = default;                                                                                 \
  constexpr F(const F&) = default;                                                               \
  constexpr F& operator=(const F&) = default;                                                    \
  template <class T> requires zmlx::native_float<T>                                              \
  ZMLX_INLINE constexpr NARROW F(T x) : zb(zmlx::float_to_##F(float(x))) {}                      \
  template <class T> requires zmlx::integer<T>                                                   \
  ZMLX_INLINE constexpr F(T x) : zb(zmlx::float_to_##F(float(x))) {}                             \
  ZMLX_INLINE constexpr ZMLX_BF16_EXPLICIT F(OTHER x);                                           \
  ZMLX_INLINE constexpr operator float() const { return zmlx::F##_to_float(zb); }                \
  ZMLX_INLINE operator float() const volatile { return zmlx::F##_to_float(zb); }                 \
  ZMLX_INLINE constexpr float zf() const { return zmlx::F##_to_float(zb); }                      \
  friend ZMLX_INLINE constexpr F operator+(F a) { return a; }                                    \
  friend ZMLX_INLINE constexpr F operator-(F a) { a.zb = uint16_t(a.zb ^ 0x8000); return a; }    \
  friend ZMLX_INLINE constexpr bool operator!(F a) { return (a.zb & 0x7fff) == 0; }              \
  ZMLX_INLINE constexpr F& operator++() { return *this = F(zf() + 1.0f); }                       \
  ZMLX_INLINE constexpr F& operator--() { return *this = F(zf() - 1.0f); }                       \
  ZMLX_INLINE constexpr F operator++(int) { F r = *this; ++*this; return r; }                    \
  ZMLX_INLINE constexpr F operator--(int) { F r = *this; --*this; return r; }                    \
  ZMLX_SMALL_ARITH(F, +) ZMLX_SMALL_ARITH(F, -) ZMLX_SMALL_ARITH(F, *) ZMLX_SMALL_ARITH(F, /)    \
  ZMLX_SMALL_CMP(F, ==) ZMLX_SMALL_CMP(F, !=) ZMLX_SMALL_CMP(F, <) ZMLX_SMALL_CMP(F, >)          \
  ZMLX_SMALL_CMP(F, <=) ZMLX_SMALL_CMP(F, >=)

#define ZMLX_SMALL_ARITH(F, op)                                                                  \
  friend ZMLX_INLINE constexpr F operator op(F a, F b) { return F(a.zf() op b.zf()); }           \
  template <class T> requires zmlx::integer<T>                                                   \
  friend ZMLX_INLINE constexpr F operator op(F a, T b) { return F(a.zf() op F(b).zf()); }        \
  template <class T> requires zmlx::integer<T>                                                   \
  friend ZMLX_INLINE constexpr F operator op(T a, F b) { return F(F(a).zf() op b.zf()); }        \
  template <class T> requires zmlx::native_float<T>                                              \
  friend ZMLX_INLINE constexpr float operator op(F a, T b) { return a.zf() op float(b); }        \
  template <class T> requires zmlx::native_float<T>                                              \
  friend ZMLX_INLINE constexpr float operator op(T a, F b) { return float(a) op b.zf(); }        \
  template <class T> requires zmlx::scalar<T>                                                    \
  ZMLX_INLINE constexpr F& operator op##=(T b) { return *this = F(*this op b); }

#define ZMLX_SMALL_CMP(F, op)                                                                    \
  friend ZMLX_INLINE constexpr bool operator op(F a, F b) { return a.zf() op b.zf(); }           \
  template <class T> requires zmlx::integer<T>                                                   \
  friend ZMLX_INLINE constexpr bool operator op(F a, T b) { return a.zf() op F(b).zf(); }        \
  template <class T> requires zmlx::integer<T>                                                   \
  friend ZMLX_INLINE constexpr bool operator op(T a, F b) { return F(a).zf() op b.zf(); }        \
  template <class T> requires zmlx::native_float<T>                                              \
  friend ZMLX_INLINE constexpr bool operator op(F a, T b) { return a.zf() op float(b); }         \
  template <class T> requires zmlx::native_float<T>                                              \
  friend ZMLX_INLINE constexpr bool operator op(T a, F b) { return float(a) op b.zf(); }

struct half {
  ZMLX_SMALL_FLOAT(half, bfloat, )
};
struct bfloat {
  ZMLX_SMALL_FLOAT(bfloat, half, ZMLX_BF16_EXPLICIT)
};
ZMLX_INLINE constexpr half::half(bfloat x) : half(x.zf()) {}
ZMLX_INLINE constexpr bfloat::bfloat(half x) : bfloat(x.zf()) {}

#define ZMLX_MIXED(op, R)                                                                 \
  ZMLX_FN constexpr R operator op(half a, bfloat b) { return a.zf() op b.zf(); }          \
  ZMLX_FN constexpr R operator op(bfloat a, half b) { return a.zf() op b.zf(); }
ZMLX_MIXED(+, float) ZMLX_MIXED(-, float) ZMLX_MIXED(*, float) ZMLX_MIXED(/, float)
ZMLX_MIXED(==, bool) ZMLX_MIXED(!=, bool) ZMLX_MIXED(<, bool) ZMLX_MIXED(>, bool)
ZMLX_MIXED(<=, bool) ZMLX_MIXED(>=, bool)
#undef ZMLX_MIXED
#undef ZMLX_SMALL_FLOAT
#undef ZMLX_SMALL_ARITH
#undef ZMLX_SMALL_CMP

typedef half float16_t;
typedef bfloat bfloat16_t;

namespace zmlx {
// C++ refuses `c ? h : f` when each side converts to the other. The lowering wraps both
// alternatives of every conditional in zmlx_alt: a small float becomes a type that converts
// to float but that no float converts to, so the conditional gives float as in MSL, and that
// integers convert to but not from, so `c ? h : 0` gives the small float. Being a template of
// the type it stands for, it finds that type's operators.
template <class H> struct alt_of {
  H h;
  alt_of() = default;
  constexpr alt_of(const alt_of&) = default;
  // What stands for a value is not assigned to: it would be lost.
  constexpr alt_of& operator=(const alt_of&) & = default;
  ZMLX_INLINE constexpr alt_of(H x) : h(x) {}
  template <class T> requires integer<T> ZMLX_INLINE constexpr alt_of(T i) : h(i) {}
  template <class T> requires native_float<T> ZMLX_INLINE constexpr explicit alt_of(T f) : h(f) {}
  ZMLX_INLINE constexpr operator H() const { return h; }
  template <class T> requires metal::is_same_v<T, float> ZMLX_INLINE constexpr operator T() const { return h; }
  template <class T> requires integer<T> ZMLX_INLINE constexpr explicit operator T() const { return T(float(h)); }
};
template <class T> struct alt { typedef T type; };
template <> struct alt<half> { typedef alt_of<half> type; };
template <> struct alt<bfloat> { typedef alt_of<bfloat> type; };
template <class T> struct alt<T&> {
  typedef metal::conditional_t<zmlx::small_float<metal::remove_cv_t<T>>,
                               typename alt<metal::remove_cv_t<T>>::type, T&> type;
};
}  // namespace zmlx

template <class T> ZMLX_INLINE constexpr typename zmlx::alt<T>::type zmlx_alt(T&& x) {
  return static_cast<typename zmlx::alt<T>::type>(x);
}
