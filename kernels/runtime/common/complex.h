// complex64_t as MLX's kernels know it: two floats, ordered by real part first, converting
// from any scalar and to one by dropping the imaginary part.
#pragma once
#include "common.h"

template <class T> struct complex_t;
template <class T> inline constexpr bool is_complex_v = false;
template <class T> inline constexpr bool is_complex_v<complex_t<T>> = true;

namespace zmlx {
template <class U> concept real = scalar<U>;
}

template <class T> struct complex_t {
  typedef T value_type;
  T real, imag;
  constexpr complex_t() : real(T(0)), imag(T(0)) {}
  constexpr complex_t(T r, T i) : real(r), imag(i) {}
  template <zmlx::real U> constexpr complex_t(U x) : real(T(x)), imag(T(0)) {}
  template <class U> requires(!metal::is_same_v<U, T>)
  constexpr complex_t(complex_t<U> x) : real(T(x.real)), imag(T(x.imag)) {}
  constexpr complex_t(metal::vec<T, 2> v) : real(v.x), imag(v.y) {}
  constexpr operator metal::vec<T, 2>() const { return metal::vec<T, 2>(real, imag); }
  template <zmlx::real U> constexpr operator U() const { return U(real); }

  friend constexpr complex_t operator-(complex_t x) { return {-x.real, -x.imag}; }
  friend constexpr complex_t operator+(complex_t a, complex_t b) { return {a.real + b.real, a.imag + b.imag}; }
  friend constexpr complex_t operator-(complex_t a, complex_t b) { return {a.real - b.real, a.imag - b.imag}; }
  friend constexpr complex_t operator*(complex_t a, complex_t b) {
    return {a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real};
  }
  friend constexpr complex_t operator/(complex_t a, complex_t b) {
    T n = b.real * b.real + b.imag * b.imag;
    return {(a.real * b.real + a.imag * b.imag) / n, (a.imag * b.real - a.real * b.imag) / n};
  }
  // The remainder takes the divisor's sign in each part, as Python's does.
  friend constexpr complex_t operator%(complex_t a, complex_t b) {
    return {floor_mod(a.real, b.real), floor_mod(a.imag, b.imag)};
  }
  constexpr complex_t& operator+=(complex_t b) { return *this = *this + b; }
  constexpr complex_t& operator-=(complex_t b) { return *this = *this - b; }
  constexpr complex_t& operator*=(complex_t b) { return *this = *this * b; }
  constexpr complex_t& operator/=(complex_t b) { return *this = *this / b; }
  friend constexpr bool operator==(complex_t a, complex_t b) { return a.real == b.real && a.imag == b.imag; }
  friend constexpr bool operator!=(complex_t a, complex_t b) { return !(a == b); }
  friend constexpr bool operator>(complex_t a, complex_t b) {
    return a.real > b.real || (a.real == b.real && a.imag > b.imag);
  }
  friend constexpr bool operator>=(complex_t a, complex_t b) {
    return a.real > b.real || (a.real == b.real && a.imag >= b.imag);
  }
  friend constexpr bool operator<(complex_t a, complex_t b) { return b > a; }
  friend constexpr bool operator<=(complex_t a, complex_t b) { return b >= a; }

  // Exact matches for a scalar on either side, which would otherwise meet complex numbers
  // half-way: each converts to the other.
#define ZMLX_COMPLEX_SCALAR(op)                                                                       \
  template <zmlx::real U> friend constexpr auto operator op(complex_t a, U b) { return a op complex_t(b); } \
  template <zmlx::real U> friend constexpr auto operator op(U a, complex_t b) { return complex_t(a) op b; }
  ZMLX_COMPLEX_SCALAR(+) ZMLX_COMPLEX_SCALAR(-) ZMLX_COMPLEX_SCALAR(*) ZMLX_COMPLEX_SCALAR(/)
  ZMLX_COMPLEX_SCALAR(==) ZMLX_COMPLEX_SCALAR(!=) ZMLX_COMPLEX_SCALAR(<) ZMLX_COMPLEX_SCALAR(>)
  ZMLX_COMPLEX_SCALAR(<=) ZMLX_COMPLEX_SCALAR(>=)
#undef ZMLX_COMPLEX_SCALAR

 private:
  static constexpr T floor_mod(T a, T b) {
    T r = a - b * T(int64_t(a / b));
    return r != T(0) && (r < T(0)) != (b < T(0)) ? r + b : r;
  }
};
typedef complex_t<half> complex32_t;
typedef complex_t<float> complex64_t;
