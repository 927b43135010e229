#include "zmlx/run.h"

#include <algorithm>

#include "mlx/transforms.h"
#include "zmlx/evaluation.h"
#include "zmlx/memory.h"
#include "zmlx/turns.h"

namespace zmlx {

namespace {

// The echo of a lack of memory may come before whoever waits hears of it.
void remember(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    notes_lack(e.what());
  }
}

} // namespace

void Run::evaluate(bool later) {
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
      // A transformation under way is refused by the one, and computed by the other.
      if (traced_ && !later) {
        Turn turn;
        mx::eval(outputs_);
      } else {
        {
          Turn turn;
          mx::async_eval(outputs_);
        }
        if (!later) {
          mx::eval(outputs_);
        }
      }
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

bool Run::is_done() const {
  return settled_ || std::all_of(outputs_.begin(), outputs_.end(), [](const Array& a) {
           return ready(a) || a.status() == Array::unscheduled;
         });
}

void Run::finish() {
  if (!settled_) {
    wait();
    settle();
  }
  report();
}

Report Run::report_of(uintptr_t id) {
  auto node = seen_.find(id);
  return node && *node >= 0 ? Report(faults_, *node) : Report();
}

void Run::wait() {
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

void Run::report() {
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

Report report_of(const ArrayVec& outputs) {
  if (!books_ || !books_->current) {
    return Report();
  }
  return books_->current->report_of(outputs.at(0).id());
}

} // namespace zmlx
