// Copies of strided memory, and fills, for the CPU kernels' inputs and outputs.
#pragma once

#include <algorithm>
#include <cstring>

#include "zmlx/types.h"

namespace zmlx {

// Where a strided input lies, and the dense copy of it.
struct DenseCopy {
  const char* from;
  char* to;
  mx::Shape shape;
  mx::Strides strides;
  size_t itemsize;

  void run() const {
    copy(0, from, to);
  }

 private:
  char* copy(size_t axis, const char* in, char* out) const {
    if (axis == shape.size()) {
      std::memcpy(out, in, itemsize);
      return out + itemsize;
    }
    auto step = strides[axis] * static_cast<int64_t>(itemsize);
    if (axis + 1 == shape.size()) {
      switch (itemsize) {
        case 1:
          return row<uint8_t>(axis, in, out);
        case 2:
          return row<uint16_t>(axis, in, out);
        case 4:
          return row<uint32_t>(axis, in, out);
        default:
          return row<uint64_t>(axis, in, out);
      }
    }
    for (int i = 0; i < shape[axis]; ++i) {
      out = copy(axis + 1, in + i * step, out);
    }
    return out;
  }

  template <typename T>
  char* row(size_t axis, const char* in, char* out) const {
    auto* src = reinterpret_cast<const T*>(in);
    auto* dst = reinterpret_cast<T*>(out);
    auto step = strides[axis];
    for (int i = 0; i < shape[axis]; ++i) {
      dst[i] = src[i * step];
    }
    return reinterpret_cast<char*>(dst + shape[axis]);
  }
};

template <typename T>
void fill_as(void* to, size_t n, float value) {
  std::fill_n(static_cast<T*>(to), n, static_cast<T>(value));
}

inline void fill(void* to, size_t n, Dtype type, float value) {
  switch (type) {
    case Dtype::bool_:
      return fill_as<bool>(to, n, value);
    case Dtype::uint8:
      return fill_as<uint8_t>(to, n, value);
    case Dtype::uint16:
      return fill_as<uint16_t>(to, n, value);
    case Dtype::uint32:
      return fill_as<uint32_t>(to, n, value);
    case Dtype::uint64:
      return fill_as<uint64_t>(to, n, value);
    case Dtype::int8:
      return fill_as<int8_t>(to, n, value);
    case Dtype::int16:
      return fill_as<int16_t>(to, n, value);
    case Dtype::int32:
      return fill_as<int32_t>(to, n, value);
    case Dtype::int64:
      return fill_as<int64_t>(to, n, value);
    case Dtype::float16:
      return fill_as<mx::float16_t>(to, n, value);
    case Dtype::float32:
      return fill_as<float>(to, n, value);
    case Dtype::float64:
      return fill_as<double>(to, n, value);
    case Dtype::bfloat16:
      return fill_as<mx::bfloat16_t>(to, n, value);
    case Dtype::complex64:
      return fill_as<mx::complex64_t>(to, n, value);
  }
}

inline mx::Strides row_major(const mx::Shape& shape) {
  mx::Strides strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * shape[i];
  }
  return strides;
}

} // namespace zmlx
