// Operations whose steps leave the range, or the precision, of a type that holds their result.
#pragma once

#include "zmlx/types.h"

namespace zmlx::ops {

Array wide_mean(const Array& a, const std::vector<int>& axes, bool keepdims, StreamRef s);
Array wide_var(
    const Array& a, const std::vector<int>& axes, bool keepdims, int ddof, bool root, StreamRef s);
Array wide_median(const Array& a, const std::vector<int>& axes, bool keepdims, StreamRef s);
// What running extremes are taken of: MLX's CPU loses a NaN of the small types. The result has
// the array's type after a cast back.
Array scannable(const Array& a, StreamRef s);
Array wide_round(const Array& a, int decimals, StreamRef s);
Array wide_isclose(
    const Array& a, const Array& b, double rtol, double atol, bool equal_nan, StreamRef s);

// Whether one of two dtypes is uint64 and the other a signed integer: they have no
// common integer type, and MLX would compare them as float32.
bool no_common_integer(mx::Dtype a, mx::Dtype b);

enum class Comparison { equal, not_equal, greater, greater_equal, less, less_equal };
Array compare_unlike(Comparison c, const Array& a, const Array& b, mx::StreamOrDevice s);

} // namespace zmlx::ops

#define ZMLX_COMPARISON(name)                                              \
  inline ArrayPtr name(const Array& a, const Array& b, StreamRef s) {      \
    return box(                                                            \
        no_common_integer(a.dtype(), b.dtype())                            \
            ? compare_unlike(Comparison::name, a, b, on(s))                \
            : mx::name(a, b, on(s)));                                      \
  }
