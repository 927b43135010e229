#include "zmlx/owned.h"

#include <new>

#include "mlx/backend/cuda/cuda.h"
#include "mlx/backend/metal/metal.h"
#include "zmlx/array.h"
#include "zmlx/memory.h"
#include "zmlx/src/bridge/owned.rs.h"

namespace zmlx {

ArrayPtr borrow_memory(rust::Box<Owner> boxed, size_t address, Ints dims, Dtype type) {
  // MLX copies functions, and with them what they hold. A Rust box has one owner.
  auto owner = std::make_shared<rust::Box<Owner>>(std::move(boxed));
  if (mx::metal::is_available() || mx::cu::is_available()) {
    guard_memory();
    return box(Array(reinterpret_cast<void*>(address), shape(dims), dtype(type), [owner](void*) {}));
  }
  // The CPU package's buffers begin with their size, and MLX reads it, so foreign memory cannot be one: MLX would copy it.
  // But an array lies at a distance from its buffer, so it may have a small buffer of MLX's and lie anywhere. What
  // does not own its buffer is never donated, so nothing writes there.
  guard_memory();
  auto anchor = std::make_shared<Array::Data>(mx::allocator::malloc(sizeof(uint64_t)));
  auto from = reinterpret_cast<size_t>(anchor->buffer().raw_ptr());
  if (from == 0) {
    throw std::bad_alloc();
  }
  Array a(shape(dims), dtype(type), nullptr, {});
  a.set_data(
      mx::allocator::Data(anchor->buffer(), [anchor, owner](mx::allocator::Buffer) {}),
      a.size(),
      a.strides(),
      dense(a.shape(), a.size()),
      static_cast<int64_t>(address - from));
  a.set_status(Array::available);
  return box(std::move(a));
}

} // namespace zmlx
