// The array type itself: construction, metadata, storage, evaluation.
#pragma once

#include "zmlx/run.h"
#include "zmlx/types.h"

namespace zmlx {

// Copies `bytes` (dense, row-major, native endian) into a new array. Bytes of bools
// become 0 or 1: with others C++ may do anything.
ArrayPtr from_bytes(rust::Slice<const uint8_t> bytes, Ints dims, Dtype type);
// The same for one element, on a thread that has given MLX up, too. Null without memory.
ArrayPtr plain(rust::Slice<const uint8_t> bytes, Dtype type) noexcept;
// A new handle to the same graph node. It has no gate: a handle can be had at any time.
ArrayPtr share(const Array& a) noexcept;
ArrayVecPtr new_list();
void push(ArrayVec& v, const Array& a);

inline Ints dims(const Array& a) noexcept {
  return Ints(a.shape().data(), a.ndim());
}
inline rust::Slice<const int64_t> steps(const Array& a) noexcept {
  return rust::Slice<const int64_t>(a.strides().data(), a.ndim());
}
inline size_t size(const Array& a) noexcept {
  return a.size();
}
inline Dtype type_(const Array& a) noexcept {
  return a.dtype().val();
}
inline size_t id(const Array& a) noexcept {
  return a.id();
}
inline bool same_data(const Array& a, const Array& b) noexcept {
  return a.data_shared_ptr() && b.data_shared_ptr() && a.buffer().ptr() &&
      a.buffer().ptr() == b.buffer().ptr();
}

// What MLX notes of values in row-major order without gaps.
Array::Flags dense(const mx::Shape& shape, size_t size);
bool is_row_contiguous(const Array& a) noexcept;
bool is_tracer(const Array& a) noexcept;
// Address of the first element; only valid when `ready`.
size_t address(const Array& a);
rust::String show(const Array& a);

} // namespace zmlx
