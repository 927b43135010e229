#include "zmlx/run.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <unordered_map>

#include "mlx/scheduler.h"
#include "mlx/transforms.h"
#include "zmlx/memory.h"
#include "zmlx/seen.h"
#include "zmlx/watch.h"
#include "zmlx/weak.h"

namespace zmlx {

using Text = std::shared_ptr<const std::string>;

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

void Report::add(const char* what) const {
  try {
    faults_->add(node_, what);
  } catch (...) {
    // Without memory for the text the error goes where MLX keeps it.
    throw std::bad_alloc();
  }
}

namespace {

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
constinit thread_local Books* books_ = nullptr;

Books& books() {
  if (!books_) {
    books_ = new Books;
  }
  return *books_;
}

Text failure_of(const Array& a) {
  if (!books_) {
    return nullptr;
  }
  auto it = books_->failures.find(a.id());
  return it == books_->failures.end() ? nullptr : it->second.text;
}

bool is_failed(const Array& a) {
  return a.status() == Array::unscheduled && !a.has_primitive() && !a.is_tracer();
}

[[noreturn]] void refuse(const Array& a, bool itself) {
  auto text = failure_of(a);
  if (!text) {
    throw Failed(
        "the array has no values: a transformation (compile, vmap, grad) that has ended traced it");
  }
  throw Failed(
      (itself ? "the evaluation that was to compute this array has failed: "
              : "this array depends on one whose evaluation has failed: ") +
      *text);
}

// Takes the values from an array that has failed.
void fail(const Array& a, const Text& text) {
  auto& b = books();
  if (b.failures.size() >= b.sweep_at) {
    std::erase_if(b.failures, [](const auto& f) { return f.second.array.gone(); });
    b.sweep_at = 2 * b.failures.size() + 64;
  }
  b.failures.insert_or_assign(a.id(), Failure{Weak(a), text});
  a.attach_event(mx::Event{});
  a.set_status(Array::unscheduled);
}

} // namespace

class Run : public std::enable_shared_from_this<Run> {
 public:
  explicit Run(Arrays arrays) : outputs_(list(arrays)) {}

  void evaluate(bool later) {
    plan();
    watch();
    std::exception_ptr thrown;
    {
      struct Current {
        Run* outer;
        explicit Current(Run* run) : outer(std::exchange(books().current, run)) {}
        ~Current() {
          books().current = outer;
        }
      } current(this);
      try {
        later ? mx::async_eval(outputs_) : mx::eval(outputs_);
      } catch (...) {
        thrown = std::current_exception();
      }
      if (thrown && !later && is_echo(thrown)) {
        // Where there was nothing to compute, it came from the first of several waits.
        thrown = nullptr;
        wait();
      }
    }
    unwatch();
    seen_ = {};
    if (later && !thrown) {
      flies_ = !descs_.empty();
      books().under_way += flies_;
      for (const auto& [array, id, node] : descs_) {
        books().flights.insert_or_assign(id, Flight{array, shared_from_this(), node});
      }
      return;
    }
    // MLX throws from within only before the last output is handed over.
    bool within = thrown &&
        std::any_of(outputs_.begin(), outputs_.end(), [](const Array& a) {
                    return a.status() == Array::unscheduled;
                  });
    if (thrown && !within) {
      note(thrown);
    }
    settle();
    if (within) {
      within_ = thrown;
      remember(thrown);
    }
    // Work that fails while it is handed over (a file that a GPU's stream reads at once, memory that is not
    // there) fails like work that has begun: whoever asks for the end hears of it. What MLX says of a graph, a
    // traced one, it says before any work.
    if (!later || (within && traced_)) {
      report();
    }
  }

  bool is_done() const {
    return settled_ || std::all_of(outputs_.begin(), outputs_.end(), [](const Array& a) {
             return ready(a) || a.status() == Array::unscheduled;
           });
  }

  void finish() {
    if (!settled_) {
      wait();
      settle();
    }
    report();
  }

  Report report_of(uintptr_t id) {
    auto node = seen_.find(id);
    return node && *node >= 0 ? Report(faults_, *node) : Report();
  }

  // Why a node has failed, or null. What it depends on has run.
  Text fate(uint32_t node) const {
    if (settled_) {
      return node < fates_.size() ? fates_[node] : nullptr;
    }
    std::vector<std::pair<const Run*, uint32_t>> todo{{this, node}};
    std::unordered_map<const Run*, std::vector<bool>> met;
    while (!todo.empty()) {
      auto [run, n] = todo.back();
      todo.pop_back();
      auto& seen = met[run];
      seen.resize(run->nodes_.size());
      if (run->settled_) {
        if (n < run->fates_.size() && run->fates_[n]) {
          return run->fates_[n];
        }
        continue;
      }
      if (seen[n]) {
        continue;
      }
      seen[n] = true;
      if (run->has_faults()) {
        for (const auto& [failed, text] : run->faults_->all()) {
          if (failed == n) {
            return text;
          }
        }
      }
      const auto& at = run->nodes_[n];
      if (at.run) {
        todo.emplace_back(at.run.get(), at.node);
      }
      for (auto e = at.from; e < at.to; ++e) {
        todo.emplace_back(run, run->edges_[e]);
      }
    }
    return nullptr;
  }

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
  void plan() {
    struct Frame {
      const Array* array;
      uint32_t next;
    };
    std::vector<Frame> stack;
    auto enter = [&](const Array& a, bool itself) {
      if (a.status() != Array::unscheduled) {
        note_reading(a);
        return;
      }
      traced_ = traced_ || a.is_tracer();
      if (!a.has_primitive()) {
        if (!a.is_tracer()) {
          refuse(a, itself);
        }
        return; // MLX says what is wrong
      }
      if (seen_.insert(a.id(), sound)) {
        straighten(a);
        stack.push_back({&a, 0});
      }
    };
    for (const auto& out : outputs_) {
      enter(out, true);
      while (!stack.empty()) {
        auto& top = stack.back();
        const auto& inputs = top.array->inputs();
        if (top.next < inputs.size()) {
          enter(inputs[top.next++], false);
          continue;
        }
        leave(*top.array);
        stack.pop_back();
      }
    }
  }

  // An array that is computed already, or by another run under way.
  void note_reading(const Array& a) {
    if (!books_ || books_->flights.empty()) {
      return;
    }
    auto it = books_->flights.find(a.id());
    if (it == books_->flights.end() || it->second.run.get() == this ||
        !seen_.insert(a.id(), static_cast<int32_t>(nodes_.size()))) {
      return;
    }
    auto here = static_cast<uint32_t>(edges_.size());
    nodes_.push_back(Node{here, here, it->second.run, it->second.node});
  }

  // A node whose inputs have been noted.
  void leave(const Array& a) {
    const auto& p = a.primitive();
    const auto& s = a.primitive().stream();
    if (s.device == mx::Device::cpu &&
        (streams_.empty() ||
         std::find(streams_.begin(), streams_.end(), s) == streams_.end())) {
      streams_.push_back(s);
    }
    auto care = care_for(p);
    auto from = static_cast<uint32_t>(edges_.size());
    if (!nodes_.empty()) {
      for (const auto& in : a.inputs()) {
        auto node = seen_.find(in.id());
        if (node && *node >= 0) {
          edges_.push_back(static_cast<uint32_t>(*node));
        }
      }
    }
    if (care == Care::none && edges_.size() == from) {
      for (const auto& s : a.siblings()) {
        seen_.insert(s.id(), sound);
      }
      return;
    }
    if (!faults_) {
      faults_ = std::make_shared<Faults>();
    }
    auto node = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back(Node{from, static_cast<uint32_t>(edges_.size()), nullptr});
    auto add = [&](const Array& each) {
      seen_.put(each.id(), static_cast<int32_t>(node));
      descs_.push_back(Desc{Weak(each), each.id(), node});
    };
    auto first = descs_.size();
    add(a);
    for (const auto& s : a.siblings()) {
      add(s);
    }
    if (care == Care::watch) {
      for (auto d = first; d < descs_.size(); ++d) {
        watched_.push_back(d);
      }
    }
  }

  // From here on the graph holds watches.
  void watch() {
    try {
      for (auto d : watched_) {
        if (auto a = descs_[d].array.lock()) {
          auto& p = a->primitive_ptr();
          p = std::make_shared<Watched>(p, Report(faults_, descs_[d].node));
        }
      }
    } catch (...) {
      unwatch();
      throw;
    }
  }

  // What was not computed, or stays in a trace, gets its primitive back.
  void unwatch() {
    for (auto d : watched_) {
      auto a = descs_[d].array.lock();
      if (a && a->has_primitive()) {
        auto& p = a->primitive_ptr();
        if (auto* w = dynamic_cast<Watched*>(p.get())) {
          p = std::shared_ptr<mx::Primitive>(w->inner());
        }
      }
    }
  }

  // The echo of a lack of memory may come before whoever waits hears of it.
  static void remember(const std::exception_ptr& thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      notes_lack(e.what());
    }
  }

  void wait() {
    for (auto& a : outputs_) {
      if (a.status() == Array::evaluated) {
        try {
          a.wait();
        } catch (...) {
          if (!is_echo(std::current_exception())) {
            note(std::current_exception());
          }
        }
      }
    }
  }

  // An error that no node has claimed. It should not happen: then all of the run has failed.
  void note(const std::exception_ptr& thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      if (!unclaimed_) {
        unclaimed_ = std::make_shared<const std::string>(e.what());
      }
    }
  }

  // Everything has run: takes the values from what has failed.
  void settle() {
    books().under_way -= std::exchange(flies_, false);
    if (books().under_way == 0) {
      // An error that is there now is of this run. Otherwise it may be one that the watch of
      // another run is about to take.
      for (const auto& s : streams_) {
        try {
          mx::scheduler::check_error(s);
        } catch (...) {
          note(std::current_exception());
        }
      }
    }
    fates_.clear();
    bool any = unclaimed_ || has_faults();
    for (const auto& n : nodes_) {
      any = any || (n.run && n.run->fate(n.node));
    }
    if (any) {
      decide();
    }
    settled_ = true;
    auto& flights = books().flights;
    if (!flights.empty()) {
      for (const auto& d : descs_) {
        auto it = flights.find(d.id);
        if (it != flights.end() && it->second.run.get() == this) {
          flights.erase(it);
        }
      }
    }
    for (auto& a : outputs_) {
      if (a.status() == Array::unscheduled || a.is_tracer()) {
        continue;
      }
      // Another run's array that this one only waited for.
      auto it = flights.find(a.id());
      if (auto fate = it == flights.end() ? nullptr : it->second.run->fate(it->second.node)) {
        fail(a, fate);
        continue;
      }
      a.attach_event(mx::Event{});
      a.set_status(Array::available);
    }
    nodes_ = {};
    edges_ = {};
    descs_ = {};
    outputs_.clear();
  }

  void decide() {
    fates_.resize(nodes_.size());
    for (const auto& [node, text] : has_faults() ? faults_->all() : Faults::List()) {
      if (!fates_[node]) {
        fates_[node] = text;
      }
      if (!error_) {
        error_ = text;
      }
    }
    if (unclaimed_ && !error_) {
      error_ = unclaimed_;
    }
    for (size_t n = 0; n < nodes_.size(); ++n) {
      auto& fate = fates_[n];
      const auto& node = nodes_[n];
      if (!fate && node.run) {
        fate = node.run->fate(node.node);
        if (fate && !inherited_) {
          inherited_ = fate;
        }
      }
      for (auto e = node.from; !fate && e < node.to; ++e) {
        fate = fates_[edges_[e]];
      }
      if (!fate) {
        fate = unclaimed_;
      }
    }
    for (const auto& d : descs_) {
      if (!fates_[d.node]) {
        continue;
      }
      auto a = d.array.lock();
      if (a && a->status() != Array::unscheduled) {
        fail(*a, fates_[d.node]);
      }
    }
    if (unclaimed_) {
      for (const auto& a : outputs_) {
        if (a.status() != Array::unscheduled) {
          fail(a, unclaimed_);
        }
      }
    }
  }

  // Throws what failed, once.
  void report() {
    auto within = std::exchange(within_, nullptr);
    auto error = std::exchange(error_, nullptr);
    auto inherited = std::exchange(inherited_, nullptr);
    if (within) {
      std::rethrow_exception(within);
    }
    if (error) {
      throw std::runtime_error(*error);
    }
    if (inherited) {
      throw Failed("this array depends on one whose evaluation has failed: " + *inherited);
    }
  }

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

namespace {

bool is_there(const ArrayRef& a) {
  return a.ptr->status() == Array::available;
}

} // namespace

void eval(Arrays arrays) {
  if (std::all_of(arrays.begin(), arrays.end(), is_there)) {
    return;
  }
  std::make_shared<Run>(arrays)->evaluate(false);
}

std::shared_ptr<Run> async_eval(Arrays arrays) {
  auto run = std::make_shared<Run>(arrays);
  run->evaluate(true);
  return run;
}

void finish(const Run& run) {
  const_cast<Run&>(run).finish();
}

bool is_done(const Run& run) {
  return run.is_done();
}

bool ready(const Array& a) {
  if (a.status() != Array::evaluated) {
    return a.status() == Array::available;
  }
  try {
    if (!a.is_available()) {
      return false;
    }
  } catch (const std::exception& e) {
    fail(a, std::make_shared<const std::string>(e.what()));
    return false;
  }
  if (books_ && !books_->flights.empty()) {
    auto it = books_->flights.find(a.id());
    if (it != books_->flights.end()) {
      // All that the array depends on has run.
      if (auto fate = it->second.run->fate(it->second.node)) {
        fail(a, fate);
        return false;
      }
    }
  }
  return true;
}

void check_failed(const Array& a) {
  if (is_failed(a)) {
    refuse(a, true);
  }
}

void forget_runs() noexcept {
  delete std::exchange(books_, nullptr);
}

Report report_of(const ArrayVec& outputs) {
  if (!books_ || !books_->current) {
    return Report();
  }
  return books_->current->report_of(outputs.at(0).id());
}

} // namespace zmlx
