// mlx/random.h. The key is always given: MLX's own sequence is the same on every thread.
#pragma once

#include "mlx/random.h"
#include "zmlx/types.h"

namespace zmlx::random {

namespace mr = mx::random;

inline ArrayPtr split(const Array& key, int32_t num, StreamRef s) {
  return box(mr::split(key, num, on(s)));
}

inline ArrayVecPtr split_pair(const Array& key, StreamRef s) {
  return box(mr::split(key, on(s)));
}

inline ArrayPtr bits(Ints dims, int32_t width, const Array& key, StreamRef s) {
  return box(mr::bits(shape(dims), width, key, on(s)));
}

inline ArrayPtr uniform(
    const Array& low,
    const Array& high,
    Ints dims,
    Dtype type,
    const Array& key,
    StreamRef s) {
  return box(mr::uniform(low, high, shape(dims), dtype(type), key, on(s)));
}

inline ArrayPtr normal(
    Ints dims,
    Dtype type,
    ArrayRef loc,
    ArrayRef scale,
    const Array& key,
    StreamRef s) {
  return box(mr::normal(
      shape(dims), dtype(type), maybe(loc), maybe(scale), key, on(s)));
}

inline ArrayPtr multivariate_normal(
    const Array& mean,
    const Array& cov,
    Ints dims,
    Dtype type,
    const Array& key,
    StreamRef s) {
  return box(mr::multivariate_normal(
      mean, cov, shape(dims), dtype(type), key, on(s)));
}

inline ArrayPtr randint(
    const Array& low,
    const Array& high,
    Ints dims,
    Dtype type,
    const Array& key,
    StreamRef s) {
  return box(mr::randint(low, high, shape(dims), dtype(type), key, on(s)));
}

inline ArrayPtr
bernoulli(const Array& p, Ints dims, const Array& key, StreamRef s) {
  return box(mr::bernoulli(p, shape(dims), key, on(s)));
}

inline ArrayPtr truncated_normal(
    const Array& lower,
    const Array& upper,
    Ints dims,
    Dtype type,
    const Array& key,
    StreamRef s) {
  return box(mr::truncated_normal(
      lower, upper, shape(dims), dtype(type), key, on(s)));
}

inline ArrayPtr gumbel(Ints dims, Dtype type, const Array& key, StreamRef s) {
  return box(mr::gumbel(shape(dims), dtype(type), key, on(s)));
}

inline ArrayPtr
categorical(const Array& logits, int32_t axis, const Array& key, StreamRef s) {
  return box(mr::categorical(logits, axis, key, on(s)));
}

inline ArrayPtr categorical_shaped(
    const Array& logits,
    int32_t axis,
    Ints dims,
    const Array& key,
    StreamRef s) {
  return box(mr::categorical(logits, axis, shape(dims), key, on(s)));
}

inline ArrayPtr laplace(
    Ints dims,
    Dtype type,
    float loc,
    float scale,
    const Array& key,
    StreamRef s) {
  return box(mr::laplace(shape(dims), dtype(type), loc, scale, key, on(s)));
}

inline ArrayPtr
permutation(const Array& x, int32_t axis, const Array& key, StreamRef s) {
  return box(mr::permutation(x, axis, key, on(s)));
}

inline ArrayPtr permutation_of(int32_t n, const Array& key, StreamRef s) {
  return box(mr::permutation(n, key, on(s)));
}

} // namespace zmlx::random
