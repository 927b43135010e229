// What every call into MLX passes first.
//
// MLX has a "main thread": the one that makes its scheduler. On it, handing work to a
// stream throws the error of older work, and loses count of the tasks. So a thread that
// sleeps for ever takes that part before anything of the bridge can.
//
// A thread ends with the destructors of its thread-locals, and some of them may use
// MLX after MLX's own thread-locals are gone. Such calls are refused.
#pragma once

#include <cstdint>
#include <stdexcept>

#include "zmlx/turns.h"

namespace zmlx {

enum class Presence : uint8_t { outside, inside, left };

// Of the calling thread. It has no destructor, so it can be read at any time.
extern constinit thread_local Presence presence;

// MLX is used on a thread that has given MLX up.
struct Left : std::runtime_error {
  Left();
};

// The thread's first call. Throws `Left`.
void enter_mlx();

inline void gate() {
  if (has_last_turn) {
    interrupt_last_turn();
  }
  if (presence != Presence::inside) {
    enter_mlx();
  }
}

} // namespace zmlx
