// Threads that use an NVIDIA GPU take turns.
//
// MLX's CUDA back-end keeps what its libraries have prepared (plans of Fourier transforms, graphs of convolutions and
// attention, compiled kernels) in tables of the process, without locks. So threads hand their work over one after
// the other; they wait for it side by side.
//
// The end of a thread is a turn, too: MLX's thread-locals give the handles of cuBLAS and cuDNN back, which waits for the whole
// device, and that spoils a matrix product which another thread is recording for a CUDA graph. MLX ends the process then.
#pragma once

#include <mutex>
#include <typeinfo>

namespace zmlx {

// Whether MLX has an NVIDIA GPU. If not, nothing here does anything.
bool on_cuda();

// Lasts as long as the value.
class Turn {
 public:
  Turn();
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::unique_lock<std::timed_mutex> lock_;
};

// An operation of this kind is about to be handed over on this thread. Its first one may leave thread-locals of MLX behind.
void note_kind(const std::type_info& kind) noexcept;

// At the end of the thread: its last turn, which no one's work interrupts. It begins with the first destructor of
// MLX's thread-locals; `Rest`, made before all of these, ends it.
void begin_last_turn() noexcept;
struct Rest {
  ~Rest();
};

} // namespace zmlx
