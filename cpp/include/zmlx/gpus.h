// Which GPU CUDA's calls of a thread are about.
#pragma once

namespace zmlx {

// Makes the default GPU the calling thread's current one, where MLX's CUDA back-end runs: after what leaves another one.
void make_default_gpu_current();

} // namespace zmlx
