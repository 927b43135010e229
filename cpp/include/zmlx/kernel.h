// Custom kernels: MLX's own function on Metal and for export, the text it
// generates, and the primitive that runs that text on the CPU.
#pragma once

#include "mlx/fast.h"
#include "zmlx/types.h"

namespace zmlx {

struct KernelSpec;
struct TemplateValue;
struct OutputSpec;
struct Slot;
struct Geometry;
struct InputClass;
struct Generated;
struct HostEntry;

bool metal_available();
bool cuda_available();
// The GPU as the compiler calls it, such as sm_90; empty where there is none.
rust::String cuda_architecture();

// Shapes and dtypes of a launch's outputs. A launch makes and keeps one, so the
// usual single output is held in place.
class Outputs {
 public:
  explicit Outputs(rust::Slice<const OutputSpec> specs);
  explicit Outputs(const ArrayVec& arrays);

  size_t size() const {
    return 1 + rest_.size();
  }
  const mx::Shape& shape(size_t i) const {
    return i == 0 ? first_.shape : rest_[i - 1].shape;
  }
  mx::Dtype dtype(size_t i) const {
    return i == 0 ? first_.dtype : rest_[i - 1].dtype;
  }
  std::vector<mx::Shape> shapes() const;
  std::vector<mx::Dtype> dtypes() const;

  // The arrays that a primitive computes.
  ArrayVec node(std::shared_ptr<mx::Primitive> primitive, ArrayVec inputs) const;
  // The same, for a caller that has a place for each.
  void node(
      std::shared_ptr<mx::Primitive> primitive,
      ArrayVec inputs,
      rust::Slice<Slot> to) const;

  bool operator==(const Outputs&) const = default;

 private:
  struct One {
    mx::Shape shape;
    mx::Dtype dtype;

    bool operator==(const One&) const = default;
  };

  One first_;
  std::vector<One> rest_;
};

// Gives each array its place.
void put(ArrayVec arrays, rust::Slice<Slot> to);

// A kernel was to be differentiated.
[[noreturn]] void no_derivative(const std::string& kernel);

class NativeKernel {
 public:
  explicit NativeKernel(mx::fast::CustomKernelFunction f) : f_(std::move(f)) {}

  void launch(
      Arrays inputs,
      rust::Slice<const OutputSpec> outputs,
      rust::Slice<const TemplateValue> template_args,
      const Geometry& geometry,
      StreamRef s,
      rust::Slice<Slot> to) const;
  void export_launch(
      Arrays inputs,
      rust::Slice<const OutputSpec> outputs,
      rust::Slice<const TemplateValue> template_args,
      const Geometry& geometry,
      StreamRef s,
      rust::Slice<Slot> to) const;
  Generated generate(
      rust::Slice<const InputClass> inputs,
      rust::Slice<const OutputSpec> outputs,
      rust::Slice<const TemplateValue> template_args) const;

 private:
  ArrayVec call(
      Arrays inputs,
      rust::Slice<const OutputSpec> outputs,
      rust::Slice<const TemplateValue> template_args,
      const Geometry& geometry,
      StreamRef s) const;

  mx::fast::CustomKernelFunction f_;
};

std::unique_ptr<NativeKernel> native_kernel(const KernelSpec& spec);

// Which of an input's shape, strides and ndim the kernel takes. MLX decides it
// by looking for `name_shape` and so on anywhere in the source.
struct Extras {
  bool shape;
  bool strides;
  bool ndim;
};

class HostPlan {
 public:
  HostPlan(rust::Box<HostEntry> entry, const KernelSpec& spec);
  ~HostPlan();

  // How many arguments its inputs become, with their shapes, strides and numbers of axes.
  size_t arguments() const;

  rust::Box<HostEntry> entry;
  std::string name;
  std::vector<Extras> extras;
  bool ensure_row_contiguous;
};
using HostPlanPtr = std::shared_ptr<HostPlan>;

std::vector<Extras> extras_of(const KernelSpec& spec);

// Code for the GPU, and what its arguments are made of.
class CudaPlan {
 public:
  CudaPlan(
      rust::Str name,
      rust::Slice<const uint8_t> code,
      const KernelSpec& spec,
      size_t rank,
      uint32_t in_turn,
      uint32_t shared,
      bool exact,
      bool aside);
  ~CudaPlan();

  // Hands a launch to its stream. The inputs have been evaluated.
  void run(
      mx::Stream s,
      const Geometry& geometry,
      const Outputs& described,
      const ArrayVec& inputs,
      ArrayVec& outputs) const;

  // The kernel's name, for people.
  const std::string& kernel() const {
    return kernel_;
  }

 private:
  struct Entry;
  struct Entries;

  // MLX's primitive for a launch. Strides are those of evaluated inputs.
  std::shared_ptr<mx::Primitive> primitive(
      mx::Stream s,
      const Geometry& geometry,
      const Outputs& outputs,
      const ArrayVec& inputs) const;
  void carry_code() const;

  std::string kernel_;
  std::string name_;
  std::vector<Extras> extras_;
  bool ensure_row_contiguous_;
  // How many numbers stand for a shape.
  size_t rank_;
  // How many threadgroups a block may stand for.
  int32_t in_turn_;
  int shared_;
  // Whether the code takes no sizes.
  bool exact_;
  std::unique_ptr<Entries> entries_;
};
using CudaPlanPtr = std::shared_ptr<CudaPlan>;

// Where MLX looks for a function's code, but for the suffix; empty where it does not.
rust::String cuda_place(rust::Str function);
// `aside`: the code lies there.
CudaPlanPtr cuda_plan(
    rust::Str name,
    rust::Slice<const uint8_t> code,
    const KernelSpec& spec,
    size_t rank,
    uint32_t in_turn,
    uint32_t shared,
    bool exact,
    bool aside);
void cuda_launch(
    const CudaPlanPtr& plan,
    Arrays inputs,
    rust::Slice<const OutputSpec> outputs,
    const Geometry& geometry,
    StreamRef s,
    rust::Slice<Slot> to);

// The outputs of a kernel of MLX's own, as a node that can be mapped.
void with_vmap(
    const ArrayVec& outputs,
    const Geometry& geometry,
    rust::Slice<Slot> to);

// Outputs without an initial value are filled with this byte before a launch, or what stands for it on CUDA; not with a
// negative number. What was set before comes back.
int32_t set_poison(int32_t byte);

HostPlanPtr host_plan(rust::Box<HostEntry> entry, const KernelSpec& spec);
void host_launch(
    const HostPlanPtr& plan,
    Arrays inputs,
    rust::Slice<const OutputSpec> outputs,
    const Geometry& geometry,
    StreamRef s,
    rust::Slice<Slot> to);

} // namespace zmlx
