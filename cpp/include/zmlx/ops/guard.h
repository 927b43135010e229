// What MLX leaves to its caller and a safe API cannot: index ranges, and integer
// division on processors that trap.
#pragma once

#include "zmlx/types.h"

namespace zmlx::ops {

// `indices` for `axis` of `a`, such that every one can start a span of `span`
// elements there. Values that are there to read are checked, and one out of range
// throws; others are clamped by operations in the graph. Where `wrap` is set,
// negative ones count from the end, otherwise they are out of range.
Array within(
    std::string_view op,
    const Array& indices,
    const Array& a,
    int axis,
    int span,
    bool wrap,
    mx::StreamOrDevice s);

// As above for the flattened leading dimensions of a stack of matrices.
std::optional<Array> within_stack(
    std::string_view op,
    const std::optional<Array>& indices,
    const Array& matrices,
    mx::StreamOrDevice s);

// The `i`th of some integers when it is there to read.
std::optional<int64_t> known(const Array& a, size_t i, mx::StreamOrDevice s);

// Integer division by zero, and of the least number by -1, end the process on x86.
struct Divisor {
  // 1 where division would trap.
  Array safe;
  // Present when some may trap: where the divisor is 0, and where it is -1.
  std::optional<Array> zero;
  std::optional<Array> minus_one;
};
Divisor divisor(const Array& a, const Array& b, mx::StreamOrDevice s);

} // namespace zmlx::ops
