// One evaluation: what of its graph may fail, and what has failed in the end.
#pragma once

#include <exception>
#include <memory>
#include <vector>

#include "zmlx/failures.h"
#include "zmlx/seen.h"

namespace zmlx {

class Run : public std::enable_shared_from_this<Run> {
 public:
  explicit Run(Arrays arrays) : outputs_(list(arrays)) {}

  void evaluate(bool later);

  bool is_done() const;

  void finish();

  Report report_of(uintptr_t id);

  // Why a node has failed, or null. What it depends on has run.
  Text fate(uint32_t node) const;

 private:
  // A node of the graph that may fail or depends on one that may, or an array of another run
  // that may. A node comes after those that it depends on.
  struct Node {
    uint32_t from, to; // its inputs in `edges_`
    std::shared_ptr<Run> run; // of an array that this run only reads
    uint32_t node = 0;
  };
  struct Desc {
    Weak array;
    uintptr_t id;
    uint32_t node;
  };
  static constexpr int32_t sound = -1;

  bool has_faults() const {
    return faults_ && faults_->any();
  }

  // Notes what may fail. Throws when something has.
  void plan();

  // An array that is computed already, or by another run under way.
  void note_reading(const Array& a);

  // A node whose inputs have been noted.
  void leave(const Array& a);

  // From here on the graph holds watches.
  void watch();

  // What was not computed, or stays in a trace, gets its primitive back.
  void unwatch();

  void wait();

  // An error that no node has claimed. It should not happen: then all of the run has failed.
  void note(const std::exception_ptr& thrown);

  // Everything has run: takes the values from what has failed.
  void settle();

  void decide();

  // Throws what failed, once.
  void report();

  ArrayVec outputs_;
  Seen seen_;
  std::vector<Node> nodes_;
  std::vector<uint32_t> edges_;
  std::vector<Desc> descs_;
  std::vector<size_t> watched_;
  std::vector<mx::Stream> streams_;
  std::shared_ptr<Faults> faults_; // null when nothing can fail
  bool flies_ = false;
  bool settled_ = false;
  // Whether the graph holds arrays of a transformation under way.
  bool traced_ = false;
  // What was thrown while work was handed over. What had not been handed over by then stays as it was, to be
  // computed when it is asked for again.
  std::exception_ptr within_;
  // After settling: why each node has failed. Empty when none has.
  std::vector<Text> fates_;
  Text unclaimed_;
  Text error_;
  Text inherited_;
};

} // namespace zmlx
