#include "zmlx/turns.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#ifdef __linux__
#include <cxxabi.h>
#endif

#include "mlx/backend/cuda/cuda.h"
#include "zmlx/types.h"

namespace zmlx {

namespace {

// It outlives the destructors of the process.
std::timed_mutex& one() {
  static auto& mutex = *new std::timed_mutex;
  return mutex;
}

// Of the calling thread; without destructors, so that they serve to its very end.
constinit thread_local bool last = false;
// Turns within one another: an operation may evaluate, too.
constinit thread_local int depth = 0;
// The kinds of operations that it has handed over.
constinit thread_local const std::type_info* kinds[256] = {};
constinit thread_local size_t known = 0;
constinit thread_local bool fresh = false;

// Thread-locals are destroyed in the reverse order of their making: whatever MLX has made by now goes after this.
void begin_before_those_made_by_now() noexcept {
#ifdef __linux__
  static char here;
  abi::__cxa_thread_atexit([](void*) { begin_last_turn(); }, nullptr, &here);
#endif
}

} // namespace

bool on_cuda() {
  static const bool is = mx::cu::is_available();
  return is;
}

Turn::Turn() : lock_(one(), std::defer_lock) {
  if (on_cuda() && !last && depth == 0) {
    lock_.lock();
  }
  ++depth;
}

Turn::~Turn() {
  --depth;
  if (std::exchange(fresh, false)) {
    begin_before_those_made_by_now();
  }
}

void note_kind(const std::type_info& kind) noexcept {
  auto end = kinds + known;
  if (std::find(kinds, end, &kind) != end) {
    return;
  }
  fresh = true;
  if (known < std::size(kinds)) {
    kinds[known++] = &kind;
  }
}

void begin_last_turn() noexcept {
  // A thread that is stuck in its turn does not keep others from ending.
  if (on_cuda() && !last) {
    last = one().try_lock_for(std::chrono::seconds(10));
  }
}

Rest::~Rest() {
  if (std::exchange(last, false)) {
    one().unlock();
  }
}

} // namespace zmlx
