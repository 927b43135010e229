// Evaluations, and which arrays fail with them.
//
// A CPU stream of MLX has one place for an error. Whoever looks first gets it, whatever
// failed; the failed arrays count as computed. So zmlx keeps account itself:
//
// - Before an evaluation it walks the graph, and notes the nodes that may fail while they run
//   and those that depend on them.
// - A node that may fail is watched: right behind its work on the stream stands a task that
//   takes the error out of MLX's place and writes it down for this node (watch.h). So that
//   place is empty before MLX can hand its error to anything else.
// - When the evaluation is over, the failed nodes and what depends on them, other evaluations'
//   arrays included, lose their values: they have no primitive and are never available
//   again, so MLX refuses to compute with them.
//
// All of it happens on the thread that owns the arrays, except for the noting of errors.
#pragma once

#include <exception>
#include <memory>
#include <string>

#include "zmlx/types.h"

namespace zmlx {

class Run;

// Computes the arrays and waits for them. Throws the error of what failed.
void eval(Arrays arrays);
// Starts computing the arrays. `finish` throws the error of what failed, also of what failed while it was
// handed over. Throws what can be told before: arrays that have failed, traced ones.
std::shared_ptr<Run> async_eval(Arrays arrays);
// Waits for the end, and throws the error of what failed; the second time nothing.
void finish(const Run& run);
// True when `finish` will not wait.
bool is_done(const Run& run);

// True when the values are there to read without computing or waiting.
bool ready(const Array& a);
// Throws `Failed` when the evaluation of the array has failed.
void check_failed(const Array& a);

// At the end of a thread: what it has under way is nobody's any more.
void forget_runs() noexcept;

// Where errors of a running evaluation are written down, from any thread.
class Faults;
class Report {
 public:
  Report() = default;
  Report(std::shared_ptr<Faults> faults, uint32_t node)
      : faults_(std::move(faults)), node_(node) {}

  // Runs the work of a node on its stream; its error is written down.
  template <typename F>
  void guard(F&& work) const {
    try {
      work();
    } catch (const std::exception& e) {
      if (!faults_) {
        throw;
      }
      add(e.what());
    }
  }

 private:
  void add(const char* what) const;

  std::shared_ptr<Faults> faults_;
  uint32_t node_ = 0;
};

// For a primitive of zmlx's own, while it is evaluated: where its errors go.
Report report_of(const ArrayVec& outputs);

} // namespace zmlx
