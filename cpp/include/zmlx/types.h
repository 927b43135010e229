// What the two sides of the bridge share: names for MLX's types and small
// plain structs that cross by value.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "mlx/array.h"
#include "mlx/ops.h"
#include "mlx/stream.h"
#include "mlx/utils.h"
#include "rust/cxx.h"
#include "zmlx/trycatch.h"

namespace zmlx {

namespace mx = mlx::core;

using Array = mx::array;
using ArrayPtr = std::unique_ptr<Array>;
using ArrayVec = std::vector<Array>;
using ArrayVecPtr = std::unique_ptr<ArrayVec>;
using Dtype = mx::Dtype::Val;
using Ints = rust::Slice<const int32_t>;

// A borrowed array in a slice of arrays, or an optional array (null: none).
struct ArrayRef {
  const Array* ptr;
};
using Arrays = rust::Slice<const ArrayRef>;

// A stream, or, with a negative index, the calling thread's default stream of
// the device.
struct StreamRef {
  int32_t index;
  int32_t device_index;
  bool gpu;
};

inline mx::Device device(StreamRef s) {
  return mx::Device(s.gpu ? mx::Device::gpu : mx::Device::cpu, s.device_index);
}

inline mx::StreamOrDevice on(StreamRef s) {
  if (s.index < 0) {
    return device(s);
  }
  return mx::Stream(s.index, device(s));
}

inline mx::Dtype dtype(Dtype d) {
  switch (d) {
    case Dtype::bool_:
      return mx::bool_;
    case Dtype::uint8:
      return mx::uint8;
    case Dtype::uint16:
      return mx::uint16;
    case Dtype::uint32:
      return mx::uint32;
    case Dtype::uint64:
      return mx::uint64;
    case Dtype::int8:
      return mx::int8;
    case Dtype::int16:
      return mx::int16;
    case Dtype::int32:
      return mx::int32;
    case Dtype::int64:
      return mx::int64;
    case Dtype::float16:
      return mx::float16;
    case Dtype::float32:
      return mx::float32;
    case Dtype::float64:
      return mx::float64;
    case Dtype::bfloat16:
      return mx::bfloat16;
    case Dtype::complex64:
      return mx::complex64;
  }
  throw std::invalid_argument("unknown dtype");
}

inline ArrayPtr box(Array a) {
  return std::make_unique<Array>(std::move(a));
}

inline ArrayVecPtr box(ArrayVec v) {
  return std::make_unique<ArrayVec>(std::move(v));
}

inline ArrayVecPtr box(std::pair<Array, Array> p) {
  ArrayVec v;
  v.push_back(std::move(p.first));
  v.push_back(std::move(p.second));
  return box(std::move(v));
}

inline ArrayVec list(Arrays arrays) {
  ArrayVec v;
  v.reserve(arrays.size());
  for (const auto& a : arrays) {
    v.push_back(*a.ptr);
  }
  return v;
}

inline std::optional<Array> maybe(ArrayRef a) {
  return a.ptr ? std::optional<Array>(*a.ptr) : std::nullopt;
}

inline std::vector<int> ints(Ints s) {
  return std::vector<int>(s.begin(), s.end());
}

inline mx::Shape shape(Ints s) {
  return mx::Shape(s.begin(), s.end());
}

inline std::string text(rust::Str s) {
  return std::string(s.data(), s.size());
}

static_assert(sizeof(StreamRef) == 12 && sizeof(ArrayRef) == sizeof(void*));
static_assert(sizeof(Dtype) == sizeof(int32_t));
static_assert(static_cast<int>(Dtype::complex64) == 13);

} // namespace zmlx
