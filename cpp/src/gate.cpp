#include "zmlx/gate.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "mlx/allocator.h"
#include "mlx/array.h"
#include "mlx/scheduler.h"
#include "mlx/stream.h"
#include "zmlx/run.h"
#include "zmlx/turns.h"

namespace zmlx {

constinit thread_local Presence presence = Presence::outside;

Left::Left()
    : std::runtime_error(
          "MLX was used on a thread that has given it up: by a thread-local's destructor that runs"
          " after MLX's own, at the end of the thread. Drop it, or take its values, before") {}

namespace {

// The sleeping thread never ends, lest another inherit its identity.
void occupy_main_thread() {
  struct Meeting {
    std::mutex mutex;
    std::condition_variable met;
    bool done = false;
  };
  static std::mutex one;
  static bool occupied = false;
  std::lock_guard lock(one);
  if (occupied) {
    return;
  }
  auto meeting = std::make_shared<Meeting>();
  std::thread([meeting] {
    try {
      mx::scheduler::scheduler();
      // CUDA's allocator leaves the thread that makes it with the last GPU as its current one, where what the first GPU
      // has cannot be read.
      (void)mx::allocator::allocator();
    } catch (...) {
      // Whoever needs them gets the error again.
    }
    {
      std::lock_guard lock(meeting->mutex);
      meeting->done = true;
    }
    meeting->met.notify_all();
    for (;;) {
      std::this_thread::sleep_for(std::chrono::hours(1000));
    }
  }).detach();
  std::unique_lock wait(meeting->mutex);
  meeting->met.wait(wait, [&] { return meeting->done; });
  occupied = true;
}

struct Guard {
  ~Guard() {
    begin_last_turn();
    forget_runs();
    try {
      mx::clear_streams();
    } catch (...) {
    }
    presence = Presence::left;
  }
};

} // namespace

void enter_mlx() {
  if (presence == Presence::left) {
    throw Left();
  }
  occupy_main_thread();
  static thread_local Rest rest;
  (void)&rest;
  // MLX's thread-locals are made before the guard, so that C++ destroys the guard before
  // them: the streams, the cache of compiled functions, the default streams, the traces.
  mx::clear_streams();
  (void)mx::peek_default_stream(mx::Device::cpu);
  Array traced(mx::Shape{}, mx::bool_, nullptr, {});
  traced.set_tracer(true);
  (void)traced.is_tracer();
  static thread_local Guard guard;
  (void)&guard;
  presence = Presence::inside;
}

} // namespace zmlx
