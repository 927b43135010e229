#include "zmlx/ruled.h"

#include "mlx/ops.h"
#include "zmlx/given.h"

#include "zmlx/src/bridge/ruled.rs.h"

namespace zmlx {

namespace {

Ints view(const std::vector<int>& v) {
  return Ints(v.data(), v.size());
}

Given given_by(const Outputs& outputs) {
  return Given{outputs.shapes(), outputs.dtypes()};
}

} // namespace

ArrayVec Ruled::vjp(
    const ArrayVec& inputs,
    const ArrayVec& cotangents,
    const std::vector<int>& argnums,
    const ArrayVec& outputs) {
  if (!rules_) {
    no_derivative(kernel());
  }
  auto gradients = (*rules_)->vjp(inputs, cotangents, outputs);
  ArrayVec asked;
  for (int i : argnums) {
    // What follows the function's own inputs are sizes.
    auto known = static_cast<size_t>(i) < gradients->size();
    asked.push_back(
        known ? std::move((*gradients)[i]) : mx::zeros_like(inputs[i], stream()));
  }
  return asked;
}

ArrayVec Ruled::jvp(
    const ArrayVec& inputs,
    const ArrayVec& tangents,
    const std::vector<int>& argnums) {
  if (!rules_) {
    no_derivative(kernel());
  }
  auto out = std::move(*(*rules_)->jvp(inputs, tangents, view(argnums)));
  auto given = given_by(outputs());
  given.count("jvp", "tangents", out.size());
  given.check("jvp", out, given.shapes);
  return out;
}

std::pair<ArrayVec, std::vector<int>> Ruled::vmap(
    const ArrayVec& inputs,
    const std::vector<int>& axes) {
  if (!rules_) {
    return each(inputs, axes);
  }
  auto out = std::move(*(*rules_)->vmap(inputs, view(axes)));
  std::vector<int> at(out.size(), 0);
  given_by(outputs()).mapped(out, at, mapped_size(inputs, axes));
  return {std::move(out), std::move(at)};
}

void Ruled::give(rust::Box<NodeRules> rules) {
  // The class is used where the Rust type is not known; a shared pointer knows how to drop it all the same.
  rules_ = std::make_shared<rust::Box<NodeRules>>(std::move(rules));
}

bool give_rules(const Array& a, size_t outputs, rust::Box<NodeRules> rules) {
  if (!a.has_primitive() || a.siblings().size() + 1 != outputs) {
    return false;
  }
  auto* node = dynamic_cast<Ruled*>(a.primitive_ptr().get());
  if (!node) {
    return false;
  }
  node->give(std::move(rules));
  return true;
}

} // namespace zmlx
