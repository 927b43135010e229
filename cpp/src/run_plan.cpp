// Before an evaluation: which nodes of the graph may fail, and the watches on them.
#include <algorithm>

#include "zmlx/aligned.h"
#include "zmlx/evaluation.h"
#include "zmlx/turns.h"
#include "zmlx/watch.h"

namespace zmlx {

namespace {

// MLX's CUDA back-end gives an array of no elements no memory, and an operation on the CPU ends the process when it reads one.
void give_memory_of_none(const Array& a) {
  auto give = [](const Array& a) {
    if (a.size() == 0 && !a.data_shared_ptr()) {
      const_cast<Array&>(a).set_data(mx::allocator::malloc(0));
    }
  };
  give(a);
  for (const auto& s : a.siblings()) {
    give(s);
  }
}

} // namespace

void Run::plan() {
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
      if (on_cuda()) {
        align_factors(a);
      }
      give_memory_of_none(a);
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

void Run::note_reading(const Array& a) {
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

void Run::leave(const Array& a) {
  const auto& p = a.primitive();
  const auto& s = a.primitive().stream();
  if (takes_turns()) {
    note_kind(typeid(p));
  }
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

void Run::watch() {
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

void Run::unwatch() {
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

} // namespace zmlx
