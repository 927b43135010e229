// Nodes with transformation rules of their own, which are asked for only when a transform needs one.
//
// MLX's custom functions do that too, but wrap each call in functions for every rule and in three further nodes: in a
// gradient of one kernel that is most of what the host does.
#pragma once

#include "mlx/primitives.h"
#include "zmlx/kernel.h"
#include "zmlx/types.h"

namespace zmlx {

struct NodeRules;

// A launch of a kernel, which has derivatives once it was given rules.
class Ruled : public mx::Primitive {
 public:
  explicit Ruled(mx::Stream s) : Primitive(s) {}

  ArrayVec vjp(
      const ArrayVec& inputs,
      const ArrayVec& cotangents,
      const std::vector<int>& argnums,
      const ArrayVec& outputs) override;
  ArrayVec jvp(
      const ArrayVec& inputs,
      const ArrayVec& tangents,
      const std::vector<int>& argnums) override;
  std::pair<ArrayVec, std::vector<int>> vmap(
      const ArrayVec& inputs,
      const std::vector<int>& axes) override;

  void give(rust::Box<NodeRules> rules);

  // The outputs of one launch.
  virtual const Outputs& outputs() const = 0;

 protected:
  // The kernel's name, for people.
  virtual std::string kernel() const = 0;
  // The kernel once for each element of the mapped axes.
  virtual std::pair<ArrayVec, std::vector<int>> each(
      const ArrayVec& inputs,
      const std::vector<int>& axes) = 0;

 private:
  // Empty where there are none. MLX's `compile` may merge nodes that compute the same, whatever their rules, as nothing is
  // differentiated or mapped behind it.
  std::shared_ptr<rust::Box<NodeRules>> rules_;
};

// Gives rules to the node that computes `a` and `outputs - 1` further arrays. False, and nothing happens, where that is none
// of ours.
bool give_rules(const Array& a, size_t outputs, rust::Box<NodeRules> rules);

} // namespace zmlx
