#include "zmlx/array.h"

#include <cstring>
#include <sstream>

namespace zmlx {

ArrayPtr from_bytes(rust::Slice<const uint8_t> bytes, Ints dims, Dtype type) {
  auto dt = dtype(type);
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
  return a.is_available();
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

void eval(Arrays arrays) {
  mx::eval(list(arrays));
}

void async_eval(Arrays arrays) {
  mx::async_eval(list(arrays));
}

void wait(const Array& a) {
  const_cast<Array&>(a).wait();
}

} // namespace zmlx
