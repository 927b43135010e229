// Custom kernels: MLX's own function on Metal and for export, the text it
// generates, and the primitive that runs that text on the CPU.
#pragma once

#include "mlx/fast.h"
#include "zmlx/types.h"

namespace zmlx {

struct KernelSpec;
struct TemplateValue;
struct OutputSpec;
struct Geometry;
struct InputClass;
struct Generated;
struct HostEntry;

bool metal_available();
bool cuda_available();

class NativeKernel {
 public:
  explicit NativeKernel(mx::fast::CustomKernelFunction f) : f_(std::move(f)) {}

  ArrayVecPtr launch(
      Arrays inputs,
      rust::Slice<const OutputSpec> outputs,
      rust::Slice<const TemplateValue> template_args,
      const Geometry& geometry,
      StreamRef s) const;
  Generated generate(
      rust::Slice<const InputClass> inputs,
      rust::Slice<const OutputSpec> outputs,
      rust::Slice<const TemplateValue> template_args) const;

 private:
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

  rust::Box<HostEntry> entry;
  std::vector<Extras> extras;
  bool ensure_row_contiguous;
};
using HostPlanPtr = std::shared_ptr<HostPlan>;

// Whether outputs without an initial value are filled with a pattern first.
void set_poison(bool yes);

HostPlanPtr host_plan(rust::Box<HostEntry> entry, const KernelSpec& spec);
ArrayVecPtr host_launch(
    const HostPlanPtr& plan,
    Arrays inputs,
    rust::Slice<const OutputSpec> outputs,
    const Geometry& geometry,
    StreamRef s);

} // namespace zmlx
