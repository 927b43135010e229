#include "zmlx/frozen.h"

#include <cstring>

#include "zmlx/array.h"

namespace zmlx {

namespace {

// A `Data` over the owner's buffer that keeps the owner alive.
mx::allocator::Data view(const std::shared_ptr<Array::Data>& owner) {
  return mx::allocator::Data(
      owner->buffer(), [owner](mx::allocator::Buffer) {});
}

} // namespace

FrozenPtr freeze(const Array& a) {
  if (!ready(a) || !a.flags().row_contiguous || !a.data_shared_ptr()) {
    throw std::invalid_argument(
        "[freeze] the array is not available in row-major order");
  }
  auto& source = const_cast<Array&>(a);
  const auto& data = a.data_shared_ptr();
  if (!data->is_owned()) {
    // Nothing can write there: MLX donates owned buffers only. The first access is the same as below.
    if (a.nbytes() > 0) {
      data->buffer().raw_ptr();
    }
    return std::make_shared<Frozen>(Frozen{data, a.offset(), a.shape(), a.dtype()});
  }
  if (data.use_count() == 1) {
    auto owner = data;
    // On CUDA the first host access moves the buffer to unified memory and
    // updates it in place; after this one, accesses only read.
    if (a.nbytes() > 0) {
      owner->buffer().raw_ptr();
    }
    source.set_data(
        view(owner), a.data_size(), a.strides(), a.flags(), a.offset());
    return std::make_shared<Frozen>(
        Frozen{std::move(owner), a.offset(), a.shape(), a.dtype()});
  }
  auto copy =
      std::make_shared<Array::Data>(mx::allocator::malloc(a.nbytes()));
  if (a.nbytes() > 0) {
    std::memcpy(copy->buffer().raw_ptr(), a.data<char>(), a.nbytes());
  }
  return std::make_shared<Frozen>(
      Frozen{std::move(copy), 0, a.shape(), a.dtype()});
}

ArrayPtr thaw(const Frozen& f) {
  Array a(f.shape, f.dtype, nullptr, {});
  a.set_data(
      view(f.owner), a.size(), a.strides(), dense(f.shape, a.size()), f.offset);
  a.set_status(Array::available);
  if (a.is_donatable()) {
    throw std::logic_error("[thaw] this MLX would overwrite shared data");
  }
  return box(std::move(a));
}

} // namespace zmlx
