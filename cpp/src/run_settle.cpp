// After an evaluation: what has failed, and with it what depends on that.
#include "mlx/scheduler.h"
#include "zmlx/evaluation.h"

namespace zmlx {

Text Run::fate(uint32_t node) const {
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

void Run::note(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    if (!unclaimed_) {
      unclaimed_ = std::make_shared<const std::string>(e.what());
    }
  }
}

void Run::settle() {
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

void Run::decide() {
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

} // namespace zmlx
