// What a function gave when it was called, which its transformation rules have to match.
#pragma once

#include "zmlx/types.h"

namespace zmlx {

struct Given {
  std::vector<mx::Shape> shapes;
  std::vector<mx::Dtype> dtypes;

  void take(const ArrayVec& outputs);
  // Throws when a rule's outputs are other ones.
  void check(const char* rule, const ArrayVec& got, const std::vector<mx::Shape>& want)
      const;
  void count(const char* rule, const char* what, size_t got) const;
  // Checks what a vmap rule gave. An output that is not mapped is repeated: MLX would
  // take its axis for the last one.
  void mapped(ArrayVec& outputs, std::vector<int>& axes, int size) const;
};

// The length of the mapped axes.
int mapped_size(const ArrayVec& inputs, const std::vector<int>& axes);

} // namespace zmlx
