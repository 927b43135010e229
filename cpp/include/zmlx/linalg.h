// Operations of mlx/linalg.h: one line each.
#pragma once

#include "mlx/linalg.h"
#include "zmlx/types.h"

namespace zmlx::linalg {

namespace ml = mx::linalg;

inline ArrayPtr
norm(const Array& a, double order, Ints axes, bool keepdims, StreamRef s) {
  return box(ml::norm(a, order, ints(axes), keepdims, on(s)));
}

inline ArrayPtr norm_named(
    const Array& a,
    rust::Str order,
    Ints axes,
    bool keepdims,
    StreamRef s) {
  return box(ml::norm(a, text(order), ints(axes), keepdims, on(s)));
}

inline ArrayPtr norm_2(const Array& a, Ints axes, bool keepdims, StreamRef s) {
  return box(ml::norm(a, ints(axes), keepdims, on(s)));
}

inline ArrayVecPtr qr(const Array& a, StreamRef s) {
  return box(ml::qr(a, on(s)));
}

inline ArrayVecPtr svd(const Array& a, bool vectors, StreamRef s) {
  return box(ml::svd(a, vectors, on(s)));
}

inline ArrayPtr inv(const Array& a, StreamRef s) {
  return box(ml::inv(a, on(s)));
}

inline ArrayPtr tri_inv(const Array& a, bool upper, StreamRef s) {
  return box(ml::tri_inv(a, upper, on(s)));
}

inline ArrayPtr cholesky(const Array& a, bool upper, StreamRef s) {
  return box(ml::cholesky(a, upper, on(s)));
}

inline ArrayPtr cholesky_inv(const Array& a, bool upper, StreamRef s) {
  return box(ml::cholesky_inv(a, upper, on(s)));
}

inline ArrayPtr pinv(const Array& a, StreamRef s) {
  return box(ml::pinv(a, on(s)));
}

inline ArrayVecPtr lu(const Array& a, StreamRef s) {
  return box(ml::lu(a, on(s)));
}

inline ArrayVecPtr lu_factor(const Array& a, StreamRef s) {
  return box(ml::lu_factor(a, on(s)));
}

inline ArrayPtr solve(const Array& a, const Array& b, StreamRef s) {
  return box(ml::solve(a, b, on(s)));
}

inline ArrayPtr
solve_triangular(const Array& a, const Array& b, bool upper, StreamRef s) {
  return box(ml::solve_triangular(a, b, upper, on(s)));
}

inline ArrayPtr
cross(const Array& a, const Array& b, int32_t axis, StreamRef s) {
  return box(ml::cross(a, b, axis, on(s)));
}

inline ArrayVecPtr eig(const Array& a, StreamRef s) {
  return box(ml::eig(a, on(s)));
}

inline ArrayPtr eigvals(const Array& a, StreamRef s) {
  return box(ml::eigvals(a, on(s)));
}

inline ArrayVecPtr eigh(const Array& a, bool upper, StreamRef s) {
  return box(ml::eigh(a, upper ? "U" : "L", on(s)));
}

inline ArrayPtr eigvalsh(const Array& a, bool upper, StreamRef s) {
  return box(ml::eigvalsh(a, upper ? "U" : "L", on(s)));
}

inline ArrayPtr det(const Array& a, StreamRef s) {
  return box(ml::det(a, on(s)));
}

inline ArrayVecPtr slogdet(const Array& a, StreamRef s) {
  return box(ml::slogdet(a, on(s)));
}

} // namespace zmlx::linalg
