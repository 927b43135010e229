// Ground everything else stands on: function attributes, MSL's scalar type names, the
// type traits of namespace metal and the scalar classification the overloads use. Own
// traits instead of <type_traits>, because every kernel pays for what this file parses.
#pragma once
#ifndef __CUDACC_RTC__
#include <stddef.h>
#include <stdint.h>
#endif

#ifndef ZMLX_FN
#define ZMLX_INLINE inline __attribute__((always_inline))
#define ZMLX_FN static ZMLX_INLINE
#endif

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;

struct half;
struct bfloat;

namespace zmlx {
template <class H> struct alt_of;
template <class T> ZMLX_INLINE constexpr T&& fwd(T& x) { return static_cast<T&&>(x); }
template <class T> T&& declval();
// T, but not before D is known.
template <class T, class D> struct dependent { typedef T type; };
template <class To, class From> ZMLX_FN constexpr To bits(From x) { return __builtin_bit_cast(To, x); }
}  // namespace zmlx

// No pipeline sets any.
#define is_function_constant_defined(name) false

namespace metal {

template <class T, T V> struct integral_constant {
  static constexpr T value = V;
  typedef T value_type;
  typedef integral_constant type;
  constexpr operator T() const { return V; }
  constexpr T operator()() const { return V; }
};
template <bool B> using bool_constant = integral_constant<bool, B>;
typedef bool_constant<true> true_type;
typedef bool_constant<false> false_type;

template <bool B, class T = void> struct enable_if {};
template <class T> struct enable_if<true, T> { typedef T type; };
template <bool B, class T = void> using enable_if_t = typename enable_if<B, T>::type;

template <bool B, class T, class F> struct conditional { typedef T type; };
template <class T, class F> struct conditional<false, T, F> { typedef F type; };
template <bool B, class T, class F> using conditional_t = typename conditional<B, T, F>::type;

template <class T> struct remove_const { typedef T type; };
template <class T> struct remove_const<const T> { typedef T type; };
template <class T> struct remove_volatile { typedef T type; };
template <class T> struct remove_volatile<volatile T> { typedef T type; };
template <class T> struct remove_cv { typedef T type; };
template <class T> struct remove_cv<const T> { typedef T type; };
template <class T> struct remove_cv<volatile T> { typedef T type; };
template <class T> struct remove_cv<const volatile T> { typedef T type; };
template <class T> struct remove_reference { typedef T type; };
template <class T> struct remove_reference<T&> { typedef T type; };
template <class T> struct remove_reference<T&&> { typedef T type; };
template <class T> struct remove_pointer { typedef T type; };
template <class T> struct remove_pointer<T*> { typedef T type; };
template <class T> using remove_const_t = typename remove_const<T>::type;
template <class T> using remove_volatile_t = typename remove_volatile<T>::type;
template <class T> using remove_cv_t = typename remove_cv<T>::type;
template <class T> using remove_reference_t = typename remove_reference<T>::type;
template <class T> using remove_pointer_t = typename remove_pointer<T>::type;
template <class T> using remove_cvref_t = remove_cv_t<remove_reference_t<T>>;
// There are no address spaces in C++.
template <class T> struct remove_addrspace { typedef T type; };
template <class T> using remove_addrspace_t = T;
template <class T> using decay_t = remove_cvref_t<T>;
template <class T> struct decay { typedef decay_t<T> type; };
template <class T> using add_const_t = const T;
template <class T> using add_pointer_t = remove_reference_t<T>*;
template <class T> using add_lvalue_reference_t = T&;

template <class A, class B> inline constexpr bool is_same_v = false;
template <class A> inline constexpr bool is_same_v<A, A> = true;
template <class A, class B> struct is_same : bool_constant<is_same_v<A, B>> {};

template <class T> inline constexpr bool is_integral_v = false;
#define ZMLX_TRAIT(T) template <> inline constexpr bool is_integral_v<T> = true;
ZMLX_TRAIT(bool) ZMLX_TRAIT(char) ZMLX_TRAIT(signed char) ZMLX_TRAIT(unsigned char)
ZMLX_TRAIT(short) ZMLX_TRAIT(unsigned short) ZMLX_TRAIT(int) ZMLX_TRAIT(unsigned int)
ZMLX_TRAIT(long) ZMLX_TRAIT(unsigned long) ZMLX_TRAIT(long long) ZMLX_TRAIT(unsigned long long)
#undef ZMLX_TRAIT
template <class T> inline constexpr bool is_integral_v<const T> = is_integral_v<T>;

template <class T> inline constexpr bool is_floating_point_v = false;
template <> inline constexpr bool is_floating_point_v<float> = true;
template <> inline constexpr bool is_floating_point_v<double> = true;
template <> inline constexpr bool is_floating_point_v<half> = true;
template <> inline constexpr bool is_floating_point_v<bfloat> = true;
template <class T> inline constexpr bool is_floating_point_v<const T> = is_floating_point_v<T>;

template <class T> inline constexpr bool is_arithmetic_v = is_integral_v<T> || is_floating_point_v<T>;
template <class T> inline constexpr bool is_pointer_v = false;
template <class T> inline constexpr bool is_pointer_v<T*> = true;
template <class T> inline constexpr bool is_reference_v = false;
template <class T> inline constexpr bool is_reference_v<T&> = true;
template <class T> inline constexpr bool is_reference_v<T&&> = true;
template <class T> inline constexpr bool is_const_v = false;
template <class T> inline constexpr bool is_const_v<const T> = true;
template <class T> inline constexpr bool is_void_v = is_same_v<remove_cv_t<T>, void>;
template <class T> inline constexpr bool is_array_v = false;
template <class T, size_t N> inline constexpr bool is_array_v<T[N]> = true;
template <class T> inline constexpr bool is_enum_v = __is_enum(T);
template <class T> inline constexpr bool is_class_v = __is_class(T);
template <class B, class D> inline constexpr bool is_base_of_v = __is_base_of(B, D);
template <class T> inline constexpr bool is_trivially_copyable_v = __is_trivially_copyable(T);
template <class T> inline constexpr bool is_unsigned_v = false;
template <class T> requires is_integral_v<T> inline constexpr bool is_unsigned_v<T> = T(-1) > T(0);
template <class T> inline constexpr bool is_signed_v = is_floating_point_v<T>;
template <class T> requires is_integral_v<T> inline constexpr bool is_signed_v<T> = T(-1) < T(0);
template <class F, class T> inline constexpr bool is_convertible_v =
    requires(void (*f)(T), F (*g)()) { f(g()); } || (is_void_v<F> && is_void_v<T>);

#define ZMLX_TRAIT(n) template <class T> struct n : bool_constant<n##_v<T>> {};
ZMLX_TRAIT(is_integral) ZMLX_TRAIT(is_floating_point) ZMLX_TRAIT(is_arithmetic) ZMLX_TRAIT(is_pointer)
ZMLX_TRAIT(is_reference) ZMLX_TRAIT(is_const) ZMLX_TRAIT(is_void) ZMLX_TRAIT(is_array) ZMLX_TRAIT(is_enum)
ZMLX_TRAIT(is_class) ZMLX_TRAIT(is_unsigned) ZMLX_TRAIT(is_signed) ZMLX_TRAIT(is_trivially_copyable)
#undef ZMLX_TRAIT
template <class F, class T> struct is_convertible : bool_constant<is_convertible_v<F, T>> {};

template <class... B> using _disjunction = bool_constant<(false || ... || bool(B::value))>;
template <class... B> using _conjunction = bool_constant<(true && ... && bool(B::value))>;
template <class... B> using disjunction = _disjunction<B...>;
template <class... B> using conjunction = _conjunction<B...>;
template <class B> using negation = bool_constant<!bool(B::value)>;

// A promise that all threads have the same value, which changes nothing here.
template <class T> using zmlx_uniform = T;  // `uniform<T>` in MSL, a name that kernels use themselves
template <class T> ZMLX_INLINE constexpr T make_uniform(T x) { return x; }

template <class T> struct make_unsigned { typedef T type; };
template <class T> struct make_signed { typedef T type; };
#define ZMLX_TRAIT(S, U)                                 \
  template <> struct make_unsigned<S> { typedef U type; }; \
  template <> struct make_signed<U> { typedef S type; };
ZMLX_TRAIT(signed char, unsigned char) ZMLX_TRAIT(short, unsigned short) ZMLX_TRAIT(int, unsigned int)
ZMLX_TRAIT(long, unsigned long) ZMLX_TRAIT(long long, unsigned long long)
#undef ZMLX_TRAIT
template <> struct make_unsigned<char> { typedef unsigned char type; };
#if defined(__SIZEOF_INT128__) && !defined(__CUDACC_RTC__)
template <> struct make_unsigned<__int128> { typedef unsigned __int128 type; };
#endif
template <class T> using make_unsigned_t = typename make_unsigned<T>::type;
template <class T> using make_signed_t = typename make_signed<T>::type;

template <class T> ZMLX_INLINE constexpr remove_reference_t<T>&& move(T&& x) {
  return static_cast<remove_reference_t<T>&&>(x);
}
template <class T> ZMLX_INLINE constexpr void swap(T& a, T& b) { T t = a; a = b; b = t; }
}  // namespace metal

namespace zmlx {
using namespace metal;
// The alternatives of a conditional expression behave as the type they stand for.
template <class T> struct unalt { typedef T type; };
template <class H> struct unalt<alt_of<H>> { typedef H type; };
template <class T> using unalt_t = typename unalt<remove_cv_t<T>>::type;

template <class T> concept integer = is_integral_v<T> || is_enum_v<T>;
template <class T> concept native_float = is_same_v<T, float> || is_same_v<T, double>;
template <class T> concept small_float = is_same_v<T, half> || is_same_v<T, bfloat>;
template <class T> concept scalar = is_arithmetic_v<unalt_t<T>> || is_enum_v<T>;

// The usual arithmetic conversions, with double (which MSL lacks) folded into float.
template <class A, class B> struct common { typedef decltype(A() + B()) type; };
template <class A> struct common<A, A> { typedef A type; };
template <class B> requires integer<B> struct common<half, B> { typedef half type; };
template <class A> requires integer<A> struct common<A, half> { typedef half type; };
template <class B> requires integer<B> struct common<bfloat, B> { typedef bfloat type; };
template <class A> requires integer<A> struct common<A, bfloat> { typedef bfloat type; };
template <class B> requires native_float<B> struct common<half, B> { typedef float type; };
template <class A> requires native_float<A> struct common<A, half> { typedef float type; };
template <class B> requires native_float<B> struct common<bfloat, B> { typedef float type; };
template <class A> requires native_float<A> struct common<A, bfloat> { typedef float type; };
template <> struct common<half, bfloat> { typedef float type; };
template <> struct common<bfloat, half> { typedef float type; };
template <> struct common<float, double> { typedef float type; };
template <> struct common<double, float> { typedef float type; };
template <> struct common<double, double> { typedef float type; };
template <class A, class B> using common_t = typename common<unalt_t<A>, unalt_t<B>>::type;
template <class A, class B, class C> using common3_t = common_t<common_t<A, B>, C>;
}  // namespace zmlx
