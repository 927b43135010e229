// Evaluated values that several threads may use at once.
//
// MLX changes array descriptors behind const references (status, event, data,
// inputs), so no descriptor may be reachable from two threads. What a Frozen
// shares is the buffer only, and it is never written again: MLX writes into an
// existing buffer only when it donates it, and `is_donatable` is false for every
// array made here, because the `Data` it holds does not own its buffer.
#pragma once

#include "zmlx/types.h"

namespace zmlx {

struct Frozen {
  std::shared_ptr<Array::Data> owner; // keeps the buffer; no array has it, unless it does not own the buffer either
  int64_t offset; // bytes
  mx::Shape shape;
  mx::Dtype dtype;
};
using FrozenPtr = std::shared_ptr<Frozen>;

// Takes an available, row-contiguous array. Copies the elements when something
// else than this descriptor can still reach the buffer as an owned one.
FrozenPtr freeze(const Array& a);
// A descriptor of its own for the calling thread.
ArrayPtr thaw(const Frozen& f);

inline size_t frozen_address(const Frozen& f) {
  return reinterpret_cast<size_t>(f.owner->buffer().raw_ptr()) +
      static_cast<size_t>(f.offset);
}
inline Ints frozen_dims(const Frozen& f) noexcept {
  return Ints(f.shape.data(), f.shape.size());
}
inline Dtype frozen_dtype(const Frozen& f) noexcept {
  return f.dtype.val();
}

} // namespace zmlx
