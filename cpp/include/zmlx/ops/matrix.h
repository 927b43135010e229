// Products of matrices and vectors, and what belongs to diagonals.
#pragma once

#include "mlx/einsum.h"
#include "zmlx/ops/guard.h"
#include "zmlx/ops/patterns.h"

namespace zmlx::ops {

ZMLX_BINARY(matmul)
ZMLX_BINARY(outer)
ZMLX_BINARY(kron)

inline ArrayPtr vecdot(const Array& a, const Array& b, int32_t axis, StreamRef s) {
  return box(mx::vecdot(a, b, axis, on(s)));
}

inline ArrayPtr tensordot(const Array& a, const Array& b, Ints axes_a, Ints axes_b, StreamRef s) {
  return box(mx::tensordot(a, b, ints(axes_a), ints(axes_b), on(s)));
}

inline ArrayPtr addmm(
    const Array& c, const Array& a, const Array& b, float alpha, float beta, StreamRef s) {
  return box(mx::addmm(c, a, b, alpha, beta, on(s)));
}

inline ArrayPtr einsum(rust::Str subscripts, Arrays operands, StreamRef s) {
  return box(mx::einsum(text(subscripts), list(operands), on(s)));
}

// `steps` gets the places of each contraction's operands, after their number.
inline rust::String einsum_path(
    rust::Str subscripts, Arrays operands, rust::Vec<int32_t>& steps) {
  auto [path, said] = mx::einsum_path(text(subscripts), list(operands));
  for (const auto& step : path) {
    steps.push_back(static_cast<int32_t>(step.size()));
    for (int place : step) {
      steps.push_back(place);
    }
  }
  return said;
}

inline ArrayPtr block_masked_mm(
    const Array& a,
    const Array& b,
    int32_t block,
    ArrayRef mask_out,
    ArrayRef mask_lhs,
    ArrayRef mask_rhs,
    StreamRef s) {
  return box(mx::block_masked_mm(
      a, b, block, maybe(mask_out), maybe(mask_lhs), maybe(mask_rhs), on(s)));
}

inline ArrayPtr gather_mm(
    const Array& a, const Array& b, ArrayRef lhs, ArrayRef rhs, bool sorted, StreamRef s) {
  return box(mx::gather_mm(
      a,
      b,
      within_stack("gather_mm", maybe(lhs), a, on(s)),
      within_stack("gather_mm", maybe(rhs), b, on(s)),
      sorted,
      on(s)));
}

inline ArrayPtr segmented_mm(const Array& a, const Array& b, const Array& segments, StreamRef s) {
  // Bounds outside of the inner dimension would be read there. They are cut in their own
  // type: as uint32, which MLX takes, large ones would come back from the other side.
  auto inside = segments;
  if (mx::issubdtype(segments.dtype(), mx::integer)) {
    int64_t inner = a.ndim() ? a.shape(-1) : 0;
    inside = mx::astype(
        segments, segments.dtype() == mx::uint64 ? mx::uint64 : mx::int64, on(s));
    auto t = inside.dtype();
    inside = mx::maximum(inside, Array(0, t), on(s));
    inside = mx::minimum(inside, Array(inner, t), on(s));
  }
  return box(mx::segmented_mm(a, b, inside, on(s)));
}

inline ArrayPtr diagonal(const Array& a, int32_t offset, int32_t i, int32_t j, StreamRef s) {
  return box(mx::diagonal(a, offset, i, j, on(s)));
}

inline ArrayPtr diag(const Array& a, int32_t k, StreamRef s) {
  return box(mx::diag(a, k, on(s)));
}

inline ArrayPtr trace(const Array& a, int32_t offset, int32_t i, int32_t j, StreamRef s) {
  return box(mx::trace(a, offset, i, j, on(s)));
}

inline ArrayPtr tril(const Array& a, int32_t k, StreamRef s) {
  return box(mx::tril(a, k, on(s)));
}

inline ArrayPtr triu(const Array& a, int32_t k, StreamRef s) {
  return box(mx::triu(a, k, on(s)));
}

// Without a scale: 1 / sqrt(n).
// MLX's CUDA kernel divides by zero for rows of 12, 20 and 28, which have no factor 2^k
// beyond the 4 in these: the CPU transforms such.
inline ArrayPtr hadamard_transform(const Array& a, bool scaled, float scale, StreamRef s) {
  auto where = on(s);
  auto length = a.ndim() > 0 ? a.shape(-1) : 1;
  if (s.gpu && (length == 12 || length == 20 || length == 28)) {
    where = mx::Device(mx::Device::cpu);
  }
  return box(mx::hadamard_transform(
      a, scaled ? std::optional<float>(scale) : std::nullopt, where));
}

} // namespace zmlx::ops
