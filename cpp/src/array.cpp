#include "zmlx/array.h"

#include <cstring>
#include <sstream>

#include "zmlx/memory.h"

namespace zmlx {

ArrayPtr from_bytes(rust::Slice<const uint8_t> bytes, Ints dims, Dtype type) {
  auto dt = dtype(type);
  guard_memory();
  auto data = mx::allocator::malloc(bytes.size());
  if (!bytes.empty()) {
    std::memcpy(data.buffer().raw_ptr(), bytes.data(), bytes.size());
  }
  return box(Array(std::move(data), shape(dims), dt));
}

ArrayPtr share(const Array& a) {
  return box(a);
}

ArrayVecPtr new_list() {
  return std::make_unique<ArrayVec>();
}

void push(ArrayVec& v, const Array& a) {
  v.push_back(a);
}

bool ready(const Array& a) {
  try {
    return a.is_available();
  } catch (...) {
    // MLX reports an error once and calls the array available from then on.
    a.set_status(Array::unscheduled);
    throw;
  }
}

bool is_row_contiguous(const Array& a) noexcept {
  // MLX leaves the flags of unevaluated arrays at their optimistic default.
  return a.status() != Array::unscheduled && a.flags().row_contiguous;
}

bool is_tracer(const Array& a) noexcept {
  return a.is_tracer();
}

size_t address(const Array& a) {
  return reinterpret_cast<size_t>(a.data<char>());
}

rust::String show(const Array& a) {
  std::ostringstream out;
  out << a;
  return rust::String(out.str());
}

namespace {

bool failed(const Array& a) {
  return a.status() == Array::unscheduled && !a.has_primitive() &&
      !a.is_tracer();
}

void check(const Array& a) {
  if (failed(a)) {
    throw std::runtime_error(
        "the evaluation that was to compute this array has failed");
  }
}

template <typename F>
void guarded(Arrays arrays, F&& body) {
  for (const auto& a : arrays) {
    check(*a.ptr);
  }
  try {
    body();
  } catch (...) {
    for (const auto& r : arrays) {
      const Array& a = *r.ptr;
      if (a.status() == Array::evaluated && !a.has_primitive()) {
        a.set_status(Array::unscheduled);
      }
    }
    throw;
  }
}

} // namespace

void eval(Arrays arrays) {
  auto v = list(arrays);
  guarded(arrays, [&] { mx::eval(v); });
}

void async_eval(Arrays arrays) {
  guarded(arrays, [&] { mx::async_eval(list(arrays)); });
}

void wait(Arrays arrays) {
  auto v = list(arrays);
  guarded(arrays, [&] {
    for (auto& a : v) {
      a.wait();
    }
  });
}

} // namespace zmlx
