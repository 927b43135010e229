#include "zmlx/turns.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <utility>

#ifdef __linux__
#include <cxxabi.h>
#endif

#include "mlx/backend/cuda/cuda.h"
#include "zmlx/types.h"

namespace zmlx {

constinit thread_local bool has_last_turn = false;

namespace {

// It outlives the destructors of the process.
std::timed_mutex& one() {
  static auto& mutex = *new std::timed_mutex;
  return mutex;
}

// Whether the turn that is being taken is the last one of a thread.
std::atomic<bool> ending{false};

// Of the calling thread; without destructors, so that they serve to its very end.
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

bool takes_turns() {
  static const bool does = on_cuda() || std::getenv("ZMLX_TAKE_TURNS") != nullptr;
  return does;
}

Turn::Turn() : lock_(one(), std::defer_lock) {
  if (takes_turns() && !has_last_turn && depth == 0) {
    // A thread that ends and waits for this one, in a destructor that says nothing to MLX, does not give its turn up.
    int patience = 10;
    while (!lock_.try_lock_for(std::chrono::seconds(1)) && patience > 0) {
      patience -= ending ? 1 : 0;
    }
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
  if (takes_turns() && !has_last_turn) {
    has_last_turn = one().try_lock_for(std::chrono::seconds(10));
    ending = has_last_turn;
  }
}

namespace {

void end_last_turn() noexcept {
  has_last_turn = false;
  ending = false;
  one().unlock();
}

} // namespace

void interrupt_last_turn() noexcept {
  if (has_last_turn) {
    end_last_turn();
    begin_before_those_made_by_now();
  }
}

Rest::~Rest() {
  if (has_last_turn) {
    end_last_turn();
  }
}

} // namespace zmlx
