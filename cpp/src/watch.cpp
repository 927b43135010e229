#include "zmlx/watch.h"

#include <array>
#include <string_view>
#include <typeinfo>
#include <unordered_set>

#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"
#include "mlx/scheduler.h"

namespace zmlx {

namespace {

// Primitives of MLX whose work on a CPU stream has nothing to throw, read in the source of
// 0.32.4: what they refuse they refuse when the graph is made, or before the work is handed over.
// What is not in this list is watched, so a name too few costs a task of the stream and no more.
const std::unordered_set<std::string_view>& sound() {
  static const std::unordered_set<std::string_view> names{
      "Abs", "Add", "AddMM", "And", "ArcCos", "ArcCosh", "ArcSin", "ArcSinh", "ArcTan",
      "ArcTan2", "ArcTanh", "ArgPartition", "ArgReduce", "ArgSort", "AsStrided", "AsType",
      "BitwiseAnd", "BitwiseInvert", "BitwiseOr", "BitwiseXor", "Broadcast", "BroadcastAxes",
      "Ceil", "Concatenate", "Conjugate", "Contiguous",
      "Convolution", "Copy", "Cos", "Cosh", "CumLogaddexp", "CumMax", "CumMin", "CumProd",
      "CumSum", "CustomTransforms", "Depends", "Divide", "Equal", "Erf", "ErfInv", "Exp",
      "ExpandDims", "Expm1", "Flatten", "Floor", "Full", "Gather", "GatherAxis", "Greater",
      "GreaterEqual", "Imag", "LeftShift", "Less", "LessEqual", "Log", "Log10", "Log1p", "Log2",
      "LogAddExp", "LogSumExp", "LogicalAnd", "LogicalNot", "LogicalOr", "Matmul", "Max",
      "Maximum", "Min", "Minimum", "Multiply", "NaNEqual", "Negative", "NotEqual",
      "NumberOfElements", "Or", "Pad", "Partition", "Power", "Prod", "QuantizedMatmul",
      "RandomBits", "Real", "Remainder", "Reshape", "RightShift", "Round", "Rsqrt", "Select", "Sigmoid",
      "Sign", "Sin", "Sinh", "Slice", "SliceUpdate",
      "Softmax", "Sort", "Split", "Sqrt", "Square",
      "Squeeze", "StopGradient", "Subtract", "Sum", "Synchronize", "Tan", "Tanh",
      "Transpose", "Unflatten", "ZmlxWriteRows"};
  return names;
}

Care look_at(const mx::Primitive& p) {
  std::string_view name = p.name();
  if (typeid(p) == typeid(mx::Compiled) || name.starts_with("View")) {
    return Care::none; // their names vary
  }
  if (name == "ZmlxHostKernel") {
    return Care::own;
  }
  return sound().contains(name) ? Care::none : Care::watch;
}

// Some primitives have names that depend on their state, and are all sound or all not.
struct Known {
  const std::type_info* type = nullptr;
  Care care = Care::none;
};

} // namespace

Care care_for(const mx::Primitive& p) {
  // What runs on a GPU fails before it is handed over, or ends the use of the GPU.
  if (const_cast<mx::Primitive&>(p).device() != mx::Device::cpu) {
    return Care::none;
  }
  static constinit thread_local std::array<Known, 64> known{};
  const auto* type = &typeid(p);
  auto& k = known[(reinterpret_cast<uintptr_t>(type) >> 4) % known.size()];
  if (k.type != type) {
    k = Known{type, look_at(p)};
  }
  return k.care;
}

void straighten(const Array& a) {
  const auto& inputs = a.inputs();
  if (inputs.size() != 1 || inputs[0].size() != 0) {
    return;
  }
  // What has inputs has a primitive.
  auto& primitive = a.primitive();
  if (typeid(primitive) != typeid(mx::Reduce)) {
    return;
  }
  const auto& s = primitive.stream();
  if (s.device == mx::Device::cpu) {
    // The value stays what it was, also for those that share the node.
    auto& input = const_cast<Array&>(a).inputs()[0];
    input = mx::contiguous(input, false, s);
  }
}

void Watched::eval_cpu(const ArrayVec& inputs, ArrayVec& outputs) {
  inner_->eval_cpu(inputs, outputs);
  mx::cpu::get_command_encoder(stream()).dispatch([report = report_, s = stream()] {
    report.guard([&] { mx::scheduler::check_error(s); });
  });
}

void Watched::eval_gpu(const ArrayVec& inputs, ArrayVec& outputs) {
  inner_->eval_gpu(inputs, outputs);
}

const char* Watched::name() const {
  return inner_->name();
}

} // namespace zmlx
