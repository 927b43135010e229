// Which GPU CUDA's calls of a thread are about.
#pragma once

#include "zmlx/types.h"

namespace zmlx {

// Makes the default GPU the calling thread's current one, where MLX's CUDA back-end runs.
void make_default_gpu_current();

// The elements of an evaluated array, whichever GPU has them.
const char* elements_of(const Array& a);

} // namespace zmlx
