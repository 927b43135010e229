// A handle to an array that neither keeps it alive nor keeps MLX from reusing its buffer.
#pragma once

#include <optional>

#include "zmlx/types.h"

namespace zmlx {

namespace peek {
// MLX gives no weak handle, and decides by the number of handles what it may overwrite. An
// explicit instantiation may name a private member: it hands out where the pointer to
// the descriptor lies in an array.
struct Descriptor {
  friend constexpr auto member(Descriptor);
};
template <auto Member>
struct Expose {
  friend constexpr auto member(Descriptor) {
    return Member;
  }
};
template struct Expose<&mx::array::array_desc_>;
} // namespace peek

class Weak {
 public:
  explicit Weak(const Array& a) : desc_(a.*member(peek::Descriptor{})) {}

  // As long as the weak handle exists, no other array gets this array's id: descriptor and
  // counts are one allocation.
  bool gone() const {
    return desc_.expired();
  }

  std::optional<Array> lock() const {
    auto desc = desc_.lock();
    if (!desc) {
      return std::nullopt;
    }
    std::optional<Array> a(std::in_place, mx::Shape{}, mx::bool_, nullptr, ArrayVec{});
    (*a).*member(peek::Descriptor{}) = std::move(desc);
    return a;
  }

 private:
  using Pointer = std::remove_reference_t<
      decltype(std::declval<Array&>().*member(peek::Descriptor{}))>;
  std::weak_ptr<Pointer::element_type> desc_;
};

} // namespace zmlx
