// What happens when memory runs out.
#pragma once

#include <exception>
#include <string_view>

namespace zmlx {

// MLX's CPU allocator hands on a null pointer, or memory that the system has promised
// to others too, and the kernel that writes there ends the process. After the first
// call of this function such an allocation throws std::bad_alloc with a text instead:
// the evaluation fails and the process goes on. Nothing where MLX has a GPU, whose
// allocator throws by itself.
void guard_memory();

// Whether an error of MLX's says that a GPU has no memory left: MLX throws no class of its own for that.
constexpr bool lacks_memory(std::string_view what) {
  return (what.starts_with("cu") && what.ends_with(" failed: out of memory")) ||
      what.starts_with("[malloc] Unable to allocate") ||
      what.starts_with("[metal::malloc] Attempting to allocate");
}

// The same, of an error that is on its way to the caller. The thread remembers it.
bool notes_lack(std::string_view what) noexcept;

// CUDA keeps the last error of each thread. A request for memory that failed has been reported, but MLX's next wait
// on this thread finds it there again, when it has waited, and throws it. True of such an exception, which says nothing about
// what was waited for.
bool is_echo(const std::exception_ptr& thrown) noexcept;

} // namespace zmlx
