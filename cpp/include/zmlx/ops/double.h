// float64, which MLX computes in float32 in some functions: exp, sin, cos, erf, erfinv and
// sigmoid, whatever uses them, and derivatives that do (of expm1 and tan).
#pragma once

#include "zmlx/types.h"

namespace zmlx::ops {

enum class Function { exp, expm1, sin, cos, tan, erf, erfinv, sigmoid, softplus };

// Whether an operation on these has to go around MLX's own: float64 on a CPU stream. Files
// of exported functions hold MLX's operations, as others cannot read ours.
bool in_double(const Array& a, StreamRef s);

// Whether a step of an operation may be computed in float64.
bool has_double(StreamRef s);

// The function of a float64 array, in float64, with derivatives of every order.
Array in_double(Function f, const Array& a, mx::StreamOrDevice s);

// log(e^a + e^b) of float64 arrays.
Array logaddexp_in_double(const Array& a, const Array& b, mx::StreamOrDevice s);

// Set while a function is traced for a file.
struct Exporting {
  Exporting();
  ~Exporting();
  Exporting(const Exporting&) = delete;
  Exporting& operator=(const Exporting&) = delete;
};

} // namespace zmlx::ops

// An element-wise function that MLX computes in float32 where the array is float64.
#define ZMLX_UNARY_DOUBLE(name)                                       \
  inline ArrayPtr name(const Array& a, StreamRef s) {                 \
    return box(                                                       \
        in_double(a, s) ? in_double(Function::name, a, on(s))         \
                        : mx::name(a, on(s)));                        \
  }
