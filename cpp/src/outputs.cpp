// What a launch's outputs are, and how they reach Rust.
#include "zmlx/kernel.h"

#include "zmlx/src/bridge/kernel.rs.h"

namespace zmlx {

namespace {

mx::Shape shape_of(const OutputSpec& spec) {
  return mx::Shape(spec.shape.begin(), spec.shape.end());
}

} // namespace

void put(ArrayVec arrays, rust::Slice<Slot> to) {
  for (size_t i = 0; i < to.size(); ++i) {
    to[i].array = box(std::move(arrays.at(i)));
  }
}

void no_derivative(const std::string& kernel) {
  // The mark tells the Rust side what it is.
  throw std::invalid_argument(
      "[zmlx derivative] expected an operation with a derivative, got " +
      (kernel.empty() ? std::string("a kernel") : "kernel `" + kernel + "`") +
      "; give one with `autograd::nary_from_expr(..).backward(..)` or `custom_function(..).with_vjp(..)`, "
      "or leave its result out with `stop_gradient`");
}

Outputs::Outputs(rust::Slice<const OutputSpec> specs)
    : first_{shape_of(specs[0]), zmlx::dtype(specs[0].dtype)} {
  for (size_t i = 1; i < specs.size(); ++i) {
    rest_.push_back({shape_of(specs[i]), zmlx::dtype(specs[i].dtype)});
  }
}

Outputs::Outputs(const ArrayVec& arrays)
    : first_{arrays.at(0).shape(), arrays.at(0).dtype()} {
  for (size_t i = 1; i < arrays.size(); ++i) {
    rest_.push_back({arrays[i].shape(), arrays[i].dtype()});
  }
}

std::vector<mx::Shape> Outputs::shapes() const {
  std::vector<mx::Shape> all;
  for (size_t i = 0; i < size(); ++i) {
    all.push_back(shape(i));
  }
  return all;
}

std::vector<mx::Dtype> Outputs::dtypes() const {
  std::vector<mx::Dtype> all;
  for (size_t i = 0; i < size(); ++i) {
    all.push_back(dtype(i));
  }
  return all;
}

ArrayVec Outputs::node(
    std::shared_ptr<mx::Primitive> primitive,
    ArrayVec inputs) const {
  return Array::make_arrays(shapes(), dtypes(), primitive, inputs);
}

void Outputs::node(
    std::shared_ptr<mx::Primitive> primitive,
    ArrayVec inputs,
    rust::Slice<Slot> to) const {
  if (to.size() != size()) {
    throw std::logic_error("[zmlx] a place for each output");
  }
  if (size() == 1) {
    to[0].array = std::make_unique<Array>(
        first_.shape, first_.dtype, std::move(primitive), std::move(inputs));
    return;
  }
  put(node(std::move(primitive), std::move(inputs)), to);
}

} // namespace zmlx
