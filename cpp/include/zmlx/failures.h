// What a thread has under way, which of its arrays have failed, and why.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "zmlx/run.h"
#include "zmlx/weak.h"

namespace zmlx {

using Text = std::shared_ptr<const std::string>;

// Errors of the nodes of one evaluation, written down from any thread.
class Faults {
 public:
  void add(uint32_t node, const char* what) {
    std::lock_guard lock(mutex_);
    all_.emplace_back(node, std::make_shared<const std::string>(what));
    any_ = true;
  }
  bool any() const {
    return any_;
  }
  using List = std::vector<std::pair<uint32_t, Text>>;
  // In the order in which they happened.
  List all() const {
    std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  List all_;
};

// An array of an evaluation under way that may still fail.
struct Flight {
  Weak array;
  std::shared_ptr<Run> run;
  uint32_t node;
};

struct Failure {
  Weak array;
  Text text;
};

// What a thread has under way, and which of its arrays have failed. Ids of arrays are keys; the
// weak handle beside it keeps an id from being given again.
struct Books {
  std::unordered_map<uintptr_t, Flight> flights;
  std::unordered_map<uintptr_t, Failure> failures;
  size_t sweep_at = 64;
  size_t under_way = 0; // runs that have arrays in `flights`
  Run* current = nullptr;
};

// It has no destructor: `forget_runs` is called before MLX's thread-locals go.
inline constinit thread_local Books* books_ = nullptr;

Books& books();

bool is_failed(const Array& a);

// Throws why an array has no values: it is asked for itself, or another one needs it.
[[noreturn]] void refuse(const Array& a, bool itself);

// Takes the values from an array that has failed.
void fail(const Array& a, const Text& text);

} // namespace zmlx
