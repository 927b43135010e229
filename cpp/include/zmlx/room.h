// Large memory for what is read again and again.
#pragma once

#include "mlx/allocator.h"
#include "zmlx/types.h"

namespace zmlx {

// Memory of MLX's, in large pages where it is large; throws where there is none.
mx::allocator::Data allocate(size_t bytes);

// So many bytes, in large pages where the system has them, whose values nobody knows yet.
ArrayPtr room(size_t bytes);

// An array with the values of `a`, which is evaluated and lies row by row: in the bytes of `room` from `at` on, a multiple of 64.
ArrayPtr lay(const Array& room, size_t at, const Array& a);

} // namespace zmlx
