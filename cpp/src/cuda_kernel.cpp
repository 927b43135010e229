// The lazy primitive behind a kernel on a GPU stream.
//
// On CUDA it runs code that the engine compiled, through MLX's primitive for precompiled kernels; on
// Metal it runs MLX's own custom kernel. Either way it adds what those lack: `vmap`, and
// equality for `compile`.
#include <algorithm>

#include "mlx/primitives.h"
#include "zmlx/kernel.h"
#include "zmlx/poison.h"
#include "zmlx/ruled.h"

#include "zmlx/src/bridge/kernel.rs.h"

namespace zmlx {

namespace {

using PrimitivePtr = std::shared_ptr<mx::Primitive>;

class GpuKernel : public Ruled {
 public:
  GpuKernel(
      mx::Stream s,
      CudaPlanPtr plan,
      PrimitivePtr inner,
      const Geometry& geometry,
      Outputs outputs)
      : Ruled(s),
        plan_(std::move(plan)),
        inner_(std::move(inner)),
        geometry_(geometry),
        outputs_(std::move(outputs)) {}

  const Outputs& outputs() const override {
    return outputs_;
  }

  void eval_cpu(const ArrayVec&, ArrayVec&) override {
    throw std::runtime_error("[zmlx] a GPU kernel was given to a CPU stream");
  }

  void eval_gpu(const ArrayVec& inputs, ArrayVec& outputs) override {
    if (plan_) {
      plan_->run(stream(), filled(outputs), outputs_, inputs, outputs);
    } else {
      inner_->eval_gpu(inputs, outputs);
    }
  }

  const char* name() const override {
    return plan_ ? "ZmlxCudaKernel" : "ZmlxMetalKernel";
  }

  // Lets `compile` merge equal launches.
  bool is_equivalent(const Primitive& other) const override {
    auto* o = dynamic_cast<const GpuKernel*>(&other);
    if (!o) {
      return false;
    }
    const auto& g = o->geometry_;
    return plan_ && plan_ == o->plan_ && geometry_.grid == g.grid &&
        geometry_.threadgroup == g.threadgroup &&
        geometry_.has_init == g.has_init &&
        (!g.has_init || geometry_.init == g.init) && outputs_ == o->outputs_;
  }

 protected:
  std::string kernel() const override {
    return plan_ ? plan_->kernel() : std::string();
  }

  // On views.
  std::pair<ArrayVec, std::vector<int>> each(
      const ArrayVec& inputs,
      const std::vector<int>& axes) override {
    int size = 1;
    ArrayVec moved;
    for (size_t i = 0; i < inputs.size(); ++i) {
      moved.push_back(
          axes[i] < 0 ? inputs[i]
                      : mx::moveaxis(inputs[i], axes[i], 0, stream()));
      if (axes[i] >= 0) {
        size = moved.back().shape(0);
      }
    }
    auto self = std::make_shared<GpuKernel>(
        stream(), plan_, inner_, geometry_, outputs_);
    std::vector<ArrayVec> columns(outputs_.size());
    for (int n = 0; n < size; ++n) {
      ArrayVec row;
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (axes[i] < 0) {
          row.push_back(moved[i]);
          continue;
        }
        const auto& shape = moved[i].shape();
        mx::Shape start(shape.size(), 0);
        mx::Shape stop(shape.begin(), shape.end());
        start[0] = n;
        stop[0] = n + 1;
        row.push_back(mx::squeeze(
            mx::slice(moved[i], start, stop, stream()), 0, stream()));
      }
      auto outputs = outputs_.node(self, std::move(row));
      for (size_t o = 0; o < outputs.size(); ++o) {
        columns[o].push_back(std::move(outputs[o]));
      }
    }
    ArrayVec results;
    for (size_t o = 0; o < columns.size(); ++o) {
      if (size == 0) {
        auto shape = outputs_.shape(o);
        shape.insert(shape.begin(), 0);
        results.push_back(mx::zeros(shape, outputs_.dtype(o), stream()));
      } else {
        results.push_back(mx::stack(columns[o], 0, stream()));
      }
    }
    return {results, std::vector<int>(results.size(), 0)};
  }

 private:
  // With an initial value where outputs are to be poisoned.
  Geometry filled(const ArrayVec& outputs) const {
    auto geometry = geometry_;
    auto byte = poison();
    if (!byte || geometry.has_init) {
      return geometry;
    }
    // MLX gives what has no elements no memory then.
    bool all = std::all_of(outputs.begin(), outputs.end(), [](const Array& a) {
      return a.size() > 0;
    });
    if (all) {
      geometry.has_init = true;
      geometry.init = poison_number(*byte, outputs_);
    }
    return geometry;
  }

  // One of the two.
  CudaPlanPtr plan_;
  PrimitivePtr inner_;
  Geometry geometry_;
  Outputs outputs_;
};

} // namespace

void cuda_launch(
    const CudaPlanPtr& plan,
    Arrays inputs,
    rust::Slice<const OutputSpec> outputs,
    const Geometry& geometry,
    StreamRef s,
    rust::Slice<Slot> to) {
  auto kernel = std::make_shared<GpuKernel>(
      mx::to_stream(on(s)), plan, nullptr, geometry, Outputs(outputs));
  const auto& described = kernel->outputs();
  described.node(std::move(kernel), list(inputs), to);
}

void with_vmap(
    const ArrayVec& outputs,
    const Geometry& geometry,
    rust::Slice<Slot> to) {
  const auto& first = outputs.at(0);
  auto kernel = std::make_shared<GpuKernel>(
      first.primitive().stream(),
      nullptr,
      first.primitive_ptr(),
      geometry,
      Outputs(outputs));
  const auto& described = kernel->outputs();
  described.node(std::move(kernel), first.inputs(), to);
}

} // namespace zmlx
