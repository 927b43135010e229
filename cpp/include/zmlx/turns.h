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

// Whether MLX has an NVIDIA GPU.
bool on_cuda();

// If not, nothing here does anything. Where there is no such GPU, tests set ZMLX_TAKE_TURNS.
bool takes_turns();

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

// Whether the calling thread ends and has its last turn.
extern constinit thread_local bool has_last_turn;
// At the end of the thread: its last turn. It begins with the first destructor of MLX's thread-locals; `Rest`, made before all of these,
// ends it.
void begin_last_turn() noexcept;
// Destructors of a program's own thread-locals may come in between, use MLX and wait for other threads, which want a turn, too. The
// last turn goes on behind such a destructor.
void interrupt_last_turn() noexcept;
struct Rest {
  ~Rest();
};

} // namespace zmlx
