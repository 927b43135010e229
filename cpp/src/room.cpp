#include "zmlx/room.h"

#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace zmlx {

namespace {

// Asks for large pages within this memory. Whoever streams through pages of 4 KiB waits for translations, and takes a fault at each
// fresh one. A system without large pages says no, and the small ones do.
void want_huge_pages([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
#if defined(MADV_HUGEPAGE)
  constexpr size_t huge = size_t{2} << 20;
  if (bytes < 2 * huge) {
    return;
  }
  auto from = (reinterpret_cast<size_t>(p) + huge - 1) & ~(huge - 1);
  auto to = (reinterpret_cast<size_t>(p) + bytes) & ~(huge - 1);
  (void)madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#endif
}

} // namespace

mx::allocator::Data allocate(size_t bytes) {
  mx::allocator::Data data(mx::allocator::malloc(bytes));
  if (bytes > 0 && data.buffer().ptr() == nullptr) {
    throw std::bad_alloc();
  }
  // MLX keeps the buffers of dead arrays, so other operations profit later.
  want_huge_pages(data.buffer().raw_ptr(), bytes);
  return data;
}

ArrayPtr room(size_t bytes) {
  auto data = allocate(bytes);
  // Counted in blocks, as an axis may hold less than 2^31 elements.
  constexpr size_t kBlock = size_t{1} << 20;
  const auto blocks = static_cast<int>(bytes / kBlock);
  return box(Array(std::move(data), {blocks, static_cast<int>(kBlock)}, mx::uint8));
}

ArrayPtr lay(const Array& room, size_t at, const Array& a) {
  if (!a.is_available() || !a.flags().row_contiguous || at > room.nbytes() ||
      a.nbytes() > room.nbytes() - at) {
    throw std::invalid_argument("`lay`: an array that is not evaluated, or does not fit");
  }
  auto* to = const_cast<char*>(room.data<char>()) + at;
  std::memcpy(to, a.data<char>(), a.nbytes());
  Array out(a.shape(), a.dtype(), nullptr, {});
  out.copy_shared_buffer(
      room, a.strides(), a.flags(), a.data_size(), static_cast<int64_t>(at / a.itemsize()));
  out.set_status(Array::Status::available);
  return box(std::move(out));
}

} // namespace zmlx
