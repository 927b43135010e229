#include "zmlx/given.h"

#include <sstream>

#include "mlx/ops.h"
#include "mlx/primitives.h"

namespace zmlx {

void Given::take(const ArrayVec& outputs) {
  for (const auto& out : outputs) {
    shapes.push_back(out.shape());
    dtypes.push_back(out.dtype());
  }
}

void Given::check(
    const char* rule,
    const ArrayVec& got,
    const std::vector<mx::Shape>& want) const {
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i].shape() != want[i]) {
      std::ostringstream msg;
      msg << "`" << rule << "`: expected shape " << want[i] << " for output " << i
          << ", got " << got[i].shape();
      throw std::invalid_argument(msg.str());
    }
    if (got[i].dtype() != dtypes[i]) {
      std::ostringstream msg;
      msg << "`" << rule << "`: expected dtype " << dtypes[i] << " for output " << i
          << ", got dtype " << got[i].dtype();
      throw std::invalid_argument(msg.str());
    }
  }
}

void Given::count(const char* rule, const char* what, size_t got) const {
  if (got != shapes.size()) {
    std::ostringstream msg;
    msg << "`" << rule << "`: expected " << shapes.size() << " " << what
        << ", one for each output, got " << got;
    throw std::invalid_argument(msg.str());
  }
}

void Given::mapped(ArrayVec& outputs, std::vector<int>& axes, int size) const {
  count("vmap", "outputs", outputs.size());
  count("vmap", "output axes", axes.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    auto ndim = static_cast<int>(shapes[i].size());
    if (axes[i] < -1 || axes[i] > ndim) {
      std::ostringstream msg;
      msg << "`vmap`: expected an axis between 0 and " << ndim
          << ", or -1 for none, for output " << i << ", got " << axes[i];
      throw std::invalid_argument(msg.str());
    }
  }
  auto want = shapes;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (axes[i] >= 0) {
      want[i].insert(want[i].begin() + axes[i], size);
    }
  }
  check("vmap", outputs, want);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (axes[i] < 0) {
      auto s = outputs[i].has_primitive()
          ? outputs[i].primitive().stream()
          : mx::default_stream(mx::default_device());
      outputs[i] = mx::repeat(mx::expand_dims(outputs[i], 0, s), size, 0, s);
      axes[i] = 0;
    }
  }
}

int mapped_size(const ArrayVec& inputs, const std::vector<int>& axes) {
  int size = 1;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] >= 0) {
      size = inputs[i].shape(axes[i]);
    }
  }
  return size;
}

} // namespace zmlx
