#include "zmlx/failures.h"

namespace zmlx {

void Report::add(const char* what) const {
  try {
    faults_->add(node_, what);
  } catch (...) {
    // Without memory for the text the error goes where MLX keeps it.
    throw std::bad_alloc();
  }
}

Books& books() {
  if (!books_) {
    books_ = new Books;
  }
  return *books_;
}

namespace {

Text failure_of(const Array& a) {
  if (!books_) {
    return nullptr;
  }
  auto it = books_->failures.find(a.id());
  return it == books_->failures.end() ? nullptr : it->second.text;
}

} // namespace

bool is_failed(const Array& a) {
  return a.status() == Array::unscheduled && !a.has_primitive() && !a.is_tracer();
}

void refuse(const Array& a, bool itself) {
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

void forget_runs() noexcept {
  delete std::exchange(books_, nullptr);
}

} // namespace zmlx
