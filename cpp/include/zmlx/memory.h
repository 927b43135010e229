// What happens when memory runs out.
#pragma once

namespace zmlx {

// MLX's CPU allocator hands on a null pointer, or memory that the system has promised
// to others too, and the kernel that writes there ends the process. After the first
// call of this function such an allocation throws std::bad_alloc with a text instead:
// the evaluation fails and the process goes on. Nothing where MLX has a GPU, whose
// allocator throws by itself.
void guard_memory();

} // namespace zmlx
