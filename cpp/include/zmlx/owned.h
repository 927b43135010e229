// Memory that belongs to somebody else, as arrays.
#pragma once

#include "zmlx/types.h"

namespace zmlx {

struct Owner;

// An array over the elements at `address`, which stay where and what they are until the owner is dropped. That happens on
// any thread, when nothing uses the memory any more. MLX's CPU package uses the memory where it lies, Metal's uses whole pages
// where they lie and copies other memory, and CUDA's copies always; of copied memory the owner is dropped at once.
ArrayPtr borrow_memory(rust::Box<Owner> owner, size_t address, Ints dims, Dtype type);

} // namespace zmlx
