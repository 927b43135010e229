#include "zmlx/array.h"

#include <algorithm>
#include <cstring>
#include <sstream>

#include "zmlx/memory.h"

namespace zmlx {

ArrayPtr from_bytes(rust::Slice<const uint8_t> bytes, Ints dims, Dtype type) {
  auto dt = dtype(type);
  guard_memory();
  auto data = mx::allocator::malloc(bytes.size());
  if (dt == mx::bool_) {
    auto* out = static_cast<uint8_t*>(data.buffer().raw_ptr());
    std::transform(bytes.begin(), bytes.end(), out, [](uint8_t b) -> uint8_t {
      return b != 0;
    });
  } else if (!bytes.empty()) {
    std::memcpy(data.buffer().raw_ptr(), bytes.data(), bytes.size());
  }
  return box(Array(std::move(data), shape(dims), dt));
}

ArrayPtr plain(rust::Slice<const uint8_t> bytes, Dtype type) noexcept {
  try {
    return from_bytes(bytes, Ints(), type);
  } catch (...) {
    return nullptr;
  }
}

ArrayPtr share(const Array& a) noexcept {
  return box(a);
}

ArrayVecPtr new_list() {
  return std::make_unique<ArrayVec>();
}

void push(ArrayVec& v, const Array& a) {
  v.push_back(a);
}

Array::Flags dense(const mx::Shape& shape, size_t size) {
  auto longest = std::max_element(shape.begin(), shape.end());
  bool column = size <= 1 || size == static_cast<size_t>(*longest);
  return Array::Flags{true, true, column};
}

bool is_row_contiguous(const Array& a) noexcept {
  // MLX leaves the flags of unevaluated arrays at their optimistic default.
  return a.status() != Array::unscheduled && a.flags().row_contiguous;
}

bool is_tracer(const Array& a) noexcept {
  return presence != Presence::left && a.is_tracer();
}

size_t address(const Array& a) {
  return reinterpret_cast<size_t>(a.data<char>());
}

rust::String show(const Array& a) {
  std::ostringstream out;
  out << a;
  return rust::String(out.str());
}

} // namespace zmlx
